//! The module's connection to provisiond: one for the challenge and the code that follows, if the
//! user types at once. The daemon hangs up on a user that types for longer, and the module connects
//! anew.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::wire::client::{Client, ClientError};
use common::wire::kept::Kept;
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
    /// The connection of the challenge.
    kept: Option<Kept>,
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
            kept: None,
        }
    }

    /// Makes a call on a new connection, and once more on another if the daemon hung up before it
    /// read the call: such a daemon is stopping, and the new connection waits for the next one.
    fn ask<R>(
        &self,
        begun: Instant,
        call: impl Fn(Client) -> Result<R, ClientError>,
    ) -> Result<R, ClientError> {
        let ask = || {
            let left = self.timeout.saturating_sub(begun.elapsed());
            call(Client::connect(&self.socket, self.server_uid, left)?)
        };
        match ask() {
            Err(ClientError::Unread) => ask(),
            told => told,
        }
    }
}

impl Daemon for Provisiond {
    fn challenge(&mut self, call: &Challenge) -> Result<ChallengeReply, ClientError> {
        let (client, reply) = self.ask(Instant::now(), |mut client| {
            let reply = client.call(call)?;
            Ok((client, reply))
        })?;
        self.kept = Kept::new(client);
        Ok(reply)
    }

    /// Sends the code again only if the daemon did not read it to its end: what was read may have
    /// been judged, and the code may be spent.
    fn verify(&mut self, call: &Verify) -> Result<VerifyReply, ClientError> {
        let begun = Instant::now();
        if let Some(client) = self.kept.take().and_then(|kept| kept.again(self.timeout)) {
            match client.last_call(call) {
                Err(ClientError::Unread) => {}
                told => return told,
            }
        }
        self.ask(begun, |client| client.last_call(call))
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
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    use common::wire::protocol::Verdict;

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

    #[test]
    fn a_code_that_is_typed_at_once_goes_by_the_connection_of_the_challenge() {
        let served = logged_in(|daemon| {
            let mut first = daemon.challenged();
            read_call(&first);
            first.write_all(ACCEPTED).unwrap();
        });
        assert_eq!(served.unwrap().verdict, Verdict::Accepted);
    }

    #[test]
    fn a_code_that_the_daemon_did_not_read_is_sent_on_a_new_connection() {
        for read in [0, 1] {
            let served = logged_in(move |daemon| {
                let mut first = daemon.challenged();
                // Hung up before the code came, or with a part of it unread.
                first.read_exact(&mut vec![0; read]).unwrap();
                drop(first);
                let mut second = daemon.accept();
                read_call(&second);
                second.write_all(ACCEPTED).unwrap();
            });
            assert_eq!(served.unwrap().verdict, Verdict::Accepted, "{read}");
        }
    }

    #[test]
    fn a_daemon_that_stops_before_it_reads_a_call_is_not_the_last_one_to_be_asked() {
        let served = logged_in(|daemon| {
            drop(daemon.accept());
            let first = daemon.challenged();
            drop(first);
            drop(daemon.accept());
            let mut second = daemon.accept();
            read_call(&second);
            second.write_all(ACCEPTED).unwrap();
        });
        assert_eq!(served.unwrap().verdict, Verdict::Accepted);
    }

    #[test]
    fn a_daemon_that_never_reads_is_not_asked_for_ever() {
        let served = logged_in(|daemon| {
            drop(daemon.challenged());
            drop(daemon.accept());
            drop(daemon.accept());
        });
        assert!(matches!(served, Err(ClientError::Unread)), "{served:?}");
    }

    #[test]
    fn a_code_that_the_daemon_has_read_is_not_sent_again() {
        let served = logged_in(|daemon| {
            let first = daemon.challenged();
            read_call(&first);
        });
        assert!(matches!(served, Err(ClientError::Closed)), "{served:?}");
    }

    /// Challenge and Verify, against a daemon that does `serve`. No more connections come to it.
    fn logged_in(serve: impl FnOnce(&Fake) + Send + 'static) -> Result<VerifyReply, ClientError> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let fake = Fake(UnixListener::bind(&socket).unwrap());
        let serving = std::thread::spawn(move || {
            serve(&fake);
            fake
        });
        let options = Options {
            socket: Some(socket),
            server_uid: geteuid(),
            ..Options::default()
        };
        let mut daemon = Provisiond::new(&options);
        daemon.challenge(&Challenge::default()).unwrap();
        let told = daemon.verify(&Verify::default());
        let Fake(listener) = serving.join().unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "another connection came");
        told
    }

    struct Fake(UnixListener);

    impl Fake {
        fn accept(&self) -> UnixStream {
            self.0.accept().unwrap().0
        }

        fn challenged(&self) -> UnixStream {
            let mut stream = self.accept();
            read_call(&stream);
            stream
                .write_all(b"{\"parameters\":{\"ask\":\"one_code\"}}\0")
                .unwrap();
            stream
        }
    }

    fn read_call(mut stream: &UnixStream) {
        let mut call = [0; 16 * 1024];
        stream.read_exact(&mut call).unwrap();
        assert_eq!(call.last(), Some(&0));
    }

    const ACCEPTED: &[u8] = b"{\"parameters\":{\"verdict\":\"accepted\",\"ask\":\"one_code\"}}\0";
}
