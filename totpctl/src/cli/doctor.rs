//! Arguments and help of `doctor`.

use clap::Args;

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// PAM services to check, such as sshd or sudo
    /// [default: all that ask for codes, and their sisters]
    #[arg(value_name = "SERVICE", verbatim_doc_comment)]
    pub(crate) services: Vec<String>,
    /// Check sshd's settings as they apply to this user
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  totpctl doctor                    everything, for every service that asks
  totpctl doctor sudo               this service and sudo-i; they should ask
  totpctl doctor --user root        sshd's settings as they apply to root
  totpctl --json doctor             for monitoring

Reads the PAM files as libpam does, and works out whether a login can succeed
without a code (hole), whether no login can succeed (lock-out), and what else
is weak (warning); names the line and the next step. Also checks the daemon,
its settings and sockets, sshd and the machine. Changes nothing; run it as
root. To play a login through a service: totpctl try.

Exit codes: 0 nothing found, 1 a hole, a lock-out or a warning was found.
Notes are for information.";
