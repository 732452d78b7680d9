//! The crash suite: SIGKILL of the daemon at random moments of its life (under load, while it starts,
//! heals, erases deleted keys and renews its copy), and of clients in the middle of their logins. The
//! ledger of what was acknowledged is kept here, outside.
//!
//! PAM_TOTP_CRASHES is the number of kills; PAM_TOTP_SEED makes the same moments come again.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::count;
use tests::daemon::Daemon;
use tests::libpam::PamCode;
use tests::random::Random;
use tests::stack::Stack;
use tests::worker::{Gate, Worker};
use tests::world;

use crate::crashes::wait_exactly;
use crate::missing_users::{cut, segment};

/// A moment in the daemon's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// While logins, some of which are killed as well, wait for their verdicts.
    Load,
    /// The same, and the daemon is asked to end, and not killed.
    End,
    /// At a start after a kill.
    Start,
    /// At a start that erases a deleted key.
    Erasing,
    /// At a start that heals the database.
    Healing,
    /// At a start that makes the copy anew.
    Renewing,
}

const PHASES: [Phase; 6] = [
    Phase::Load,
    Phase::Start,
    Phase::Erasing,
    Phase::End,
    Phase::Healing,
    Phase::Renewing,
];

#[test]
fn a_daemon_killed_at_any_moment_of_its_life_forgets_nothing_that_it_has_acknowledged() {
    let _place = world::enter_alone();
    let mut suite = Suite::new();
    let crashes = count("PAM_TOTP_CRASHES", 24);
    for crash in 0..crashes {
        suite.crash(PHASES[crash % PHASES.len()]);
    }
    let phases = suite.crashes.iter();
    let told: Vec<String> = phases.map(|(phase, n)| format!("{n} {phase:?}")).collect();
    let ends = suite.crashes.get(&Phase::End).copied().unwrap_or(0);
    println!(
        "figures: {} kills and {ends} orderly ends of the daemon ({}), {} kills of clients; {} results acknowledged, none lost",
        crashes - ends,
        told.join(", "),
        suite.clients_killed,
        suite.acknowledged
    );
    assert!(suite.acknowledged >= crashes, "the ledger has too little");
}

/// What a user was told.
struct Entry {
    user: String,
    /// A code that was accepted, or, if the daemon ended before it answered, that was sent.
    code: String,
    is_accepted: bool,
    /// Guesses that were acknowledged as wrong.
    wrong: u64,
}

struct Suite {
    daemon: Daemon,
    stack: Stack,
    gate: Gate,
    workers: Vec<Worker>,
    ledger: Vec<Entry>,
    random: Random,
    /// How long a start takes.
    start: Duration,
    crashes: BTreeMap<Phase, usize>,
    clients_killed: usize,
    acknowledged: usize,
}

impl Suite {
    fn new() -> Self {
        let mut daemon = Daemon::start();
        let stack = Stack::of(&daemon, "anytime", "retry=1");
        let gate = Gate::new();
        let workers = (0..WORKERS).map(|_| Worker::start(&stack, &gate)).collect();
        daemon.kill();
        let begun = Instant::now();
        daemon.start_again();
        Self {
            daemon,
            stack,
            gate,
            workers,
            ledger: Vec::new(),
            random: Random::new(count("PAM_TOTP_SEED", 1) as u64),
            start: begun.elapsed(),
            crashes: BTreeMap::new(),
            clients_killed: 0,
            acknowledged: 0,
        }
    }

    fn crash(&mut self, phase: Phase) {
        *self.crashes.entry(phase).or_default() += 1;
        match phase {
            Phase::Load | Phase::End => self.under_load(phase),
            Phase::Start => self.daemon.kill(),
            Phase::Erasing => self.with_a_deleted_key(),
            Phase::Healing => {
                self.until_the_copy_is_whole();
                assert!(self.daemon.terminate().success());
                cut(&self.daemon.setup.state.join("store/db"), 0);
            }
            Phase::Renewing => {
                assert!(self.daemon.terminate().success());
                self.hurt_the_copy();
            }
        }
        if !matches!(phase, Phase::Load | Phase::End) {
            self.kill_a_start();
        }
        self.daemon.start_again();
        self.is_as_the_ledger_says(phase);
    }

    /// Every worker logs in; the daemon ends, and two of the workers, at any moment of that.
    fn under_load(&mut self, phase: Phase) {
        let users: Vec<String> = (0..WORKERS)
            .map(|_| format!("user-{}", world::next_number()))
            .collect();
        let devices = self.daemon.enroll_many(&users);
        let codes: Vec<String> = devices.iter().map(|device| device.code()).collect();
        for (user, device) in users.iter().zip(&devices).take(2) {
            let wrong = self.stack.login(user, &[&device.wrong()]).code;
            assert_eq!(wrong, PamCode::AUTH_ERR, "{user}");
        }
        let held = self.gate.hold();
        for ((worker, user), code) in self.workers.iter_mut().zip(&users).zip(&codes) {
            worker.begin(user);
            worker.type_code(code);
        }
        let begun = Instant::now();
        drop(held);
        for killed in 0..2 {
            wait_exactly(begun, self.random.up_to(LOGINS));
            self.workers[killed] = Worker::start(&self.stack, &self.gate);
            self.clients_killed += 1;
        }
        wait_exactly(begun, self.random.up_to(LOGINS));
        match phase {
            Phase::End => assert!(self.daemon.terminate().success()),
            _ => self.daemon.kill(),
        }
        for (number, (user, code)) in users.into_iter().zip(codes).enumerate() {
            let is_killed = number < 2;
            let outcome = (!is_killed).then(|| self.workers[number].finish().code);
            let is_accepted = outcome == Some(PamCode::SUCCESS);
            let is_told = is_accepted || outcome.is_none();
            assert!(
                is_told || outcome == Some(PamCode::AUTHINFO_UNAVAIL),
                "{user}: {outcome:?}"
            );
            self.acknowledged += 1 + usize::from(is_accepted) + usize::from(is_killed);
            let wrong = u64::from(is_killed);
            self.ledger.push(Entry {
                user,
                code,
                is_accepted,
                wrong,
            });
        }
    }

    /// A user is forgotten, so that the next start erases its key.
    fn with_a_deleted_key(&mut self) {
        let user = format!("forgotten-{}", world::next_number());
        self.daemon.enroll_many(std::slice::from_ref(&user));
        let forgotten = self.daemon.call("Forget", &json!({ "user": user }));
        forgotten.expect("an end");
        self.daemon.kill();
    }

    /// A byte of it changes; sled has everything.
    fn hurt_the_copy(&mut self) {
        let segment = segment(&self.daemon.setup.state.join("store.journal"));
        let mut bytes = fs::read(&segment).expect("a file");
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        let at = self.random.below(used.max(1));
        bytes[at] ^= 1;
        fs::write(&segment, bytes).expect("a file");
    }

    /// The daemon is killed at any moment of its start, or a little later.
    fn kill_a_start(&mut self) {
        let mut command = self.daemon.setup.command();
        let quiet = command.stdin(Stdio::null()).stderr(Stdio::null());
        let mut started = quiet.spawn().expect("provisiond");
        let begun = Instant::now();
        wait_exactly(begun, self.random.up_to(self.start * 2));
        started.kill().expect("SIGKILL");
        started.wait().expect("its end");
    }

    /// Every user is there, no code that was accepted or sent opens more than one login, and no
    /// acknowledged guess has come back.
    fn is_as_the_ledger_says(&mut self, phase: Phase) {
        let status = self.status();
        assert_eq!(status["users"], self.ledger.len(), "{phase:?}: {status}");
        assert_eq!(status["incomplete"], false, "{phase:?}: {status}");
        let doubts = self.daemon.log.with(&["event=store_rolled_back"]);
        assert!(doubts.is_empty(), "{phase:?}: {doubts:?}");
        for entry in self.ledger.iter_mut().rev().take(WORKERS) {
            let Entry { user, code, .. } = &*entry;
            let left = self.daemon.budget(user);
            assert!(left <= 5 - entry.wrong, "{phase:?}: {user} has {left}");
            let again = self.stack.login(user, &[code]).code;
            let is_first = again == PamCode::SUCCESS && !entry.is_accepted;
            assert!(
                is_first || again == PamCode::AUTH_ERR,
                "{phase:?}: {user}: {again:?}"
            );
            entry.is_accepted |= is_first;
        }
    }

    fn status(&self) -> Value {
        self.daemon.call("Status", &json!({})).expect("its state")
    }

    /// Waits until the copy is as good as the database.
    fn until_the_copy_is_whole(&self) {
        while self.status()["copy"]["whole"] != true {
            std::thread::yield_now();
        }
    }
}

/// About as long as the logins of all workers take together.
const LOGINS: Duration = Duration::from_millis(40);
const WORKERS: usize = 8;
