//! Tests of issued codes: recovery codes, bypass, ticket.

use std::collections::BTreeSet;

use super::hashed::Hash;
use super::*;
use crate::record::tests::{secrets, user};

const DAY: u64 = 86400;
const NOW: u64 = 1000 * DAY;
const USUAL: Recovery = Recovery {
    codes: 10,
    expire: None,
};

fn at(now: u64) -> Moment {
    Moment::ordinary(now)
}

fn none() -> (Codes, Key) {
    Codes::opened(None, &user("alice"), &secrets()).unwrap()
}

fn typed(shown: &SecretText) -> IssuedCode {
    IssuedCode::parse(shown.expose()).unwrap()
}

fn wrong(text: &str) -> IssuedCode {
    IssuedCode::parse(text).unwrap()
}

/// Ten recovery codes, their set and its key.
fn ten() -> (Codes, Key, Vec<IssuedCode>) {
    let (mut codes, key) = none();
    let shown = codes.renew(&key, &USUAL, &at(NOW)).unwrap();
    (codes, key, shown.iter().map(typed).collect())
}

#[test]
fn each_of_ten_recovery_codes_is_right_once_in_any_order() {
    let (mut codes, key, all) = ten();
    let spellings: BTreeSet<&str> = all.iter().map(IssuedCode::expose).collect();
    assert_eq!((spellings.len(), all[0].expose().len()), (10, 16));
    for (used, code) in all.iter().rev().enumerate() {
        let before = codes.clone();
        assert_eq!(
            codes.try_code(
                &key,
                &wrong("aaaa-aaaa-aaaa-aaaa"),
                Purpose::Login,
                &at(NOW)
            ),
            None
        );
        assert_eq!(codes, before, "a wrong one uses nothing up");
        assert_eq!(
            codes.try_code(&key, code, Purpose::Login, &at(NOW)),
            Some(Finding::RecoveryCode(9 - used))
        );
        assert_eq!(codes.recovery_codes_left(&at(NOW)), 9 - used);
        assert_eq!(codes.try_code(&key, code, Purpose::Login, &at(NOW)), None);
    }
}

#[test]
fn new_recovery_codes_take_the_place_of_all_that_there_were() {
    let (mut codes, key, old) = ten();
    let new = codes
        .renew(
            &key,
            &Recovery {
                codes: 3,
                expire: None,
            },
            &at(NOW),
        )
        .unwrap();
    assert_eq!((new.len(), codes.recovery_codes_left(&at(NOW))), (3, 3));
    assert_eq!(
        codes.try_code(&key, &old[0], Purpose::Login, &at(NOW)),
        None
    );
    assert_eq!(
        codes.try_code(&key, &typed(&new[0]), Purpose::Login, &at(NOW)),
        Some(Finding::RecoveryCode(2))
    );
}

#[test]
fn recovery_codes_end_when_the_settings_said_so_and_a_clock_that_was_corrected_takes_none_away() {
    let (mut codes, key) = none();
    let year = Recovery {
        codes: 2,
        expire: Some(Duration::from_secs(365 * DAY)),
    };
    let code = typed(&codes.renew(&key, &year, &at(NOW)).unwrap()[0]);
    let late = at(NOW + 365 * DAY);
    assert_eq!(
        codes.try_code(&key, &code, Purpose::Login, &late),
        Some(Finding::Expired)
    );
    assert_eq!(codes.recovery_codes_left(&late), 0);
    let earlier = at(NOW - 3600);
    assert_eq!(
        codes.try_code(&key, &code, Purpose::Login, &earlier),
        Some(Finding::RecoveryCode(1))
    );
}

#[test]
fn a_bypass_opens_as_many_logins_as_it_was_given_for_and_proves_nothing() {
    let (mut codes, key) = none();
    let bypass = typed(
        &codes
            .give_bypass(&key, 2, Duration::from_secs(7200), &at(NOW))
            .unwrap(),
    );
    assert!(bypass.is_short());
    for purpose in [Purpose::Proof, Purpose::FirstDevice] {
        assert_eq!(codes.try_code(&key, &bypass, purpose, &at(NOW)), None);
    }
    assert_eq!(codes.bypass_left(&at(NOW)), Some((NOW + 7200, 2)));
    assert_eq!(
        codes.try_code(&key, &bypass, Purpose::Login, &at(NOW)),
        Some(Finding::Bypass(1))
    );
    assert_eq!(
        codes.try_code(&key, &bypass, Purpose::Login, &at(NOW + 7199)),
        Some(Finding::Bypass(0))
    );
    assert_eq!(
        codes.try_code(&key, &bypass, Purpose::Login, &at(NOW)),
        None
    );
}

#[test]
fn where_no_device_counts_a_bypass_does_and_a_recovery_code_does_not() {
    let (mut codes, key, all) = ten();
    let bypass = typed(
        &codes
            .give_bypass(&key, 1, Duration::from_secs(7200), &at(NOW))
            .unwrap(),
    );
    for purpose in [Purpose::LoginOutOfBounds, Purpose::Nothing] {
        assert_eq!(codes.try_code(&key, &all[0], purpose, &at(NOW)), None);
    }
    assert_eq!(
        codes.try_code(&key, &bypass, Purpose::Nothing, &at(NOW)),
        None
    );
    assert_eq!(
        codes.try_code(&key, &bypass, Purpose::LoginOutOfBounds, &at(NOW)),
        Some(Finding::Bypass(0))
    );
}

#[test]
fn a_bypass_is_good_within_its_time_only() {
    let (mut codes, key) = none();
    let bypass = typed(
        &codes
            .give_bypass(&key, 1, Duration::from_secs(7200), &at(NOW))
            .unwrap(),
    );
    for outside in [NOW - 1, NOW + 7200, u64::MAX, 0] {
        assert_eq!(
            codes.try_code(&key, &bypass, Purpose::Login, &at(outside)),
            Some(Finding::Expired),
            "{outside}"
        );
        assert_eq!(codes.bypass_left(&at(outside)), None);
    }
    let set_back = Moment {
        tick: NOW + 7200,
        ..at(NOW + 60)
    };
    assert_eq!(
        codes.try_code(&key, &bypass, Purpose::Login, &set_back),
        Some(Finding::Expired)
    );
    codes.expire(NOW + 7200);
    assert_eq!(
        codes.try_code(&key, &bypass, Purpose::Login, &at(NOW)),
        None,
        "a clock that is set back revives nothing"
    );
}

#[test]
fn five_wrong_codes_of_its_length_end_a_bypass_and_longer_ones_do_not() {
    let (mut codes, key) = none();
    let bypass = typed(
        &codes
            .give_bypass(&key, 1, Duration::from_secs(7200), &at(NOW))
            .unwrap(),
    );
    let mut try_it = |code: &IssuedCode, purpose| codes.try_code(&key, code, purpose, &at(NOW));
    for _ in 0..4 {
        assert_eq!(try_it(&wrong("aaaa-aaaa"), Purpose::Login), None);
        assert_eq!(try_it(&wrong("aaaa-aaaa-aaaa-aaaa"), Purpose::Login), None);
        assert_eq!(try_it(&wrong("aaaa-aaaa"), Purpose::Proof), None);
    }
    assert_eq!(
        try_it(&wrong("aaaa-aaaa"), Purpose::Login),
        Some(Finding::BypassGone)
    );
    assert_eq!(try_it(&bypass, Purpose::Login), None);
}

#[test]
fn a_ticket_is_good_once_for_a_first_device_and_for_nothing_else() {
    let (mut codes, key) = none();
    let ticket = typed(
        &codes
            .give_ticket(&key, Duration::from_secs(7 * DAY), &at(NOW))
            .unwrap(),
    );
    for purpose in [Purpose::Login, Purpose::Proof] {
        assert_eq!(codes.try_code(&key, &ticket, purpose, &at(NOW)), None);
    }
    let late = at(NOW + 7 * DAY);
    assert_eq!(
        codes.try_code(&key, &ticket, Purpose::FirstDevice, &late),
        Some(Finding::Expired)
    );
    assert_eq!(
        (codes.ticket_until(&at(NOW)), codes.ticket_until(&late)),
        (Some(NOW + 7 * DAY), None)
    );
    assert_eq!(
        codes.try_code(&key, &ticket, Purpose::FirstDevice, &at(NOW)),
        Some(Finding::Ticket)
    );
    assert_eq!(
        codes.try_code(&key, &ticket, Purpose::FirstDevice, &at(NOW)),
        None
    );
}

#[test]
fn a_recovery_code_is_no_ticket_although_it_looks_like_one() {
    let (mut codes, key, all) = ten();
    assert_eq!(
        codes.try_code(&key, &all[0], Purpose::FirstDevice, &at(NOW)),
        None
    );
    assert_eq!(
        codes.try_code(&key, &all[0], Purpose::Proof, &at(NOW)),
        Some(Finding::RecoveryCode(9))
    );
}

#[test]
fn the_same_text_has_another_hash_for_each_purpose() {
    let (_, key) = none();
    let code = wrong("abcd-efgh-ijkl-mnop");
    let hashes: BTreeSet<Hash> = [RECOVERY, BYPASS, TICKET]
        .iter()
        .filter_map(|p| hash(&key, p, &code))
        .collect();
    assert_eq!(hashes.len(), 3);
}

#[test]
fn what_was_given_before_a_roll_back_of_the_store_is_doubtful_until_it_is_given_anew() {
    let (mut codes, key, all) = ten();
    let bypass = typed(
        &codes
            .give_bypass(&key, 1, Duration::from_secs(7200), &at(NOW))
            .unwrap(),
    );
    let ticket = typed(
        &codes
            .give_ticket(&key, Duration::from_secs(7200), &at(NOW))
            .unwrap(),
    );
    let after = Moment {
        rolled_back_tick: Some(NOW),
        ..at(NOW)
    };
    let mut try_it = |code: &IssuedCode, purpose| codes.try_code(&key, code, purpose, &after);
    assert_eq!(try_it(&all[0], Purpose::Login), Some(Finding::Doubtful));
    assert_eq!(try_it(&bypass, Purpose::Login), Some(Finding::Doubtful));
    assert_eq!(
        try_it(&ticket, Purpose::FirstDevice),
        Some(Finding::Doubtful)
    );
    assert_eq!(
        (codes.recovery_codes_left(&after), codes.bypass_left(&after)),
        (0, None)
    );
    let new = codes.renew(&key, &USUAL, &after).unwrap();
    assert_eq!(
        codes.try_code(&key, &typed(&new[0]), Purpose::Login, &after),
        Some(Finding::RecoveryCode(9))
    );
}

#[test]
fn the_code_key_is_its_users_and_goes_along_when_they_are_renamed() {
    let (codes, _, all) = ten();
    let (alice, bob, secrets) = (user("alice"), user("bob"), secrets());
    assert!(Codes::opened(Some(&codes), &bob, &secrets).is_err());
    let renamed = codes.renamed(&alice, &bob, &secrets).unwrap();
    assert!(Codes::opened(Some(&renamed), &alice, &secrets).is_err());
    let (mut renamed, key) = Codes::opened(Some(&renamed), &bob, &secrets).unwrap();
    assert_eq!(
        renamed.try_code(&key, &all[3], Purpose::Login, &at(NOW)),
        Some(Finding::RecoveryCode(9))
    );
    assert!(codes.renamed(&bob, &alice, &secrets).is_err());
}

#[test]
fn where_the_code_key_does_not_open_new_codes_come_with_a_new_key() {
    let (codes, ..) = ten();
    let (bob, secrets) = (user("bob"), secrets());
    let (mut anew, key) = Codes::to_extend(Some(&codes), &bob, &secrets).unwrap();
    assert_eq!(anew.recovery_codes_left(&at(NOW)), 0);
    let shown = anew.renew(&key, &USUAL, &at(NOW)).unwrap();
    let (mut anew, key) = Codes::opened(Some(&anew), &bob, &secrets).unwrap();
    assert_eq!(
        anew.try_code(&key, &typed(&shown[0]), Purpose::Login, &at(NOW)),
        Some(Finding::RecoveryCode(9))
    );
}
