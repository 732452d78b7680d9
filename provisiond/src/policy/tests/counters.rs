//! Tests: HOTP devices.

use super::*;

/// Alice with an HOTP device that has spent `used` codes.
fn counting(used: u64) -> Life {
    let mut alice = Life::new();
    let device = device_of(Kind::Hotp, &user("alice"), "default", Parameters::default());
    alice.record.devices = vec![Device {
        spent: SpentSteps::default().with_floor(used),
        ..device
    }];
    alice
}

#[test]
fn codes_that_are_counted_are_those_of_rfc_4226_and_each_opens_one_login() {
    let mut alice = counting(0);
    for code in APPENDIX_D {
        assert_eq!(alice.verdict(code), Verdict::Accepted, "{code}");
        let judged = alice.judged(code, NONE);
        assert_eq!(
            (judged.verdict, judged.retry_after),
            (Verdict::AlreadyUsed, None),
            "{code}"
        );
    }
    assert_eq!(alice.left(), 5);
    assert_eq!(
        alice.verdict(APPENDIX_D[8]),
        Verdict::Rejected,
        "older ones are not looked for"
    );
}

#[test]
fn a_counter_looks_three_codes_ahead_and_ten_with_two_in_a_row() {
    for (ahead, verdict) in [
        (0, Verdict::Accepted),
        (2, Verdict::Accepted),
        (3, Verdict::Rejected),
    ] {
        let mut alice = counting(1);
        assert_eq!(alice.verdict(APPENDIX_D[1 + ahead]), verdict, "{ahead}");
        assert_eq!(
            alice.left(),
            if verdict == Verdict::Accepted { 5 } else { 4 },
            "one unit, as with a clock"
        );
    }
    let pair = APPENDIX_D[8].to_owned() + APPENDIX_D[9];
    for (used, verdict) in [
        (0, Verdict::Accepted),
        (8, Verdict::Accepted),
        (9, Verdict::AlreadyUsed),
    ] {
        assert_eq!(counting(used).verdict(&pair), verdict, "{used}");
    }
    let mut alice = counting(0);
    assert_eq!(
        alice.verdict(&(APPENDIX_D[9].to_owned() + APPENDIX_D[8])),
        Verdict::Rejected,
        "out of order"
    );
    assert_eq!(alice.verdict(&pair), Verdict::Accepted);
    for code in APPENDIX_D {
        assert_ne!(
            alice.verdict(code),
            Verdict::Accepted,
            "what was left out is used up, too: {code}"
        );
    }
}

#[test]
fn after_a_thousand_wrong_pairs_a_counter_looks_for_a_pair_at_as_many_places_as_for_a_code() {
    for (ahead, verdict) in [
        (0, Verdict::Accepted),
        (2, Verdict::Accepted),
        (3, Verdict::Rejected),
    ] {
        let mut alice = counting(1);
        let wrong = alice.wrong();
        for _ in 0..1000 {
            assert_eq!(alice.verdict(&(wrong.clone() + &wrong)), Verdict::Rejected);
        }
        let pair = APPENDIX_D[1 + ahead].to_owned() + APPENDIX_D[2 + ahead];
        assert_eq!(alice.verdict(&pair), verdict, "{ahead}");
    }
}

#[test]
fn a_wrong_code_does_not_move_a_counter_and_no_clock_does() {
    let mut alice = counting(3);
    let before = alice.record.devices.clone();
    let wrong = alice.wrong();
    for now in [0, NOW, u64::MAX] {
        alice.moment.now = now;
        assert_eq!(alice.verdict(&wrong), Verdict::Rejected);
    }
    assert_eq!(alice.record.devices, before);
    alice.moment.now = NOW;
    assert_eq!(alice.verdict(APPENDIX_D[3]), Verdict::Accepted);
    assert_eq!(alice.record.devices[0].drift, before[0].drift);
}

#[test]
fn a_counter_from_before_a_roll_back_opens_nothing() {
    let mut alice = counting(3);
    alice.moment.rolled_back_tick = Some(NOW - 86400 * 9);
    alice.record.unknown = Pool::full(&alice.moment);
    assert_eq!(alice.verdict(APPENDIX_D[4]), Verdict::Refused);
    alice.record.devices[0].known_since = NOW - 86400;
    assert_eq!(
        alice.verdict(APPENDIX_D[4]),
        Verdict::Accepted,
        "enrolled since"
    );
}

/// RFC 4226, Appendix D: the codes of the counters 0 to 9.
const APPENDIX_D: [&str; 10] = [
    "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
    "520489",
];
