//! Logins with what devices show, right and wrong.

use common::totp::Parameters;
use serde_json::{Value, json};

use crate::memory::{Seen, places};
use crate::people::{Device, Key, Login, REFUNDS, Typed};
use crate::reach::MANY_PAIRS;
use crate::world::{DOOR, ELSEWHERE, GUEST, HOME, SHELL, World};

impl World {
    /// The code that a device shows now, or a little later or earlier; of one that counts, the next
    /// one. Some people do what they are asked to.
    pub(crate) fn log_in(&mut self, user: usize) {
        let login = self.login_from_home(user);
        let asked = self.ask(&login);
        let typed = if asked["ask"] == "two_codes" && self.one_in(2) {
            self.some_pair(user)
        } else {
            self.some_code(user)
        };
        match typed {
            Some(typed) => self.attempt(&login, typed),
            None => self.come_with_nothing(&login),
        }
    }

    /// A user without a device types no code.
    fn come_with_nothing(&mut self, login: &Login) {
        let told = self.verify(login, &["123456"]);
        let enrolled = self.people[login.user].enrolled;
        let verdict = match enrolled {
            _ if self.is_exempt(login) => "exempt",
            true => "disabled",
            false => "not_enrolled",
        };
        assert_eq!(told["verdict"], verdict, "{login:?}");
        self.count(if enrolled {
            "no device that counts"
        } else {
            "never enrolled"
        });
    }

    /// What wrong codes have cost comes back with the right one, unless it comes late, or an
    /// administrator was faster.
    pub(crate) fn log_in_with_typos(&mut self, user: usize) {
        for _ in 0..=self.below(3) {
            let login = if self.one_in(6) {
                self.login_from_anywhere(user)
            } else {
                self.login_from_home(user)
            };
            self.wrong(&login, 1);
        }
        if self.one_in(10) && self.unlock(user) {
            self.guess(user);
        }
        if self.one_in(4) {
            let seconds = [1, 299, 300, 310][self.below(4) as usize];
            self.pass(seconds);
        }
        let Some(typed) = self.some_code(user) else {
            return;
        };
        let login = self.login_from_home(user);
        self.attempt(&login, typed);
    }

    pub(crate) fn log_in_with_a_pair(&mut self, user: usize) {
        let login = self.login_from_home(user);
        if let Some(typed) = self.some_pair(user) {
            self.attempt(&login, typed);
        }
    }

    /// Some code that was typed before, whatever came of it.
    pub(crate) fn replay(&mut self) {
        if self.typed.is_empty() {
            return;
        }
        let back = self.below(self.typed.len().min(200) as u64) as usize;
        let (user, Typed { device, steps, .. }) = self.typed[self.typed.len() - 1 - back].clone();
        let Some(device) = self.people[user]
            .active()
            .find(|found| found.key == device.key)
            .cloned()
        else {
            return;
        };
        let login = self.login_from_anywhere(user);
        self.attempt(&login, self.typed(&device, &steps));
    }

    pub(crate) fn guess(&mut self, user: usize) {
        for _ in 0..=self.below(4) {
            self.pid += 1;
            let login = self.login_from_anywhere(user);
            let codes = if self.one_in(4) { 2 } else { 1 };
            self.wrong(&login, codes);
        }
    }

    /// An attacker types wrong pairs from where the owner comes: one fewer than make the search
    /// narrow, then one more.
    pub(crate) fn guess_pairs(&mut self, user: usize) {
        self.unlock(user);
        for times in [MANY_PAIRS - 1, MANY_PAIRS] {
            self.guess_pairs_until(user, times);
            for _ in 0..3 {
                self.log_in_with_a_pair(user);
            }
        }
    }

    /// No device shows the first code of any pair. A client repeats some pairs by itself.
    fn guess_pairs_until(&mut self, user: usize, times: u64) {
        let login = self.login(user, SHELL, HOME);
        if self.people[user].usable(&login).next().is_none() {
            return;
        }
        let first = self.wrong_code(user);
        while self.people[user].wrong_pairs(&login) < times {
            let pair = [first.clone(), format!("{:06}", self.below(1_000_000))];
            for _ in 0..if self.one_in(8) { 2 } else { 1 } {
                self.is_new(&login, &pair);
            }
        }
    }

    pub(crate) fn press_in_vain(&mut self, user: usize) {
        let often = self.below(6);
        if let Some(device) = self.people[user].active().find(|device| device.counts) {
            self.presses[device.key] += often;
        }
    }

    /// One user is exempt, at one door and from one source. All others need a code everywhere.
    pub(crate) fn is_exempt(&self, login: &Login) -> bool {
        let guest = self.name(login.user) == GUEST && (login.service, login.from) == (DOOR, HOME);
        guest && !self.people[login.user].shut
    }

    pub(crate) fn come_without_a_code(&mut self, user: usize) {
        let login = self.login_from_anywhere(user);
        let exempt = self.is_exempt(&login);
        let told = self.ask(&login);
        assert_eq!(told["ask"] == "nothing", exempt, "{login:?}: {told}");
        let told = self.verify(&login, &[]);
        assert_eq!(told["verdict"] == "exempt", exempt, "{login:?}: {told}");
        assert_ne!(told["verdict"], "accepted");
        self.count(if exempt { "exempt" } else { "not exempt" });
    }

    pub(crate) fn attempt(&mut self, login: &Login, typed: Typed) {
        if self.may_be_mistaken(login.user, &typed)
            || self.seen(login, &typed.text) == Seen::Perhaps
        {
            return;
        }
        let told = self.verify(login, &[&typed.text]);
        let verdict = told["verdict"].as_str().unwrap();
        let outcome = if verdict == "accepted" {
            assert_eq!(told["device"], typed.device.name, "{login:?}: {typed:?}");
            self.came_in(login, &typed);
            verdict
        } else {
            self.was_refused(login, &typed, verdict)
        };
        self.count(outcome);
        if typed.steps.len() == 1 {
            self.typed.push((login.user, typed));
        }
    }

    fn came_in(&mut self, login: &Login, typed: &Typed) {
        let exempt = self.is_exempt(login);
        let person = &mut self.people[login.user];
        if exempt {
            self.truth.accepted_unneeded(person, typed, login);
        } else {
            self.truth.accepted(person, typed, login);
        }
        match self.people[login.user].refunded.units {
            0 => {}
            REFUNDS => self.count("no more comes back today"),
            _ => self.count("wrong codes came back"),
        }
        if typed.device.counts {
            let presses = &mut self.presses[typed.device.key];
            *presses = typed.steps.iter().copied().fold(*presses, u64::max);
        }
    }

    fn was_refused(&mut self, login: &Login, typed: &Typed, verdict: &str) -> &'static str {
        if verdict == "exempt" {
            return "no code was needed, and the one that came was not right";
        }
        let person = &mut self.people[login.user];
        let reason = self.truth.reason(verdict, person, typed, login);
        if verdict == "rejected" {
            self.truth.rejected(person, &typed.text, login);
        }
        reason.unwrap_or_else(|| {
            let spent = self
                .truth
                .spent
                .get(&typed.device.key)
                .map(|spent| spent.keys().rev().take(5).collect::<Vec<_>>());
            panic!(
                "step {}, now {}: {verdict} to {login:?}: {typed:?}, spent {spent:?}",
                self.step,
                self.time.step()
            )
        })
    }

    /// Some client types its wrong answer again by itself, and its user types it once more in the
    /// next step.
    pub(crate) fn repeat_a_wrong_answer(&mut self, user: usize) {
        let mut login = self.login_from_anywhere(user);
        let codes = if self.one_in(4) { 2 } else { 1 };
        let typed: Vec<String> = (0..codes).map(|_| self.wrong_code(user)).collect();
        let text = typed.join(" ");
        if self.seen(&login, &text) != Seen::New {
            return;
        }
        let mut judged = false;
        for _ in 0..=self.below(5) {
            login.from = if self.one_in(2) { ELSEWHERE } else { HOME };
            let seen = self.seen(&login, &text);
            let new = self.is_new(&login, &typed);
            if self.is_exempt(&login) {
                continue;
            }
            assert!(
                seen != Seen::Before || new == Some(false),
                "step {}: {login:?}",
                self.step
            );
            // A pair may be searched for farther from one source than from another.
            assert!(
                codes == 2 || judged == (seen == Seen::Before),
                "step {}: {login:?}",
                self.step
            );
            judged |= new.is_some();
            if codes == 1 && new == Some(false) {
                self.count("wrong again");
            }
        }
        self.look(user);
        self.pass(30);
        login.time = self.time;
        self.is_new(&login, &typed);
        self.look(user);
    }

    /// Codes that no device shows now.
    fn wrong(&mut self, login: &Login, codes: usize) {
        let typed: Vec<String> = (0..codes).map(|_| self.wrong_code(login.user)).collect();
        self.is_new(login, &typed);
    }

    /// Whether it is wrong for the first time. `None`: it was not judged, or not typed.
    fn is_new(&mut self, login: &Login, typed: &[String]) -> Option<bool> {
        let text = typed.join(" ");
        if self.seen(login, &text) == Seen::Perhaps {
            return None;
        }
        let told = self.verify(login, &typed.iter().map(String::as_str).collect::<Vec<_>>());
        assert_ne!(told["verdict"], "accepted", "{login:?}");
        let person = &mut self.people[login.user];
        let judged = told["verdict"] == "rejected";
        judged.then(|| self.truth.rejected(person, &text, login))
    }

    fn seen(&self, login: &Login, text: &str) -> Seen {
        let places = places(&self.people[login.user], login, text, &self.truth.spent);
        self.truth.memory.seen(login.user, text, &places)
    }

    fn wrong_code(&mut self, user: usize) -> String {
        loop {
            let code = format!("{:06}", self.below(1_000_000));
            if !self.people[user]
                .active()
                .any(|device| self.shows(device, &code, 20).next().is_some())
            {
                return code;
            }
        }
    }

    /// Whether, by chance, a single code is one of another device, or of another time, as well. The
    /// model never types such a code.
    fn may_be_mistaken(&self, user: usize, typed: &Typed) -> bool {
        let [step] = typed.steps[..] else {
            return false;
        };
        let also = |device: &Device| {
            self.shows(device, &typed.text, 6)
                .any(|at| device.key != typed.device.key || at != step)
        };
        self.people[user].active().any(also)
    }

    /// When a device shows a code, so many steps to either side of now.
    fn shows<'a>(
        &'a self,
        device: &Device,
        code: &'a str,
        reach: u64,
    ) -> impl Iterator<Item = u64> + use<'a> {
        let (key, middle) = (
            device.key,
            if device.counts {
                self.presses[device.key]
            } else {
                self.time.step()
            },
        );
        (middle.saturating_sub(reach)..=middle + reach)
            .filter(move |step| self.code(key, *step) == code)
    }

    fn ask(&self, login: &Login) -> Value {
        let about = json!({ "user": self.name(login.user), "service": login.service, "rhost": login.from, "tty": "ssh" });
        self.call("Challenge", &about).unwrap()
    }

    pub(crate) fn verify(&mut self, login: &Login, codes: &[&str]) -> Value {
        let attempt = json!({
            "user": self.name(login.user), "codes": codes, "service": login.service, "rhost": login.from, "tty": "ssh",
        });
        self.truth.memory.answered();
        let told = self.call("Verify", &attempt).unwrap();
        assert!(
            told["verdict"] != "exempt" || self.is_exempt(login),
            "{login:?}: {told}"
        );
        told
    }

    pub(crate) fn login_from_anywhere(&mut self, user: usize) -> Login {
        let service = if self.one_in(2) { DOOR } else { SHELL };
        let from = if self.one_in(2) { ELSEWHERE } else { HOME };
        self.login(user, service, from)
    }

    fn some_code(&mut self, user: usize) -> Option<Typed> {
        let device = self.some_device(user)?;
        let off = if device.exact {
            0
        } else {
            self.below(5) as i64 - 2
        };
        let step = if device.counts {
            self.press(device.key)
        } else {
            self.time.step().saturating_add_signed(off)
        };
        Some(self.typed(&device, &[step]))
    }

    fn some_pair(&mut self, user: usize) -> Option<Typed> {
        let device = self.some_device(user)?;
        let far = self.one_in(if device.exact { 8 } else { 2 });
        let first = match device.counts {
            true => self.press(device.key),
            false if far => self.time.step() - 13 + self.below(26),
            false => self.time.step(),
        };
        if device.counts {
            self.press(device.key);
        }
        Some(self.typed(&device, &[first, first + 1]))
    }

    pub(crate) fn some_device(&mut self, user: usize) -> Option<Device> {
        let count = self.people[user].active().count() as u64;
        let at = if count == 0 {
            0
        } else {
            self.below(count) as usize
        };
        self.people[user].active().nth(at).cloned()
    }

    /// Presses a device's button, and says which code it shows.
    pub(crate) fn press(&mut self, key: Key) -> u64 {
        self.presses[key] += 1;
        self.presses[key]
    }

    pub(crate) fn typed(&self, device: &Device, steps: &[u64]) -> Typed {
        let codes: Vec<String> = steps
            .iter()
            .map(|step| self.code(device.key, *step))
            .collect();
        Typed {
            device: device.clone(),
            steps: steps.to_vec(),
            text: codes.join(" "),
        }
    }

    fn code(&self, key: Key, step: u64) -> String {
        Parameters::default()
            .code_at(&self.keys[key], step)
            .to_string()
    }
}
