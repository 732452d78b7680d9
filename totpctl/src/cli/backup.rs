//! Arguments and help of `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// A new file; '-': standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Make no backup: say what is in this one, whether it is
    /// whole, and whether the application secrets open it
    #[arg(long, verbatim_doc_comment)]
    pub(crate) verify: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonSettings,
}

/// The arguments of `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Also if the store has users; the store is kept
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonSettings,
}

/// Which store it is about.
#[derive(Debug, Args)]
pub(crate) struct DaemonSettings {
    /// The daemon's settings
    /// [default: /etc/pam-totp/settings.yaml]
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) settings: Option<PathBuf>,
    /// The daemon's folder in /run, for private daemons.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) runtime_dir: Option<PathBuf>,
}

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  totpctl backup /root/pam-totp.backup
  totpctl backup --verify /root/pam-totp.backup
  totpctl backup - | age -p > /root/pam-totp.backup.age

The backup is the store at one moment, while logins go on; the daemon need not
run. Keys in it are sealed under the application secrets, which are not in it:
keep a copy of the secrets file elsewhere. Names of users and times of logins
can be read in it, unless another program encrypts it. For root only.";

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  systemctl stop provisiond.socket provisiond-login.socket provisiond.service
  totpctl restore /root/pam-totp.backup
  systemctl start provisiond
  totpctl store accept-loss

The daemon must be stopped, and the application secrets of the time of the
backup must be in the secrets file. Codes from before the restore are refused,
guesses begin at none, and recovery codes, bypasses, tickets and HOTP devices
wait until an administrator renews them: what was used since the backup is
unknown. Users that the backup lacks are refused until 'store accept-loss'. For
root only.";
