//! Arguments and help of `rotate`.

use clap::Args;

/// The arguments of `rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Refuse unless this is the daemon's default tag
    #[arg(long, value_name = "TAG")]
    pub(crate) to: Option<String>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  provisiond --new-secret >> /etc/pam-totp/secrets
  systemctl restart provisiond
  totpctl rotate
  totpctl status                    what is sealed under which tag

Seals everything in the store anew that is not under the default tag, while
logins go on. A rotation that was interrupted is run again and goes on. When
nothing is left under the former tag, take its line out of the secrets file and
restart the daemon, which then erases the former seals from the disk. Codes,
recovery codes and guesses stay as they are. For administrators only.
The exit code is 1 if anything is left under another tag.";
