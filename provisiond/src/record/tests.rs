//! Tests of the record, and the records and devices that other tests use.

use common::names::device::Kind;
use common::secret::Key;
use common::secrets::TaggedSecrets;
use common::totp::Parameters;

use super::*;

pub(crate) fn secrets() -> Secrets {
    Secrets::new(
        TaggedSecrets::from_text("1: 0123456789abcdef\n2: fedcba9876543210").unwrap(),
        None,
    )
    .unwrap()
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
    Device::active(
        user,
        name,
        (&key, kind, parameters),
        &secrets(),
        &Moment::ordinary(0),
    )
    .unwrap()
}

pub(crate) fn record() -> (UserName, Record) {
    let alice = user("alice");
    let device = device(&alice, "default", Parameters::default());
    (
        alice,
        Record {
            generation: 7,
            enrolled: true,
            devices: vec![device],
            ..Record::new(&Moment::ordinary(0))
        },
    )
}

#[test]
fn labels_are_kept_as_far_as_there_is_room() {
    let (_, mut record) = record();
    let label = |length| Some(Label::new(&"l".repeat(length)).unwrap());
    let labelled = |record: &Record, of: usize, with: usize| {
        let device = record.labelled(
            record.devices[0].clone(),
            label(of).as_ref(),
            label(with).as_ref(),
        );
        (
            device.label == label(of),
            device.issuer == label(with),
            device,
        )
    };
    assert!(matches!(labelled(&record, 64, 64), (true, true, _)));
    assert!(matches!(labelled(&record, 65, 1), (false, true, _)));
    for _ in 0..2 {
        record.devices.push(labelled(&record, 64, 16).2);
    }
    assert!(matches!(labelled(&record, 64, 1), (true, false, _)));
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

#[test]
fn the_latest_step_that_was_spent_is_told_by_when_it_begins_whatever_the_periods_are() {
    let (alice, mut record) = record();
    assert_eq!(record.latest_spent(), 0);
    let slow = device(
        &alice,
        "slow",
        Parameters {
            period: 60,
            ..Parameters::default()
        },
    );
    record.devices.extend([
        slow,
        device_of(Kind::Hotp, &alice, "token", Parameters::default()),
    ]);
    record.devices[2].spend(&[5000]);
    assert_eq!(record.latest_spent(), 0, "counters are no times");
    record.devices[0].spend(&[100, 99]);
    assert_eq!(record.latest_spent(), 3000);
    record.devices[1].spend(&[51]);
    assert_eq!(record.latest_spent(), 3060);
}
