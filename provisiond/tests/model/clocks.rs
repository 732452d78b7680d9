//! Time, the machine and its store: what passes, what is set, what is started again and what is put
//! back.

use serde_json::json;

use crate::memory::Memory;
use crate::people::Typed;
use crate::time::{PERIOD, Time, UNNOTICED};
use crate::world::{Copy, DOOR, NAMES, World};

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
        if surely {
            time.restored = time.restored.map(|at| at.min(now));
            (time.moved, time.surely_moved) = (Some(now), Some(now));
        } else {
            // If it was not noticed, the last time that was still counts.
            time.moved = time.moved.max(Some(now));
            time.surely_moved = time.surely_moved.map(|at| at.min(now));
        }
        self.look(0);
    }

    /// An administrator says that the clock is right. What the store has lost stays lost.
    pub(crate) fn accept_the_clock(&mut self) {
        let reply = self.call("ClockAccept", &serde_json::json!({})).unwrap();
        let (accepted, time) = (reply["accepted"] == true, &mut self.time);
        // A store that was put back may be from before.
        assert!(
            accepted || time.surely_moved.is_none() || time.restored.is_some(),
            "it was moved: {time:?}"
        );
        assert!(!accepted || time.moved.is_some(), "it never was: {time:?}");
        (time.moved, time.surely_moved) = (None, None);
        self.count(if accepted {
            "the clock is right"
        } else {
            "the clock was right"
        });
    }

    /// The kernel does not hold its clock for right any more, or holds it for right again.
    pub(crate) fn lose_or_find_the_time_servers(&mut self) {
        self.time.unsynchronised = !self.time.unsynchronised && self.one_in(4);
        let synchronised = !self.time.unsynchronised;
        self.machine
            .change_clocks(|clocks| clocks.synchronised = synchronised);
    }

    pub(crate) fn restart(&mut self) {
        self.machine.restart();
        self.truth.memory = Memory::default();
    }

    pub(crate) fn boot(&mut self) {
        let seconds = self.below(600) as i64 - 100;
        self.machine.boot(seconds);
        self.truth.memory = Memory::default();
        self.moved(seconds < -(UNNOTICED as i64));
    }

    pub(crate) fn keep_a_copy(&mut self) {
        // The daemon refuses an empty store where there were users.
        if !self.people.iter().any(|person| person.enrolled) {
            return;
        }
        self.machine.keep_a_copy();
        self.truth.memory = Memory::default();
        let (people, boot) = (self.people.clone(), self.machine.clocks().boot);
        let (time, generation, spends) = (self.time, self.generation(), self.truth.spends);
        self.copy = Some(Copy {
            people,
            boot,
            time,
            generation,
            spends,
        });
    }

    pub(crate) fn restore_the_copy(&mut self) {
        let Some(Copy {
            people,
            boot,
            time,
            generation,
            spends,
        }) = self.copy.clone()
        else {
            return;
        };
        let lost = self.generation() > generation;
        self.machine.restore_the_copy();
        self.truth.memory = Memory::default();
        self.accept_the_loss(lost);
        if boot != self.machine.clocks().boot {
            self.time.tick = time.tick;
        }
        // What it has seen of the clock is older, too.
        self.time.moved = Some(self.time.now + UNNOTICED);
        if lost {
            self.time.restored = Some(self.time.now);
            self.time.restored_tick = Some(self.time.tick.max(time.stamp()));
            self.people = people;
            self.truth.lost(&mut self.people, spends, &self.time);
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
        self.call("Status", &serde_json::json!({})).unwrap()["generation"]
            .as_u64()
            .unwrap()
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
}
