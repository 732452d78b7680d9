//! Tests of a device: its seal is bound to user, id, kind and parameters.

use super::*;
use crate::record::tests::{device, secrets, user};

#[test]
fn a_key_of_passlibs_opens_as_it_came_and_is_sealed_anew() {
    let alice = user("alice");
    let mut device = device(&alice, "default", Parameters::default());
    let key = device.key(&alice, &secrets()).unwrap();
    device.key = SealedKey::V1(EnckeyV1::seal(&key, &secrets(), 1).unwrap());
    assert_eq!(
        device.key(&alice, &secrets()).unwrap().expose(),
        key.expose()
    );
    device.reseal(&alice, &key, &secrets());
    assert!(matches!(device.key, SealedKey::V2(_)));
    assert_eq!(
        device.key(&alice, &secrets()).unwrap().expose(),
        key.expose()
    );
    let sealed = device.clone();
    device.reseal(&alice, &key, &secrets());
    assert_eq!(device, sealed, "once is enough");
}

#[test]
fn a_key_does_not_open_for_a_device_of_another_kind() {
    let alice = user("alice");
    let device = device(&alice, "default", Parameters::default());
    assert!(device.key(&alice, &secrets()).is_ok());
    assert!(
        Device {
            kind: Kind::Hotp,
            ..device
        }
        .key(&alice, &secrets())
        .is_err()
    );
}
