//! Tests of what a file of `apply` changes.

use ::import::desired_state;

use super::*;

fn device(name: &str, state: DeviceState) -> OneDevice {
    OneDevice {
        name: name.to_owned(),
        state,
        from: None,
        until: None,
        services: Vec::new(),
    }
}

/// An enrolled user with an active phone, a disabled token and a pending tablet.
fn alice() -> UserState {
    UserState {
        disabled: false,
        enrolled: true,
        ticket: false,
        devices: vec![
            device("phone", DeviceState::Active),
            device("token", DeviceState::Disabled),
            device("tablet", DeviceState::Pending),
        ],
    }
}

fn desired(entry: &str) -> DesiredUser {
    let file = format!("users: {{alice: {entry}}}");
    desired_state::read(file.as_bytes()).unwrap().remove(0)
}

fn changes(before: &UserState, entry: &str) -> Vec<String> {
    let after = before.with(&desired(entry)).unwrap();
    let changes = before.changes_to(&after);
    changes
        .iter()
        .map(|change| change.sentence(false))
        .collect()
}

#[test]
fn what_the_file_leaves_out_stays_as_it_is() {
    for entry in [
        "{}",
        "{devices: {phone: , token: , tablet: }}",
        "{state: active}",
    ] {
        assert!(changes(&alice(), entry).is_empty(), "{entry}");
    }
    let disabled = UserState {
        disabled: true,
        ..alice()
    };
    assert!(changes(&disabled, "{devices: {token: {}}}").is_empty());
}

#[test]
fn a_state_that_is_made_is_not_made_again() {
    for entry in [
        "{state: disabled}",
        "{state: active, devices: {phone: {state: disabled, services: [su, sudo]}}}",
        "{devices: {token: {state: active, from: 2026-12-01, until: 2026-12-31}, phone: {state: absent}}}",
        "{exclusive: true, devices: {phone: {services: [sshd]}}}",
        "{enroll: ticket, devices: {watch: {state: active}}}",
    ] {
        for before in [alice(), UserState::default()] {
            let wish = desired(entry);
            let after = before.with(&wish).unwrap();
            assert_eq!(after.with(&wish), Ok(after.clone()), "{entry}");
            assert!(after.changes_to(&after).is_empty(), "{entry}");
        }
    }
}

#[test]
fn a_device_is_restricted_before_it_is_enabled_and_revoked_after_another_is() {
    let before = UserState {
        disabled: true,
        ..alice()
    };
    let entry = "{state: active, devices: {token: {state: active, services: [sudo]}, phone: {state: disabled}, \
                 tablet: {state: absent}}}";
    assert_eq!(
        changes(&before, entry),
        [
            "device 'phone' is disabled",
            "device 'token' is usable for sudo only",
            "device 'token' is enabled",
            "device 'tablet' is revoked",
            "the account is enabled",
        ]
    );
}

#[test]
fn a_bound_that_the_file_leaves_out_stays_beside_a_new_one() {
    let mut before = alice();
    before.devices[0].until = Some(2_000_000_000);
    before.devices[0].services = vec!["sudo".to_owned()];
    let after = |entry| before.with(&desired(entry)).unwrap().devices[0].clone();
    let from = after("{devices: {phone: {from: 2026-12-01}}}");
    assert_eq!(
        from.bounds(),
        (
            Some(1_796_083_200),
            Some(2_000_000_000),
            &["sudo".to_owned()][..]
        )
    );
    let lifted = after("{devices: {phone: {until: ~, services: []}}}");
    assert_eq!(lifted.bounds(), (None, None, &[][..]));
    let late = before.with(&desired("{devices: {phone: {from: 2040-01-01}}}"));
    assert!(late.unwrap_err().contains("end before it begins"));
}

#[test]
fn a_user_that_was_never_enrolled_gets_one_ticket() {
    let never = UserState::default();
    assert_eq!(changes(&never, "{enroll: ticket}"), ["a ticket is issued"]);
    let has_one = UserState {
        ticket: true,
        ..never
    };
    assert!(changes(&has_one, "{enroll: ticket}").is_empty());
    assert!(changes(&alice(), "{enroll: ticket}").is_empty());
}

#[test]
fn exclusive_revokes_the_other_devices_and_never_the_last_active_one() {
    assert_eq!(
        changes(&alice(), "{exclusive: true, devices: {phone: }}"),
        ["device 'token' is revoked", "device 'tablet' is revoked"]
    );
    for named in ["phnoe: ", "token: ", "tablet: "] {
        let entry = format!("{{exclusive: true, devices: {{{named}}}}}");
        let refused = alice().with(&desired(&entry)).unwrap_err();
        assert!(
            refused.contains("would revoke 'phone'"),
            "{entry}: {refused}"
        );
    }
    let entry = "{exclusive: true, devices: {token: {state: active}}}";
    assert_eq!(
        changes(&alice(), entry),
        [
            "device 'token' is enabled",
            "device 'phone' is revoked",
            "device 'tablet' is revoked"
        ]
    );
}

#[test]
fn a_device_that_waits_for_its_user_is_reported_and_not_made() {
    let wish = desired(
        "{devices: {watch: , old: {state: absent}, spare: {state: disabled}, tablet: {state: active}}}",
    );
    let after = alice().with(&wish).unwrap();
    assert_eq!(after, alice());
    assert_eq!(
        after.waiting(&wish),
        (vec!["watch".to_owned()], vec!["tablet".to_owned()])
    );
    let refused = alice().with(&desired("{devices: {tablet: {state: disabled}}}"));
    assert!(refused.unwrap_err().contains("waits for its first code"));
}
