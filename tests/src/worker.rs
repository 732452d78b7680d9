//! Logins in processes of their own (`login-worker`), each of which stops at its prompt until the
//! test says so.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;

use crate::libpam::PamCode;
use crate::lines::PATIENCE;
use crate::stack::Stack;
use crate::world;

/// A process that logs in when it is told, again and again.
pub struct Worker {
    process: Child,
    input: ChildStdin,
    events: Receiver<String>,
}

impl Worker {
    /// Starts one that logs in through `stack`.
    #[must_use]
    pub fn start(stack: &Stack, gate: &Gate) -> Self {
        let mut command = Command::new(world::built("login-worker"));
        command
            .arg("login")
            .arg(stack.confdir())
            .arg(stack.service())
            .arg(&gate.0);
        Self::spawn(command)
    }

    /// Starts a server that accepts every login, and waits until it listens.
    #[must_use]
    pub fn impostor(uid: u32, socket: &Path) -> Self {
        let mut command = Command::new(world::built("login-worker"));
        command.args(["impostor", &uid.to_string()]).arg(socket);
        let worker = Self::spawn(command);
        worker.expect("listening");
        worker
    }

    fn spawn(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("login-worker");
        let input = process.stdin.take().expect("its input");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let (sender, events) = channel();
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self {
            process,
            input,
            events,
        }
    }

    /// Begins a login and waits until the person is asked; returns the prompt.
    pub fn begin(&mut self, user: &str) -> String {
        self.send(user);
        self.expect("prompted")["text"]
            .as_str()
            .expect("a prompt")
            .to_owned()
    }

    /// Types a code and waits until it is at the gate.
    pub fn type_code(&mut self, code: &str) {
        self.send(code);
        self.expect("at the gate");
    }

    /// Logs in up to the gate. A login that ends before it returns its outcome.
    pub fn come_to_the_gate(&mut self, user: &str, code: &str) -> Option<Outcome> {
        self.send(user);
        loop {
            let told = self.event();
            match told["event"].as_str() {
                Some("prompted") => self.send(code),
                Some("at the gate") => return None,
                _ => return Some(outcome(&told)),
            }
        }
    }

    /// Waits until the login has ended. The stack must not ask again (`retry=1`).
    pub fn finish(&self) -> Outcome {
        outcome(&self.expect("done"))
    }

    /// Begins, types and ends one login.
    pub fn login(&mut self, user: &str, code: &str) -> Outcome {
        self.begin(user);
        self.type_code(code);
        self.finish()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What an impostor was asked so far: nothing.
    #[must_use]
    pub fn has_said_nothing(&self) -> bool {
        self.events.try_recv().is_err()
    }

    fn send(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("a living worker");
    }

    fn expect(&self, event: &str) -> Value {
        let told = self.event();
        assert_eq!(told["event"], event, "{told}");
        told
    }

    fn event(&self) -> Value {
        let line = match self.events.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("a worker was silent for {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("a worker ended"),
        };
        serde_json::from_str(&line).expect("an event")
    }
}

fn outcome(done: &Value) -> Outcome {
    assert_eq!(done["event"], "done", "{done}");
    let nanoseconds = |field: &str| done[field].as_u64().expect("a time");
    let code = i32::try_from(done["code"].as_i64().expect("a code")).expect("a PAM code");
    Outcome {
        code: PamCode(code),
        released: nanoseconds("released"),
        returned: nanoseconds("returned"),
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How a worker's login went. Times are nanoseconds on one clock.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// What libpam returned.
    pub code: PamCode,
    /// When the code left the conversation.
    pub released: u64,
    /// When pam_authenticate returned.
    pub returned: u64,
}

/// What workers wait at with a typed code. It stands open unless it is held.
pub struct Gate(PathBuf);

impl Gate {
    /// An open gate.
    #[must_use]
    pub fn new() -> Self {
        let path = world::scratch().join(format!("gate-{}", world::next_number()));
        File::create(&path).expect("a gate");
        Self(path)
    }

    /// Shuts it until what is returned is dropped.
    #[must_use]
    pub fn hold(&self) -> Flock<File> {
        let file = File::open(&self.0).expect("the gate");
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .expect("the gate's lock")
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
