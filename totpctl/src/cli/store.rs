//! Arguments and help of `store accept-loss`.

use clap::Subcommand;

/// The arguments of `store`.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum StoreCommand {
    /// Give up users that a damaged or older store lacks (root only)
    #[command(after_help = ACCEPT_LOSS)]
    AcceptLoss,
}

const ACCEPT_LOSS: &str = "\
Examples:
  totpctl status
  totpctl store accept-loss

When the store was damaged, or an older one was put back, users may be missing
from it. Until a good copy of the store is put back, the daemon refuses every
user that the store does not hold, and enrols no user. This command says that
no copy will come: from then on such users count as never enrolled. Settings
for users without a device ('nullok', unknown-users, roll-out) let them in.";
