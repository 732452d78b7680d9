//! Tests of a record's bytes: the MAC, versions, the size limit.

use std::time::Duration;

use common::config::recovery::Recovery;
use common::names::device::{DeviceName, Kind};
use common::otpauth::Label;
use common::secret::Key;
use common::secrets::TaggedSecrets;
use common::totp::{Algorithm, Parameters};
use data_encoding::HEXLOWER;

use super::*;
use crate::clock::moment::Moment;
use crate::record::codes::Codes;
use crate::record::restriction::Restriction;
use crate::record::source::Source;
use crate::record::tests::{record, secrets, user};
use crate::record::{Device, MAX_DEVICES, MAX_LABEL};

#[test]
fn what_is_written_is_read_back() {
    let (alice, record) = record();
    let bytes = record.to_bytes(&alice, &secrets()).unwrap();
    assert_eq!(
        Record::from_bytes(&bytes, &alice, &secrets()).unwrap(),
        record
    );
    assert_eq!(
        record.devices[0].key(&alice, &secrets()).unwrap().expose(),
        b"12345678901234567890"
    );
}

#[test]
fn a_flipped_bit_in_any_byte_is_noticed() {
    let (alice, record) = record();
    let bytes = record.to_bytes(&alice, &secrets()).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << bit;
            assert!(
                Record::from_bytes(&altered, &alice, &secrets()).is_err(),
                "byte {at}, bit {bit}"
            );
        }
    }
}

#[test]
fn a_record_cut_or_lengthened_anywhere_is_noticed() {
    let (alice, record) = record();
    let mut bytes = record.to_bytes(&alice, &secrets()).unwrap();
    for length in 0..bytes.len() {
        assert!(
            Record::from_bytes(&bytes[..length], &alice, &secrets()).is_err(),
            "cut at {length}"
        );
    }
    bytes.push(0);
    assert!(Record::from_bytes(&bytes, &alice, &secrets()).is_err());
}

#[test]
fn a_record_is_its_users_alone() {
    let (alice, record) = record();
    let bytes = record.to_bytes(&alice, &secrets()).unwrap();
    assert_eq!(
        Record::from_bytes(&bytes, &user("bob"), &secrets()),
        Err(Damaged::Altered)
    );
}

#[test]
fn a_missing_secret_and_an_unknown_version_are_named() {
    let (alice, record) = record();
    let mut bytes = record.to_bytes(&alice, &secrets()).unwrap();
    let one = Secrets::new(
        TaggedSecrets::from_text("1: 0123456789abcdef").unwrap(),
        None,
    )
    .unwrap();
    assert_eq!(
        Record::from_bytes(&bytes, &alice, &one),
        Err(Damaged::NoSecret("2".into()))
    );
    for version in [OLDEST - 1, VERSION + 1] {
        bytes[0] = version;
        assert_eq!(
            Record::from_bytes(&bytes, &alice, &secrets()),
            Err(Damaged::Version(version))
        );
    }
}

/// Reads a record that the last daemon of version 3 wrote under the secrets of these tests.
#[test]
fn a_record_of_version_3_is_read_with_its_new_field_at_its_default_and_written_as_today() {
    let (alice, bytes) = (user("alice"), version_3());
    let record = Record::from_bytes(&bytes, &alice, &secrets()).unwrap();
    assert_eq!(
        (record.generation, record.uid, record.unlocked),
        (7, Some(1000), Some(1_700_000_000))
    );
    assert_eq!(
        (record.refunded, record.devices[0].last_used),
        (Refunded::default(), Some(1_800_000_210))
    );
    assert!(
        !record.devices[0].spent.accepts(60_000_007, 60_000_007),
        "what was used stays used"
    );
    assert_eq!(
        record.recovery_codes_left(&Moment::ordinary(1_800_000_000)),
        10
    );
    assert!(record.devices[0].key(&alice, &secrets()).is_ok());
    let today = record.to_bytes(&alice, &secrets()).unwrap();
    assert_eq!((today[0], today.len()), (VERSION, bytes.len() + 3));
    assert_eq!(Record::from_bytes(&today, &alice, &secrets()), Ok(record));
}

/// A record of version 4 lacks the last byte of the body.
#[test]
fn a_record_of_version_4_has_no_scratch_codes() {
    let (alice, record) = record();
    let mut bytes = record.to_bytes(&alice, &secrets()).unwrap();
    bytes.truncate(bytes.len() - MAC_BYTES - 1);
    bytes[0] = 4;
    let tag = usize::from(bytes[1]);
    let tag = String::from_utf8(bytes[2..2 + tag].to_vec()).unwrap();
    let mac = mac(&alice, &tag, &bytes, &secrets()).unwrap();
    bytes.extend_from_slice(&mac.finalize().into_bytes());
    let read = Record::from_bytes(&bytes, &alice, &secrets()).unwrap();
    assert!(!read.scratch_codes);
    assert_eq!(read, record);
}

#[test]
fn a_record_of_version_3_cannot_be_altered_either_nor_its_version() {
    let (alice, bytes) = (user("alice"), version_3());
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        assert!(
            Record::from_bytes(&altered, &alice, &secrets()).is_err(),
            "byte {at}"
        );
    }
    let (alice, record) = record();
    for (written, [from, to]) in [
        (version_3(), [3, 5]),
        (record.to_bytes(&alice, &secrets()).unwrap(), [5, 3]),
    ] {
        let mut altered = written;
        assert_eq!(std::mem::replace(&mut altered[0], to), from);
        assert_eq!(
            Record::from_bytes(&altered, &alice, &secrets()),
            Err(Damaged::Altered),
            "{from} as {to}"
        );
    }
}

fn version_3() -> Vec<u8> {
    HEXLOWER
        .decode(include_str!("version-3.hex").replace('\n', "").as_bytes())
        .unwrap()
}

#[test]
fn a_full_record_stays_within_what_the_store_takes() {
    let (alice, secrets) = (user(&"a".repeat(256)), secrets_of_a_long_tag());
    let record = full_record(&alice, &secrets);
    let bytes = record.to_bytes(&alice, &secrets).unwrap();
    assert!(bytes.len() <= MAX_BYTES, "{} bytes", bytes.len());
    let read = Record::from_bytes(&bytes, &alice, &secrets).unwrap();
    for (device, before) in read.devices.iter().zip(&record.devices) {
        assert!(
            logins().all(|step| !device.spent.accepts(step, step)),
            "nothing is revived"
        );
        assert_eq!(device.spent.latest(u64::MAX), before.spent.latest(u64::MAX));
    }
}

#[test]
fn a_record_that_the_store_would_cut_in_two_is_not_written() {
    let (alice, secrets) = (user("alice"), secrets_of_a_long_tag());
    let mut record = full_record(&alice, &secrets);
    record.devices.extend_from_within(..);
    assert_eq!(record.to_bytes(&alice, &secrets), Err(CannotWrite));
}

/// Secrets with a tag of the maximum length.
fn secrets_of_a_long_tag() -> Secrets {
    let text = format!("{}: 0123456789abcdef", "t".repeat(64));
    Secrets::new(TaggedSecrets::from_text(&text).unwrap(), None).unwrap()
}

/// A record with the maximum of every field.
fn full_record(user: &UserName, secrets: &Secrets) -> Record {
    // The year 2514.
    let latest = Moment::ordinary(1 << 34);
    let key = Key::new(vec![1; 64]).unwrap();
    let label = Label::new(&"l".repeat(MAX_LABEL)).unwrap();
    let mut record = Record::new(&latest);
    for n in 0..MAX_DEVICES {
        let device = full_device(n, user, &key, secrets, &latest);
        if n < 4 {
            record.tombstones.bury(&device, &key, &key, latest.now);
        }
        record
            .devices
            .push(record.labelled(device, Some(&label), Some(&label)));
    }
    for network in 0..16 {
        record.sources.learn(
            Source::told(Some(&format!("2001:db8:0:{network}::1")), None),
            latest.now,
        );
    }
    let codes = Some(full_codes(user, secrets, &latest));
    let refunded = record.refunded.and(3, &latest);
    Record {
        codes,
        unlocked: Some(latest.tick),
        uid: Some(u32::MAX),
        refunded,
        ..record
    }
}

fn full_device(n: usize, user: &UserName, key: &Key, secrets: &Secrets, latest: &Moment) -> Device {
    let name = DeviceName::new(&format!("{n}-{}", "x".repeat(30))).unwrap();
    let parameters = Parameters {
        alg: Algorithm::Sha512,
        digits: 10,
        period: 120,
    };
    let mut device =
        Device::active(user, name, (key, Kind::Totp, parameters), secrets, latest).unwrap();
    (device.known_since, device.last_used) = (latest.tick, Some(latest.now));
    device.restriction =
        Restriction::new(Some(1), Some(32_503_680_000), &[format!("{n:032}")]).unwrap();
    logins().for_each(|step| device.spent.spend(step));
    device
}

fn full_codes(user: &UserName, secrets: &Secrets, latest: &Moment) -> Codes {
    let day = Duration::from_secs(86400);
    let (mut codes, key) = Codes::opened(None, user, secrets).unwrap();
    codes
        .renew(
            &key,
            &Recovery {
                codes: 10,
                expire: Some(day),
            },
            latest,
        )
        .unwrap();
    codes.give_bypass(&key, 3, day, latest).unwrap();
    codes.give_ticket(&key, day, latest).unwrap();
    codes
}

/// The steps of sixty-five logins two days apart. In steps of two minutes each distance takes two
/// bytes.
fn logins() -> impl Iterator<Item = u64> {
    (0..65).map(|login| 60_000_000 + login * 1440)
}
