//! Arguments and help of `migrate`.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Settings with the store that the records are in
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// Settings with the store that they move to
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// The daemon's folder in /run, for private daemons.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) runtime_dir: Option<PathBuf>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cd /etc/pam-totp
  systemctl stop provisiond.socket provisiond-login.socket provisiond.service
  totpctl migrate --from settings.yaml --to settings-etcd.yaml
  mv settings-etcd.yaml settings.yaml
  systemctl start provisiond.service

Moves all records as they are: codes that were used stay used, and guesses stay
counted. From then on no daemon serves the old store, and each says where the
records are. Stop the daemon of this machine before; daemons of other machines
that share the old store are fenced, and end at their next change. If it fails,
the old store is served again. If it was killed, run the same command again, to
its end. For root only.";
