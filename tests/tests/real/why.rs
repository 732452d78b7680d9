//! A user is refused at three in the morning: `totpctl why` says the reason, and what to type next.

use std::fs;
use std::path::Path;

use common::config::values::calendar;
use serde_json::json;
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup};
use tests::libpam::{Item, PamCode, Reply};
use tests::oathtool::Authenticator;
use tests::stack::{Stack, auth_line};
use tests::world;

#[test]
fn whatever_it_was_the_reason_is_said_and_what_to_type_next() {
    let _place = world::enter();
    let night = Night::new();
    let slow = night.enroll("slow");
    night.refused(
        "slow",
        &slow.code_when(night.clocks.now() - 630),
        "192.0.2.1",
    );
    night.why(
        "slow",
        &["right 10 min 30 s ago", "the phone's clock is slow"],
    );
    night.clocks.synchronised(Some(false));
    night.refused("slow", &slow.wrong(), "192.0.2.1");
    night.why(
        "slow",
        &["the kernel does not hold this machine's clock for synchronised"],
    );
    night.clocks.synchronised(Some(true));
    let twice = night.enroll("twice").code_when(night.clocks.now());
    assert_eq!(night.login("twice", &twice, "192.0.2.1"), PamCode::SUCCESS);
    night.refused("twice", &twice, "192.0.2.1");
    night.why(
        "twice",
        &["each code opens one login", "wait for the next code"],
    );
    let guessed = night.enroll("guessed");
    (1..=5).for_each(|n| night.refused("guessed", &guessed.wrong(), &format!("198.51.100.{n}")));
    night.refused(
        "guessed",
        &guessed.code_when(night.clocks.now()),
        "192.0.2.1",
    );
    night.why(
        "guessed",
        &[
            "after many wrong codes",
            "two consecutive codes",
            "totpctl unlock guessed",
        ],
    );
    (1..=3).for_each(|n| night.refused(&format!("anybody-{n}"), "123456", "203.0.113.9"));
    let sprayed = night.enroll("sprayed").code_when(night.clocks.now());
    night.refused("sprayed", &sprayed, "203.0.113.9");
    night.why(
        "sprayed",
        &[
            "came from that address",
            "two consecutive codes",
            "limits.trusted-sources",
        ],
    );
    night.refused("nobody", "123456", "192.0.2.1");
    night.why(
        "nobody",
        &["never had an active device", "totpctl enroll nobody"],
    );
    night.daemon.totpctl_json(&["enroll", "waits"], "");
    night.refused("waits", "123456", "192.0.2.1");
    night.why(
        "waits",
        &["whether a device is pending", "totpctl show waits"],
    );
}

#[test]
fn what_was_done_to_a_device_or_an_account_is_said_with_what_undoes_it() {
    let _place = world::enter();
    let night = Night::new();
    for (user, done, told) in [
        (
            "disabled",
            &["disable", "disabled"][..],
            &["no active device now", "totpctl show disabled"][..],
        ),
        (
            "shut",
            &["disable", "shut", "--all"],
            &[
                "an administrator disabled the account",
                "totpctl enable shut --all",
            ],
        ),
        (
            "elsewhere",
            &["restrict", "elsewhere", "--services", "su"],
            &["for other services", "totpctl restrict elsewhere --lift"],
        ),
    ] {
        let code = night.enroll(user).code_when(night.clocks.now());
        night.daemon.totpctl_json(done, "");
        night.refused(user, &code, "192.0.2.1");
        night.why(user, told);
    }
}

#[test]
fn codes_that_no_device_shows_are_told_from_codes_that_one_does() {
    let _place = world::enter();
    let night = Night::new();
    night.enroll("alice");
    let (old, new) = (night.recovery_code(), night.recovery_code());
    night.refused("alice", &old, "192.0.2.1");
    night.why(
        "alice",
        &[
            "no such recovery code or bypass",
            "totpctl recovery-codes alice",
            "totpctl bypass alice",
        ],
    );
    assert_eq!(night.login("alice", &new, "192.0.2.1"), PamCode::SUCCESS);
    night.refused("alice", &new, "192.0.2.1");
    night.why("alice", &["was used already"]);
    let bypass = night
        .daemon
        .totpctl_json(&["bypass", "alice", "--for", "1h"], "");
    let late = night.recovery_code();
    night.clocks.pass(2 * 86_400);
    for code in [bypass["code"].as_str().expect("a code"), &late] {
        night.refused("alice", code, "192.0.2.1");
        night.why(
            "alice",
            &[
                "has expired",
                "totpctl recovery-codes alice",
                "totpctl bypass alice",
            ],
        );
    }
}

#[test]
fn who_never_came_to_a_code_is_not_taken_for_an_older_attempt() {
    let _place = world::enter();
    world::set_password("bob", "correct horse");
    let mut night = Night::new();
    let bob = night.enroll("bob");
    let lines = format!(
        "auth requisite pam_unix.so nodelay\n{}",
        auth_line(&night.daemon, "retry=1")
    );
    assert_eq!(
        Stack::new("why-joined", &lines)
            .login("bob", &["wrong", &bob.wrong()])
            .code,
        PamCode::AUTH_ERR
    );
    night.why(
        "bob",
        &[
            "no login attempt of bob",
            "never reached the code prompt",
            "the password or key before",
        ],
    );
    night.refused("bob", &bob.wrong(), "192.0.2.1");
    night.why(
        "bob",
        &[
            "rejected",
            "never reached the code prompt",
            "provisiond was not running",
        ],
    );
    night.daemon.kill();
    let told = night.daemon.totpctl(&["why", "bob"], "");
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(
        told.status.code() == Some(3) && said.contains("systemctl status provisiond"),
        "{told:?}"
    );
}

#[test]
fn verify_says_that_it_asks_the_daemon_and_warns_of_a_service_that_never_asks() {
    let _place = world::enter();
    let night = Night::new();
    let alice = night.enroll("alice");
    let file = |name: &str, text: &str| {
        fs::write(Path::new("/etc/pam.d").join(name), text).expect("a service file");
    };
    file("deep", "auth required pam_unix.so\n");
    file("never-asks", "@include deep\n");
    file(
        "asks",
        "auth include never-asks\nauth required pam_totp.so\n",
    );
    for (steps, options, warned) in [
        (-1, &["--service", "never-asks"][..], true),
        (0, &["--service", "asks"], false),
        (1, &["--service", "unknown"], false),
        (2, &[], false),
    ] {
        let code = alice.code_when(night.clocks.now() + 30 * steps);
        let output = night.daemon.totpctl(
            &[&["verify", "alice"], options].concat(),
            &format!("{code}\n"),
        );
        let text = String::from_utf8(output.stdout).expect("text");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("asked the daemon, not PAM"), "{text}");
        assert_eq!(
            words.contains("WARNING: /etc/pam.d/never-asks") && words.contains("asks for no code"),
            warned,
            "{text}"
        );
    }
}

#[test]
fn a_device_that_is_shut_because_the_clock_was_ahead_is_told_as_one() {
    let _place = world::enter();
    let night = Night::new();
    let phone = night.enroll("early");
    let code = || phone.code_when(night.clocks.now());
    night.clocks.set_by(86_400);
    night.daemon.log.wait_for(&["event=clock_event"]);
    night.clocks.pass(60);
    let opens = |code: &str| assert_eq!(night.login("early", code, "192.0.2.1"), PamCode::SUCCESS);
    let first = night.clocks.now();
    for _ in 0..65 {
        opens(&code());
        night.clocks.pass(30);
    }
    night.clocks.set_by(-90_000);
    night.daemon.log.wait_for_many(2, &["event=clock_event"]);
    night.clocks.pass(60);
    night.refused("early", &code(), "192.0.2.1");
    let until = first / 30 * 30 + 30;
    night.daemon.log.wait_for(&[
        "event=verify user=early ",
        " verdict=already_used ",
        &format!(" reason=used_ahead until={until} "),
    ]);
    let when = calendar::local(until.unsigned_abs()).expect("a zone");
    let when = when.strftime("%Y-%m-%d %H:%M:%S").to_string();
    night.why(
        "early",
        &[
            "clock was far ahead",
            "a recovery code, a bypass or another device opens a login",
            "totpctl enroll early",
            &format!("shows the first code that counts at {when}"),
        ],
    );
    night.clocks.pass(until - night.clocks.now());
    night.clocks.pass(30 * 65);
    opens(&code());
}

/// A daemon whose clock stands still, and the service that people want to log in to.
struct Night {
    clocks: Clocks,
    daemon: Daemon,
    stack: Stack,
}

impl Night {
    fn new() -> Self {
        let clocks = Clocks::new();
        let settings = "limits: {per-source: 3}\nrecovery: {expire: 1d}\n";
        let daemon = clocks.of(Setup::new().with(settings)).start();
        let stack = Stack::of(&daemon, "why", "retry=1");
        Self {
            clocks,
            daemon,
            stack,
        }
    }

    fn enroll(&self, user: &str) -> Authenticator {
        self.daemon.enroll(user)
    }

    fn recovery_code(&self) -> String {
        let told = self
            .daemon
            .call("NewRecoveryCodes", &json!({ "user": "alice" }))
            .expect("codes");
        told["recovery_codes"][0]
            .as_str()
            .expect("a code")
            .to_owned()
    }

    fn login(&self, user: &str, typed: &str, from: &str) -> PamCode {
        self.stack
            .attempt(user)
            .item(Item::Rhost, from)
            .run(|_| Reply::text(typed))
            .code
    }

    fn refused(&self, user: &str, typed: &str, from: &str) {
        assert_eq!(self.login(user, typed, from), PamCode::AUTH_ERR, "{user}");
    }

    /// What is said of the last attempt, broken into lines or not.
    fn why(&self, user: &str, parts: &[&str]) {
        let output = self.daemon.totpctl(&["why", user, "-n", "1"], "");
        let text = String::from_utf8(output.stdout).expect("text");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(words.contains(part), "no {part:?} about {user}:\n{text}");
        }
    }
}
