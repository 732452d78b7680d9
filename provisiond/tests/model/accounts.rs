//! What becomes of whole accounts, and what administrators and the helpdesk see of them.

use serde_json::{Value, json};

use crate::people::{DAY, Person};
use crate::world::{SHELL, World};

impl World {
    /// `nullok` stacks let by a user that never was enrolled; administrators see the whole record.
    pub(crate) fn look(&mut self, user: usize) {
        let enrolled = self.people[user].enrolled;
        assert_eq!(
            self.is_enrolled(self.name(user)),
            enrolled,
            "{}, step {}",
            self.name(user),
            self.step
        );
        // A record may be bound to the uid of the account that it was renamed from.
        let may_be_bound = enrolled && self.people[user].renamed;
        assert!(
            may_be_bound || !self.is_enrolled(self.other_name(user)),
            "{}, step {}",
            self.other_name(user),
            self.step
        );
        match self.call("Show", &json!({ "user": self.name(user) })) {
            Ok(told) => self.compare(user, &told["user"]),
            Err(error) => {
                assert!(
                    error == "NoSuchUser" && !enrolled,
                    "{error}: {}, step {}",
                    self.name(user),
                    self.step
                )
            }
        }
    }

    fn is_enrolled(&self, name: &str) -> bool {
        self.call("Challenge", &json!({ "user": name, "service": SHELL }))
            .unwrap()["enrolled"]
            == true
    }

    fn compare(&self, user: usize, told: &Value) {
        let (person, time) = (&self.people[user], &self.time);
        let [unknown, known] = person.buckets.map(|bucket| bucket.left(time.tick));
        let bypass = person
            .bypass
            .as_ref()
            .filter(|bypass| bypass.is_good(time) && !time.has_lost(bypass.made));
        let expected = json!({
            "enrolled": person.enrolled,
            "disabled": person.shut,
            "budget": unknown,
            "known_budget": known,
            "recovery_codes_left": self.recovery_codes_left(user),
            "bypass_until": bypass.map(|bypass| bypass.good.end),
            "bypass_uses": bypass.map(|bypass| bypass.uses),
            "devices": devices(person),
        });
        let seen: Value = expected
            .as_object()
            .unwrap()
            .keys()
            .map(|key| (key.clone(), seen(key, told)))
            .collect();
        assert_eq!(
            seen,
            expected,
            "{}, step {}: {time:?}",
            self.name(user),
            self.step
        );
    }

    pub(crate) fn shut_or_open(&mut self, user: usize) {
        let shut = self.people[user].enrolled && !self.people[user].shut && self.one_in(3);
        let state = if shut { "disabled" } else { "active" };
        let done = self.call(
            "SetState",
            &json!({ "user": self.name(user), "all": true, "state": state }),
        );
        self.expect_known_user(user, done);
        self.people[user].shut = shut;
    }

    /// An administrator gives guesses back as often as they like, the helpdesk once a day, and only
    /// to users with an account. Returns whether it was done.
    pub(crate) fn unlock(&mut self, user: usize) -> bool {
        let (wish, helpdesk, enrolled) = (
            json!({ "user": self.name(user) }),
            !self.one_in(3),
            self.people[user].enrolled,
        );
        let done = if helpdesk {
            self.call_as_helpdesk("Unlock", &wish)
        } else {
            self.call("Unlock", &wish)
        };
        let today = self.people[user]
            .unlocked
            .is_some_and(|at| self.time.tick < at + DAY);
        let expected = match self.uid(user) {
            None if helpdesk => Some("PermissionDenied"),
            _ if !enrolled => Some("NoSuchUser"),
            _ if helpdesk && today => Some("BadParameter"),
            _ => None,
        };
        assert_eq!(
            done.err().as_deref(),
            expected,
            "{wish}, step {}",
            self.step
        );
        self.count(&format!(
            "guesses back, helpdesk {helpdesk}: {}",
            expected.unwrap_or("done")
        ));
        if expected.is_none() {
            self.truth
                .unlocked(&mut self.people[user], user, &self.time);
            self.people[user].unlocked = if helpdesk {
                Some(self.time.tick)
            } else {
                self.people[user].unlocked
            };
        }
        expected.is_none()
    }

    /// Used codes stay used under the new name; the old name has no record. Most users soon have
    /// their former name again.
    pub(crate) fn rename(&mut self, user: usize) {
        let other = self.below(self.people.len() as u64) as usize;
        if !self.people[user].renamed && !self.one_in(3) {
            return;
        }
        let wish = |new: &str| json!({ "user": self.name(user), "new": new });
        if self.people[user].enrolled && self.people[other].enrolled {
            let taken = self.call("RenameUser", &wish(self.name(other)));
            assert_eq!(
                taken.unwrap_err(),
                "UserExists",
                "{} to {}",
                self.name(user),
                self.name(other)
            );
        }
        let done = self.call("RenameUser", &wish(self.other_name(user)));
        self.expect_known_user(user, done);
        self.people[user].renamed ^= self.people[user].enrolled;
        self.truth.memory.forget_charges(user);
        self.truth.memory.blur();
        self.look(user);
    }

    /// A user that enrols again has a new record. It must not take a key of before.
    pub(crate) fn forget(&mut self, user: usize) {
        let done = self.call("Forget", &json!({ "user": self.name(user) }));
        self.expect_known_user(user, done);
        self.people[user] = Person {
            renamed: self.people[user].renamed,
            ..Person::default()
        };
        self.buried[user] = None;
        self.truth.memory.forget_charges(user);
        self.truth.memory.blur();
        self.look(user);
    }

    fn expect_known_user(&self, user: usize, done: Result<Value, String>) {
        let expected = if self.people[user].enrolled {
            None
        } else {
            Some("NoSuchUser".to_owned())
        };
        assert_eq!(
            done.err(),
            expected,
            "{}, step {}",
            self.name(user),
            self.step
        );
    }
}

fn devices(person: &Person) -> Value {
    let state = |active| if active { "active" } else { "disabled" };
    person
        .devices
        .iter()
        .map(|device| json!([device.name, state(device.active)]))
        .collect()
}

/// The same of what was told.
fn seen(key: &str, told: &Value) -> Value {
    match key {
        "devices" => told[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|device| json!([device["name"], device["state"]]))
            .collect(),
        key => told[key].clone(),
    }
}
