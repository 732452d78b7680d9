//! Arguments, options and help of `verify` and `confirm`; help of `resync`. Codes are never
//! arguments.

use clap::Args;

use super::{DeviceTarget, SamePerson};

/// The arguments of `confirm`.
#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {
    #[command(flatten)]
    pub(crate) target: DeviceTarget,
    #[command(flatten)]
    pub(crate) same_person: SamePerson,
}

/// The arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// PAM service of the attempt
    #[arg(long, default_value = NO_SERVICE)]
    pub(crate) service: String,
    /// Remote host of the attempt
    #[arg(long, value_name = "HOST")]
    pub(crate) rhost: Option<String>,
}

/// The service of an attempt that names none. It has no PAM file.
pub(crate) const NO_SERVICE: &str = "totpctl";

pub(super) const CONFIRM_EXAMPLES: &str = "\
Examples:
  totpctl confirm alice --device phone
  totpctl confirm alice < code.txt";

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  totpctl verify alice
  totpctl verify alice --service sshd --rhost 192.0.2.1
  totpctl --json verify alice < code.txt

Type the code on one line; if totpctl asks for two consecutive codes, type both
on that line. The exit code is 0 if the daemon accepts, 1 if not. A wrong code
costs the user one guess.

totpctl asks the daemon, not PAM. Whether a service asks for a code at all
depends on its file in /etc/pam.d: 'totpctl try' plays that.";

pub(super) const RESYNC_EXAMPLES: &str = "\
Examples:
  totpctl resync alice
  totpctl resync alice --device token < codes.txt

Type two consecutive codes on one line: the one that the device shows and the
one after it. Both are spent and open no login. The daemon searches for them
within ten minutes of the present time; for an HOTP token, among its next
hundred codes. If a clock is off by more than about two minutes, set it.";
