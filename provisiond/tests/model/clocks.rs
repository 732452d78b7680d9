//! Time, the machine and its store: what passes, what is set, what is started again and what is put
//! back.

use common::secret::Key as Secret;
use common::totp::Parameters;
use serde_json::{Value, json};

use crate::memory::Memory;
use crate::people::{Key, Person, Typed};
use crate::time::{PERIOD, Time, UNNOTICED};
use crate::world::{Buried, Copy, DOOR, HOME, NAMES, SHELL, World};

impl World {
    pub(crate) fn wait(&mut self) {
        let seconds = match self.below(40) {
            0 => self.below(3 * 86_400),
            1..4 => self.below(7200),
            _ => self.below(60),
        };
        self.pass(seconds);
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.machine.change_clocks(|clocks| {
            (clocks.wall, clocks.running) = (clocks.wall + seconds, clocks.running + seconds)
        });
        self.time = Time {
            tick: self.time.tick + seconds,
            ran: self.time.ran + seconds,
            ..self.time
        };
        self.time.now = self.machine.clocks().wall;
        self.look_at_a_clock_that_is_behind();
    }

    /// The daemon notices with the next call that it is behind no more.
    fn look_at_a_clock_that_is_behind(&mut self) {
        if self.time.behind.is_some() {
            self.look(0);
            self.time.is_looked_at();
        }
    }

    pub(crate) fn set_the_clock(&mut self) {
        let (least, most) = [(1, 2), (10, 60), (60, 4000), (4000, 90_000)][self.below(4) as usize];
        let away = (least + self.below(most)) as i64;
        let forward = self.one_in(2);
        self.set_the_clock_by(if forward { away } else { -away });
    }

    fn set_the_clock_by(&mut self, seconds: i64) {
        self.machine
            .change_clocks(|clocks| clocks.wall = clocks.wall.saturating_add_signed(seconds));
        self.moved(seconds.unsigned_abs() > UNNOTICED);
    }

    /// The clock is not what it was, which the daemon notices when it is asked next: now.
    fn moved(&mut self, surely: bool) {
        let (now, time) = (self.machine.clocks().wall, &mut self.time);
        time.now = now;
        time.booted = time.booted.map(|at| at.min(now));
        if surely {
            time.restored = time.restored.map(|at| at.min(now));
            (time.moved, time.surely_moved) = (Some(now), Some(now));
        } else {
            // If it was not noticed, the last time that was still counts.
            time.moved = time.moved.max(Some(now));
            time.surely_moved = time.surely_moved.map(|at| at.min(now));
        }
        self.truth.clock_is_set_to(now);
        self.look(0);
        self.time.is_looked_at();
    }

    /// An administrator says that the clock is right, which is true of a quarantine that `status`
    /// shows. What the store has lost stays lost.
    pub(crate) fn accept_the_clock(&mut self) {
        let state = |told: &Value| (told["clock"].clone(), told["quarantine_until"].clone());
        let before = state(&self.status());
        let reply = self.call("ClockAccept", &json!({})).unwrap();
        let (accepted, time) = (reply["accepted"] == true, &mut self.time);
        let in_quarantine = before.0 == "quarantine";
        assert!(!accepted || in_quarantine, "{before:?}: {time:?}");
        assert!(
            accepted || !in_quarantine || time.restored.is_some(),
            "{before:?}: {time:?}"
        );
        if accepted {
            (time.moved, time.surely_moved, time.booted) = (None, None, None);
            (time.behind, time.surely_behind) = (None, None);
        }
        let after = state(&self.status());
        assert_eq!(state(&reply), after, "{:?}", self.time);
        assert_eq!(accepted, after != before, "{:?}", self.time);
        self.count(if accepted {
            "the clock is right"
        } else {
            "the clock was right"
        });
    }

    fn status(&self) -> Value {
        self.call("Status", &json!({})).unwrap()
    }

    /// The kernel does not hold its clock for right any more, or holds it for right again.
    pub(crate) fn lose_or_find_the_time_servers(&mut self) {
        self.time.unsynchronised = !self.time.unsynchronised && self.one_in(4);
        let synchronised = !self.time.unsynchronised;
        self.machine
            .change_clocks(|clocks| clocks.synchronised = synchronised);
        self.look_at_a_clock_that_is_behind();
    }

    pub(crate) fn restart(&mut self) {
        self.machine.restart();
        self.started_again();
    }

    /// The daemon was started again. Its trusted time has caught up with the stamps that it gave.
    fn started_again(&mut self) {
        self.truth.memory = Memory::default();
        self.time.tick = self.time.stamp();
    }

    pub(crate) fn boot(&mut self) {
        let (seconds, seen) = (self.below(600) as i64 - 100, self.time.now);
        self.machine.boot(seconds);
        self.started_again();
        self.booted(seen);
        self.look(0);
    }

    /// While the machine is off, its whole disk is put back: nothing tells the daemon.
    pub(crate) fn boot_with_the_copied_disk(&mut self) {
        let Some(Copy {
            people,
            time,
            truth,
            buried,
            ..
        }) = self.copy.clone()
        else {
            return;
        };
        let seconds = self.below(60) as i64 - 5;
        self.machine.boot_with_the_copied_disk(seconds);
        self.time = Time {
            ran: self.time.ran,
            unsynchronised: self.time.unsynchronised,
            ..time
        };
        let counting = [
            counting_keys(&self.people, &self.buried),
            counting_keys(&people, &buried),
        ]
        .concat();
        (self.people, self.buried) = (people, buried);
        let booted = self.machine.clocks().wall;
        self.truth.lost_unnoticed(truth, &counting, booted);
        self.started_again();
        self.booted(time.now);
        self.look(0);
        self.count("a whole disk was put back");
    }

    /// The daemon runs in another boot than when its store was written. `seen`: the time then.
    fn booted(&mut self, seen: u64) {
        let (clocks, time) = (self.machine.clocks(), &mut self.time);
        let now = clocks.wall;
        let began = now - clocks.running + UNNOTICED;
        let not_later = |at: Option<u64>| at.map(|at| at.min(now));
        // A boot that began before that is dated at its discovery.
        let noticed = Some(now).filter(|_| began < seen + UNNOTICED);
        let behind = Some(seen + UNNOTICED).filter(|_| now < seen + UNNOTICED);
        let surely_behind = Some(seen).filter(|_| now + 4 * UNNOTICED < seen);
        *time = Time {
            now,
            booted: Some(began),
            made_since: time.tick + 1,
            behind: time.behind.max(behind),
            surely_behind: time.surely_behind.max(surely_behind),
            restored: not_later(time.restored),
            moved: not_later(time.moved).max(noticed),
            surely_moved: not_later(time.surely_moved),
            ..*time
        };
        time.is_looked_at();
        self.truth.clock_is_set_to(now);
    }

    pub(crate) fn keep_a_copy(&mut self) {
        // The daemon refuses an empty store where there were users.
        if !self.people.iter().any(|person| person.enrolled) {
            return;
        }
        self.machine.keep_a_copy();
        self.started_again();
        self.copy = Some(Copy {
            people: self.people.clone(),
            clocks: self.machine.clocks(),
            time: self.time,
            generation: self.generation(),
            truth: self.truth.clone(),
            buried: self.buried.clone(),
        });
    }

    pub(crate) fn restore_the_copy(&mut self) {
        let Some(Copy {
            people,
            clocks,
            time,
            generation,
            truth,
            ..
        }) = self.copy.clone()
        else {
            return;
        };
        let lost = self.generation() > generation;
        self.machine.restore_the_copy();
        self.accept_the_loss(lost);
        // What it has seen of the clock is older, too.
        self.time.moved = Some(self.time.now + UNNOTICED);
        self.time = Time {
            tick: time.tick,
            restored_tick: time.restored_tick,
            booted: time.booted.map(|at| at.min(self.time.now)),
            made_since: time.made_since,
            behind: time.behind,
            surely_behind: time.surely_behind,
            ..self.time
        };
        self.started_again();
        let now = self.machine.clocks();
        if clocks.boot == now.boot {
            self.time.tick += now.running - clocks.running;
            self.time.is_looked_at();
        } else {
            self.booted(time.now);
        }
        if lost {
            self.time.restored = Some(self.time.now);
            self.time.restored_tick = Some(self.time.stamp());
            self.people = people;
            self.truth.lost(&mut self.people, truth.spends, &self.time);
            self.buried.fill(None);
        }
    }

    /// While users may be missing, none counts as never enrolled, and none is enrolled.
    fn accept_the_loss(&self, lost: bool) {
        let call = |method: &str, parameters| self.call(method, &parameters);
        for [name, _] in NAMES.iter().filter(|_| lost) {
            let told = call("Challenge", json!({ "user": name, "service": DOOR })).unwrap();
            assert_eq!(told["enrolled"], true, "{name}: {told}");
            let verdict = call(
                "Verify",
                json!({ "user": name, "codes": [], "service": DOOR }),
            )
            .unwrap();
            assert_ne!(verdict["verdict"], "not_enrolled", "{name}: {verdict}");
        }
        let stranger = json!({ "user": "a-stranger", "active": true });
        if lost {
            assert_eq!(call("Enroll", stranger).unwrap_err(), "StoreIncomplete");
        }
        let reply = call("StoreAcceptLoss", json!({})).unwrap();
        assert_eq!(reply["accepted"], lost, "{reply}");
    }

    fn generation(&self) -> u64 {
        self.status()["generation"].as_u64().unwrap()
    }

    /// The clock is ahead for a while, and a user logs in all the time. Then the clock is
    /// corrected, and the user types the same codes again.
    pub(crate) fn live_through_an_hour_twice(&mut self, user: usize) {
        let Some(device) = self.people[user]
            .active()
            .find(|device| !device.counts && device.exact)
            .cloned()
        else {
            return;
        };
        let first = self.time.step();
        for _ in 0..80 {
            self.pass(PERIOD);
            self.type_again(user, self.typed(&device, &[self.time.step()]));
        }
        self.set_the_clock_by(-80 * PERIOD as i64);
        for step in first..first + 84 {
            self.type_again(user, self.typed(&device, &[step]));
            self.pass(PERIOD);
        }
    }

    fn type_again(&mut self, user: usize, typed: Typed) {
        let login = self.login_from_home(user);
        self.attempt(&login, typed);
    }

    /// A user enrols at the prompt and logs in, and the store, or the whole disk, is put back to
    /// when the device was pending. Then the clock is set, or it is not. What the user has used
    /// opens nothing.
    pub(crate) fn lose_a_first_login(&mut self) {
        if !self.people.iter().any(|person| person.enrolled) {
            return;
        }
        let name = format!("first-{}", self.step);
        let told = self.call("Enroll", &json!({ "user": name })).unwrap();
        let key = Secret::from_base32(told["key"].as_str().unwrap()).unwrap();
        self.keep_a_copy();
        let used = [0, PERIOD].map(|seconds| {
            self.pass(seconds);
            let usual = Parameters::default();
            let code = usual.code_at(&key, usual.step_at(self.time.now));
            let code = code.to_string();
            self.log_in_first(&name, &code);
            code
        });
        self.put_back_somehow();
        for _ in 0..4 {
            for typed in [&used.join(" "), &used[0], &used[1]] {
                let verdict = self.log_in_first(&name, typed);
                assert_ne!(verdict, "accepted", "step {}: {:?}", self.step, self.time);
            }
            self.pass(PERIOD / 2);
        }
        self.call("Forget", &json!({ "user": name })).unwrap();
        self.count("a first login was lost");
    }

    fn put_back_somehow(&mut self) {
        let seconds = [3, 60, 4000][self.below(3) as usize];
        let what = self.below(4);
        if what == 0 {
            return self.boot_with_the_copied_disk();
        }
        self.restore_the_copy();
        match what {
            1 => {}
            2 => self.set_the_clock_by(-seconds),
            _ => self.set_the_clock_by(seconds),
        }
    }

    fn log_in_first(&mut self, name: &str, typed: &str) -> Value {
        self.truth.memory.answered();
        let codes: Vec<&str> = typed.split(' ').collect();
        let attempt = json!({ "user": name, "codes": codes, "service": SHELL, "rhost": HOME,
            "options": { "enroll": true } });
        self.call("Verify", &attempt).unwrap()["verdict"].clone()
    }
}

/// The keys of devices that count, also of those that were taken away.
fn counting_keys(people: &[Person], buried: &[Option<Buried>]) -> Vec<Key> {
    let devices = people.iter().flat_map(|person| &person.devices);
    let counting = devices.filter(|device| device.counts);
    let buried = buried.iter().flatten().filter(|buried| buried.counts);
    let buried = buried.map(|buried| buried.key);
    counting.map(|device| device.key).chain(buried).collect()
}
