//! The daemon, what should be true of it, and which steps are taken how often.

use std::collections::BTreeMap;

use common::secret::Key as Secret;
use nix::unistd::User;
use provisiond::identity::caller::Peer;
use serde_json::Value;

use crate::machine::{Clocks, Machine};
use crate::people::{Key, Login, Person, Typed};
use crate::reference::Truth;
use crate::time::Time;

/// The daemon, and what should be true of it.
pub(crate) struct World {
    pub(crate) machine: Machine,
    pub(crate) truth: Truth,
    pub(crate) people: Vec<Person>,
    pub(crate) time: Time,
    /// The secret of each key, and how often its device has been pressed.
    pub(crate) keys: Vec<Secret>,
    pub(crate) presses: Vec<u64>,
    /// What was true when the store was last copied.
    pub(crate) copy: Option<Copy>,
    /// The last key that was taken away from each person.
    pub(crate) buried: Vec<Option<Buried>>,
    /// Codes that have been typed, and the latest that each person was told which no device shows.
    pub(crate) typed: Vec<(usize, Typed)>,
    pub(crate) papers: Vec<Vec<String>>,
    /// The uids of the users that have an account, and the helpdesk's.
    uids: Vec<Option<u32>>,
    helpdesk: u32,
    random: u64,
    pub(crate) step: u64,
    pub(crate) pid: i32,
    outcomes: BTreeMap<String, u64>,
}

/// What was true when the store was copied.
#[derive(Clone)]
pub(crate) struct Copy {
    pub(crate) people: Vec<Person>,
    pub(crate) clocks: Clocks,
    pub(crate) time: Time,
    pub(crate) generation: u64,
    pub(crate) truth: Truth,
    pub(crate) buried: Vec<Option<Buried>>,
}

/// A key that was taken away.
#[derive(Clone, Copy)]
pub(crate) struct Buried {
    pub(crate) key: Key,
    pub(crate) counts: bool,
    pub(crate) floor: u64,
    /// The store has lost what it had used.
    pub(crate) doubtful: bool,
}

/// Something that happens to a user.
type Step = fn(&mut World, usize);

/// How often, and what.
const STEPS: &[(u64, Step)] = &[
    (220, |world, _| world.wait()),
    (220, World::log_in),
    (60, World::log_in_with_typos),
    (45, World::log_in_with_a_pair),
    (70, |world, _| world.replay()),
    (45, World::guess),
    (1, World::guess_pairs),
    (15, World::repeat_a_wrong_answer),
    (20, World::press_in_vain),
    (25, World::come_without_a_code),
    (30, World::look),
    (50, World::enroll),
    (15, World::revoke),
    (20, World::disable_or_enable),
    (20, World::restrict),
    (8, World::rename_a_device),
    (30, World::resync),
    (20, World::use_a_recovery_code),
    (15, World::use_a_bypass),
    (25, World::replay_an_issued_code),
    (10, World::guess_an_issued_code),
    (12, World::give_a_bypass),
    (10, World::renew_recovery_codes),
    (8, World::lose_everything),
    (12, World::shut_or_open),
    (15, |world, user| _ = world.unlock(user)),
    (8, World::rename),
    (2, World::forget),
    (15, |world, _| world.set_the_clock()),
    (4, |world, _| world.accept_the_clock()),
    (4, |world, _| world.lose_or_find_the_time_servers()),
    (10, |world, _| world.restart()),
    (5, |world, _| world.boot()),
    (4, |world, _| world.keep_a_copy()),
    (2, |world, _| world.restore_the_copy()),
    (2, |world, _| world.boot_with_the_copied_disk()),
    (2, |world, _| world.lose_a_first_login()),
    (1, World::live_through_an_hour_twice),
];

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let uid = |name: &str| User::from_name(name).unwrap().map(|user| user.uid.as_raw());
        Self {
            machine: Machine::start(BEGINNING),
            truth: Truth::default(),
            people: vec![Person::default(); PEOPLE],
            time: Time {
                now: BEGINNING,
                ..Time::default()
            },
            keys: Vec::new(),
            presses: Vec::new(),
            copy: None,
            buried: vec![None; PEOPLE],
            typed: Vec::new(),
            papers: vec![Vec::new(); PEOPLE],
            uids: NAMES.iter().map(|[name, _]| uid(name)).collect(),
            helpdesk: uid(HELPDESK).expect("an account of this name on every machine"),
            random: seed,
            step: 0,
            pid: 0,
            outcomes: BTreeMap::new(),
        }
    }

    /// Takes so many steps, and says how often what came of them.
    pub(crate) fn live_through(mut self, steps: u64) -> BTreeMap<String, u64> {
        for step in 0..steps {
            self.step = step;
            self.take_a_step();
        }
        self.outcomes
    }

    fn take_a_step(&mut self) {
        self.pid += 1;
        let user = self.below(PEOPLE as u64) as usize;
        let mut drawn = self.below(STEPS.iter().map(|(often, _)| often).sum());
        for (often, step) in STEPS {
            if drawn < *often {
                return step(self, user);
            }
            drawn -= often;
        }
    }

    pub(crate) fn count(&mut self, outcome: &str) {
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    /// The reply to a process of root.
    pub(crate) fn call(&self, method: &str, parameters: &Value) -> Result<Value, String> {
        self.machine.call(self.pid, method, parameters)
    }

    /// The reply to the helpdesk.
    pub(crate) fn call_as_helpdesk(
        &self,
        method: &str,
        parameters: &Value,
    ) -> Result<Value, String> {
        self.call_as(self.helpdesk, method, parameters)
    }

    /// The reply to a process of the user with this uid.
    pub(crate) fn call_as(
        &self,
        uid: u32,
        method: &str,
        parameters: &Value,
    ) -> Result<Value, String> {
        self.machine
            .call_by(Peer { uid, pid: self.pid }, method, parameters)
    }

    /// The uid of a user that now has an account's name.
    pub(crate) fn uid(&self, user: usize) -> Option<u32> {
        self.uids[user].filter(|_| !self.people[user].renamed)
    }

    pub(crate) fn name(&self, user: usize) -> &'static str {
        NAMES[user][usize::from(self.people[user].renamed)]
    }

    pub(crate) fn other_name(&self, user: usize) -> &'static str {
        NAMES[user][usize::from(!self.people[user].renamed)]
    }

    pub(crate) fn login(&self, user: usize, service: &'static str, from: &'static str) -> Login {
        Login {
            user,
            service,
            from,
            time: self.time,
        }
    }

    /// The usual one.
    pub(crate) fn login_from_home(&mut self, user: usize) -> Login {
        let service = if self.one_in(4) { DOOR } else { SHELL };
        self.login(user, service, HOME)
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What each person is called, at first and when they were renamed. The first names are those of
/// accounts that there are on every machine, so that the helpdesk may act for them, and they for
/// themselves; all others are unknown to it.
pub(crate) const NAMES: [[&str; 2]; PEOPLE] = [
    ["daemon", "model-0"],
    ["bin", "model-1"],
    ["sys", "model-2"],
    ["model-3", "other-3"],
];
/// A member of the group that the settings call the helpdesk.
const HELPDESK: &str = "games";
const PEOPLE: usize = 4;
const BEGINNING: u64 = 1_800_000_000;
/// The services that people log in with.
pub(crate) const SHELL: &str = "shell";
pub(crate) const DOOR: &str = "door";
/// Where they come from: both may be wrong as often as they like.
pub(crate) const HOME: &str = "192.0.2.1";
pub(crate) const ELSEWHERE: &str = "192.0.2.200";
/// The exempt user, that needs no code at the door, from home.
pub(crate) const GUEST: &str = "bin";
