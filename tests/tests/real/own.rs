//! What people may do with their own devices: with a proof, within bounds, and never so that they
//! lock themselves out.

use serde_json::{Value, json};
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::PamCode;
use tests::sshd::{System, as_user};
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

use crate::roles::{DENIED, and, daemon_with_admins, everything, refusal, uid_of};

#[test]
fn a_program_of_the_users_own_lets_in_by_nullok_who_was_never_enrolled() {
    let _place = world::enter();
    let system = System::start();
    let module = world::for_everyone("libpam_totp.so");
    let line = format!(
        "auth required {} nullok\nauth required pam_permit.so",
        module.display()
    );
    system.service("totp-locker", &line);
    let unlock = |user: &str, typed: &str| {
        as_user(
            user,
            &["pamtester", "totp-locker", user, "authenticate"],
            typed,
        )
    };
    let alice = unlock("alice", "");
    assert_eq!(alice.status.code(), Some(0), "{alice:?}");
    assert!(!format!("{alice:?}").contains("code:"), "{alice:?}");
    let code = system.daemon.enroll("alice").code();
    assert_eq!(unlock("alice", "\n\n\n").status.code(), Some(1));
    assert_eq!(unlock("alice", &format!("{code}\n")).status.code(), Some(0));
    let others = unlock("bob", "");
    assert_eq!(others.status.code(), Some(0), "never enrolled: {others:?}");
    system
        .daemon
        .call(
            "SetState",
            &json!({ "user": "bob", "all": true, "state": "disabled" }),
        )
        .expect("a shut account");
    assert_eq!(unlock("bob", "\n\n\n").status.code(), Some(1));
}

#[test]
fn with_a_code_people_manage_their_own_devices() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let first = daemon.enroll("alice");
    let alice = |method: &str, parameters: Value| {
        daemon.call_as(&Caller::user("alice"), method, &parameters)
    };
    let [current, next] = first.pair();
    let told =
        alice("Enroll", json!({ "device": "second", "proof": current })).expect("a pending device");
    assert_eq!(
        (&told["user"], &told["state"]),
        (&json!("alice"), &json!("pending"))
    );
    let second = authenticator(&told);
    let device = |daemon: &Daemon, n: usize| shown(daemon, "alice")["devices"][n].clone();
    let pending = device(&daemon, 1);
    assert_eq!(
        pending["expires"].as_u64().expect("an end") - pending["created"].as_u64().expect("a time"),
        15 * 60
    );
    assert_eq!(
        alice("Confirm", json!({ "code": second.code() })).expect("a verdict")["verdict"],
        "accepted"
    );
    alice(
        "SetState",
        json!({ "device": "second", "state": "disabled", "proof": next }),
    )
    .expect("a change");
    assert_eq!(device(&daemon, 1)["state"], "disabled");
    assert_eq!(shown(&daemon, "alice")["budget"], 5);
    // A disabled device proves nothing.
    let refused = alice(
        "SetState",
        json!({ "device": "second", "state": "active", "proof": second.code_at(1) }),
    );
    assert_eq!(refusal(refused), "ProofRequired");
}

#[test]
fn a_wrong_proof_is_charged_like_a_guess_and_changes_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let first = daemon.enroll("alice");
    daemon
        .call("Enroll", &json!({ "user": "alice", "device": "waiting" }))
        .expect("a pending device");
    let before = shown(&daemon, "alice")["devices"].clone();
    let alice = |method: &str, parameters: &Value| {
        daemon.call_as(&Caller::user("alice"), method, parameters)
    };
    let calls = [
        ("Enroll", json!({})),
        (
            "SetState",
            json!({ "device": "default", "state": "disabled" }),
        ),
        ("Revoke", json!({ "device": "waiting" })),
    ];
    let mut left = 5;
    for (method, parameters) in &calls {
        for (proof, charged) in [
            (Value::Null, 0),
            (json!(""), 0),
            (json!("no code"), 0),
            (json!(first.wrong()), 1),
        ] {
            assert_eq!(
                refusal(alice(method, &and(parameters, "proof", &proof))),
                "ProofRequired",
                "{method} {proof}"
            );
            left -= charged;
            assert_eq!(daemon.budget("alice"), left, "{method} {proof}");
        }
    }
    assert_eq!(shown(&daemon, "alice")["devices"], before);
    let line = daemon
        .log
        .wait_for(&["event=revoke", " user=alice ", " error=ProofRequired "]);
    assert!(
        line.contains(" role=self ") && line.contains(&uid_of("alice")),
        "{line}"
    );
}

#[test]
fn to_be_asked_for_a_proof_costs_nothing_and_is_in_no_log() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let [current, next] = daemon.enroll("alice").pair();
    let before = everything(&daemon);
    let alice = |method: &str, parameters: Value| {
        daemon.call_as(&Caller::user("alice"), method, &parameters)
    };
    for _ in 0..10 {
        for (method, parameters) in [
            ("Enroll", json!({})),
            ("Revoke", json!({ "device": "default" })),
            ("NewRecoveryCodes", json!({})),
        ] {
            assert_eq!(
                refusal(alice(method, parameters)),
                "ProofRequired",
                "{method}"
            );
        }
    }
    assert_eq!(everything(&daemon), before);
    let pair = json!({ "user": "alice", "codes": [format!("{current} {next}")], "service": "locker", "rhost": "", "tty": "" });
    assert_eq!(
        alice("Verify", pair).expect("a verdict")["verdict"],
        "accepted",
        "a pair is judged all the same"
    );
    daemon.audited("alice", "accepted");
    assert!(daemon.logged(&[" user=alice ", " error="]).is_empty());
}

#[test]
fn when_no_guesses_are_left_a_proof_is_two_codes() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let first = daemon.enroll("alice");
    let alice =
        |proof: &str| daemon.call_as(&Caller::user("alice"), "Enroll", &json!({ "proof": proof }));
    let asked = |proof: &str| alice(proof).expect_err("no proof").1["ask"].clone();
    (0..4).for_each(|_| assert_eq!(asked(&first.wrong()), "one_code"));
    assert_eq!(asked(&first.wrong()), "two_codes");
    let [current, next] = first.pair();
    assert_eq!(asked(&current), "two_codes", "a single code is not judged");
    let told = daemon.totpctl_as("alice", &["recovery-codes"], &format!("{current}\n"));
    let told = String::from_utf8(told.stderr).expect("text");
    assert!(
        told.contains("type the next two codes on one line"),
        "{told}"
    );
    let pair = format!("{current} {next}");
    let told = daemon.totpctl_as("alice", &["recovery-codes"], &format!("{pair}\n"));
    assert!(told.status.success(), "it was not spent: {told:?}");
    assert_eq!(refusal(alice(&pair)), "ProofRequired", "the pair was");
}

#[test]
fn a_user_that_names_no_user_means_the_own_account_and_root_must_name_one() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let first = daemon.enroll("alice");
    let alice = |arguments: &[&str], typed: &str| {
        let told = daemon.totpctl_as("alice", &[&["--json"], arguments].concat(), typed);
        assert!(told.status.success(), "{arguments:?}: {told:?}");
        serde_json::from_slice::<Value>(&told.stdout).expect("JSON")
    };
    let enrol = ["enroll", "--device", "second"];
    let told = alice(&enrol, &format!("{}\n", first.code()));
    assert_eq!(told["user"], "alice");
    let second = authenticator(&told);
    let told = alice(&["confirm"], &format!("{}\n", second.code()));
    assert_eq!(told["verdict"], "accepted");
    let [_, proof] = first.pair();
    let told = alice(&["revoke", "--device", "second"], &format!("{proof}\n"));
    assert_eq!(told["device"], "second");
    assert_eq!(alice(&["show"], "")["user"], "alice");
    alice(&["why"], "");
    let told = daemon.totpctl_as("bob", &["show"], "");
    let words = String::from_utf8(told.stderr).expect("text");
    assert!(words.contains("you have no device"), "{words}");

    daemon.enroll("root");
    let before = daemon.call("Show", &json!({ "user": "root" }));
    for command in [
        "enroll",
        "show",
        "why",
        "confirm",
        "recovery-codes",
        "revoke",
        "disable",
        "enable",
        "resync",
        "restrict",
        "revoke-grace",
    ] {
        let told = daemon.totpctl(&[command], "123456\n");
        assert_eq!(told.status.code(), Some(2), "{command}: {told:?}");
        let words = String::from_utf8(told.stderr).expect("text");
        assert!(words.contains("name the user"), "{command}: {words}");
    }
    let after = daemon.call("Show", &json!({ "user": "root" }));
    assert_eq!(before, after, "root's own devices are as they were");
}

#[test]
fn a_proof_is_spent_whatever_becomes_of_the_change() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let alice = |device: &str| {
        daemon.call_as(
            &Caller::user("alice"),
            "Enroll",
            &json!({ "device": device, "proof": code }),
        )
    };
    assert_eq!(refusal(alice("default")), "DeviceExists");
    assert_eq!(refusal(alice("another")), "ProofRequired", "it is spent");
    let stack = Stack::of(&daemon, "spent-proof", "retry=1");
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::AUTH_ERR);
    daemon.audited("alice", "already_used");
    assert_eq!(daemon.budget("alice"), 5, "a replay is no guess");
}

#[test]
fn people_cannot_take_their_last_active_device_away() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let [current, next] = daemon.enroll("alice").pair();
    daemon
        .call("Enroll", &json!({ "user": "alice", "device": "pending" }))
        .expect("a pending device");
    let disable = json!({ "device": "default", "state": "disabled" });
    let alice = |method: &str, parameters: Value| {
        daemon.call_as(&Caller::user("alice"), method, &parameters)
    };
    let refused = alice("SetState", and(&disable, "proof", &json!(current))).unwrap_err();
    assert_eq!(
        (refused.0.as_str(), &refused.1["field"]),
        ("BadParameter", &json!("device")),
        "{refused:?}"
    );
    let refused = alice("Revoke", json!({ "device": "default", "proof": next })).unwrap_err();
    assert!(
        refused.1["why"]
            .as_str()
            .expect("a sentence")
            .contains("last active device"),
        "{refused:?}"
    );
    assert_eq!(shown(&daemon, "alice")["devices"][0]["state"], "active");
    let admin = |method: &str, parameters: Value| {
        daemon.call_as(&Caller::user("carol"), method, &parameters)
    };
    assert!(
        admin("SetState", and(&disable, "user", &json!("alice"))).is_ok(),
        "an administrator can"
    );
    assert!(admin("Revoke", json!({ "user": "alice", "device": "default" })).is_ok());
}

#[test]
fn two_devices_cannot_be_taken_away_at_once() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let mut revoked = 0;
    for round in 0..10 {
        for device in ["left", "right"] {
            let _ = daemon.call("Revoke", &json!({ "user": "alice", "device": device }));
        }
        let [left, right] = ["left", "right"].map(|device| {
            let told = daemon.call(
                "Enroll",
                &json!({ "user": "alice", "device": device, "active": true }),
            );
            authenticator(&told.expect("a device")).code()
        });
        let revoke = |device: &str, proof: &str| {
            let parameters = json!({ "device": device, "proof": proof });
            daemon
                .call_as(&Caller::user("alice"), "Revoke", &parameters)
                .is_ok()
        };
        let gone = std::thread::scope(|scope| {
            // Each with a code of the other one, so that both are proven.
            let first = scope.spawn(|| revoke("left", &right));
            let second = scope.spawn(|| revoke("right", &left));
            [first, second]
                .map(|thread| usize::from(thread.join().expect("an answer")))
                .iter()
                .sum::<usize>()
        });
        assert!(gone <= 1, "round {round}");
        revoked += gone;
        let devices = shown(&daemon, "alice")["devices"].clone();
        assert_eq!(
            devices.as_array().map(Vec::len),
            Some(2 - gone),
            "round {round}: {devices}"
        );
    }
    assert!(revoked > 0, "no try ever got through");
}

#[test]
fn what_is_for_administrators_people_cannot_choose_for_themselves() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let first = daemon.enroll("alice");
    let code = first.code();
    let before = everything(&daemon);
    for (field, value) in [
        ("key", json!("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")),
        ("active", json!(true)),
        ("active", json!(false)),
        ("alg", json!("sha1")),
        ("alg", json!("sha512")),
        ("digits", json!(6)),
        ("digits", json!(10)),
        ("period", json!(30)),
        ("period", json!(120)),
        ("kind", json!("totp")),
        ("counter", json!(0)),
        ("valid_from", json!(0)),
        ("valid_until", json!(4_000_000_000_u64)),
        ("services", json!([])),
    ] {
        let refused = daemon.logged(&["event=not_permitted"]).len();
        let parameters = and(
            &json!({ "user": "alice", "device": "own", "proof": code }),
            field,
            &value,
        );
        assert_eq!(
            refusal(daemon.call_as(&Caller::user("alice"), "Enroll", &parameters)),
            DENIED,
            "{field} {value}"
        );
        assert_eq!(everything(&daemon), before, "{field} {value}");
        let audited = [
            "event=not_permitted",
            " method=Enroll ",
            " user=alice ",
            &uid_of("alice"),
        ];
        // Ten in a minute are told one by one.
        daemon.log.wait_for_many((refused + 1).min(10), &audited);
    }
    let told = daemon.call_as(
        &Caller::user("alice"),
        "Enroll",
        &json!({ "proof": code, "label": "mine", "issuer": "me" }),
    );
    let uri = told.expect("the proof was not spent")["uri"]
        .as_str()
        .expect("a URI")
        .to_owned();
    assert!(
        uri.contains("mine") && uri.contains("issuer=me"),
        "the words on the screen are their own: {uri}"
    );
}

#[test]
fn who_has_no_device_cannot_enrol_one_and_leaves_no_trace() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let before = everything(&daemon);
    for parameters in [
        json!({}),
        json!({ "proof": "123456" }),
        json!({ "proof": "123456 654321" }),
    ] {
        assert_eq!(
            refusal(daemon.call_as(&Caller::user("bob"), "Enroll", &parameters)),
            "ProofRequired"
        );
    }
    let verdict = daemon.call_as(
        &Caller::user("bob"),
        "Verify",
        &json!({ "user": "bob", "codes": ["1"], "service": "x" }),
    );
    assert_eq!(verdict.expect("a verdict")["verdict"], "not_enrolled");
    for method in ["Show", "Revoke"] {
        assert_eq!(
            refusal(daemon.call_as(&Caller::user("bob"), method, &json!({}))),
            "NoSuchUser",
            "{method}"
        );
    }
    assert_eq!(everything(&daemon), before);
}

pub(crate) fn shown(daemon: &Daemon, user: &str) -> Value {
    daemon
        .call("Show", &json!({ "user": user }))
        .expect("what is known of the user")["user"]
        .clone()
}

#[test]
fn first_codes_by_the_users_own_processes_cost_guesses_however_many_are_tried_at_once() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let told = daemon
        .call("Enroll", &json!({ "user": "alice" }))
        .expect("a pending device");
    let device = authenticator(&told);
    let confirm = |code: &str| {
        daemon
            .call_as(&Caller::user("alice"), "Confirm", &json!({ "code": code }))
            .expect("a verdict")["verdict"]
            .clone()
    };
    let wrong = device.wrong_codes(8);
    let verdicts: Vec<Value> = std::thread::scope(|scope| {
        let tried: Vec<_> = wrong
            .iter()
            .map(|code| scope.spawn(|| confirm(code)))
            .collect();
        let verdicts = tried.into_iter().map(|one| one.join().expect("a verdict"));
        verdicts.collect()
    });
    let judged = verdicts.iter().filter(|verdict| **verdict == "rejected");
    assert_eq!(judged.count(), 5, "{verdicts:?}");
    assert_eq!(daemon.budget("alice"), 0);
    let [current, next] = device.pair();
    assert_eq!(confirm(&current), "two_codes_needed");
    assert_eq!(confirm(&format!("{current} {next}")), "accepted");
    for code in [current, next] {
        let attempt = json!({ "user": "alice", "service": "own", "codes": [code] });
        let told = daemon.call("Verify", &attempt).expect("a verdict");
        assert_ne!(told["verdict"], "accepted", "both are spent");
    }
}

#[test]
fn of_many_enrolments_of_one_device_at_once_one_makes_it_and_the_others_are_told() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for (user, device, active) in [
        ("alice", None, true),
        ("bob", None, false),
        ("carol", Some("phone"), false),
    ] {
        // Programs that were started a minute ago, and call one after the other or together.
        let about = json!({ "user": user, "device": device, "active": active, "age": 60_000 });
        let told: Vec<_> = std::thread::scope(|scope| {
            let enroll = || daemon.call("Enroll", &about);
            let all: Vec<_> = (0..16).map(|_| scope.spawn(enroll)).collect();
            let all = all.into_iter().map(|one| one.join().expect("an answer"));
            all.collect()
        });
        let made = told.iter().filter(|told| told.is_ok());
        assert_eq!(made.count(), 1, "{user}: {told:?}");
        for (_, why) in told.into_iter().filter_map(Result::err) {
            let why = why["why"].as_str().unwrap_or_default();
            let is_told = why.contains("ran at the same time") || why.contains("are waiting");
            assert!(is_told, "{user}: {why}");
        }
        let devices = shown(&daemon, user)["devices"].clone();
        assert_eq!(devices.as_array().map(Vec::len), Some(1), "{user}");
    }
    let later = daemon.call("Enroll", &json!({ "user": "alice", "active": true }));
    assert_eq!(later.expect("a further device")["device"], "device-2");
    let at_once = json!({ "user": "carol", "device": "desk", "age": 60_000 });
    let desk = daemon.call("Enroll", &at_once);
    assert_eq!(desk.expect("another device")["device"], "desk");
    let again = daemon.call("Enroll", &json!({ "user": "carol", "device": "phone" }));
    assert_eq!(again.expect("a new beginning")["device"], "phone");
}

#[test]
fn of_many_programs_that_a_script_starts_to_enrol_a_user_one_makes_the_device() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("bob");
    // On a busy machine one has ended before the next one starts.
    for _ in 0..8 {
        let told = daemon.totpctl(&["enroll", "bob", "--yes"], "");
        let why = String::from_utf8_lossy(&told.stderr);
        assert!(why.contains("ran at the same time"), "{told:?}");
    }
    daemon.enroll_as("bob", "spare");
    let devices = shown(&daemon, "bob")["devices"].clone();
    assert_eq!(devices.as_array().map(Vec::len), Some(2), "{devices}");
}

#[test]
fn an_administrator_who_mistypes_a_first_code_costs_the_user_no_guess() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let told = daemon
        .call("Enroll", &json!({ "user": "alice" }))
        .expect("a pending device");
    let device = authenticator(&told);
    for code in device.wrong_codes(6) {
        let told = daemon.call("Confirm", &json!({ "user": "alice", "code": code }));
        assert_eq!(told.expect("a verdict")["verdict"], "rejected");
    }
    assert_eq!(daemon.budget("alice"), 5);
}

#[test]
fn the_same_wrong_pair_again_within_its_step_is_no_other_try() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks.of(Setup::new()).start();
    daemon.enroll("alice");
    let pair = json!({ "user": "alice", "codes": ["000000 000000"], "service": "own" });
    for n in 0..30 {
        let told = daemon
            .call_as(&Caller::user("alice"), "Verify", &pair)
            .expect("a verdict");
        assert_eq!(told["verdict"], "rejected", "pair {n}");
    }
}

#[test]
fn a_process_of_ones_own_has_twenty_wrong_pairs_and_then_waits_while_logins_go_on() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let [current, next] = daemon.enroll("alice").pair();
    let alice = |method: &str, parameters: Value| {
        daemon.call_as(&Caller::user("alice"), method, &parameters)
    };
    let pair = |codes: &str| {
        alice(
            "Verify",
            json!({ "user": "alice", "codes": [codes], "service": "own" }),
        )
    };
    for n in 0..20 {
        assert_eq!(
            pair(&format!("0000{n:02} 000000")).expect("a verdict")["verdict"],
            "rejected",
            "pair {n}"
        );
    }
    let right = format!("{current} {next}");
    assert_eq!(
        pair(&right).expect("a verdict")["verdict"],
        "busy",
        "not even the right one is judged"
    );
    assert_eq!(
        refusal(alice(
            "Revoke",
            json!({ "device": "default", "proof": right })
        )),
        "Busy"
    );
    assert_eq!(
        refusal(alice("Confirm", json!({ "code": "000000" }))),
        "Busy"
    );
    let stack = Stack::of(&daemon, "own-pairs", "retry=1");
    assert_eq!(
        stack.login("alice", &[&current]).code,
        PamCode::SUCCESS,
        "root's logins are not counted"
    );
    assert_eq!(daemon.budget("alice"), 5);
}
