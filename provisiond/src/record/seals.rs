//! What is sealed under which application secret, counted by tag: in one record, and added up for
//! the store. A secret may be taken away when nothing is left under its tag.
//!
//! Tombstones count under the tag of the code key, because their fingerprints hang on it.

use std::collections::BTreeMap;

use common::names::user::UserName;
use common::secrets::{Secrets, Tag};

use crate::record::bytes::mac_tag;
use crate::record::{Damaged, Record, SealedKey};

/// What needs one application secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Users' records in which anything is under the tag. One record may be under two.
    pub records: u64,
    /// MACs of users' records.
    pub macs: u64,
    /// Devices' keys: active, pending and disabled.
    pub device_keys: u64,
    /// The keys that recovery codes, bypasses and tickets are hashed under.
    pub code_keys: u64,
    /// Tombstones of revoked devices.
    pub tombstones: u64,
    /// Decoys in which anything is under the tag. Nothing else of a decoy is counted.
    pub decoys: u64,
}

/// What needs which application secret, by their tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seals(BTreeMap<String, Held>);

impl Seals {
    /// What the stored bytes of a record need. Of a record that cannot be read, the tag of its MAC is
    /// believed: a secret that such a record names stays until an administrator has decided.
    #[must_use]
    pub fn of(bytes: &[u8], user: &UserName, record: Result<&Record, &Damaged>) -> Self {
        let mut seals = Self::default();
        let mac = mac_tag(bytes).filter(|tag| record.is_ok() || Tag::new(tag).is_ok());
        if let Some(tag) = mac {
            seals.under(tag).macs = 1;
        }
        if let Ok(record) = record {
            seals.add_keys(record);
        }
        for held in seals.0.values_mut() {
            *held = match user.is_reserved() {
                true => Held {
                    decoys: 1,
                    ..Held::default()
                },
                false => Held {
                    records: 1,
                    ..*held
                },
            };
        }
        seals
    }

    /// What the keys of a record need, without its MAC.
    #[must_use]
    pub fn of_keys(record: &Record) -> Self {
        let mut seals = Self::default();
        seals.add_keys(record);
        seals
    }

    /// The same, if the bytes are still to be read.
    #[must_use]
    pub fn read(bytes: &[u8], user: &UserName, secrets: &Secrets) -> Self {
        let record = Record::from_bytes(bytes, user, secrets);
        Self::of(bytes, user, record.as_ref())
    }

    /// Whether everything is under this tag.
    #[must_use]
    pub fn are_all_under(&self, tag: &Tag) -> bool {
        self.0.keys().all(|held| held == tag.as_str())
    }

    /// What is under each tag, in the order of the tags.
    pub fn by_tag(&self) -> impl Iterator<Item = (&str, Held)> {
        self.0.iter().map(|(tag, held)| (tag.as_str(), *held))
    }

    /// What is under this tag.
    #[must_use]
    pub fn held(&self, tag: &str) -> Held {
        self.0.get(tag).copied().unwrap_or_default()
    }

    /// Adds what another record, or several, need.
    pub fn add(&mut self, other: &Self) {
        for (tag, held) in &other.0 {
            self.under(tag).each(held, u64::saturating_add);
        }
    }

    /// Takes it off again.
    pub fn take_off(&mut self, other: &Self) {
        for (tag, held) in &other.0 {
            self.under(tag).each(held, u64::saturating_sub);
        }
        self.0.retain(|_, held| *held != Held::default());
    }

    fn add_keys(&mut self, record: &Record) {
        for device in &record.devices {
            let tag = match &device.key {
                SealedKey::V2(enckey) => enckey.tag(),
                SealedKey::V1(enckey) => &enckey.tag,
            };
            let held = self.under(tag);
            held.device_keys = held.device_keys.saturating_add(1);
        }
        if let Some(codes) = &record.codes {
            let held = self.under(codes.tag());
            held.code_keys = 1;
            held.tombstones = record.tombstones.count() as u64;
        }
    }

    fn under(&mut self, tag: &str) -> &mut Held {
        self.0.entry(tag.to_owned()).or_default()
    }
}

impl Held {
    fn each(&mut self, other: &Self, change: impl Fn(u64, u64) -> u64) {
        *self = Self {
            records: change(self.records, other.records),
            macs: change(self.macs, other.macs),
            device_keys: change(self.device_keys, other.device_keys),
            code_keys: change(self.code_keys, other.code_keys),
            tombstones: change(self.tombstones, other.tombstones),
            decoys: change(self.decoys, other.decoys),
        };
    }
}

#[cfg(test)]
mod tests {
    use common::secrets::TaggedSecrets;

    use super::*;
    use crate::record::tests::{record, secrets};

    fn of_tag(tag: &str) -> Secrets {
        let tagged = TaggedSecrets::from_text("1: 0123456789abcdef\n2: fedcba9876543210");
        Secrets::new(tagged.unwrap(), Some(tag)).unwrap()
    }

    /// Alice's record: a device under 2, a code key with a tombstone and a MAC under 1.
    fn two_tags() -> Seals {
        let (alice, mut record) = record();
        let buried = record.devices[0].clone();
        let key = buried.key(&alice, &secrets()).unwrap();
        let of = (&alice, &of_tag("1"));
        record.bury(&buried, &key, of, 0).unwrap();
        let bytes = record.to_bytes(&alice, &of_tag("1")).unwrap();
        Seals::read(&bytes, &alice, &secrets())
    }

    #[test]
    fn each_part_of_a_record_counts_under_the_tag_that_it_needs() {
        let seals = two_tags();
        let (under_1, under_2) = (seals.held("1"), seals.held("2"));
        let expected = Held {
            records: 1,
            macs: 1,
            code_keys: 1,
            tombstones: 1,
            ..Held::default()
        };
        assert_eq!(under_1, expected);
        let expected = Held {
            records: 1,
            device_keys: 1,
            ..Held::default()
        };
        assert_eq!(under_2, expected);
        assert!(!seals.are_all_under(secrets().default_tag()));
    }

    #[test]
    fn what_was_added_can_be_taken_off() {
        let mut all = two_tags();
        all.add(&two_tags());
        assert_eq!((all.held("1").records, all.held("2").device_keys), (2, 2));
        all.take_off(&two_tags());
        assert_eq!(all, two_tags());
        all.take_off(&two_tags());
        assert_eq!(all, Seals::default(), "no tag is left");
    }

    #[test]
    fn a_record_that_cannot_be_read_needs_the_tag_of_its_mac() {
        let (alice, record) = record();
        let mut bytes = record.to_bytes(&alice, &of_tag("1")).unwrap();
        let alone = TaggedSecrets::from_text("2: fedcba9876543210").unwrap();
        let alone = Secrets::new(alone, None).unwrap();
        for secrets in [&alone, &secrets()] {
            let held = Seals::read(&bytes, &alice, secrets).held("1");
            assert_eq!((held.records, held.macs), (1, 1));
            // Of the second round: altered.
            *bytes.last_mut().unwrap() ^= 1;
        }
        assert_eq!(
            Seals::read(b"\x05\x01\n", &alice, &secrets()),
            Seals::default(),
            "no tag"
        );
    }

    #[test]
    fn a_decoy_is_one_and_nothing_else() {
        let (_, record) = record();
        let name = UserName::reserved(3);
        let bytes = record.to_bytes(&name, &secrets()).unwrap();
        let held = Seals::read(&bytes, &name, &secrets()).held("2");
        let decoys = Held {
            decoys: 1,
            ..Held::default()
        };
        assert_eq!(held, decoys);
    }
}
