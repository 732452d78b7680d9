//! vsftpd: one field, and a client that logs in again for each transfer.

use std::process::Command;

use tests::world;

use crate::scene::{PASSWORD, Running, Scene, free_port, gets_in_after_guesses};

/// The recipe of the guide.
pub const RECIPE: &str = "vsftpd";

#[test]
fn vsftpd_lets_a_client_go_on_from_its_address_and_a_replay_in_from_no_other() {
    let _place = world::enter();
    let scene = Scene::of(RECIPE);
    let server = Server::start();
    let alice = scene.enroll("alice");
    let typed = format!("{PASSWORD}{}", alice.code());
    assert!(!server.lets_in("alice", PASSWORD, HERE));
    assert!(server.lets_in("alice", &typed, HERE));
    assert!(server.lets_in("alice", &typed, HERE), "the second transfer");
    assert!(!server.lets_in("alice", &typed, ELSEWHERE), "a replay");
    scene.judged(1, "alice", "already_used");
    let wrong = format!("wrong horse{}", alice.code_at(1));
    assert!(!server.lets_in("alice", &wrong, HERE));
    let bob = scene.enroll("bob");
    gets_in_after_guesses(&bob, |codes| {
        server.lets_in("bob", &format!("{PASSWORD}{codes}"), HERE)
    });
}

#[test]
fn vsftpd_takes_no_password_without_encryption() {
    let _place = world::enter();
    let scene = Scene::of(RECIPE);
    let server = Server::start();
    let typed = format!("{PASSWORD}{}", scene.enroll("alice").code());
    let mut plain = server.client("alice", &typed, HERE);
    assert!(!plain.output().expect("curl").status.success());
    assert!(server.lets_in("alice", &typed, HERE), "it was not used up");
}

const HERE: &str = "127.0.0.1";
const ELSEWHERE: &str = "127.0.0.2";

struct Server {
    _program: Running,
    port: u16,
}

impl Server {
    /// With Debian's configuration and the recipe, on a port of its own.
    fn start() -> Self {
        for user in ["alice", "bob"] {
            world::run("usermod", &["--home", "/", user]);
        }
        std::fs::create_dir_all("/run/vsftpd/empty").expect("its folder");
        let port = free_port();
        let mut vsftpd = Command::new("vsftpd");
        vsftpd.args(["/etc/vsftpd.conf", "-obackground=NO", "-olisten=YES"]);
        vsftpd.args(["-olisten_ipv6=NO", "-olisten_address=127.0.0.1"]);
        vsftpd.arg(format!("-olisten_port={port}"));
        Self {
            _program: Running::listening(vsftpd, port),
            port,
        }
    }

    fn lets_in(&self, user: &str, typed: &str, from: &str) -> bool {
        let mut curl = self.client(user, typed, from);
        let done = curl.args(["--ssl-reqd", "--insecure"]).output();
        let done = done.expect("curl");
        const LOGIN_DENIED: i32 = 67;
        let code = done.status.code();
        assert!([Some(0), Some(LOGIN_DENIED)].contains(&code), "{done:?}");
        done.status.success()
    }

    /// One transfer.
    fn client(&self, user: &str, typed: &str, from: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--output", "/dev/null"]);
        curl.args(["--interface", from, "--user", &format!("{user}:{typed}")]);
        curl.arg(format!("ftp://127.0.0.1:{}/etc/hostname", self.port));
        curl
    }
}
