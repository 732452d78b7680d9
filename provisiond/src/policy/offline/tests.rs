//! Tests of the verdict on two codes at a host that is cut off.

use std::time::Duration;

use common::config::Policy;
use common::pairs::first_steps;
use common::secret::{Key, SecretText};
use common::totp::Parameters;

use super::*;
use crate::clock::doubt::Doubts;
use crate::record::State;
use crate::record::tests::{device, device_of, record, user};

const ITERATIONS_HERE: u32 = 2;
/// At the beginning of an even step.
const NOW: u64 = 1_800_000_000;

fn key() -> Key {
    Key::new(b"12345678901234567890".to_vec()).unwrap()
}

fn code(step: u64) -> String {
    Parameters::default().code_at(&key(), step).to_string()
}

fn step(time: u64) -> u64 {
    Parameters::default().step_at(time)
}

fn pair(first: u64) -> Answer {
    answer(&format!("{} {}", code(first), code(first + 1)))
}

fn answer(text: &str) -> Answer {
    Answer::parse(&[SecretText::new(text.to_owned())]).unwrap()
}

/// A device with twenty pairs from `first` on.
fn kept_device(id: u8, first: u64, salt: &[u8; 16]) -> KeptDevice {
    let id = [id; 16];
    let hashes = first_steps(first, first + 39).map(|step| {
        let place = Place {
            salt,
            device: &id,
            step,
        };
        hash([&code(step), &code(step + 1)], &place, ITERATIONS_HERE)
    });
    KeptDevice {
        id,
        digits: 6,
        period: 30,
        floor: first - 1,
        first,
        hashes: hashes.collect::<Vec<_>>().concat(),
        ..KeptDevice::default()
    }
}

fn kept() -> Kept {
    let salt = [7; 16];
    Kept {
        services: vec!["sshd".to_owned(), "sudo".to_owned()],
        made: NOW,
        salt,
        iterations: ITERATIONS_HERE,
        devices: vec![kept_device(1, step(NOW), &salt)],
        ..Kept::nothing(&user("alice"))
    }
}

/// Judges, and goes on with what is kept then.
fn judged(kept: &mut Kept, answer: &Answer, now: u64) -> Verdict {
    let judged = judge(kept, Some(answer), "sshd", now);
    *kept = judged.next.unwrap_or(kept.clone());
    judged.verdict
}

#[test]
fn a_pair_is_accepted_once_and_no_earlier_one_after_it() {
    let mut kept = kept();
    let now = step(NOW);
    let later = NOW + 90;
    let last = pair(now + 2);
    assert_eq!(judged(&mut kept, &last, later), Verdict::Accepted);
    assert_eq!(kept.devices[0].unreported, Some(now + 3));
    for used in [now, now + 2] {
        let verdict = judged(&mut kept, &pair(used), NOW + 60);
        assert!(
            [Verdict::AlreadyUsed, Verdict::Rejected].contains(&verdict),
            "{used}: {verdict:?}"
        );
    }
    assert_eq!(judged(&mut kept, &last, later), Verdict::AlreadyUsed);
    assert_eq!(kept.devices[0].floor, now + 3);
    assert_eq!(
        judged(&mut kept, &pair(now + 4), later + 60),
        Verdict::Accepted
    );
}

#[test]
fn a_pair_counts_while_its_second_code_is_shown_and_a_step_before_and_after() {
    let first = step(NOW) + 10;
    let begin = first * 30;
    for (now, verdict) in [
        (begin - 1, Verdict::Rejected),
        (begin, Verdict::Accepted),
        (begin + 30, Verdict::Accepted),
        (begin + 60, Verdict::Accepted),
        (begin + 89, Verdict::Accepted),
        (begin + 90, Verdict::Rejected),
    ] {
        assert_eq!(judged(&mut kept(), &pair(first), now), verdict, "{now}");
    }
    let mut slow = kept();
    slow.devices[0].drift = -4;
    assert_eq!(
        judged(&mut slow, &pair(first), begin + 120),
        Verdict::Accepted
    );
}

#[test]
fn nothing_but_two_codes_of_a_pair_opens_a_login() {
    let now = step(NOW) + 10;
    let time = now * 30 + 30;
    let [one, two, three] = [now, now + 1, now + 2].map(code);
    for (typed, verdict) in [
        (one.clone(), Verdict::TwoCodesNeeded),
        (two.clone(), Verdict::TwoCodesNeeded),
        (format!("{two} {one}"), Verdict::Rejected),
        (format!("{one} {one}"), Verdict::Rejected),
        (format!("{two} {three}"), Verdict::Rejected),
        (format!("{one}00 {two}00"), Verdict::Rejected),
        ("ABCD-EFGH-JKMN-PQRS".to_owned(), Verdict::Rejected),
        (format!("{one} {two}"), Verdict::Accepted),
    ] {
        let verdict_here = judged(&mut kept(), &answer(&typed), time);
        assert_eq!(verdict_here, verdict, "{typed}");
    }
    let none = judge(&kept(), None, "sshd", time);
    assert_eq!((none.verdict, none.next), (Verdict::Malformed, None));
}

#[test]
fn another_service_and_another_user_are_refused_as_a_wrong_pair_is() {
    let now = step(NOW) + 10;
    let time = now * 30 + 30;
    for (kept, service) in [
        (kept(), "su"),
        (Kept::nothing(&user("alice")), "sshd"),
        (kept().without_pairs(), "sshd"),
    ] {
        let judged = judge(&kept, Some(&pair(now)), service, time);
        assert_eq!(judged.verdict, Verdict::Rejected);
        assert_eq!(judged.next.unwrap().wrong, [time]);
    }
    let sister = judge(&kept(), Some(&pair(now)), "sudo-i", time);
    assert_eq!(sister.verdict, Verdict::Accepted);
}

#[test]
fn after_ten_wrong_pairs_none_is_judged_for_an_hour() {
    let mut kept = kept();
    for _ in 0..MOST_WRONG {
        let wrong = answer("000000 000001");
        assert_eq!(judged(&mut kept, &wrong, NOW), Verdict::Rejected);
    }
    let first = step(NOW) + 2;
    let right = pair(first);
    assert_eq!(judged(&mut kept, &right, NOW + 90), Verdict::Rejected);
    assert_eq!(kept.wrong.len(), MOST_WRONG, "the file does not grow");
    // An hour later, with pairs of that time.
    kept.devices = vec![kept_device(1, step(NOW + 3600), &kept.salt)];
    let later = pair(step(NOW + 3600));
    assert_eq!(judged(&mut kept, &later, NOW + 3600), Verdict::Accepted);
}

#[test]
fn while_the_clock_is_behind_what_it_was_no_pair_counts() {
    let mut kept = kept();
    let wrong = answer("000000 000001");
    assert_eq!(judged(&mut kept, &wrong, NOW + 600), Verdict::Rejected);
    let first = step(NOW) + 4;
    let back = judge(&kept, Some(&pair(first)), "sshd", first * 30 + 30);
    assert_eq!(
        (back.verdict, back.reason),
        (Verdict::Rejected, Some("clock_set_back"))
    );
    assert_eq!(back.next.unwrap().latest, NOW + 600);
}

#[test]
fn one_key_in_two_devices_opens_one_login() {
    let mut kept = kept();
    kept.devices.push(kept_device(2, step(NOW), &kept.salt));
    let first = step(NOW) + 2;
    assert_eq!(judged(&mut kept, &pair(first), NOW + 90), Verdict::Accepted);
    assert_eq!(kept.devices[0].floor, kept.devices[1].floor);
    assert_eq!(
        judged(&mut kept, &pair(first), NOW + 90),
        Verdict::AlreadyUsed
    );
}

#[test]
fn what_a_verifier_has_taken_opens_nothing_here() {
    let now = step(NOW) + 10;
    let time = now * 30 + 30;
    let single = answer(&code(now));
    for (typed, next) in [(&single, now + 4), (&pair(now), now + 12)] {
        let mut kept = used(&kept(), Some(typed), time);
        assert_eq!(judged(&mut kept, &pair(now), time), Verdict::AlreadyUsed);
        let later = next * 30 + 30;
        assert_eq!(judged(&mut kept, &pair(next), later), Verdict::Accepted);
    }
}

#[test]
fn pairs_are_kept_of_active_totp_devices_without_a_restriction() {
    let (alice, mut record) = record();
    assert_eq!(fit(&record).count(), 1);
    let parameters = Parameters::default();
    let mut restricted = device(&alice, "restricted", parameters);
    let services = ["sshd".to_owned()];
    restricted.restriction = Restriction::new(None, None, &services).unwrap();
    let mut disabled = device(&alice, "disabled", parameters);
    disabled.state = State::Disabled;
    let counted = device_of(Kind::Hotp, &alice, "counted", parameters);
    record.devices.extend([restricted, disabled, counted]);
    let names: Vec<&str> = fit(&record).map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["default"]);
    record.disabled = true;
    assert_eq!(fit(&record).count(), 0);
}

#[test]
fn no_pair_is_given_that_a_verifier_accepts_now_or_that_was_spent_or_is_in_doubt() {
    let (_, record) = record();
    let mut device = record.devices[0].clone();
    let moment = Moment::ordinary(NOW);
    let now = step(NOW);
    let given = steps(&device, POLICY.window, &moment);
    assert_eq!((*given.start(), *given.end()), (now + 2, now + 8 * 120));
    device.spent.spend(now + 9);
    assert_eq!(*steps(&device, POLICY.window, &moment).start(), now + 10);
    let doubts = Doubts {
        rolled_back: Some(NOW + 600),
        ..Doubts::default()
    };
    let doubtful = Moment { doubts, ..moment };
    assert!(*steps(&device, POLICY.window, &doubtful).start() > now + 20);
}

const POLICY: Policy = Policy {
    window: 1,
    budget: 5,
    refill: Duration::from_secs(86400),
    strict: false,
};
