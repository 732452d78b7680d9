//! Codes that no device shows, and the ways back in of those who have lost theirs.

use serde_json::{Value, json};

use crate::people::{Bypass, Device, Login, Sheet, Typed};
use crate::world::World;

/// What somebody proves to be themselves with.
enum Proof {
    Device(Typed),
    Issued(String),
}

impl World {
    pub(crate) fn use_a_recovery_code(&mut self, who: usize) {
        if let Some(code) = self.some_recovery_code(who) {
            self.type_issued(who, &code);
        }
    }

    pub(crate) fn use_a_bypass(&mut self, who: usize) {
        if let Some(code) = self.people[who].bypass.as_ref().map(|bypass| bypass.code.clone()) {
            self.type_issued(who, &code);
        }
    }

    /// Some code that the person was told, used or not.
    pub(crate) fn replay_an_issued_code(&mut self, who: usize) {
        let at = self.below(self.papers[who].len().max(1) as u64) as usize;
        if let Some(code) = self.papers[who].get(at).cloned() {
            self.type_issued(who, &code);
        }
    }

    pub(crate) fn guess_an_issued_code(&mut self, who: usize) {
        let groups = if self.one_in(3) { 4 } else { 2 };
        let code = (0..groups).map(|_| self.four_letters()).collect::<Vec<_>>().join("-");
        self.type_issued(who, &code);
    }

    fn four_letters(&mut self) -> String {
        (0..4).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }

    fn type_issued(&mut self, who: usize, code: &str) {
        let login = self.login_from_anywhere(who);
        let told = self.verify(&login, &[code]);
        let expected = self.truth.issued(&mut self.people[who], code, &login);
        assert_eq!(told["verdict"], expected, "step {}: {login:?}, {code}", self.step);
        let left = &told["recovery_codes_left"];
        assert!(left.is_null() || *left == self.recovery_codes_left(who), "step {}: {left}", self.step);
        self.count(&format!("a code of no device: {expected}"));
    }

    /// The helpdesk gives one to who has an account, and nobody to who was never enrolled or is shut out.
    pub(crate) fn give_a_bypass(&mut self, who: usize) {
        let (seconds, uses) = (1 + self.below(86_400), 1 + self.below(3) as u8);
        let wish = json!({ "user": self.name(who), "valid_for": seconds, "uses": uses });
        let helpdesk = self.one_in(2);
        let told = if helpdesk { self.call_as_helpdesk("Bypass", &wish) } else { self.call("Bypass", &wish) };
        let expected = match &self.people[who] {
            _ if helpdesk && self.uid(who).is_none() => Some("PermissionDenied"),
            person if person.shut || !person.enrolled => Some("BadParameter"),
            _ => None,
        };
        assert_eq!(told.as_ref().err().map(String::as_str), expected, "{wish}, step {}", self.step);
        if let Ok(told) = told {
            self.takes_a_bypass(who, told["code"].as_str().unwrap().to_owned(), uses, seconds);
        }
    }

    fn takes_a_bypass(&mut self, who: usize, code: String, uses: u8, seconds: u64) {
        let (now, tick) = (self.time.now, self.time.tick);
        self.is_told(who, &code, uses);
        let (good, until_tick, made) = (now..now + seconds, tick + seconds, self.time.stamp());
        self.people[who].bypass = Some(Bypass { code, uses, tries: 5, made, good, until_tick });
    }

    /// By an administrator, or by the person, who proves to be themselves.
    pub(crate) fn renew_recovery_codes(&mut self, who: usize) {
        if !self.people[who].enrolled {
            return;
        }
        let told = match (self.uid(who), self.some_proof(who)) {
            (Some(uid), Some(proof)) if self.one_in(2) => self.prove(who, uid, "NewRecoveryCodes", json!({}), proof),
            _ => Some(self.call("NewRecoveryCodes", &json!({ "user": self.name(who) })).unwrap()),
        };
        if let Some(told) = told {
            self.takes_a_sheet(who, &told);
        }
    }

    /// What was printed before is worth nothing.
    pub(crate) fn takes_a_sheet(&mut self, who: usize, told: &Value) {
        let codes = told["recovery_codes"].as_array().unwrap().iter();
        let codes: Vec<String> = codes.map(|code| code.as_str().unwrap().to_owned()).collect();
        codes.iter().for_each(|code| self.is_told(who, code, 1));
        self.people[who].sheet = Sheet { codes, made: self.time.stamp() };
    }

    fn is_told(&mut self, who: usize, code: &str, good_for: u8) {
        self.truth.good_for.insert(code.to_owned(), good_for);
        self.papers[who].push(code.to_owned());
        let old = self.papers[who].len().saturating_sub(LATEST);
        self.papers[who].drain(..old);
    }

    pub(crate) fn recovery_codes_left(&self, who: usize) -> usize {
        let sheet = &self.people[who].sheet;
        if self.time.has_lost(sheet.made) { 0 } else { sheet.codes.len() }
    }

    /// Somebody's devices are gone. They come in with a recovery code, which is a proof as well, and enrol a
    /// new one, or an administrator does.
    pub(crate) fn lose_everything(&mut self, who: usize) {
        while !self.people[who].devices.is_empty() {
            self.revoke(who);
        }
        self.use_a_recovery_code(who);
        let proof = self.some_recovery_code(who).map(Proof::Issued);
        let Some((uid, proof)) = self.uid(who).zip(proof) else { return self.enroll(who) };
        if let Some(told) = self.prove(who, uid, "Enroll", json!({}), proof) {
            self.confirm(who, uid, &told);
        }
    }

    /// The first code of the new device is used by that.
    fn confirm(&mut self, who: usize, uid: u32, told: &Value) {
        let (name, key) = (told["device"].as_str().unwrap().to_owned(), self.new_key(told));
        let (service, days, known_since, step) = (None, 0..u64::MAX, self.time.stamp(), self.time.step());
        let (active, counts, floor, exact) = (true, false, 0, true);
        let device = Device { name, key, active, counts, service, days, floor, known_since, exact };
        let told = self.call_as(uid, "Confirm", &json!({ "code": self.typed(&device, &[step]).text })).unwrap();
        assert_eq!(told["verdict"], "accepted", "step {}: {device:?}", self.step);
        self.truth.use_up(key, step);
        self.add(who, device, &told);
        self.count("lost everything and is back");
    }

    /// What a change comes to that needs a proof, if the proof was taken. It is used up whatever becomes of the change.
    fn prove(&mut self, who: usize, uid: u32, method: &str, mut wish: Value, proof: Proof) -> Option<Value> {
        wish["proof"] = match &proof {
            Proof::Device(typed) => json!(typed.text),
            Proof::Issued(code) => json!(code),
        };
        let told = self.call_as(uid, method, &wish);
        match told.as_ref().err().map(String::as_str) {
            None => self.was_taken(who, &proof, true),
            Some("ProofRequired") => self.was_taken(who, &proof, false),
            // Too many were wrong within the last hour, which is the test machine's.
            Some(error) => assert_eq!(error, "Busy", "{method} {wish}"),
        }
        told.ok()
    }

    fn was_taken(&mut self, who: usize, proof: &Proof, taken: bool) {
        let login = self.login(who, "", "");
        match proof {
            Proof::Issued(code) => {
                let expected = self.truth.issued(&mut self.people[who], code, &login);
                assert_eq!(taken, expected == "accepted", "step {}: {expected}", self.step);
            }
            Proof::Device(typed) if taken => self.truth.accepted(&mut self.people[who], typed, &login),
            Proof::Device(typed) => self.must_have_a_reason(typed, &login),
        }
        self.count(if taken { "a proof was taken" } else { "a proof was not taken" });
    }

    /// Nobody is told which it was. It was no wrong code, which would have cost a guess.
    fn must_have_a_reason(&self, typed: &Typed, login: &Login) {
        let person = &self.people[login.who];
        let may_be = |verdict: &&str| self.truth.reason(verdict, person, typed, login).is_some();
        let reason = ["disabled", "already_used", "refused", "two_codes_needed"].iter().any(may_be);
        assert!(reason, "step {}: {typed:?} proved nothing: {login:?}", self.step);
    }

    /// A recovery code, or the present code of a device whose clock is right.
    fn some_proof(&mut self, who: usize) -> Option<Proof> {
        let login = self.login(who, "", "");
        let device = self.people[who].usable(&login).find(|device| device.exact && !device.counts);
        let typed = device.map(|device| self.typed(device, &[self.time.step()]));
        match typed {
            Some(typed) if self.one_in(2) => Some(Proof::Device(typed)),
            _ => self.some_recovery_code(who).map(Proof::Issued),
        }
    }

    fn some_recovery_code(&mut self, who: usize) -> Option<String> {
        let at = self.below(10) as usize;
        let codes = &self.people[who].sheet.codes;
        codes.get(at % codes.len().max(1)).cloned()
    }
}

/// Codes that somebody was told and may try again.
const LATEST: usize = 30;
