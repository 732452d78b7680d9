//! Tests of the section `rules`.

use super::*;
use crate::config::values::calendar;

fn parse(text: &str) -> Result<Vec<Rule>, String> {
    check(serde_yaml::from_str(text).map_err(|error| error.to_string())?)
}

fn rule(conditions: &str) -> Result<Rule, String> {
    parse(&format!("[{{name: some-rule, {conditions}}}]")).map(|mut rules| rules.remove(0))
}

#[test]
fn a_rule_has_every_kind_of_condition() {
    let rule = rule(
        "users: [backup, root], groups: ansible, from: [192.0.2.0/24, '2001:db8::/32', local], services: [sshd], \
         hours: ['mon-fri 08:00-18:00', sat]",
    )
    .unwrap();
    assert_eq!(
        rule.users.iter().map(UserName::as_str).collect::<Vec<_>>(),
        ["backup", "root"]
    );
    assert_eq!(
        (rule.groups, rule.services),
        (vec!["ansible".to_owned()], vec!["sshd".to_owned()])
    );
    assert_eq!(
        (rule.from.len(), rule.from[2], rule.hours.len()),
        (3, Place::Local, 2)
    );
}

#[test]
fn what_is_wrong_with_a_rule_is_said_with_its_name() {
    for (conditions, why) in [
        ("", "would exempt every user"),
        ("users: []", "'users' has 1 to 64 entries"),
        ("users: ['a/b']", "'a/b'"),
        ("groups: ['']", "no group can have that name"),
        ("from: [example.org]", "'example.org': write a block"),
        ("from: [192.0.2.1/24]", "'192.0.2.1/24'"),
        ("from: [Local]", "'Local'"),
        ("services: [SSHD]", "lower case"),
        ("services: [../sshd]", "'../sshd'"),
        ("services: ['']", "''"),
        ("hours: '25:00-26:00'", "mon-fri 08:00-18:00"),
    ] {
        let said = rule(conditions).unwrap_err();
        assert!(
            said.starts_with("rule 'some-rule': ") && said.contains(why),
            "{conditions}: {said}"
        );
    }
    let many = vec!["a"; 65].join(",");
    assert!(
        rule(&format!("users: [{many}]"))
            .unwrap_err()
            .contains("1 to 64 entries")
    );
}

/// YAML reads a key without a value as null, as after a line was emptied. Without that condition
/// the rule would exempt more users than before.
#[test]
fn a_condition_with_nothing_behind_it_is_refused_and_not_left_out() {
    for (key, other) in [
        ("users", "hours: sat"),
        ("groups", "hours: sat"),
        ("from", "hours: sat"),
        ("services", "hours: sat"),
        ("hours", "users: [a]"),
    ] {
        let with =
            |value: &str| parse(&format!("- name: some-rule\n  {other}\n  {key}: {value}\n"));
        for nothing in ["''", "[]", "['']", "[~]", "[null]", "{}", "!!null ''"] {
            let said = with(nothing).unwrap_err();
            assert!(said.contains(key), "{key}: {nothing}: {said}");
        }
        for nothing in ["", "~", "null", "Null", "# 192.0.2.0/24"] {
            let said = with(nothing).unwrap_err();
            assert!(
                said.contains(key) && said.contains("leave the key out"),
                "{key}: {nothing}: {said}"
            );
        }
        let said = with("~").unwrap_err();
        assert!(said.contains("line 3"), "{said}");
    }
}

#[test]
fn rules_are_few_and_each_has_a_name_of_its_own() {
    let named = |name: &str| parse(&format!("[{{name: '{name}', users: [a]}}]"));
    assert!(named("backup-from-lan-2").is_ok() && named(&"x".repeat(32)).is_ok());
    for name in [
        "",
        "Backup",
        "a b",
        "a_b",
        "a=b",
        "ä",
        "a\u{ad}",
        &"x".repeat(33),
    ] {
        assert!(
            named(name)
                .unwrap_err()
                .contains("cannot be the name of a rule"),
            "{name:?}"
        );
    }
    for taken in OUR_OWN {
        assert!(
            named(taken).unwrap_err().contains("another meaning"),
            "{taken}"
        );
    }
    let twice = "[{name: a, users: [b]}, {name: c, users: [b]}, {name: a, users: [d]}]";
    assert!(
        parse(twice)
            .unwrap_err()
            .contains("two rules are called 'a'")
    );
    let many: String = (0..65)
        .map(|n| format!("- {{name: r{n}, users: [a]}}\n"))
        .collect();
    assert!(parse(&many).unwrap_err().contains("at most 64"));
    assert!(
        parse("[{users: [a]}]")
            .unwrap_err()
            .contains("missing field `name`")
    );
    assert!(
        parse("[{name: a, user: [b]}]")
            .unwrap_err()
            .contains("unknown field `user`")
    );
    assert!(
        parse("[{name: a, users: {b: c}}]")
            .unwrap_err()
            .contains("a string or a list of strings")
    );
}

#[test]
fn hours_are_those_of_their_days() {
    // The week of Monday, 2026-11-23.
    let at = |weekday, hour, minute| {
        calendar::date(&format!("2026-11-{}", 23 + weekday))
            .unwrap()
            .at(hour, minute, 30, 0)
    };
    for (text, inside, outside) in [
        (
            "mon-fri 08:00-18:00",
            [at(0, 8, 0), at(4, 17, 59)],
            [at(0, 18, 0), at(5, 9, 0)],
        ),
        (
            "sat,sun",
            [at(5, 0, 0), at(6, 23, 59)],
            [at(4, 23, 59), at(0, 0, 0)],
        ),
        (
            "22:00-24:00",
            [at(0, 22, 0), at(6, 23, 59)],
            [at(0, 21, 59), at(1, 0, 0)],
        ),
        (
            "sat-mon,wed 00:00-00:01",
            [at(0, 0, 0), at(2, 0, 0)],
            [at(1, 0, 0), at(4, 0, 0)],
        ),
    ] {
        let hours = Hours::parse(text).unwrap();
        assert!(
            inside.iter().all(|time| hours.hold(*time))
                && !outside.iter().any(|time| hours.hold(*time)),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_hours_is_refused() {
    for text in [
        "",
        " ",
        "-",
        "monday",
        "Mon 08:00-09:00",
        "mon-fri  08:00-09:00",
        "mon- 08:00-09:00",
        "mon 8:00-9:00",
        "mon 08:00-08:00",
        "mon 18:00-08:00",
        "mon 08:00-24:01",
        "mon 08:60-09:00",
        "mon 08:00",
        "08:00-09:00 mon",
        "mon 08:00-09:00 x",
        "mon,, 08:00-09:00",
        "mon 08:00-09:00,10:00-11:00",
    ] {
        assert!(Hours::parse(text).is_err(), "{text:?}");
    }
}
