//! What `list`, `rename-user` and `forget` take: users as a whole.

use clap::Args;

/// Whom to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only members of this group
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Only who has no active device
    #[arg(long)]
    pub(crate) not_enrolled: bool,
}

/// What `rename-user` takes.
#[derive(Debug, Args)]
pub(crate) struct RenameUser {
    /// What the account was called
    #[arg(value_name = "OLD")]
    pub(crate) user: String,
    /// What it is called now
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
}

/// What `forget` takes.
#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// Do not ask whether that is meant
    #[arg(long)]
    pub(crate) yes: bool,
}

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  totpctl list
  totpctl list --not-enrolled --group staff
  totpctl --json list

Who has no record yet can be told of a group only, by its list of members.";

pub(super) const RENAME_EXAMPLES: &str = "\
Examples:
  totpctl rename-user alice alice.smith

For root. What was used stays used. Of the old name nothing is known then.";

pub(super) const FORGET: &str = "\
Examples:
  totpctl forget alice              asks for the name again
  totpctl forget alice --yes

For root. The user becomes one who never had a device: where 'nullok' stands,
the next login needs no code. To keep somebody out: totpctl disable USER --all.";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  totpctl show                      your own devices
  totpctl show alice
  totpctl --json show alice";

pub(super) const GRACE_EXAMPLES: &str = "\
Examples:
  totpctl revoke-grace              your own
  totpctl revoke-grace alice

Where the settings have 'grace', an accepted code counts for a while. This ends
that while, at every service.";

pub(super) const UNLOCK_EXAMPLES: &str = "\
Examples:
  totpctl unlock alice

After many wrong codes two in a row are asked for; with its guesses back, one is
enough again. The helpdesk may do it once a day for an account.";
