//! What `confirm`, `verify` and `resync` take. The codes themselves are no arguments.

use clap::Args;

/// What `verify` takes.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// The PAM service to try as
    #[arg(long, default_value = "totpctl")]
    pub(crate) service: String,
    /// The remote host to try as
    #[arg(long, value_name = "HOST")]
    pub(crate) rhost: Option<String>,
}

pub(super) const CONFIRM_EXAMPLES: &str = "\
Examples:
  totpctl confirm alice --device phone
  totpctl confirm alice < code.txt";

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  totpctl verify alice
  totpctl verify alice --service sshd --rhost 192.0.2.1
  totpctl --json verify alice < code.txt

The code is one line; where two consecutive codes are asked for, both stand on
it. Exit code 0 if accepted, 1 if not. A wrong code costs a guess.";

pub(super) const RESYNC_EXAMPLES: &str = "\
Examples:
  totpctl resync alice
  totpctl resync alice --device token < codes.txt

Two codes in a row, on one line: the one that the device shows and the one
after it. They are used up and open nothing. They are searched for ten minutes
around now, and among the next hundred of a device that counts. A clock that is
off by more than two minutes or so has to be set.";
