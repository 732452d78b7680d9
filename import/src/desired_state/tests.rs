//! Tests of the desired state's file.

use super::*;

fn findings(text: &str) -> Vec<String> {
    let findings = read(text.as_bytes()).unwrap_err();
    findings.iter().map(ToString::to_string).collect()
}

fn device(name: &str) -> DesiredDevice {
    DesiredDevice {
        name: DeviceName::new(name).unwrap(),
        state: None,
        from: None,
        until: None,
        services: None,
    }
}

#[test]
fn a_file_says_what_users_and_devices_shall_be() {
    let text = "\
# staff
users:
  alice:
    state: active
    enroll: ticket
    devices:
      phone:
      token: {state: disabled, services: [sudo, su, sudo], from: 2026-12-01, until: 2026-12-01}
      loan: {services: [], from: ~, until: ~}
      old: {state: absent}
    exclusive: true
  'bob smith': {state: disabled}
  carol:
";
    let services = ["su", "sudo"].map(|name| ServiceName::new(name).unwrap());
    let plain = |line, user: &str| DesiredUser {
        line,
        user: UserName::new(user).unwrap(),
        disabled: None,
        ticket: false,
        exclusive: false,
        devices: Vec::new(),
    };
    assert_eq!(
        read(text.as_bytes()).unwrap(),
        [
            DesiredUser {
                disabled: Some(false),
                ticket: true,
                exclusive: true,
                devices: vec![
                    device("phone"),
                    DesiredDevice {
                        state: Some(DeviceWish::Disabled),
                        from: Some(Some(1_796_083_200)),
                        until: Some(Some(1_796_169_600)),
                        services: Some(services.to_vec()),
                        ..device("token")
                    },
                    DesiredDevice {
                        from: Some(None),
                        until: Some(None),
                        services: Some(Vec::new()),
                        ..device("loan")
                    },
                    DesiredDevice {
                        state: Some(DeviceWish::Absent),
                        ..device("old")
                    },
                ],
                ..plain(3, "alice")
            },
            DesiredUser {
                disabled: Some(true),
                ..plain(12, "bob smith")
            },
            plain(13, "carol"),
        ]
    );
}

#[test]
fn json_is_taken_and_a_file_may_name_no_user() {
    let users = read(br#"{"users": {"alice": {"devices": {"phone": {}}, "exclusive": false}}}"#);
    assert_eq!(users.unwrap()[0].devices, [device("phone")]);
    for empty in ["users:\n", "users: {}\n"] {
        assert_eq!(read(empty.as_bytes()).unwrap(), []);
    }
}

#[test]
fn everything_that_is_wrong_is_named_with_its_line() {
    let text = "\
users:
  alice:
    stat: disabled
    state: gone
    exclusive: 1
  a/b:
  bob:
    devices:
      my phone: {}
      phone: {from: tomorrow, services: sudo}
      token: {services: [1]}
      loan: {from: 2026-12-02, until: 2026-12-01}
      old: {state: absent, services: [sudo]}
  carol: {exclusive: true}
  dave: {state: disabled, enroll: ticket}
  erin: [phone]
  alice: {}
more: 1
";
    let wanted = [
        "line 18: 'more': it is not known here",
        "line 17: 'alice': it is on line 2 already",
        "line 3: 'stat': it is not known here",
        "line 4: 'state': write active or disabled",
        "line 5: 'exclusive': write true or false",
        "line 6: 'a/b': a user name cannot contain",
        "line 9: 'my phone': a device name has",
        "line 10: 'from': not a day",
        "line 10: 'services': write a list",
        "line 11: 'services': a service is not a text",
        "line 12: 'loan': 'until' is before 'from'",
        "line 13: 'old': nothing else can be said",
        "line 14: 'carol': 'exclusive' without a device",
        "line 15: 'dave': a ticket is of no use",
        "line 16: 'erin': keys with values are expected",
    ];
    let found = findings(text);
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for wanted in wanted {
        assert!(
            found.iter().any(|found| found.starts_with(wanted)),
            "{wanted}: {found:#?}"
        );
    }
}

#[test]
fn a_file_of_another_kind_is_refused_as_a_whole() {
    let long = format!("users: {{}}\n#{}", "x".repeat(MAX_BYTES));
    for (text, why) in [
        ("", "no section 'users'"),
        ("- alice\n", "no section 'users'"),
        ("user,device\nalice,phone\n", "no section 'users'"),
        ("people: {}\n", "no section 'users'"),
        ("root:$6$hash:1::\n", "no section 'users'"),
        ("users: {alice: {\n", "line"),
        (long.as_str(), "longer than 8 MiB"),
    ] {
        let found = findings(text);
        assert!(found[0].contains(why), "{why}: {found:?}");
        assert!(
            !found.concat().contains("hash"),
            "none of its text is shown"
        );
    }
    assert!(
        read(b"users: {\xff: {}}").unwrap_err()[0]
            .to_string()
            .contains("UTF-8")
    );
}

#[test]
fn a_finding_sends_no_control_characters() {
    let found = findings("users: {\"a\\e[2J\": {}}\n");
    assert!(!found[0].contains('\u{1b}'), "{found:?}");
}
