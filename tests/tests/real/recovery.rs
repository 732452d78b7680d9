//! The ways back in: recovery codes, a bypass, a ticket, guesses given back.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::count;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::PamCode;
use tests::race::{Race, overlap, successes};
use tests::sshd::{Client, Sshd, System};
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

use crate::clock::copy_store;
use crate::codes::login_at_a_terminal;
use crate::own::shown;
use crate::roles::{DENIED, and, daemon_with_admins, refusal, uid_of};

#[test]
fn a_recovery_code_opens_one_login_however_it_is_typed() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let codes = enroll_with_codes(&daemon, "alice");
    let stack = Stack::of(&daemon, "recovery", "retry=1");
    let spellings: [fn(&str) -> String; 4] = [
        str::to_owned,
        str::to_uppercase,
        |code| code.replace('-', " "),
        misread,
    ];
    for (code, spelling) in codes.iter().zip(spellings) {
        let typed = spelling(code);
        assert_eq!(
            stack.login("alice", &[&typed]).code,
            PamCode::SUCCESS,
            "{typed}"
        );
        assert_eq!(
            stack.login("alice", &[code]).code,
            PamCode::AUTH_ERR,
            "{code} a second time"
        );
    }
    assert_eq!(shown(&daemon, "alice")["recovery_codes_left"], 6);
    assert_eq!(daemon.budget("alice"), 5, "wrong ones cost no guess");
    let line = daemon
        .log
        .wait_for(&["event=recovery_code_used ", " user=alice ", " left=6 "]);
    assert!(
        line.contains(" for=recovery ") && !line.contains(&codes[3]),
        "{line}"
    );
}

#[test]
fn whoever_uses_one_of_the_last_is_told_at_the_login() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let codes = enroll_with_codes(&daemon, "alice");
    let stack = Stack::of(&daemon, "few-left", "retry=1");
    let told: Vec<String> = codes
        .iter()
        .map(|code| {
            stack
                .login("alice", &[code])
                .told()
                .first()
                .copied()
                .unwrap_or("")
                .to_owned()
        })
        .collect();
    assert_eq!(told[..6], [""; 6]);
    assert_eq!(
        told[6],
        "You have 3 recovery codes left. Run 'totpctl recovery-codes' to get new ones."
    );
    assert_eq!(
        told[9],
        "That was your last recovery code. Run 'totpctl recovery-codes' to get new ones."
    );
}

#[test]
fn of_32_processes_with_one_recovery_code_released_together_exactly_one_gets_in() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "recovery-race", "retry=1");
    let mut race = Race::new(&stack, 32);
    let (mut overlapped, rounds) = (0, count("PAM_TOTP_RACE_ROUNDS", 50));
    let mut codes = Vec::new();
    for round in 0..rounds {
        if codes.is_empty() {
            let user = format!("racer-{round:05}");
            codes = enroll_with_codes(&daemon, &user)
                .into_iter()
                .map(|code| (user.clone(), code))
                .collect();
        }
        let (user, code) = codes.pop().expect("a code");
        let outcomes = race.round(&user, &code);
        assert_eq!(successes(&outcomes), 1, "{user}: {outcomes:?}");
        overlapped += usize::from(overlap(&outcomes) > 1);
    }
    assert!(
        overlapped * 2 > rounds,
        "only {overlapped} of {rounds} rounds were races"
    );
}

#[test]
fn a_used_recovery_code_stays_used_when_the_daemon_is_killed() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let codes = enroll_with_codes(&daemon, "alice");
    let stack = Stack::of(&daemon, "killed", "retry=1");
    assert_eq!(stack.login("alice", &[&codes[0]]).code, PamCode::SUCCESS);
    daemon.kill();
    daemon.start_again();
    assert_eq!(stack.login("alice", &[&codes[0]]).code, PamCode::AUTH_ERR);
    assert_eq!(stack.login("alice", &[&codes[1]]).code, PamCode::SUCCESS);
}

#[test]
fn a_recovery_code_is_accepted_while_two_codes_are_asked_for_and_from_a_network_that_guesses() {
    let _place = world::enter();
    let daemon = Setup::new().with("limits: {per-source: 3}\n").start();
    let codes = enroll_with_codes(&daemon, "alice");
    let verify = |code: &str| {
        let attempt =
            json!({ "user": "alice", "codes": [code], "service": "x", "rhost": "192.0.2.9" });
        daemon.call("Verify", &attempt).expect("a verdict")
    };
    for _ in 0..5 {
        let _ = verify("no such");
    }
    assert_eq!(verify("123456")["verdict"], "two_codes_needed");
    let told = verify(&codes[0]);
    assert_eq!(
        (
            &told["verdict"],
            &told["recovery_codes_left"],
            &told["device"]
        ),
        (&json!("accepted"), &json!(9), &Value::Null)
    );
}

#[test]
fn wrong_codes_of_that_form_count_for_their_source_and_run_out_for_ones_own_processes() {
    let _place = world::enter();
    let daemon = Setup::new().with("limits: {per-source: 3}\n").start();
    let device = authenticator(
        &daemon
            .call("Enroll", &json!({ "user": "alice", "active": true }))
            .expect("a device"),
    );
    let attempt = |code: &str| json!({ "user": "alice", "codes": [code], "service": "x", "rhost": "192.0.2.9" });
    for user in ["alice", "nobody-here", "alice"] {
        let attempt = json!({ "user": user, "codes": ["aaaa-bbbb-cccc-dddd"], "service": "x", "rhost": "192.0.2.9" });
        daemon.call("Verify", &attempt).expect("a verdict");
    }
    daemon
        .log
        .wait_for(&["event=source_limited ", " source=192.0.2.9 "]);
    assert_eq!(
        daemon
            .call("Verify", &attempt(&device.code()))
            .expect("a verdict")["verdict"],
        "two_codes_needed"
    );
    let alice = || {
        daemon
            .call_as(
                &Caller::user("alice"),
                "Verify",
                &attempt("aaaa-bbbb-cccc-dddd"),
            )
            .expect("a verdict")
    };
    for n in 0..20 {
        assert_eq!(alice()["verdict"], "rejected", "try {n}");
    }
    assert_eq!(alice()["verdict"], "busy");
    assert_eq!(daemon.budget("alice"), 5);
}

#[test]
fn who_lost_the_device_gets_in_and_enrols_another_with_recovery_codes_alone() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let codes = enroll_with_codes(&daemon, "alice");
    daemon
        .call("Revoke", &json!({ "user": "alice" }))
        .expect("the lost device is revoked");
    let stack = Stack::of(&daemon, "lost", "retry=1");
    assert_eq!(stack.login("alice", &[&codes[0]]).code, PamCode::SUCCESS);
    let alice = |method: &str, parameters: Value| {
        daemon.call_as(&Caller::user("alice"), method, &parameters)
    };
    assert_eq!(
        refusal(alice("Enroll", json!({ "proof": codes[0] }))),
        "ProofRequired",
        "it is used"
    );
    let device =
        authenticator(&alice("Enroll", json!({ "proof": codes[1] })).expect("a pending device"));
    daemon.log.wait_for(&[
        "event=recovery_code_used ",
        " user=alice ",
        " left=8 ",
        " for=enroll ",
    ]);
    let told = alice("Confirm", json!({ "code": device.code() })).expect("a verdict");
    assert_eq!(
        (&told["verdict"], &told["recovery_codes"]),
        (&json!("accepted"), &json!([])),
        "the sheet is still good"
    );
    assert_eq!(
        stack.login("alice", &[&device.code_at(1)]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn the_first_confirmation_shows_ten_codes_and_new_ones_end_them() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let device = authenticator(
        &daemon
            .call("Enroll", &json!({ "user": "alice" }))
            .expect("a pending device"),
    );
    let [current, next] = device.pair();
    let output = daemon.totpctl(&["confirm", "alice"], &current);
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        page.contains("Recovery codes of alice:") && page.contains("shown only once"),
        "{page}"
    );
    let old: Vec<&str> = page
        .split_whitespace()
        .filter(|word| word.len() == 19 && word.matches('-').count() == 3)
        .collect();
    assert_eq!(old.len(), 10, "{page}");
    let refused = daemon.totpctl_as("alice", &["recovery-codes"], "000000\n");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let output = daemon.totpctl_as("alice", &["--json", "recovery-codes"], &format!("{next}\n"));
    let told: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let new = texts(&told["recovery_codes"]);
    assert_eq!(new.len(), 10);
    let stack = Stack::of(&daemon, "renewed", "retry=1");
    assert_eq!(stack.login("alice", &[old[0]]).code, PamCode::AUTH_ERR);
    assert_eq!(stack.login("alice", &[&new[0]]).code, PamCode::SUCCESS);
    assert!(
        daemon.logged(&[&new[0]]).is_empty()
            && daemon.logged(&[&new[0].replace('-', "")]).is_empty()
    );
}

#[test]
fn where_the_settings_give_no_recovery_codes_there_are_none() {
    let _place = world::enter();
    let daemon = Setup::new().with("recovery: {codes: 0}\n").start();
    let told = daemon.totpctl_json(&["enroll", "alice", "--yes"], "");
    assert_eq!(told["recovery_codes"], Value::Null, "{told}");
    let refused = daemon
        .call("NewRecoveryCodes", &json!({ "user": "alice" }))
        .unwrap_err();
    assert!(
        refused.1["why"]
            .as_str()
            .expect("a sentence")
            .contains("recovery.codes"),
        "{refused:?}"
    );
}

#[test]
fn what_a_decoy_has_paid_for_wrong_codes_is_not_given_back_to_whom_a_bypass_lets_in() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let wrong = alice.wrong_codes(5);
    assert_eq!(
        login_at_a_terminal(&daemon, &[&wrong[0], &wrong[1], &wrong[2]]),
        PamCode::AUTH_ERR
    );
    assert_eq!(
        login_at_a_terminal(&daemon, &[&alice.code()]),
        PamCode::SUCCESS
    );
    assert_eq!(daemon.known_budget("alice"), 4);
    daemon.totpctl_json(&["disable", "alice"], "");
    let bypass = daemon.totpctl_json(&["bypass", "alice"], "");
    let bypass = bypass["code"].as_str().expect("a code");
    assert_eq!(
        login_at_a_terminal(&daemon, &[&wrong[3], &wrong[4], bypass]),
        PamCode::SUCCESS
    );
    assert_eq!(daemon.known_budget("alice"), 4);
}

#[test]
fn a_bypass_opens_as_many_logins_as_it_says_and_gives_no_hold_on_the_account() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let told = daemon.totpctl_json(&["bypass", "alice", "--for", "30m", "--uses", "2"], "");
    let bypass = told["code"].as_str().expect("a code").to_owned();
    let left =
        || ["bypass_until", "bypass_uses"].map(|field| shown(&daemon, "alice")[field].clone());
    assert_eq!(left(), [told["until"].clone(), json!(2)]);
    let alice =
        |method: &str| daemon.call_as(&Caller::user("alice"), method, &json!({ "proof": bypass }));
    assert_eq!(refusal(alice("Enroll")), "ProofRequired");
    assert_eq!(refusal(alice("NewRecoveryCodes")), "ProofRequired");
    let stack = Stack::of(&daemon, "bypass", "retry=1");
    assert_eq!(stack.login("alice", &[&bypass]).code, PamCode::SUCCESS);
    assert_eq!(left(), [told["until"].clone(), json!(1)]);
    let page = String::from_utf8_lossy(&daemon.totpctl(&["show", "alice"], "").stdout).into_owned();
    assert!(
        page.contains(" UTC, for 1 more login\n") && !page.contains(&bypass),
        "{page}"
    );
    assert_eq!(stack.login("alice", &[&bypass]).code, PamCode::SUCCESS);
    assert_eq!(left(), [Value::Null, Value::Null]);
    assert_eq!(stack.login("alice", &[&bypass]).code, PamCode::AUTH_ERR);
    daemon
        .log
        .wait_for(&["event=bypass_used ", " user=alice ", " left=0 "]);
    for (asked, field) in [
        (json!({ "valid_for": 86401 }), "valid_for"),
        (json!({ "uses": 4 }), "uses"),
        (json!({ "uses": 0 }), "uses"),
    ] {
        let parameters = and(&asked, "user", &json!("alice"));
        assert_eq!(
            daemon.call("Bypass", &parameters).unwrap_err().1["field"],
            field
        );
    }
    assert_eq!(
        refusal(daemon.call("Bypass", &json!({ "user": "never-enrolled" }))),
        "BadParameter"
    );
}

#[test]
fn a_bypass_lets_nobody_in_after_its_last_use_and_a_recovery_code_is_a_login_like_others() {
    let _place = world::enter();
    let daemon = Setup::new()
        .with("grace: {same-source: {for: 12h, services: [grace-after]}}\n")
        .start();
    let codes = enroll_with_codes(&daemon, "alice");
    let told = daemon
        .call("Bypass", &json!({ "user": "alice" }))
        .expect("a bypass");
    let ask_after = |code: &str| {
        let origin = json!({ "user": "alice", "service": "grace-after", "rhost": "192.0.2.1" });
        let verdict = daemon
            .call("Verify", &and(&origin, "codes", &json!([code])))
            .expect("a verdict")["verdict"]
            .clone();
        assert_eq!(verdict, "accepted");
        daemon.call("Challenge", &origin).expect("a challenge")["ask"].clone()
    };
    assert_eq!(
        ask_after(told["code"].as_str().expect("a code")),
        "one_code"
    );
    assert_eq!(ask_after(&codes[0]), "nothing");
}

#[test]
fn codes_that_could_not_be_used_are_not_given() {
    let _place = world::enter();
    let daemon = Setup::new().with("policy: {self-service: off}\n").start();
    daemon.enroll("alice");
    daemon.totpctl_json(&["disable", "alice", "--all"], "");
    for (method, user, part) in [
        ("Bypass", "alice", "disabled"),
        ("Ticket", "bob", "policy.self-service"),
    ] {
        let refused = daemon.call(method, &json!({ "user": user })).unwrap_err();
        assert!(
            refused.1["why"]
                .as_str()
                .expect("a sentence")
                .contains(part),
            "{refused:?}"
        );
    }
}

#[test]
fn five_wrong_tries_end_a_bypass() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for (user, lost) in [("alice", false), ("bob", true)] {
        daemon.enroll(user);
        if lost {
            daemon
                .call("Revoke", &json!({ "user": user }))
                .expect("the lost device is revoked");
        }
        let told = daemon
            .call("Bypass", &json!({ "user": user, "uses": 3 }))
            .expect("a bypass");
        let bypass = told["code"].as_str().expect("a code").to_owned();
        let stack = Stack::of(&daemon, "tries", "retry=1");
        for _ in 0..4 {
            assert_eq!(stack.login(user, &["aaaa-bbbb"]).code, PamCode::AUTH_ERR);
        }
        assert_eq!(
            stack.login(user, &[&bypass]).code,
            PamCode::SUCCESS,
            "{user}: four are borne"
        );
        assert_eq!(stack.login(user, &["aaaa-bbbb"]).code, PamCode::AUTH_ERR);
        daemon
            .log
            .wait_for(&["event=bypass_revoked ", &format!(" user={user} ")]);
        assert_eq!(
            stack.login(user, &[&bypass]).code,
            PamCode::AUTH_ERR,
            "{user}: a fifth is not"
        );
    }
}

#[test]
fn a_ticket_is_the_proof_for_the_first_device_and_for_nothing_else() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let ticket = daemon.totpctl_json(&["ticket", "alice", "--for", "2d"], "")["code"]
        .as_str()
        .expect("a code")
        .to_owned();
    let stack = Stack::of(&daemon, "ticket", "retry=1");
    assert_eq!(
        stack.login("alice", &[&ticket]).code,
        PamCode::AUTH_ERR,
        "it opens no login"
    );
    let enroll =
        |user: &str| daemon.totpctl_as(user, &["--json", "enroll", user], &format!("{ticket}\n"));
    assert_eq!(enroll("bob").status.code(), Some(1), "it is alice's");
    let output = enroll("alice");
    let told: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(told["state"], "pending");
    assert_eq!(enroll("alice").status.code(), Some(1), "it is used");
    let confirmed = daemon.totpctl_as(
        "alice",
        &["--json", "confirm", "alice"],
        &authenticator(&told).code(),
    );
    let confirmed: Value = serde_json::from_slice(&confirmed.stdout).expect("a verdict");
    assert_eq!(texts(&confirmed["recovery_codes"]).len(), 10);
    assert_eq!(
        refusal(daemon.call("Ticket", &json!({ "user": "alice" }))),
        "BadParameter",
        "she was enrolled now"
    );
    daemon.totpctl_json(&["disable", "bob", "--all"], "");
    assert_eq!(
        refusal(daemon.call("Ticket", &json!({ "user": "bob" }))),
        "BadParameter",
        "nothing opens his account"
    );
    daemon
        .log
        .wait_for(&["event=ticket_used ", " user=alice ", " for=enroll "]);
}

#[test]
fn unlocking_gives_all_guesses_back_and_says_who_did_it() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let device = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "unlock", "retry=1");
    (0..5).for_each(|_| drop(stack.login("alice", &[&device.wrong()])));
    assert_eq!(daemon.budget("alice"), 0);
    let output = daemon.totpctl(&["unlock", "alice"], "");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        (daemon.budget("alice"), daemon.known_budget("alice")),
        (5, 5)
    );
    let line = daemon.log.wait_for(&["event=unlock ", " user=alice "]);
    assert!(
        line.contains(" role=root ") && line.contains(" uid=0 "),
        "{line}"
    );
    assert_eq!(
        refusal(daemon.call("Unlock", &json!({ "user": "nobody-here" }))),
        "NoSuchUser"
    );
}

#[test]
fn the_helpdesk_helps_ordinary_people_and_gives_guesses_back_once_a_day() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let dave = |method: &str, user: &str| {
        daemon.call_as(&Caller::user("dave"), method, &json!({ "user": user }))
    };
    for user in ["alice", "carol", "dave", "root"] {
        daemon.enroll(user);
    }
    let bypass = dave("Bypass", "alice").expect("a bypass")["code"]
        .as_str()
        .expect("a code")
        .to_owned();
    assert_eq!(
        Stack::of(&daemon, "helped", "retry=1")
            .login("alice", &[&bypass])
            .code,
        PamCode::SUCCESS
    );
    assert!(dave("Ticket", "bob").is_ok(), "bob was never enrolled");
    assert_eq!(
        refusal(dave("Ticket", "alice")),
        "BadParameter",
        "alice was"
    );
    for method in ["Bypass", "Ticket", "Unlock"] {
        for protected in ["carol", "dave", "root", "no-such-account"] {
            assert_eq!(
                refusal(dave(method, protected)),
                DENIED,
                "{method} {protected}"
            );
        }
    }
    assert!(dave("Unlock", "alice").is_ok());
    assert_eq!(
        refusal(dave("Unlock", "alice")),
        "BadParameter",
        "within a day"
    );
    let carol = || {
        daemon.call_as(
            &Caller::user("carol"),
            "Unlock",
            &json!({ "user": "alice" }),
        )
    };
    assert!(
        carol().is_ok() && carol().is_ok(),
        "administrators as often as they like"
    );
    let line = daemon.log.wait_for(&["event=bypass ", " user=alice "]);
    assert!(
        line.contains(" role=helpdesk ") && line.contains(&uid_of("dave")),
        "{line}"
    );
}

#[test]
fn sshd_takes_a_recovery_code_once() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP");
    let codes = enroll_with_codes(&system.daemon, "alice");
    let sshd = Sshd::start("keyboard-interactive");
    let login = |code: &str| {
        sshd.login(&Client {
            user: "alice",
            codes: &[code],
            ..Client::default()
        })
    };
    let session = login(&codes[0]);
    assert!(session.accepted && session.output == "alice", "{session:?}");
    assert!(!login(&codes[0]).accepted, "a second time");
}

#[test]
fn a_recovery_code_behind_a_password_is_cut_off_with_its_hyphens() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let codes = enroll_with_codes(&daemon, "alice");
    let stack = Stack::of(&daemon, "joined-recovery", "retry=1 forward_pass");
    assert_eq!(
        stack
            .login(
                "alice",
                &[&format!("correct horse{}", codes[0].replace('-', ""))]
            )
            .code,
        PamCode::AUTH_ERR
    );
    assert_eq!(
        stack
            .login("alice", &[&format!("correct horse{}", codes[0])])
            .code,
        PamCode::SUCCESS
    );
    assert!(daemon.logged(&["horse"]).is_empty());
}

#[test]
fn a_store_of_yesterday_brings_no_used_recovery_code_back() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let codes = enroll_with_codes(&daemon, "alice");
    assert!(daemon.terminate().success());
    let yesterday = world::scratch_folder("yesterday");
    copy_store(&daemon.setup.state, &yesterday);
    daemon.start_again();
    let stack = Stack::of(&daemon, "yesterday", "retry=1");
    assert_eq!(stack.login("alice", &[&codes[0]]).code, PamCode::SUCCESS);
    daemon.signal(Signal::SIGTERM);
    daemon.wait();
    copy_store(&yesterday, &daemon.setup.state);
    daemon.start_again();
    for code in &codes[..2] {
        assert_eq!(
            stack.login("alice", &[code]).code,
            PamCode::AUTH_ERR,
            "the reply does not say whether it was used"
        );
    }
    let line = daemon.audited("alice", "refused");
    assert!(line.contains(" reason=code_before_roll_back"), "{line}");
    let new = daemon
        .call("NewRecoveryCodes", &json!({ "user": "alice" }))
        .expect("new codes");
    assert_eq!(
        stack
            .login("alice", &[&texts(&new["recovery_codes"])[0]])
            .code,
        PamCode::SUCCESS
    );
}

/// Enrols a user, and returns the recovery codes that come with the first device.
fn enroll_with_codes(daemon: &Daemon, user: &str) -> Vec<String> {
    let told = daemon
        .call("Enroll", &json!({ "user": user, "active": true }))
        .expect("an enrolment");
    let codes = texts(&told["recovery_codes"]);
    assert_eq!(codes.len(), 10, "{told}");
    codes
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|text| text.as_str().expect("a text").to_owned())
        .collect()
}

/// As a user types it that takes letters for the digits that they look like.
fn misread(code: &str) -> String {
    code.replace('o', "0")
        .replace('l', "1")
        .replace('b', "8")
        .replace('g', "9")
}
