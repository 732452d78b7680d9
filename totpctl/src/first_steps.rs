//! `totpctl` alone, as root on a machine where no user is enrolled: prints the next commands in place
//! of the error that the command is missing. `make install` and the packages say the same by running
//! it.

use common::wire::client::ClientError;
use common::wire::protocol::Status;
use nix::unistd::geteuid;

use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Prints the first steps, if they are the answer to this failure.
pub(crate) fn instead_of(failure: Failure, output: &Output) -> Result<Exit, Failure> {
    if std::env::args_os().len() != 1 || !geteuid().is_root() {
        return Err(failure);
    }
    let start = match Daemon::of_root().call(&Status {}) {
        Ok(status) if status.users == 0 => "",
        Err(ClientError::Unreachable { .. }) => START,
        _ => return Err(failure),
    };
    output.page(&format!("{NO_USER}{start}{STEPS}"))?;
    Ok(Exit::Done)
}

const NO_USER: &str = "No user is enrolled yet. The next commands, as root:\n";
const START: &str = "  systemctl enable --now provisiond   start the daemon\n";
const STEPS: &str = "  totpctl enroll USER                 give a user a device
  totpctl setup sshd --user USER      ask for codes; comes undone unless confirmed
Keep a copy of /etc/pam-totp/secrets on another machine: without it every device has to be
enrolled again. All commands: totpctl --help
";
