//! Issued codes, which no device shows, and the ways back in of users that have lost their devices.

use serde_json::{Value, json};

use crate::people::{Bypass, Device, Login, Sheet, Typed};
use crate::world::World;

/// The proof of a user to be themselves.
enum Proof {
    Device(Typed),
    Issued(String),
}

impl World {
    pub(crate) fn use_a_recovery_code(&mut self, user: usize) {
        if let Some(code) = self.some_recovery_code(user) {
            self.type_issued(user, &code);
        }
    }

    pub(crate) fn use_a_bypass(&mut self, user: usize) {
        if let Some(code) = self.people[user]
            .bypass
            .as_ref()
            .map(|bypass| bypass.code.clone())
        {
            self.type_issued(user, &code);
        }
    }

    /// Some code that the person was told, used or not.
    pub(crate) fn replay_an_issued_code(&mut self, user: usize) {
        let at = self.below(self.papers[user].len().max(1) as u64) as usize;
        if let Some(code) = self.papers[user].get(at).cloned() {
            self.type_issued(user, &code);
        }
    }

    pub(crate) fn guess_an_issued_code(&mut self, user: usize) {
        let groups = if self.one_in(3) { 4 } else { 2 };
        let code = (0..groups)
            .map(|_| self.four_letters())
            .collect::<Vec<_>>()
            .join("-");
        self.type_issued(user, &code);
    }

    fn four_letters(&mut self) -> String {
        (0..4)
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect()
    }

    fn type_issued(&mut self, user: usize, code: &str) {
        let login = self.login_from_anywhere(user);
        let told = self.verify(&login, &[code]);
        // Where no code is needed, it is not used up.
        let expected = if self.is_exempt(&login) {
            "exempt"
        } else {
            self.truth.issued(&mut self.people[user], code, &login)
        };
        assert_eq!(
            told["verdict"], expected,
            "step {}: {login:?}, {code}",
            self.step
        );
        let left = &told["recovery_codes_left"];
        assert!(
            left.is_null() || *left == self.recovery_codes_left(user),
            "step {}: {left}",
            self.step
        );
        self.count(&format!("a code of no device: {expected}"));
    }

    /// The helpdesk gives one only to a user with an account. A user that was never enrolled or is
    /// shut out gets none.
    pub(crate) fn give_a_bypass(&mut self, user: usize) {
        let (seconds, uses) = (1 + self.below(86_400), 1 + self.below(3) as u8);
        let wish = json!({ "user": self.name(user), "valid_for": seconds, "uses": uses });
        let helpdesk = self.one_in(2);
        let told = if helpdesk {
            self.call_as_helpdesk("Bypass", &wish)
        } else {
            self.call("Bypass", &wish)
        };
        let expected = match &self.people[user] {
            _ if helpdesk && self.uid(user).is_none() => Some("PermissionDenied"),
            person if person.shut || !person.enrolled => Some("BadParameter"),
            _ => None,
        };
        assert_eq!(
            told.as_ref().err().map(String::as_str),
            expected,
            "{wish}, step {}",
            self.step
        );
        if let Ok(told) = told {
            self.takes_a_bypass(
                user,
                told["code"].as_str().unwrap().to_owned(),
                uses,
                seconds,
            );
        }
    }

    fn takes_a_bypass(&mut self, user: usize, code: String, uses: u8, seconds: u64) {
        let (now, tick) = (self.time.now, self.time.tick);
        self.is_told(user, &code, uses);
        let (good, until_tick, made) = (now..now + seconds, tick + seconds, self.time.stamp());
        self.people[user].bypass = Some(Bypass {
            code,
            uses,
            tries: 5,
            made,
            good,
            until_tick,
        });
    }

    /// By an administrator, or by the user with a proof.
    pub(crate) fn renew_recovery_codes(&mut self, user: usize) {
        if !self.people[user].enrolled {
            return;
        }
        let told = match (self.uid(user), self.some_proof(user)) {
            (Some(uid), Some(proof)) if self.one_in(2) => {
                self.prove(user, uid, "NewRecoveryCodes", json!({}), proof)
            }
            _ => Some(
                self.call("NewRecoveryCodes", &json!({ "user": self.name(user) }))
                    .unwrap(),
            ),
        };
        if let Some(told) = told {
            self.takes_a_sheet(user, &told);
        }
    }

    /// What was printed before is worth nothing.
    pub(crate) fn takes_a_sheet(&mut self, user: usize, told: &Value) {
        let codes = told["recovery_codes"].as_array().unwrap().iter();
        let codes: Vec<String> = codes
            .map(|code| code.as_str().unwrap().to_owned())
            .collect();
        codes.iter().for_each(|code| self.is_told(user, code, 1));
        self.people[user].sheet = Sheet {
            codes,
            made: self.time.stamp(),
        };
    }

    fn is_told(&mut self, user: usize, code: &str, good_for: u8) {
        self.truth.good_for.insert(code.to_owned(), good_for);
        self.papers[user].push(code.to_owned());
        let old = self.papers[user].len().saturating_sub(LATEST);
        self.papers[user].drain(..old);
    }

    pub(crate) fn recovery_codes_left(&self, user: usize) -> usize {
        let sheet = &self.people[user].sheet;
        if self.time.has_lost(sheet.made) {
            0
        } else {
            sheet.codes.len()
        }
    }

    /// A user's devices are gone. The user comes in with a recovery code, which is a proof as well,
    /// and enrols a new device, or an administrator does.
    pub(crate) fn lose_everything(&mut self, user: usize) {
        while !self.people[user].devices.is_empty() {
            self.revoke(user);
        }
        self.use_a_recovery_code(user);
        let proof = self.some_recovery_code(user).map(Proof::Issued);
        let Some((uid, proof)) = self.uid(user).zip(proof) else {
            return self.enroll(user);
        };
        if let Some(told) = self.prove(user, uid, "Enroll", json!({}), proof) {
            self.confirm(user, uid, &told);
        }
    }

    /// The first code of the new device is used by that.
    fn confirm(&mut self, user: usize, uid: u32, told: &Value) {
        let (name, key) = (
            told["device"].as_str().unwrap().to_owned(),
            self.new_key(told),
        );
        let (service, days, known_since, step) =
            (None, 0..u64::MAX, self.time.stamp(), self.time.step());
        let (active, counts, floor, exact) = (true, false, 0, true);
        let device = Device {
            name,
            key,
            active,
            counts,
            service,
            days,
            floor,
            known_since,
            exact,
        };
        // Without a guess left, two codes are needed.
        let left = self.people[user].buckets[0].left(self.time.tick);
        let steps = if left > 0 {
            vec![step]
        } else {
            vec![step, step + 1]
        };
        let first = json!({ "code": self.typed(&device, &steps).text });
        let told = self.call_as(uid, "Confirm", &first).unwrap();
        assert_eq!(
            told["verdict"], "accepted",
            "step {}: {device:?}",
            self.step
        );
        for step in steps {
            self.truth.use_up(key, step);
        }
        self.add(user, device, &told);
        self.count("lost everything and is back");
    }

    /// What a change comes to that needs a proof, if the proof was taken. It is used up whatever
    /// becomes of the change.
    fn prove(
        &mut self,
        user: usize,
        uid: u32,
        method: &str,
        mut wish: Value,
        proof: Proof,
    ) -> Option<Value> {
        wish["proof"] = match &proof {
            Proof::Device(typed) => json!(typed.text),
            Proof::Issued(code) => json!(code),
        };
        let told = self.call_as(uid, method, &wish);
        match told.as_ref().err().map(String::as_str) {
            None => self.was_taken(user, &proof, true),
            Some("ProofRequired") => self.was_taken(user, &proof, false),
            // Too many were wrong within the last hour, which is the test machine's.
            Some(error) => assert_eq!(error, "Busy", "{method} {wish}"),
        }
        told.ok()
    }

    fn was_taken(&mut self, user: usize, proof: &Proof, taken: bool) {
        let login = self.login(user, "", "");
        match proof {
            Proof::Issued(code) => {
                let expected = self.truth.issued(&mut self.people[user], code, &login);
                assert_eq!(
                    taken,
                    expected == "accepted",
                    "step {}: {expected}",
                    self.step
                );
            }
            Proof::Device(typed) if taken => {
                self.truth.accepted(&mut self.people[user], typed, &login)
            }
            Proof::Device(typed) => self.must_have_a_reason(typed, &login),
        }
        self.count(if taken {
            "a proof was taken"
        } else {
            "a proof was not taken"
        });
    }

    /// The reply does not say which reason it was. It was no wrong code, which would have cost a
    /// guess.
    fn must_have_a_reason(&self, typed: &Typed, login: &Login) {
        let person = &self.people[login.user];
        let may_be = |verdict: &&str| self.truth.reason(verdict, person, typed, login).is_some();
        let reason = ["disabled", "already_used", "refused", "two_codes_needed"]
            .iter()
            .any(may_be);
        assert!(
            reason,
            "step {}: {typed:?} proved nothing: {login:?}",
            self.step
        );
    }

    /// A recovery code, or the present code of a device whose clock is right.
    fn some_proof(&mut self, user: usize) -> Option<Proof> {
        let login = self.login(user, "", "");
        let device = self.people[user]
            .usable(&login)
            .find(|device| device.exact && !device.counts);
        let typed = device.map(|device| self.typed(device, &[self.time.step()]));
        match typed {
            Some(typed) if self.one_in(2) => Some(Proof::Device(typed)),
            _ => self.some_recovery_code(user).map(Proof::Issued),
        }
    }

    fn some_recovery_code(&mut self, user: usize) -> Option<String> {
        let at = self.below(10) as usize;
        let codes = &self.people[user].sheet.codes;
        codes.get(at % codes.len().max(1)).cloned()
    }
}

/// Codes that a user was told and may try again.
const LATEST: usize = 30;
