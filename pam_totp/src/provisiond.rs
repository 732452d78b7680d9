//! The module's connection to provisiond: the socket, and one connection for each call.

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::wire::client::{Client, ClientError};
use common::wire::protocol::{
    Challenge, ChallengeReply, LOGIN_SOCKET, OPEN_SOCKET, Verify, VerifyReply,
};

use crate::authenticate::Daemon;
use crate::options::Options;

/// The socket of the daemon, the uid that must listen there, and the deadline of a call.
pub(crate) struct Provisiond {
    socket: PathBuf,
    server_uid: u32,
    timeout: Duration,
}

impl Provisiond {
    pub(crate) fn new(options: &Options) -> Self {
        let socket = options
            .socket
            .clone()
            .unwrap_or_else(|| usual_socket(geteuid()).to_path_buf());
        Self {
            socket,
            server_uid: options.server_uid,
            timeout: options.timeout,
        }
    }

    fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&self.socket, self.server_uid, self.timeout)
    }
}

impl Daemon for Provisiond {
    fn challenge(&mut self, call: &Challenge) -> Result<ChallengeReply, ClientError> {
        self.connect()?.call(call)
    }

    fn verify(&mut self, call: &Verify) -> Result<VerifyReply, ClientError> {
        self.connect()?.call(call)
    }
}

/// Root has its own socket, so that no other user can fill its backlog.
fn usual_socket(euid: u32) -> &'static Path {
    Path::new(if euid == 0 { LOGIN_SOCKET } else { OPEN_SOCKET })
}

unsafe extern "C" {
    /// geteuid(2), which cannot fail.
    safe fn geteuid() -> u32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_socket_of_its_own() {
        assert_eq!(usual_socket(0), Path::new("/run/pam-totp/login.sock"));
        assert_eq!(
            usual_socket(1000),
            Path::new("/run/pam-totp/provisiond.sock")
        );
    }

    #[test]
    fn a_daemon_that_is_not_there_is_unreachable() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            socket: Some(folder.path().join("none")),
            ..Options::default()
        };
        let error = Provisiond::new(&options)
            .challenge(&Challenge::default())
            .unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }));
    }
}
