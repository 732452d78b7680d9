//! Arguments, options and help of `list`, `rename-user` and `forget`; help of `show`,
//! `revoke-grace` and `unlock`.

use clap::Args;

use super::SamePerson;

/// The arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only members of this group
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Only users without an active device
    #[arg(long)]
    pub(crate) not_enrolled: bool,
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
  totpctl --json list

Only --group lists users without a record: the group's other members.";

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
