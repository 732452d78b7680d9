//! Tests of exemption rules, grace and roll-out.

use std::net::IpAddr;

use std::cell::Cell;

use common::config::exemptions::rules::Hours;
use common::config::limits::Block;
use common::config::values::calendar::{self, DateTime};
use common::config::values::group_days::{GroupDays, Scope};
use proptest::prelude::*;

use super::*;

/// What can be proven about the login of the test, one by one.
#[derive(Clone, Copy, Debug)]
struct Proven {
    user: bool,
    group: bool,
    place: bool,
    service: bool,
    time: bool,
}

const ALL: Proven = Proven {
    user: true,
    group: true,
    place: true,
    service: true,
    time: true,
};

/// A rule with these conditions. The login of the test meets each one that is proven.
fn rule(conditions: Proven) -> Rule {
    let user = || UserName::new("backup").unwrap();
    let some = |given: bool, text: &str| {
        if given {
            vec!["other".to_owned(), text.to_owned()]
        } else {
            Vec::new()
        }
    };
    let blocks =
        ["2001:db8::/32", "192.0.2.0/24"].map(|text| Place::Block(Block::parse(text).unwrap()));
    Rule {
        name: "the-rule".into(),
        users: if conditions.user {
            vec![UserName::new("other").unwrap(), user()]
        } else {
            Vec::new()
        },
        groups: some(conditions.group, "ansible"),
        from: if conditions.place {
            blocks.to_vec()
        } else {
            Vec::new()
        },
        services: some(conditions.service, "sshd"),
        hours: if conditions.time {
            vec![Hours::parse("wed 08:00-18:00").unwrap()]
        } else {
            Vec::new()
        },
    }
}

/// The demand on a login with these proven facts.
fn judge(exemptions: &Exemptions, proven: Proven, ever_enrolled: bool) -> Demand<'_> {
    let user = UserName::new(if proven.user { "backup" } else { "mallory" }).unwrap();
    let origin = Origin::told(
        Some(if proven.place {
            "192.0.2.7"
        } else {
            "backup.example.org"
        }),
        None,
    );
    let facts = Facts {
        user: &user,
        is_member: &|group| proven.group.then_some(group == "ansible"),
        origin: origin.as_ref(),
        service: proven.service.then_some("sshd"),
        time: &|| proven.time.then(noon),
        ever_enrolled,
        has_device: ever_enrolled,
        since: Since::default(),
        grace_period: None,
    };
    demand(exemptions, &facts)
}

/// A login at noon without other proven facts, of a user without any device in the past.
fn bare(user: &UserName) -> Facts<'_> {
    Facts {
        user,
        is_member: &|_| None,
        origin: None,
        service: None,
        time: &|| Some(noon()),
        ever_enrolled: false,
        has_device: false,
        since: Since::default(),
        grace_period: None,
    }
}

#[test]
fn what_time_it_is_is_asked_once_for_all_rules_and_not_if_none_goes_by_it() {
    let user = UserName::new("backup").unwrap();
    let asked = Cell::new(0);
    let time = || {
        asked.set(asked.get() + 1);
        None
    };
    let facts = Facts {
        time: &time,
        ever_enrolled: true,
        ..bare(&user)
    };
    for (hours, times) in [(rule(ALL).hours, 1), (Vec::new(), 0)] {
        asked.set(0);
        let bare = Rule {
            users: Vec::new(),
            groups: Vec::new(),
            from: Vec::new(),
            services: Vec::new(),
            ..rule(ALL)
        };
        let rules = vec![Rule { hours, ..bare }; 128];
        assert_eq!(
            demand(
                &Exemptions {
                    rules,
                    ..Exemptions::default()
                },
                &facts
            ),
            Demand::Code
        );
        assert_eq!(asked.get(), times);
    }
}

fn noon() -> DateTime {
    calendar::date("2026-11-25").unwrap().at(12, 0, 0, 0)
}

fn only(rule: Rule) -> Exemptions {
    Exemptions {
        rules: vec![rule],
        ..Exemptions::default()
    }
}

fn proven() -> impl Strategy<Value = Proven> {
    any::<[bool; 5]>().prop_map(|[user, group, place, service, time]| Proven {
        user,
        group,
        place,
        service,
        time,
    })
}

proptest! {
    /// Every condition of a rule must be proven, whatever else is proven.
    #[test]
    fn no_combination_of_what_is_not_proven_matches(conditions in proven(), proven in proven(), enrolled: bool) {
        let met = |given: bool, proven: bool| !given || proven;
        let all_met = met(conditions.user, proven.user)
            && met(conditions.group, proven.group)
            && met(conditions.place, proven.place)
            && met(conditions.service, proven.service)
            && met(conditions.time, proven.time);
        let exemptions = only(rule(conditions));
        let matches = all_met && !exemptions.rules[0].is_without_condition();
        let expected = if matches { Demand::Nothing("the-rule") } else { Demand::Code };
        prop_assert_eq!(judge(&exemptions, proven, enrolled), expected);
    }

    #[test]
    fn a_host_that_has_only_a_name_is_nowhere(name in "[a-z0-9.:%/-]{1,40}") {
        prop_assume!(name.parse::<IpAddr>().is_err());
        prop_assert_eq!(Origin::told(Some(&name), Some("pts/1")), None);
    }
}

#[test]
fn a_rule_without_conditions_matches_nobody() {
    let none = Proven {
        user: false,
        group: false,
        place: false,
        service: false,
        time: false,
    };
    assert_eq!(judge(&only(rule(none)), ALL, true), Demand::Code);
}

#[test]
fn the_first_rule_that_holds_is_named() {
    let named = |name: &str, conditions| Rule {
        name: name.into(),
        ..rule(conditions)
    };
    let service_and_time = Proven {
        user: false,
        group: false,
        place: false,
        ..ALL
    };
    let rules = vec![
        named("first", ALL),
        named("second", service_and_time),
        named("third", service_and_time),
    ];
    let exemptions = Exemptions {
        rules,
        ..Exemptions::default()
    };
    assert_eq!(judge(&exemptions, ALL, true), Demand::Nothing("first"));
    assert_eq!(
        judge(&exemptions, Proven { user: false, ..ALL }, true),
        Demand::Nothing("second")
    );
    assert_eq!(
        judge(&exemptions, Proven { time: false, ..ALL }, true),
        Demand::Code
    );
}

#[test]
fn only_the_consoles_of_this_machine_are_local() {
    let local = only(Rule {
        from: vec![Place::Local],
        ..rule(Proven {
            place: false,
            ..ALL
        })
    });
    for (rhost, tty, expected) in [
        (None, Some("/dev/tty1"), Demand::Nothing("the-rule")),
        (Some(""), Some("ttyS0"), Demand::Nothing("the-rule")),
        (None, Some("console"), Demand::Nothing("the-rule")),
        (None, Some("pts/3"), Demand::Code),
        (None, Some("/dev/pts/3"), Demand::Code),
        (None, Some("tty"), Demand::Code),
        (None, Some("tty1/../pts/3"), Demand::Code),
        (None, Some("ssh"), Demand::Code),
        (None, Some(":0"), Demand::Code),
        (Some("127.0.0.1"), Some("ssh"), Demand::Code),
        (Some("localhost"), Some("tty1"), Demand::Code),
        (None, None, Demand::Code),
        (Some(""), Some(""), Demand::Code),
    ] {
        let (user, origin) = (UserName::new("backup").unwrap(), Origin::told(rhost, tty));
        let facts = Facts {
            is_member: &|_| Some(true),
            origin: origin.as_ref(),
            service: Some("sshd"),
            ..bare(&user)
        };
        assert_eq!(demand(&local, &facts), expected, "{rhost:?} {tty:?}");
    }
}

#[test]
fn an_address_and_a_console_have_many_spellings() {
    assert_eq!(
        Origin::told(None, Some("/dev/tty1")),
        Origin::told(None, Some("tty1"))
    );
    assert_eq!(
        Origin::told(Some("::ffff:192.0.2.7"), None),
        Origin::told(Some("192.0.2.7"), Some("ssh"))
    );
    for nothing in [
        "192.0.2.7 ",
        "192.0.2.07",
        "3221225991",
        "0xc0000207",
        "192.0.2",
        "fe80::1%eth0",
        "[::1]",
    ] {
        assert_eq!(Origin::told(Some(nothing), Some("tty1")), None, "{nothing}");
    }
}

/// The settings for users without a device, applied to a never enrolled user and to one enrolled
/// before.
#[test]
fn who_never_had_a_device_is_let_by_as_the_settings_say_and_who_once_had_one_never() {
    let day = |text| calendar::date(text).unwrap();
    let until = |whom, text| RollOut {
        observe: false,
        enforce_after: GroupDays(vec![(whom, day(text))]),
    };
    let (staff, ansible) = (
        || Scope::Group("staff".into()),
        || Scope::Group("ansible".into()),
    );
    let observe = RollOut {
        observe: true,
        ..RollOut::default()
    };
    for (roll_out, unknown_users, expected) in [
        (RollOut::default(), UnknownUsers::Ask, Demand::Code),
        (
            RollOut::default(),
            UnknownUsers::Skip,
            Demand::Nothing(UNKNOWN_USERS),
        ),
        (RollOut::default(), UnknownUsers::Deny, Demand::Refusal),
        (
            until(Scope::All, "2026-11-26"),
            UnknownUsers::Ask,
            Demand::Nothing(ENFORCE_AFTER),
        ),
        (
            until(Scope::All, "2026-11-25"),
            UnknownUsers::Ask,
            Demand::Code,
        ),
        (
            until(ansible(), "2026-11-26"),
            UnknownUsers::Deny,
            Demand::Nothing(ENFORCE_AFTER),
        ),
        (
            until(staff(), "2027-11-26"),
            UnknownUsers::Deny,
            Demand::Refusal,
        ),
        (observe, UnknownUsers::Deny, Demand::Nothing(OBSERVE)),
    ] {
        let exemptions = Exemptions {
            roll_out,
            unknown_users,
            ..Exemptions::default()
        };
        assert_eq!(judge(&exemptions, ALL, false), expected, "{exemptions:?}");
        assert_eq!(
            judge(&exemptions, ALL, true),
            Demand::Code,
            "{exemptions:?}"
        );
    }
}

#[test]
fn the_day_is_looked_at_for_every_login_or_for_none() {
    let user = UserName::new("backup").unwrap();
    let past = RollOut {
        observe: false,
        enforce_after: GroupDays(vec![(Scope::All, calendar::date("2026-11-25").unwrap())]),
    };
    for (roll_out, expected) in [(past, 1), (RollOut::default(), 0)] {
        let exemptions = Exemptions {
            roll_out,
            ..Exemptions::default()
        };
        for ever_enrolled in [false, true] {
            let asked = Cell::new(0);
            let time = || {
                asked.set(asked.get() + 1);
                Some(noon())
            };
            let facts = Facts {
                time: &time,
                ever_enrolled,
                ..bare(&user)
            };
            assert_eq!(demand(&exemptions, &facts), Demand::Code);
            assert_eq!(asked.get(), expected, "{ever_enrolled}");
        }
    }
}

#[test]
fn without_a_clock_or_a_group_nobody_has_time_left() {
    let enforce_after = GroupDays(vec![(
        Scope::Group("ansible".into()),
        calendar::date("2026-12-01").unwrap(),
    )]);
    let exemptions = Exemptions {
        roll_out: RollOut {
            observe: false,
            enforce_after,
        },
        ..Exemptions::default()
    };
    assert_eq!(
        judge(&exemptions, ALL, false),
        Demand::Nothing(ENFORCE_AFTER)
    );
    for missing in [
        Proven { time: false, ..ALL },
        Proven {
            group: false,
            ..ALL
        },
    ] {
        assert_eq!(judge(&exemptions, missing, false), Demand::Code);
    }
}

#[test]
fn the_day_of_ones_group_comes_before_everybodys_and_of_several_groups_the_first() {
    let day = |text| calendar::date(text).unwrap();
    let (over, today, later) = (day("2026-11-24"), day("2026-11-25"), day("2026-11-26"));
    let (staff, both) = (
        &[("staff", Some(true))][..],
        &[("staff", Some(true)), ("pilots", Some(true))][..],
    );
    let (untold, none) = (&[("staff", Some(true)), ("pilots", None)][..], &[][..]);
    for (days, groups, is_let_by) in [
        (&[("staff", today), ("everybody", later)][..], staff, false),
        (&[("staff", today), ("everybody", later)], none, true),
        (&[("staff", later), ("everybody", over)], staff, true),
        (&[("staff", later), ("everybody", over)], none, false),
        (&[("pilots", over), ("everybody", later)], staff, true),
        (&[("pilots", later)], staff, false),
        (&[("staff", later), ("pilots", over)], both, false),
        (
            &[("pilots", over), ("staff", later), ("everybody", later)],
            both,
            false,
        ),
        (&[("pilots", later), ("staff", later)], both, true),
        (&[("staff", later)], untold, true),
        (&[("staff", later), ("pilots", later)], untold, false),
        (&[("pilots", over), ("everybody", later)], untold, false),
    ] {
        let exemptions = enforced_after(days);
        let told = |group: &str| match groups.iter().find(|(name, _)| *name == group) {
            Some((_, told)) => *told,
            None => Some(false),
        };
        let user = UserName::new("alice").unwrap();
        let demanded = demand(
            &exemptions,
            &Facts {
                is_member: &told,
                ..bare(&user)
            },
        );
        let expected = if is_let_by {
            Demand::Nothing(ENFORCE_AFTER)
        } else {
            Demand::Code
        };
        assert_eq!(demanded, expected, "{days:?} {groups:?}");
    }
}

/// Settings with these days of roll-out, of groups and of `everybody`.
fn enforced_after(days: &[(&str, Date)]) -> Exemptions {
    let whom = |name: &str| match name {
        "everybody" => Scope::All,
        group => Scope::Group(group.into()),
    };
    let days = days.iter().map(|(name, day)| (whom(name), *day));
    let enforce_after = GroupDays(days.collect());
    Exemptions {
        roll_out: RollOut {
            observe: false,
            enforce_after,
        },
        ..Exemptions::default()
    }
}

/// A code of the user was accepted so many seconds ago.
#[derive(Clone, Copy, Debug)]
struct Accepted {
    /// For the login's service, from the login's source.
    there: Option<u64>,
    /// On this machine.
    here: Option<u64>,
}

/// Settings with a grace of 100 seconds for `sshd` from the same source, and of 10 seconds for
/// `sudo` on this machine.
fn with_graces() -> Exemptions {
    let period = |span, service: &str| Period {
        span: Duration::from_secs(span),
        services: vec![service.into()],
    };
    let grace = Grace {
        same_source: Some(period(100, "sshd")),
        same_host: Some(period(10, "sudo")),
    };
    Exemptions {
        grace,
        unknown_users: UnknownUsers::Skip,
        ..Exemptions::default()
    }
}

/// Checks which grace lets in a user with a device, where the service file gives a grace of
/// `option` seconds. A user without a device left has none.
fn check_grace(
    service: Option<&str>,
    accepted: Accepted,
    option: Option<u64>,
    grace: Option<&str>,
) {
    let user = UserName::new("alice").unwrap();
    let since = Since {
        there: accepted.there.map(Duration::from_secs),
        here: accepted.here.map(Duration::from_secs),
    };
    let facts = Facts {
        service,
        ever_enrolled: true,
        has_device: true,
        since,
        grace_period: option.map(Duration::from_secs),
        ..bare(&user)
    };
    let settings = with_graces();
    let expected = grace.map_or(Demand::Code, Demand::Nothing);
    assert_eq!(
        demand(&settings, &facts),
        expected,
        "{service:?} {accepted:?} {option:?}"
    );
    let without_device = Facts {
        has_device: false,
        ..facts
    };
    assert_eq!(
        demand(&settings, &without_device),
        Demand::Code,
        "no device left"
    );
}

#[test]
fn an_accepted_code_counts_for_its_time_and_its_services_and_only_for_who_has_a_device() {
    for (service, there, here, grace) in [
        ("sshd", Some(99), Some(99), Some(SAME_SOURCE)),
        ("sshd", Some(100), Some(0), None),
        ("login", Some(0), Some(0), None),
        ("sudo", None, Some(9), Some(SAME_HOST)),
        ("sudo-i", None, Some(9), Some(SAME_HOST)),
        ("sudo", None, Some(10), None),
    ] {
        check_grace(Some(service), Accepted { there, here }, None, grace);
    }
}

#[test]
fn a_rule_for_a_service_is_one_for_its_sister_and_for_no_other() {
    let user = UserName::new("backup").unwrap();
    let named = |service: &str| Exemptions {
        rules: vec![Rule {
            services: vec![service.into()],
            name: "the-rule".into(),
            users: Vec::new(),
            groups: Vec::new(),
            from: Vec::new(),
            hours: Vec::new(),
        }],
        ..Exemptions::default()
    };
    for (name, service, exempts) in [
        ("sudo", "sudo-i", true),
        ("su-l", "su", true),
        ("sudo", "su", false),
        ("login", "remote", false),
    ] {
        let facts = Facts {
            service: Some(service),
            ..bare(&user)
        };
        let exemptions = named(name);
        let is_exempt = matches!(demand(&exemptions, &facts), Demand::Nothing(_));
        assert_eq!(is_exempt, exempts, "{name} {service}");
    }
}

#[test]
fn the_grace_of_the_service_file_counts_from_the_same_source_for_its_time() {
    for (service, there, here, option, grace) in [
        ("sshd", None, Some(0), 100, None),
        ("login", Some(49), None, 50, Some(GRACE_PERIOD)),
        ("login", Some(50), None, 50, None),
        ("login", Some(0), None, 0, None),
    ] {
        check_grace(Some(service), Accepted { there, here }, Some(option), grace);
    }
}

#[test]
fn a_login_of_no_trusted_service_has_no_grace() {
    let just_now = Accepted {
        there: Some(0),
        here: Some(0),
    };
    check_grace(None, just_now, Some(100), None);
}
