use std::time::Duration;

use common::recovery::Recovery;
use common::secrets::TaggedSecrets;

use super::*;

pub(crate) fn secrets() -> Secrets {
    Secrets::new(TaggedSecrets::from_text("1: 0123456789abcdef\n2: fedcba9876543210").unwrap(), None).unwrap()
}

pub(crate) fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

/// An active device of `user` with the key of RFC 4226.
pub(crate) fn device(user: &UserName, name: &str, parameters: Parameters) -> Device {
    device_of(Kind::Totp, user, name, parameters)
}

pub(crate) fn device_of(kind: Kind, user: &UserName, name: &str, parameters: Parameters) -> Device {
    let key = Key::new(b"12345678901234567890".to_vec()).unwrap();
    let name = DeviceName::new(name).unwrap();
    Device::new(user, name, State::Active, (&key, kind, parameters), &secrets(), &Moment::ordinary(0)).unwrap()
}

fn record() -> (UserName, Record) {
    let alice = user("alice");
    let device = device(&alice, "default", Parameters::default());
    (alice, Record { generation: 7, enrolled: true, devices: vec![device], ..Record::new(&Moment::ordinary(0)) })
}

#[test]
fn what_is_written_is_read_back() {
    let (alice, record) = record();
    let bytes = record.to_bytes(&alice, &secrets()).unwrap();
    assert_eq!(Record::from_bytes(&bytes, &alice, &secrets()).unwrap(), record);
    assert_eq!(record.devices[0].key(&alice, &secrets()).unwrap().expose(), b"12345678901234567890");
}

#[test]
fn a_flipped_bit_in_any_byte_is_noticed() {
    let (alice, record) = record();
    let bytes = record.to_bytes(&alice, &secrets()).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << bit;
            assert!(Record::from_bytes(&altered, &alice, &secrets()).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_record_cut_or_lengthened_anywhere_is_noticed() {
    let (alice, record) = record();
    let mut bytes = record.to_bytes(&alice, &secrets()).unwrap();
    for length in 0..bytes.len() {
        assert!(Record::from_bytes(&bytes[..length], &alice, &secrets()).is_err(), "cut at {length}");
    }
    bytes.push(0);
    assert!(Record::from_bytes(&bytes, &alice, &secrets()).is_err());
}

#[test]
fn a_record_is_its_users_alone() {
    let (alice, record) = record();
    let bytes = record.to_bytes(&alice, &secrets()).unwrap();
    assert_eq!(Record::from_bytes(&bytes, &user("bob"), &secrets()), Err(Damaged::Altered));
}

#[test]
fn a_missing_secret_and_an_unknown_version_are_named() {
    let (alice, record) = record();
    let mut bytes = record.to_bytes(&alice, &secrets()).unwrap();
    let one = Secrets::new(TaggedSecrets::from_text("1: 0123456789abcdef").unwrap(), None).unwrap();
    assert_eq!(Record::from_bytes(&bytes, &alice, &one), Err(Damaged::NoSecret("2".into())));
    for version in [VERSION - 1, VERSION + 1] {
        bytes[0] = version;
        assert_eq!(Record::from_bytes(&bytes, &alice, &secrets()), Err(Damaged::Version(version)));
    }
}

/// With a tag that is as long as tags may be.
fn secrets_of_a_long_tag() -> Secrets {
    let text = format!("{}: 0123456789abcdef", "t".repeat(64));
    Secrets::new(TaggedSecrets::from_text(&text).unwrap(), None).unwrap()
}

#[test]
fn a_full_record_stays_within_what_the_store_takes() {
    // The year 2514.
    let latest = Moment::ordinary(1 << 34);
    let (alice, secrets) = (user(&"a".repeat(256)), secrets_of_a_long_tag());
    let label = Label::new(&"l".repeat(MAX_LABEL)).unwrap();
    let parameters = Parameters { alg: common::totp::Algorithm::Sha512, digits: 10, period: 120 };
    let mut record = Record::new(&latest);
    for n in 0..MAX_DEVICES {
        let mut device = device(&alice, &format!("{n}-{}", "x".repeat(30)), parameters);
        let key = Key::new(vec![1; 64]).unwrap();
        device.key = SealedKey::V2(Enckey::seal(&key, &secrets, &device.binding(&alice)).unwrap());
        (device.created, device.known_since, device.last_used) = (latest.now, latest.tick, Some(latest.now));
        let services = [format!("{n:032}")];
        device.restriction = Restriction::new(Some(1), Some(32_503_680_000), &services).unwrap();
        // Sixty-four logins, two days apart: in steps of two minutes a distance of two bytes.
        (0..65).for_each(|login| device.spent.spend(60_000_000 + login * 1440));
        if n < 4 {
            record.tombstones.bury(&device, &key, &secrets, latest.now);
        }
        record.devices.push(record.labelled(device, Some(&label), Some(&label)));
    }
    for network in 0..16 {
        record.sources.learn(Source::told(Some(&format!("2001:db8:0:{network}::1")), None), latest.now);
    }
    let (mut codes, key) = Codes::opened(None, &alice, &secrets).unwrap();
    let all = Recovery { codes: 10, expire: Some(Duration::from_secs(86400)) };
    codes.renew(&key, &all, &latest).unwrap();
    codes.give_bypass(&key, 3, Duration::from_secs(86400), &latest).unwrap();
    codes.give_ticket(&key, Duration::from_secs(86400), &latest).unwrap();
    record.codes = Some(codes);
    record.unlocked = Some(latest.tick);
    record.uid = Some(u32::MAX);
    let bytes = record.to_bytes(&alice, &secrets).unwrap();
    assert!(bytes.len() <= MAX_BYTES, "{} bytes", bytes.len());
    let read = Record::from_bytes(&bytes, &alice, &secrets).unwrap();
    for (device, before) in read.devices.iter().zip(&record.devices) {
        let spent = (0..65).map(|login| 60_000_000 + login * 1440);
        assert!(spent.into_iter().all(|step| !device.spent.accepts(step, step)), "nothing is revived");
        assert_eq!(device.spent.latest(u64::MAX), before.spent.latest(u64::MAX));
    }
}

#[test]
fn labels_are_kept_as_far_as_there_is_room() {
    let (_, mut record) = record();
    let label = |length| Some(Label::new(&"l".repeat(length)).unwrap());
    let labelled = |record: &Record, of: usize, with: usize| {
        let device = record.labelled(record.devices[0].clone(), label(of).as_ref(), label(with).as_ref());
        (device.label == label(of), device.issuer == label(with), device)
    };
    assert!(matches!(labelled(&record, 64, 64), (true, true, _)));
    assert!(matches!(labelled(&record, 65, 1), (false, true, _)));
    for _ in 0..2 {
        record.devices.push(labelled(&record, 64, 16).2);
    }
    assert!(matches!(labelled(&record, 64, 1), (true, false, _)));
}

#[test]
fn a_key_of_passlibs_opens_as_it_came_and_is_sealed_anew() {
    let (alice, mut record) = record();
    let device = &mut record.devices[0];
    let key = device.key(&alice, &secrets()).unwrap();
    device.key = SealedKey::V1(EnckeyV1::seal(&key, &secrets(), 1).unwrap());
    assert_eq!(device.key(&alice, &secrets()).unwrap().expose(), key.expose());
    device.reseal(&alice, &key, &secrets());
    assert!(matches!(device.key, SealedKey::V2(_)));
    assert_eq!(device.key(&alice, &secrets()).unwrap().expose(), key.expose());
    let sealed = device.clone();
    device.reseal(&alice, &key, &secrets());
    assert_eq!(*device, sealed, "once is enough");
}

#[test]
fn a_key_does_not_open_for_a_device_of_another_kind() {
    let alice = user("alice");
    let device = device(&alice, "default", Parameters::default());
    assert!(device.key(&alice, &secrets()).is_ok());
    assert!(Device { kind: Kind::Hotp, ..device }.key(&alice, &secrets()).is_err());
}

#[test]
fn pending_devices_are_forgotten_when_their_time_is_over() {
    let (_, mut record) = record();
    record.devices[0].state = State::Pending { expires: 100 };
    record.expire(99);
    assert_eq!(record.devices.len(), 1);
    record.expire(100);
    assert!(record.devices.is_empty());
}
