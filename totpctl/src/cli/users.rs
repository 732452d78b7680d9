//! Arguments, options and help of `list`, `rename-user`, `forget` and `gc`; help of `show`,
//! `revoke-grace` and `unlock`.

use clap::Args;
use common::config::values::span::Span;

use super::SamePerson;
use super::value_parsers::number;

/// The arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only members of this group
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Only users without an active device
    #[arg(long)]
    pub(crate) not_enrolled: bool,
    /// Only users whose devices were not used for so long: 90d
    #[arg(long, value_name = "TIME", conflicts_with = "not_enrolled")]
    pub(crate) stale: Option<Span>,
    /// Only devices whose last day comes within so long: 14d
    #[arg(long, value_name = "TIME", conflicts_with_all = ["not_enrolled", "stale"])]
    pub(crate) expiring: Option<Span>,
}

/// The arguments of `gc`.
#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Do it; without this, only say what would be done
    #[arg(long)]
    pub(crate) yes: bool,
    /// Delete the records of gone users that are disabled
    #[arg(long)]
    pub(crate) forget: bool,
    /// So many users are gone, even if that is more than 5 %
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<usize>)]
    pub(crate) expect: Option<usize>,
}

/// The arguments of `rename-user`.
#[derive(Debug, Args)]
pub(crate) struct RenameUserArgs {
    /// Old name of the account
    #[arg(value_name = "OLD")]
    pub(crate) user: String,
    /// New name of the account
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
    #[command(flatten)]
    pub(crate) same_person: SamePerson,
}

/// The arguments of `forget`.
#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  totpctl list
  totpctl list --not-enrolled --group staff
  totpctl list --stale 90d
  totpctl list --expiring 14d
  totpctl --json list

Only --group lists users without a record: the group's other members. A device
that was never used counts as stale from its enrolment on.";

pub(super) const GC_EXAMPLES: &str = "\
Examples:
  totpctl gc                        users without an account, and the plan
  totpctl gc --yes                  disable their accounts in the store
  totpctl gc --forget --yes         delete the records of those disabled before

Nothing is done if the name service fails, or if more than 5 % of the users (and
more than five) are gone: a directory that does not answer looks like that. If
they really are gone, say how many: --expect 120";

pub(super) const RENAME_EXAMPLES: &str = "\
Examples:
  totpctl rename-user alice alice.smith

For root only. Used codes stay used. The old name has no record afterwards.";

pub(super) const FORGET: &str = "\
Examples:
  totpctl forget alice              asks for the name again
  totpctl forget alice --yes

For root only. The user then counts as never enrolled: at a service with
'nullok' the next login needs no code. To lock the account instead:
  totpctl disable alice --all";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  totpctl show                      your own devices
  totpctl show alice
  totpctl --json show alice";

pub(super) const GRACE_EXAMPLES: &str = "\
Examples:
  totpctl revoke-grace              your own
  totpctl revoke-grace alice

With 'grace' in the settings, a login soon after an accepted code needs no code.
This command ends the user's grace period at every service.";

pub(super) const UNLOCK_EXAMPLES: &str = "\
Examples:
  totpctl unlock alice

After many wrong codes the daemon asks for two consecutive codes. This command
restores the user's guesses, so that one code is enough again. The helpdesk may
unlock an account once a day.";
