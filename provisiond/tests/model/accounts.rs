//! What becomes of whole accounts, and what administrators and the helpdesk see of them.

use serde_json::{Value, json};

use crate::people::{DAY, Person};
use crate::world::{SHELL, World};

impl World {
    /// Stacks let by who never was enrolled; administrators see what there is.
    pub(crate) fn look(&mut self, who: usize) {
        let enrolled = self.people[who].enrolled;
        assert_eq!(self.is_enrolled(self.name(who)), enrolled, "{}, step {}", self.name(who), self.step);
        assert!(!self.is_enrolled(self.other_name(who)), "{}, step {}", self.other_name(who), self.step);
        match self.call("Show", &json!({ "user": self.name(who) })) {
            Ok(told) => self.compare(who, &told["user"]),
            Err(error) => {
                assert!(error == "NoSuchUser" && !enrolled, "{error}: {}, step {}", self.name(who), self.step)
            }
        }
    }

    fn is_enrolled(&self, name: &str) -> bool {
        self.call("Challenge", &json!({ "user": name, "service": SHELL })).unwrap()["enrolled"] == true
    }

    fn compare(&self, who: usize, told: &Value) {
        let (person, time) = (&self.people[who], &self.time);
        let [unknown, known] = person.buckets.map(|bucket| bucket.left(time.tick));
        let bypass = person.bypass.as_ref().filter(|bypass| bypass.is_good(time) && !time.has_lost(bypass.made));
        let expected = json!({
            "enrolled": person.enrolled,
            "disabled": person.shut,
            "budget": unknown,
            "known_budget": known,
            "recovery_codes_left": self.recovery_codes_left(who),
            "bypass_until": bypass.map(|bypass| bypass.good.end),
            "bypass_uses": bypass.map(|bypass| bypass.uses),
            "devices": devices(person),
        });
        let seen: Value = expected.as_object().unwrap().keys().map(|key| (key.clone(), seen(key, told))).collect();
        assert_eq!(seen, expected, "{}, step {}: {time:?}", self.name(who), self.step);
    }

    pub(crate) fn shut_or_open(&mut self, who: usize) {
        let shut = self.people[who].enrolled && !self.people[who].shut && self.one_in(3);
        let state = if shut { "disabled" } else { "active" };
        let done = self.call("SetState", &json!({ "user": self.name(who), "all": true, "state": state }));
        self.expect_one_who_is_known(who, done);
        self.people[who].shut = shut;
    }

    /// An administrator gives guesses back as often as they like, the helpdesk once a day, and to nobody who has no account.
    /// Whether it was done.
    pub(crate) fn unlock(&mut self, who: usize) -> bool {
        let (wish, helpdesk, enrolled) =
            (json!({ "user": self.name(who) }), !self.one_in(3), self.people[who].enrolled);
        let done = if helpdesk { self.call_as_helpdesk("Unlock", &wish) } else { self.call("Unlock", &wish) };
        let today = self.people[who].unlocked.is_some_and(|at| self.time.tick < at + DAY);
        let expected = match self.uid(who) {
            None if helpdesk => Some("PermissionDenied"),
            _ if !enrolled => Some("NoSuchUser"),
            _ if helpdesk && today => Some("BadParameter"),
            _ => None,
        };
        assert_eq!(done.err().as_deref(), expected, "{wish}, step {}", self.step);
        self.count(&format!("guesses back, helpdesk {helpdesk}: {}", expected.unwrap_or("done")));
        if expected.is_none() {
            self.truth.unlocked(&mut self.people[who], who, &self.time);
            self.people[who].unlocked = if helpdesk { Some(self.time.tick) } else { self.people[who].unlocked };
        }
        expected.is_none()
    }

    /// What was used, was used by whoever has the name now; the old one is nobody's. Most are soon called as before again.
    pub(crate) fn rename(&mut self, who: usize) {
        let other = self.below(self.people.len() as u64) as usize;
        if !self.people[who].renamed && !self.one_in(3) {
            return;
        }
        let wish = |new: &str| json!({ "user": self.name(who), "new": new });
        if self.people[who].enrolled && self.people[other].enrolled {
            let taken = self.call("RenameUser", &wish(self.name(other)));
            assert_eq!(taken.unwrap_err(), "UserExists", "{} to {}", self.name(who), self.name(other));
        }
        let done = self.call("RenameUser", &wish(self.other_name(who)));
        self.expect_one_who_is_known(who, done);
        self.people[who].renamed ^= self.people[who].enrolled;
        self.truth.memory.forget_charges(who);
        self.truth.memory.blur();
        self.look(who);
    }

    /// Whoever enrols again is somebody new. A key of before had better not be theirs.
    pub(crate) fn forget(&mut self, who: usize) {
        let done = self.call("Forget", &json!({ "user": self.name(who) }));
        self.expect_one_who_is_known(who, done);
        self.people[who] = Person { renamed: self.people[who].renamed, ..Person::default() };
        self.buried[who] = None;
        self.truth.memory.forget_charges(who);
        self.truth.memory.blur();
        self.look(who);
    }

    fn expect_one_who_is_known(&self, who: usize, done: Result<Value, String>) {
        let expected = if self.people[who].enrolled { None } else { Some("NoSuchUser".to_owned()) };
        assert_eq!(done.err(), expected, "{}, step {}", self.name(who), self.step);
    }
}

fn devices(person: &Person) -> Value {
    let state = |active| if active { "active" } else { "disabled" };
    person.devices.iter().map(|device| json!([device.name, state(device.active)])).collect()
}

/// The same of what was told.
fn seen(key: &str, told: &Value) -> Value {
    match key {
        "devices" => {
            told[key].as_array().unwrap().iter().map(|device| json!([device["name"], device["state"]])).collect()
        }
        key => told[key].clone(),
    }
}
