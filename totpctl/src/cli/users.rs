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
Who is not enrolled yet can be told of a group only, by its list of members:
  totpctl list --not-enrolled --group staff";

pub(super) const FORGET: &str = "\
The user becomes one who never had a device: where 'nullok' stands, the next
login needs no code. To keep somebody out: totpctl disable USER --all.";
