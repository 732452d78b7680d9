//! i3lock: a screen locker, which runs as the user, with one field and a keyboard of its own.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use tests::sshd::command_of;
use tests::world;

use crate::scene::{PASSWORD, Scene};

/// The recipe of the guide.
pub const RECIPE: &str = "A screen locker";

#[test]
fn a_locker_of_the_user_unlocks_with_password_and_code_and_after_guesses_with_two_codes() {
    let _place = world::enter();
    let scene = Scene::of(RECIPE);
    let screen = Screen::start();
    let alice = scene.enroll("alice");
    let mut lock = screen.lock("alice");
    let typed = format!("{PASSWORD}{}", alice.code());
    screen.types(PASSWORD);
    scene.judged(1, "alice", "malformed");
    screen.types(&typed);
    assert!(lock.wait().expect("its end").success());
    let told = scene.system.daemon.audited("alice", "accepted");
    assert!(told.contains(" service=i3lock ") && told.contains(" role=self "));
    let mut lock = screen.lock("alice");
    screen.types(&typed);
    scene.judged(1, "alice", "already_used");
    for n in 1..=5 {
        screen.types(&format!("{PASSWORD}{}", alice.wrong()));
        scene.judged(n, "alice", "rejected");
    }
    assert!(lock.try_wait().expect("its status").is_none());
    let both = [alice.code_at(1), alice.code_at(2)].join(" ");
    screen.types(&format!("{PASSWORD}{both}"));
    assert!(lock.wait().expect("its end").success());
}

/// A screen in memory, with a keyboard.
struct Screen {
    server: Child,
    display: String,
}

impl Screen {
    /// Its sockets are abstract, and its files on a private /tmp: it leaves nothing on the machine.
    fn start() -> Self {
        let xvfb = "mount -t tmpfs tmpfs /tmp && exec Xvfb -ac -nolisten tcp -displayfd 1";
        let mut server = Command::new("unshare")
            .args(["--mount", "--", "sh", "-c", xvfb])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare, of util-linux");
        let mut told = server.stdout.take().expect("its output");
        let mut number = Vec::new();
        let mut byte = [0];
        while told.read_exact(&mut byte).is_ok() && byte != *b"\n" {
            number.extend(byte);
        }
        let number = String::from_utf8(number).expect("a number");
        Self {
            server,
            display: format!(":{number}"),
        }
    }

    /// Locks it, and returns when it is locked: then i3lock closes the descriptor that it was told.
    fn lock(&self, user: &str) -> Child {
        let display = format!("DISPLAY={}", self.display);
        let i3lock = ["env", &display, "XSS_SLEEP_LOCK_FD=1", "i3lock", "--nofork"];
        let mut lock = command_of(user, &i3lock)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("i3lock");
        let mut told = String::new();
        let mut output = lock.stdout.take().expect("its output");
        output.read_to_string(&mut told).expect("its end");
        lock
    }

    /// Types a line.
    fn types(&self, text: &str) {
        for arguments in [
            &["type", "--delay", "2", "--", text][..],
            &["key", "Return"],
        ] {
            let done = Command::new("xdotool")
                .args(arguments)
                .env("DISPLAY", &self.display)
                .status();
            assert!(done.expect("xdotool").success());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
