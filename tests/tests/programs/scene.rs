//! The machine as a recipe makes it, programs that run on it, and what every recipe must hold.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tests::guide::{File, commands, files};
use tests::lines::{Lines, PATIENCE};
use tests::oathtool::Authenticator;
use tests::sshd::System;
use tests::{program, world};

/// The password of every user.
pub const PASSWORD: &str = "correct horse";

/// The machine after a recipe.
pub struct Scene {
    pub system: System,
}

impl Scene {
    /// Follows a recipe of the guide, by the letter: its settings for this daemon, and the rest once
    /// for all tests of the recipe, as on a machine.
    pub fn of(recipe: &'static str) -> Self {
        static FOLLOWED: Mutex<Vec<&str>> = Mutex::new(Vec::new());
        let mut scene = Self {
            system: System::start(),
        };
        let (settings, others): (Vec<File>, Vec<File>) = files(recipe)
            .into_iter()
            .partition(|file| file.path.ends_with("/settings.yaml"));
        settings.iter().for_each(|file| scene.settle(&file.text));
        let mut followed = FOLLOWED.lock().unwrap_or_else(PoisonError::into_inner);
        if !followed.contains(&recipe) {
            followed.push(recipe);
            others.iter().for_each(install);
            run(&commands(recipe));
        }
        for user in ["alice", "bob", "carol"] {
            world::set_password(user, PASSWORD);
        }
        scene
    }

    pub fn enroll(&self, user: &str) -> Authenticator {
        self.system.daemon.enroll(user)
    }

    /// Waits until the daemon has logged so many attempts of a user that came to this verdict.
    pub fn judged(&self, count: usize, user: &str, verdict: &str) {
        let parts = [
            "event=verify ",
            &format!(" user={user} "),
            &format!(" verdict={verdict}"),
        ];
        self.system.daemon.log.wait_for_many(count, &parts);
    }

    /// Adds a recipe's settings to the daemon's, whose last section is `provisiond`.
    fn settle(&mut self, text: &str) {
        let daemon = &mut self.system.daemon;
        let lines = text.strip_prefix("provisiond:\n").expect("that section");
        daemon.setup.settings.push_str(lines);
        daemon.setup.write();
        let reloaded = daemon.totpctl(&["reload"], "");
        assert!(reloaded.status.success(), "{text}: {reloaded:?}");
    }
}

fn install(file: &File) {
    let path = Path::new(&file.path);
    if path.starts_with("/etc/pam.d") {
        install_service(path, &for_a_test(&file.text));
    } else {
        fs::create_dir_all(path.parent().expect("a folder")).expect("its folder");
        fs::write(path, &file.text).expect("a file of the recipe");
    }
}

fn run(commands: &str) {
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-s"]);
    let done = program::with_input(shell, commands);
    assert!(done.status.success(), "{commands}: {done:?}");
}

/// Puts a recipe's lines where the guide says: in place of the lines that take the password, and
/// the rest of Debian's file stays. Where there is no file, they are all of it.
fn install_service(path: &Path, lines: &str) {
    let Ok(file) = fs::read_to_string(path) else {
        fs::write(path, lines).expect("a service file");
        return;
    };
    let replaced = ["@include common-auth\n", "auth include login\n"];
    let line = replaced.into_iter().find(|line| file.contains(line));
    let line = line.unwrap_or_else(|| panic!("nothing to replace in {}: {file}", path.display()));
    fs::write(path, file.replace(line, lines)).expect("a service file");
}

/// The module under test, where every program can read it, and no pause after a refusal.
fn for_a_test(lines: &str) -> String {
    let module = world::for_everyone("libpam_totp.so");
    lines
        .replace("pam_totp.so", module.to_str().expect("a path in UTF-8"))
        .replace("pam_unix.so", "pam_unix.so nodelay")
}

/// What holds for every program with one field: a code opens one login, and it takes both factors.
/// After guesses the owner still gets in. `login` types a text as a user.
pub fn holds_with_one_field(scene: &Scene, login: impl Fn(&str, &str) -> bool) {
    let (alice, bob) = (scene.enroll("alice"), scene.enroll("bob"));
    let typed = |code: &str| format!("{PASSWORD}{code}");
    let code = alice.code();
    assert!(login("alice", &typed(&code)));
    assert!(!login("alice", &typed(&code)), "a code opens one login");
    scene.judged(1, "alice", "already_used");
    assert!(!login("alice", PASSWORD), "the password is not enough");
    assert!(!login("bob", &format!("wrong horse{}", bob.code())));
    gets_in_after_guesses(&alice, |codes| login("alice", &typed(codes)));
}

/// Five wrong codes, and then the next two right ones, in the one field that there is.
pub fn gets_in_after_guesses(device: &Authenticator, login: impl Fn(&str) -> bool) {
    for _ in 0..5 {
        assert!(!login(&device.wrong()));
    }
    assert!(!login(&device.code_at(1)), "now two codes are asked for");
    let both = [device.code_at(1), device.code_at(2)].join(" ");
    assert!(login(&both), "the owner is not locked out");
}

/// A running program. It is killed when dropped.
pub struct Running {
    /// What it says.
    pub log: Lines,
    /// Its process.
    pub child: Child,
}

impl Running {
    /// Starts a program. Its standard output and error are its log.
    pub fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let log = Lines::default();
        log.follow(child.stdout.take().expect("its output"));
        log.follow(child.stderr.take().expect("its errors"));
        Self { log, child }
    }

    /// The same, and waits until it listens.
    pub fn listening(command: Command, port: u16) -> Self {
        let mut running = Self::start(command);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = running.child.try_wait().expect("its status");
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "it does not listen: {}",
                running.log.text()
            );
            std::thread::yield_now();
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the program said:\n{}\n---", self.log.text());
        }
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
