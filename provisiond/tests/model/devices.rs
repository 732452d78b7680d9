//! What administrators do to devices, and people to their own.

use common::secret::Key as Secret;
use serde_json::{Value, json};

use crate::people::{Device, Key, Refunded};
use crate::world::{Buried, DOOR, World};

impl World {
    /// A new device, or one with a key that was taken away before.
    pub(crate) fn enroll(&mut self, user: usize) {
        let again = if self.one_in(2) {
            self.buried[user]
        } else {
            None
        };
        let known = |key| {
            self.people[user]
                .devices
                .iter()
                .any(|device| device.key == key)
        };
        // Of a key that is taken over while the clock is behind, more codes are used.
        let unsure = self.time.behind.is_some();
        if !self.has_room(user) || again.is_some_and(|again| unsure || known(again.key)) {
            return;
        }
        let counts = match again {
            Some(again) => again.counts,
            None => self.one_in(4),
        };
        let mut wish = json!({ "user": self.name(user), "active": true, "kind": if counts { "hotp" } else { "totp" } });
        let floor = again.map_or(0, |again| self.wish_for_it_again(&mut wish, again));
        let told = self
            .call("Enroll", &wish)
            .unwrap_or_else(|error| panic!("{error} to {wish}"));
        let key = again
            .map(|again| again.key)
            .unwrap_or_else(|| self.new_key(&told));
        let exact = self.one_in(2);
        let name = told["device"].as_str().unwrap().to_owned();
        let known_since = self.time.stamp();
        let (service, days, active) = (None, 0..u64::MAX, true);
        self.add(
            user,
            Device {
                name,
                key,
                active,
                counts,
                service,
                days,
                floor,
                known_since,
                exact,
            },
            &told,
        );
    }

    /// Two active devices cost one guess each, and a user may have eight devices at most.
    pub(crate) fn has_room(&self, user: usize) -> bool {
        self.people[user].active().count() < 2 && self.people[user].devices.len() < 6
    }

    /// Of a key that is taken over, the codes of now and before are used. An administrator says how
    /// far a device that counts has counted, if not exactly: what it has used is known, unless the
    /// store has lost it.
    fn wish_for_it_again(
        &mut self,
        wish: &mut Value,
        Buried {
            key,
            counts,
            floor,
            doubtful,
        }: Buried,
    ) -> u64 {
        wish["key"] = json!(self.keys[key].to_base32().expose());
        if !counts {
            return floor.max(self.time.step() + 1);
        }
        let next = self.presses[key] + 1;
        let counter = if doubtful { next } else { self.below(next) };
        wish["counter"] = json!(counter);
        floor.max(counter)
    }

    pub(crate) fn new_key(&mut self, told: &Value) -> Key {
        self.keys
            .push(Secret::from_base32(told["key"].as_str().unwrap()).unwrap());
        self.presses.push(0);
        self.keys.len() - 1
    }

    /// The user has a new active device, and a sheet of recovery codes if they had none.
    pub(crate) fn add(&mut self, user: usize, device: Device, told: &Value) {
        let person = &mut self.people[user];
        person.expire(self.time.now);
        if !person.enrolled {
            self.truth.unlocked(person, user, &self.time);
            person.refunded = Refunded::default();
        }
        self.truth.memory.blur();
        person.devices.push(device);
        person.enrolled = true;
        let has_none = self.recovery_codes_left(user) == 0;
        assert_eq!(
            told["recovery_codes"] != json!([]),
            has_none,
            "{}: {told}",
            self.name(user)
        );
        if has_none {
            self.takes_a_sheet(user, told);
        }
    }

    pub(crate) fn revoke(&mut self, user: usize) {
        let Some(at) = self.any_device(user) else {
            return;
        };
        self.change_device(user, at, "Revoke", json!({}));
        let Device {
            key,
            counts,
            floor,
            known_since,
            ..
        } = self.people[user].devices.remove(at);
        let doubtful = self.time.has_lost(known_since);
        self.buried[user] = Some(Buried {
            key,
            counts,
            floor,
            doubtful,
        });
        self.look(user);
    }

    /// Few are, and not for long.
    pub(crate) fn disable_or_enable(&mut self, user: usize) {
        let Some(at) = self.any_device(user) else {
            return;
        };
        let active = !self.people[user].devices[at].active;
        let may_be = if active {
            self.has_room(user)
        } else {
            self.one_in(3)
        };
        if !may_be {
            return;
        }
        self.change_device(
            user,
            at,
            "SetState",
            json!({ "state": if active { "active" } else { "disabled" } }),
        );
        self.people[user].devices[at].active = active;
    }

    /// For one service only, or some days, or without bounds.
    pub(crate) fn restrict(&mut self, user: usize) {
        let Some(at) = self.any_device(user) else {
            return;
        };
        let service = if self.one_in(5) { Some(DOOR) } else { None };
        let (now, some_days) = (self.time.now, self.below(4 * 86_400));
        let days = match self.below(10) {
            0 => now + some_days..u64::MAX,
            1 => 0..now + some_days,
            _ => 0..u64::MAX,
        };
        let (from, until) = (
            Some(days.start).filter(|at| *at > 0),
            Some(days.end).filter(|at| *at < u64::MAX),
        );
        let services: Vec<&str> = service.into_iter().collect();
        self.change_device(
            user,
            at,
            "Restrict",
            json!({ "services": services, "valid_from": from, "valid_until": until }),
        );
        let device = &mut self.people[user].devices[at];
        (device.service, device.days) = (service, days);
    }

    /// Its codes are its own whatever it is called. A name that another device has is refused.
    pub(crate) fn rename_a_device(&mut self, user: usize) {
        let Some(at) = self.any_device(user) else {
            return;
        };
        let (other, new) = (
            self.any_device(user).unwrap_or(at),
            format!("device-{}", self.below(1000)),
        );
        let device = self.people[user].devices[at].name.clone();
        let wish = |name: &str| json!({ "user": self.name(user), "device": device, "name": name });
        if other != at {
            let taken = self.call(
                "RenameDevice",
                &wish(&self.people[user].devices[other].name),
            );
            assert_eq!(taken.unwrap_err(), "DeviceExists");
        }
        if self.people[user]
            .devices
            .iter()
            .all(|device| device.name != new)
        {
            self.call("RenameDevice", &wish(&new)).unwrap();
            self.people[user].devices[at].name = new;
            self.people[user].expire(self.time.now);
        }
    }

    fn change_device(&mut self, user: usize, at: usize, method: &str, mut wish: Value) {
        wish["user"] = json!(self.name(user));
        wish["device"] = json!(self.people[user].devices[at].name);
        self.call(method, &wish)
            .unwrap_or_else(|error| panic!("{error} to {method} {wish}"));
        self.people[user].expire(self.time.now);
    }

    fn any_device(&mut self, user: usize) -> Option<usize> {
        let count = self.people[user].devices.len() as u64;
        (count > 0).then(|| self.below(count) as usize)
    }

    /// An administrator is read two codes in a row: of a clock that may be far off, or after a
    /// button was played with.
    pub(crate) fn resync(&mut self, user: usize) {
        let Some(device) = self.some_device(user) else {
            return;
        };
        let first = if device.counts {
            self.play_with(&device)
        } else {
            self.time.step() - 25 + self.near_or_far()
        };
        let mut typed = self.typed(&device, &[first, first + 1]);
        let codes: Vec<&str> = typed.text.split(' ').collect();
        let wish = json!({ "user": self.name(user), "device": device.name, "codes": codes });
        let told = self.call("Resync", &wish).unwrap();
        let (verdict, measured) = (
            told["verdict"].as_str().unwrap(),
            !told["seconds"].is_null(),
        );
        let reason = self
            .truth
            .resynced(verdict, measured, &mut typed, &self.time);
        let reason = reason
            .unwrap_or_else(|| panic!("step {}: {told} to {typed:?}, {:?}", self.step, self.time));
        self.people[user].others += 1;
        *self.people[user].device(device.key) = typed.device;
        self.count(reason);
    }

    /// Up to twice as often as a button may be pressed in vain, and two codes more.
    fn play_with(&mut self, device: &Device) -> u64 {
        self.presses[device.key] += if self.one_in(4) {
            self.below(200)
        } else {
            self.below(20)
        };
        self.press(device.key);
        self.press(device.key) - 1
    }

    /// Of fifty steps, the middle ones most often.
    fn near_or_far(&mut self) -> u64 {
        if self.one_in(2) {
            22 + self.below(6)
        } else {
            self.below(50)
        }
    }
}
