//! The daemon as it is shipped, against a model that is much simpler: random steps of logins, typos, replays, clocks that are
//! set, boots, restarts, stores that are put back, and what administrators do. No code opens two logins, no more guesses
//! are judged than there are, and every refusal of a code that a device shows has a reason.
//!
//! PAM_TOTP_MODEL_STEPS is how many, PAM_TOTP_SEED makes the same ones come again.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that overflows or panics fails, which is what it should do"
)]

#[path = "model/machine.rs"]
mod machine;
#[path = "model/meanwhile.rs"]
mod meanwhile;
#[path = "model/reference.rs"]
mod reference;
#[path = "model/time.rs"]
mod time;

use std::collections::BTreeMap;

use common::secret::Key as Secret;
use common::totp::Parameters;
use machine::Machine;
use reference::{Device, Person, Truth};
use serde_json::{Value, json};
use time::{PERIOD, Time, UNNOTICED};

#[test]
fn no_code_opens_twice_no_budget_is_exceeded_and_every_refusal_has_a_reason() {
    // The log of a million logins is nobody's to read. A failure is told on standard output.
    let nothing = std::fs::File::options().write(true).open("/dev/null").unwrap();
    nix::unistd::dup2_stderr(&nothing).unwrap();
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("PAM_TOTP_SEED").unwrap_or(1);
    let steps = number("PAM_TOTP_MODEL_STEPS").unwrap_or(20_000);
    println!("PAM_TOTP_SEED={seed} PAM_TOTP_MODEL_STEPS={steps}");
    let mut world = World::new(seed);
    for step in 0..steps {
        world.step = step;
        world.take_a_step();
    }
    println!("{:?}", world.outcomes);
    for outcome in ["accepted", "never enrolled", "no active device", "used", "in doubt", "budget", "counted elsewhere"]
    {
        assert!(world.outcomes.contains_key(outcome), "none of {steps} steps came to '{outcome}'");
    }
}

/// The daemon, and what should be true of it.
struct World {
    machine: Machine,
    truth: Truth,
    people: Vec<Person>,
    time: Time,
    /// The secret of each key, and how often its device has been pressed.
    keys: Vec<Secret>,
    presses: Vec<u64>,
    /// What was true when the store was last copied.
    copy: Option<(Vec<Person>, u128, u64, u64)>,
    /// The last key that was taken away from each person, and codes that have been typed.
    buried: Vec<Option<(reference::Key, bool, u64)>>,
    typed: Vec<(usize, String, Device, u64)>,
    random: u64,
    step: u64,
    pid: i32,
    outcomes: BTreeMap<String, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let machine = Machine::start(1_800_000_000);
        let people = vec![Person::default(); PEOPLE];
        let (truth, time) = (Truth::default(), Time { now: 1_800_000_000, ..Time::default() });
        let (keys, presses, typed, outcomes) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
        let (buried, copy, step, pid) = (vec![None; PEOPLE], None, 0, 0);
        Self { machine, truth, people, time, keys, presses, copy, buried, typed, random: seed, step, pid, outcomes }
    }

    fn take_a_step(&mut self) {
        let who = self.below(PEOPLE as u64) as usize;
        self.pid += 1;
        match self.below(1000) {
            0..250 => self.wait(),
            250..520 => self.log_in(who),
            520..600 => self.log_in_with_typos(who),
            600..680 => self.replay(),
            680..800 => self.guess(who),
            800..850 => self.log_in_with_a_pair(who),
            850..880 => self.press_in_vain(who),
            880..920 => self.enroll(who),
            920..940 => self.revoke(who),
            940..960 => self.disable_or_enable(who),
            960..975 => self.set_the_clock(),
            975..985 => self.restart(),
            985..990 => self.boot(),
            990..994 => self.keep_a_copy(),
            994..996 => self.restore_the_copy(),
            996..997 => self.live_through_an_hour_twice(who),
            _ => self.ask_whether_enrolled(who),
        }
    }

    fn wait(&mut self) {
        let seconds = match self.below(40) {
            0 => self.below(3 * 86_400),
            1..4 => self.below(7200),
            _ => self.below(60),
        };
        self.pass(seconds);
    }

    fn pass(&mut self, seconds: u64) {
        self.machine
            .change_clocks(|clocks| (clocks.wall, clocks.running) = (clocks.wall + seconds, clocks.running + seconds));
        self.time = Time { tick: self.time.tick + seconds, ran: self.time.ran + seconds, ..self.time };
        self.time.now = self.machine.clocks().wall;
    }

    /// The code that a device shows now, or a little later or earlier; of one that counts, the next one.
    fn log_in(&mut self, who: usize) {
        let Some(device) = self.some_device(who) else {
            let nobody =
                Device { name: String::new(), key: 0, active: false, counts: false, floor: 0, created: 0, exact: true };
            return self.attempt(who, &nobody, &[self.time.step()], "123456", "fresh", &mut Vec::new());
        };
        let step = self.next_step(&device);
        let code = self.code(device.key, step);
        self.attempt(who, &device, &[step], &code, "fresh", &mut Vec::new());
    }

    fn log_in_with_typos(&mut self, who: usize) {
        let Some(device) = self.some_device(who) else { return };
        let mut charged = Vec::new();
        let conversation = self.challenge(who);
        for _ in 0..=self.below(3) {
            self.wrong(who, &conversation, 1, true, &mut charged);
        }
        let step = self.next_step(&device);
        let code = self.code(device.key, step);
        self.attempt_in(who, &conversation, &device, &[step], &code, true, &mut charged);
    }

    fn log_in_with_a_pair(&mut self, who: usize) {
        let Some(device) = self.some_device(who) else { return };
        let step = if device.counts { self.next_step(&device) } else { self.time.step() };
        let steps = [step, step + 1];
        if device.counts {
            self.presses[device.key] += 1;
        }
        let pair = steps.map(|step| self.code(device.key, step)).join(" ");
        self.attempt(who, &device, &steps, &pair, "pair", &mut Vec::new());
    }

    /// Some code that was typed before, whatever came of it.
    fn replay(&mut self) {
        if self.typed.is_empty() {
            return;
        }
        let recent = self.typed.len().min(200);
        let back = self.below(recent as u64) as usize;
        let at = self.typed.len() - 1 - back;
        let (who, code, device, step) = self.typed[at].clone();
        let Some(device) = self.people[who].active().find(|found| found.key == device.key).cloned() else { return };
        self.attempt(who, &device, &[step], &code, "replay", &mut Vec::new());
    }

    fn guess(&mut self, who: usize) {
        for _ in 0..=self.below(4) {
            self.pid += 1;
            let conversation = self.challenge(who);
            let codes = if self.below(4) == 0 { 2 } else { 1 };
            let home = self.below(3) == 0;
            self.wrong(who, &conversation, codes, home, &mut Vec::new());
        }
    }

    fn press_in_vain(&mut self, who: usize) {
        let often = self.below(6);
        if let Some(device) = self.people[who].active().find(|device| device.counts) {
            self.presses[device.key] += often;
        }
    }

    fn enroll(&mut self, who: usize) {
        if self.people[who].active().count() >= 2 || self.people[who].devices.len() >= 6 {
            return;
        }
        let again = if self.below(2) == 0 { self.buried[who] } else { None };
        let counts = again.map_or_else(|| self.below(4) == 0, |(_, counts, ..)| counts);
        let kind = if counts { "hotp" } else { "totp" };
        let mut wish = json!({ "user": name(who), "active": true, "kind": kind });
        if let Some((key, ..)) = again {
            if self.people[who].devices.iter().any(|device| device.key == key) {
                return;
            }
            wish["key"] = json!(self.keys[key].to_base32().expose());
            if counts {
                wish["counter"] = json!(self.below(self.presses[key] + 1));
            }
        }
        let told = self.machine.call(1, "Enroll", &wish).unwrap_or_else(|error| panic!("{error} to {wish}"));
        let (key, floor) = match again {
            Some((key, true, floor)) => (key, wish["counter"].as_u64().unwrap().max(floor)),
            Some((key, false, floor)) => (key, floor.max(self.time.step() + 1)),
            None => {
                self.keys.push(Secret::from_base32(told["key"].as_str().unwrap()).unwrap());
                self.presses.push(0);
                (self.keys.len() - 1, 0)
            }
        };
        let (exact, after) = (self.below(2) == 0, self.time.restored_tick.map_or(0, |at| at + 1));
        let created = after.max(self.time.tick);
        let name = told["device"].as_str().unwrap().to_owned();
        let person = &mut self.people[who];
        if !person.ever_enrolled {
            self.truth.begun(who, person);
        }
        person.devices.push(Device { name, key, active: true, counts, floor, created, exact });
        person.ever_enrolled = true;
    }

    fn revoke(&mut self, who: usize) {
        if self.people[who].devices.is_empty() {
            return;
        }
        let at = self.below(self.people[who].devices.len() as u64) as usize;
        let device = self.people[who].devices.remove(at);
        self.machine.call(1, "Revoke", &json!({ "user": name(who), "device": device.name })).unwrap();
        self.buried[who] = Some((device.key, device.counts, device.floor));
        self.ask_whether_enrolled(who);
    }

    fn disable_or_enable(&mut self, who: usize) {
        let count = self.people[who].devices.len() as u64;
        if count == 0 {
            return;
        }
        let at = self.below(count) as usize;
        let others = self.people[who].active().count();
        let device = &mut self.people[who].devices[at];
        if !device.active && others >= 2 {
            return;
        }
        device.active = !device.active;
        let state = if device.active { "active" } else { "disabled" };
        let wish = json!({ "user": name(who), "device": device.name, "state": state });
        self.machine.call(1, "SetState", &wish).unwrap();
    }

    fn set_the_clock(&mut self) {
        let (least, most) = [(1, 2), (10, 60), (60, 4000), (4000, 90_000)][self.below(4) as usize];
        let away = (least + self.below(most)) as i64;
        let forward = self.below(2) == 0;
        self.set_the_clock_by(if forward { away } else { -away });
    }

    fn set_the_clock_by(&mut self, seconds: i64) {
        self.machine.change_clocks(|clocks| clocks.wall = clocks.wall.saturating_add_signed(seconds));
        self.moved(seconds.unsigned_abs() > UNNOTICED);
    }

    /// The clock is not what it was, which the daemon notices when it is asked next: now.
    fn moved(&mut self, surely: bool) {
        let now = self.machine.clocks().wall;
        self.time.now = now;
        self.time.moved = Some(now);
        if surely {
            self.time.restored = self.time.restored.map(|at| at.min(now));
            self.time.surely_moved = Some(now);
        }
        self.challenge(0);
    }

    fn restart(&mut self) {
        self.machine.restart();
    }

    fn boot(&mut self) {
        let seconds = self.below(600) as i64 - 100;
        self.machine.boot(seconds);
        self.moved(seconds < -(UNNOTICED as i64));
    }

    fn keep_a_copy(&mut self) {
        // One without anybody would be refused, as an empty store is where there were people.
        if !self.people.iter().any(|person| person.ever_enrolled) {
            return;
        }
        self.machine.keep_a_copy();
        self.copy = Some((self.people.clone(), self.machine.clocks().boot, self.time.tick, self.generation()));
    }

    fn restore_the_copy(&mut self) {
        let Some((people, boot, tick, generation)) = self.copy.clone() else { return };
        let lost = self.generation() > generation;
        self.machine.restore_the_copy();
        if boot != self.machine.clocks().boot {
            self.time.tick = tick;
        }
        // What it has seen of the clock is older, too.
        self.time.moved = Some(self.time.now);
        if lost {
            self.time.restored = Some(self.time.now);
            self.time.restored_tick = Some(self.time.tick);
            self.truth.lost(&self.time);
            self.people = people;
            self.people.iter_mut().for_each(|person| person.forget_the_budget(self.time.tick));
            self.buried = vec![None; PEOPLE];
        }
    }

    fn generation(&self) -> u64 {
        self.machine.call(1, "Status", &json!({})).unwrap()["generation"].as_u64().unwrap()
    }

    /// The clock is ahead for a while, somebody logs in all the time, it is corrected, and then comes what was typed
    /// before, again.
    fn live_through_an_hour_twice(&mut self, who: usize) {
        let Some(device) = self.people[who].active().find(|device| !device.counts && device.exact).cloned() else {
            return;
        };
        let first = self.time.step();
        for _ in 0..80 {
            self.pass(PERIOD);
            let step = self.time.step();
            let code = self.code(device.key, step);
            self.attempt(who, &device, &[step], &code, "fresh", &mut Vec::new());
        }
        self.set_the_clock_by(-80 * PERIOD as i64);
        for step in first..first + 84 {
            let code = self.code(device.key, step);
            self.attempt(who, &device, &[step], &code, "replay", &mut Vec::new());
            self.pass(PERIOD);
        }
    }

    /// Stacks let by who never was enrolled.
    fn ask_whether_enrolled(&mut self, who: usize) {
        let told = self.machine.call(1, "Challenge", &json!({ "user": name(who), "service": "model" })).unwrap();
        assert_eq!(told["enrolled"], self.people[who].ever_enrolled, "{}, step {}", name(who), self.step);
    }

    fn challenge(&mut self, who: usize) -> String {
        let about = json!({ "user": name(who), "service": "model", "rhost": HOME, "tty": "ssh" });
        let told = self.machine.call(self.pid, "Challenge", &about).unwrap();
        told["conversation"].as_str().unwrap().to_owned()
    }

    /// Codes that are nobody's now.
    fn wrong(&mut self, who: usize, conversation: &str, codes: usize, home: bool, charged: &mut Vec<u64>) {
        let devices: Vec<Device> = self.people[who].active().cloned().collect();
        let shown: Vec<String> = devices.iter().flat_map(|device| self.near(device)).collect();
        let mut typed = Vec::new();
        while typed.len() < codes {
            let code = format!("{:06}", self.below(1_000_000));
            if !shown.contains(&code) {
                typed.push(code);
            }
        }
        let told = self.verify(who, conversation, &typed.join(" "), home);
        let verdict = told["verdict"].as_str().unwrap().to_owned();
        assert_ne!(verdict, "accepted");
        if verdict == "rejected" && codes == 1 {
            let time = self.time;
            charged.push(self.truth.judged(who, &mut self.people[who], home, &time));
        }
    }

    fn attempt(&mut self, who: usize, device: &Device, steps: &[u64], code: &str, kind: &str, charged: &mut Vec<u64>) {
        let conversation = self.challenge(who);
        let home = kind != "replay" || self.below(2) == 0;
        self.attempt_in(who, &conversation, device, steps, code, home, charged);
    }

    #[expect(clippy::too_many_arguments, reason = "a login has as many sides")]
    fn attempt_in(
        &mut self,
        who: usize,
        conversation: &str,
        device: &Device,
        steps: &[u64],
        code: &str,
        home: bool,
        charged: &mut Vec<u64>,
    ) {
        if let ([step], true) = (steps, device.active) {
            self.typed.push((who, code.to_owned(), device.clone(), *step));
        }
        let told = self.verify(who, conversation, code, home);
        let verdict = told["verdict"].as_str().unwrap();
        let (time, person) = (self.time, &mut self.people[who]);
        // By chance it may be a code of another device as well.
        let meant = told["device"].as_str().is_none_or(|name| name == device.name);
        let outcome = match verdict {
            "accepted" if meant => {
                let at = person.devices.iter().position(|found| found.name == device.name).expect("a device");
                let back: u64 = charged.drain(..).take(2).sum();
                self.truth.refunded(who, person, back, home, &time);
                self.truth.accepted(person, at, steps, home, &time);
                if device.counts {
                    self.presses[device.key] = self.presses[device.key].max(steps[steps.len() - 1]);
                }
                "accepted"
            }
            _ if !meant => "another device's code",
            verdict => {
                let reason = self.truth.reason(verdict, person, device, steps, home, &time);
                let reason = reason.unwrap_or_else(|| {
                    panic!(
                        "step {}: {} typed {steps:?} (now {}) and was told {verdict}: {time:?} {device:?} {:?}",
                        self.step,
                        name(who),
                        time.step(),
                        self.truth.spent.get(&device.key).map(|spent| spent.iter().rev().take(5).collect::<Vec<_>>()),
                    )
                });
                if verdict == "rejected" && steps.len() == 1 {
                    charged.push(self.truth.judged(who, person, home, &time));
                }
                reason
            }
        };
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    fn verify(&mut self, who: usize, conversation: &str, code: &str, home: bool) -> Value {
        let rhost = if home { HOME } else { ELSEWHERE };
        let attempt = json!({
            "user": name(who), "conversation": conversation, "codes": [code], "service": "model", "rhost": rhost, "tty": "ssh",
        });
        self.machine.call(self.pid, "Verify", &attempt).unwrap()
    }

    fn some_device(&mut self, who: usize) -> Option<Device> {
        let count = self.people[who].active().count() as u64;
        let at = if count == 0 { 0 } else { self.below(count) as usize };
        self.people[who].active().nth(at).cloned()
    }

    fn next_step(&mut self, device: &Device) -> u64 {
        if device.counts {
            self.presses[device.key] += 1;
            return self.presses[device.key];
        }
        let off = if device.exact { 0 } else { self.below(5) as i64 - 2 };
        self.time.step().saturating_add_signed(off)
    }

    /// The codes that may be right now or soon.
    fn near(&self, device: &Device) -> Vec<String> {
        let middle = if device.counts { self.presses[device.key] } else { self.time.step() };
        (middle.saturating_sub(20)..middle + 20).map(|step| self.code(device.key, step)).collect()
    }

    fn code(&self, key: reference::Key, step: u64) -> String {
        Parameters::default().code_at(&self.keys[key], step).to_string()
    }

    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn name(who: usize) -> String {
    format!("model-{who}")
}

const PEOPLE: usize = 4;
const HOME: &str = "192.0.2.1";
const ELSEWHERE: &str = "192.0.2.200";
