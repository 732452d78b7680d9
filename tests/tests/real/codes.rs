//! What opens, how often, and what never does.

use serde_json::json;
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::{Item, PamCode, Reply};
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

#[test]
fn a_device_whose_clock_is_wrong_needs_two_codes_once_and_then_one() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks.of(Setup::new()).start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "ahead", "retry=1");
    let [now, third, fourth, fifth] =
        [0, 3, 4, 5].map(|steps| alice.code_when(clocks.now() + steps * 30));
    assert_eq!(
        stack.login("alice", &[&fifth]).code,
        PamCode::AUTH_ERR,
        "two and a half minutes ahead"
    );
    assert_eq!(
        stack.login("alice", &[&format!("{third} {fourth}")]).code,
        PamCode::SUCCESS
    );
    assert_eq!(
        stack.login("alice", &[&fifth]).code,
        PamCode::SUCCESS,
        "its clock is known now"
    );
    assert_eq!(
        stack.login("alice", &[&now]).code,
        PamCode::AUTH_ERR,
        "and the window is no wider"
    );
}

#[test]
fn a_code_is_accepted_once_and_its_replay_is_audited_as_already_used() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "once", "retry=1");
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    let replay = stack.login("alice", &[&code]);
    assert_eq!(replay.code, PamCode::AUTH_ERR);
    let line = daemon.audited("alice", "already_used");
    for field in [
        " service=once ",
        " role=root ",
        " uid=0 ",
        " device=default",
    ] {
        assert!(line.contains(field), "{field:?} is not in {line}");
    }
    assert_eq!(
        daemon
            .log
            .wait_for_many(1, &["user=alice", "verdict=accepted"])
            .len(),
        1
    );
    assert_eq!(daemon.budget("alice"), 5, "a replay is no guess");
}

#[test]
fn the_code_after_a_used_one_is_accepted_and_the_one_before_it_is_not() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "order", "retry=1");
    let [current, next] = alice.pair();
    assert_eq!(stack.login("alice", &[&next]).code, PamCode::SUCCESS);
    assert_eq!(
        stack.login("alice", &[&current]).code,
        PamCode::AUTH_ERR,
        "a step below a spent one"
    );
    assert_eq!(stack.login("alice", &[&next]).code, PamCode::AUTH_ERR);
    let bob = daemon.enroll("bob");
    let [current, next] = bob.pair();
    assert_eq!(stack.login("bob", &[&current]).code, PamCode::SUCCESS);
    assert_eq!(stack.login("bob", &[&next]).code, PamCode::SUCCESS);
}

#[test]
fn a_wrong_code_costs_one_guess() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "wrong", "retry=1");
    assert_eq!(
        stack.login("alice", &[&alice.wrong()]).code,
        PamCode::AUTH_ERR
    );
    daemon.audited("alice", "rejected");
    assert_eq!(daemon.budget("alice"), 4);
    assert_eq!(
        stack.login("alice", &[&alice.code()]).code,
        PamCode::SUCCESS
    );
    assert_eq!(daemon.budget("alice"), 4, "a login gives nothing back");
}

#[test]
fn a_login_gives_back_two_wrong_codes_from_its_own_known_address_also_over_connections() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "typos", "retry=1");
    let from = |rhost: &str, typed: &str| {
        let login = stack
            .attempt("alice")
            .item(Item::Rhost, rhost)
            .item(Item::Tty, "ssh");
        login.run(|_| Reply::text(typed)).code
    };
    let wrong = alice.wrong_codes(4);
    assert_eq!(from("192.0.2.1", &wrong[0]), PamCode::AUTH_ERR);
    assert_eq!(from("192.0.2.1", &alice.code()), PamCode::SUCCESS);
    assert_eq!(
        (daemon.known_budget("alice"), daemon.budget("alice")),
        (5, 4),
        "it was not known before"
    );
    for typed in &wrong[1..] {
        assert_eq!(from("192.0.2.1", typed), PamCode::AUTH_ERR);
    }
    assert_eq!(daemon.known_budget("alice"), 2);
    assert_eq!(from("192.0.2.1", &alice.code_at(1)), PamCode::SUCCESS);
    assert_eq!(
        (daemon.known_budget("alice"), daemon.budget("alice")),
        (4, 4),
        "two of them"
    );
}

#[test]
fn three_guesses_a_day_are_given_back_also_over_a_kill() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let wrong = alice.wrong_codes(4);
    for (steps, typed, left) in [(0, &wrong[..2], 5), (1, &wrong[2..], 4)] {
        let code = alice.code_at(steps);
        assert_eq!(
            login_at_a_terminal(&daemon, &[&typed[0], &typed[1], &code]),
            PamCode::SUCCESS,
            "{steps}"
        );
        assert_eq!(daemon.known_budget("alice"), left, "{steps}");
        daemon.kill();
        daemon.start_again();
    }
}

/// A terminal is a known source for every user.
pub(crate) fn login_at_a_terminal(daemon: &Daemon, codes: &[&str]) -> PamCode {
    let (stack, mut codes) = (Stack::of(daemon, "terminal", ""), codes.iter());
    let login = stack.attempt("alice").item(Item::Tty, "/dev/tty1");
    login
        .run(|_| {
            codes
                .next()
                .map_or(Reply::Fail(PamCode::CONV_ERR), |code| Reply::text(code))
        })
        .code
}

#[test]
fn codes_of_another_time_are_wrong() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "time", "retry=1");
    for steps in [-20, -3, 3, 20] {
        assert_eq!(
            stack.login("alice", &[&alice.code_at(steps)]).code,
            PamCode::AUTH_ERR,
            "{steps} steps away"
        );
    }
    daemon
        .log
        .wait_for_many(4, &["user=alice", "verdict=rejected"]);
    assert_eq!(
        stack.login("alice", &[&alice.code()]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn a_code_is_read_as_people_type_it() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "typed", "retry=1");
    for (n, variant) in VARIANTS.into_iter().enumerate() {
        let user = format!("typist-{n}");
        let code = daemon.enroll(&user).code();
        assert_eq!(
            stack.login(&user, &[&variant(&code)]).code,
            PamCode::SUCCESS,
            "{:?}",
            variant(&code)
        );
    }
}

#[test]
fn a_used_code_stays_used_however_it_is_typed() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "variants", "retry=1");
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    for variant in VARIANTS {
        assert_eq!(
            stack.login("alice", &[&variant(&code)]).code,
            PamCode::AUTH_ERR,
            "{:?}",
            variant(&code)
        );
    }
    daemon
        .log
        .wait_for_many(VARIANTS.len(), &["user=alice", "verdict=already_used"]);
    assert_eq!(daemon.budget("alice"), 5);
}

#[test]
fn every_kind_of_code_is_read_as_input_methods_and_pasting_bring_it() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let wide = |code: &str| -> String {
        let wide = code.bytes().map(|byte| u32::from(byte) + 0xfee0);
        wide.filter_map(char::from_u32).collect()
    };
    let alice = daemon.enroll("alice");
    let codes = daemon.totpctl_json(&["recovery-codes", "alice"], "");
    let recovery = wide(codes["recovery_codes"][0].as_str().expect("a code"));
    let bypass = daemon.totpctl_json(&["bypass", "alice"], "");
    let bypass = bypass["code"]
        .as_str()
        .expect("a code")
        .replace('-', "\u{2013}");
    let stack = Stack::of(&daemon, "typed-otherwise", "retry=1");
    for typed in [&recovery, &format!("\u{1b}[200~{bypass}\u{1b}[201~")] {
        assert_eq!(
            stack.login("alice", &[typed]).code,
            PamCode::SUCCESS,
            "{typed:?}"
        );
    }
    let persian = in_script(&alice.code(), 0x6f0);
    let told = daemon.totpctl_json(&["verify", "alice"], &format!("{persian}\n"));
    assert_eq!(told["verdict"], "accepted", "{told}");
    let bob = daemon.totpctl_json(&["enroll", "bob"], "");
    let first = wide(&authenticator(&bob).code());
    let told = daemon.totpctl_json(&["confirm", "bob"], &format!("{first}\n"));
    assert_eq!(told["verdict"], "accepted", "{told}");
    let ticket = daemon.totpctl_json(&["ticket", "carol"], "");
    let ticket = wide(ticket["code"].as_str().expect("a code"));
    let carol = Caller::user("carol");
    let told = daemon.call_as(&carol, "Enroll", &json!({ "proof": ticket }));
    assert_eq!(told.expect("a device")["state"], "pending");
}

#[test]
fn what_is_no_code_is_malformed_and_costs_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "malformed", "retry=1");
    let code = alice.code();
    let never = never_codes(&code);
    for typed in &never {
        assert_eq!(
            stack.login("alice", &[typed]).code,
            PamCode::AUTH_ERR,
            "{typed:?}"
        );
    }
    daemon
        .log
        .wait_for_many(never.len(), &["user=alice", "verdict=malformed"]);
    assert_eq!(daemon.budget("alice"), 5);
    assert_eq!(
        stack.login("alice", &[&code]).code,
        PamCode::SUCCESS,
        "none of them spent it"
    );
}

#[test]
fn every_kind_of_device_works_with_an_authenticator_that_nobody_here_wrote() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "kinds", "retry=1");
    for (n, (alg, digits, period)) in [
        ("sha1", 8, 30),
        ("sha256", 6, 60),
        ("sha512", 8, 30),
        ("sha1", 7, 15),
        ("sha512", 6, 120),
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("kind-{n}");
        let (digits, period) = (digits.to_string(), period.to_string());
        let told = daemon.totpctl_json(
            &[
                "enroll", &user, "--alg", alg, "--digits", &digits, "--period", &period, "--yes",
            ],
            "",
        );
        let code = authenticator(&told).code();
        assert_eq!(
            stack.login(&user, &[&code]).code,
            PamCode::SUCCESS,
            "{alg} {digits} {period}"
        );
        assert_eq!(
            stack.login(&user, &[&code]).code,
            PamCode::AUTH_ERR,
            "{alg} {digits} {period}"
        );
    }
}

#[test]
fn a_code_of_another_length_opens_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "length", "retry=1");
    let mut eight =
        authenticator(&daemon.totpctl_json(&["enroll", "alice", "--digits", "8", "--yes"], ""));
    let code = eight.code();
    eight.digits = 6;
    assert_eq!(
        stack.login("alice", &[&eight.code()]).code,
        PamCode::AUTH_ERR
    );
    assert_eq!(stack.login("alice", &[&code[2..]]).code, PamCode::AUTH_ERR);
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
}

/// The ways in which people type a code of six digits.
const VARIANTS: [fn(&str) -> String; 11] = [
    |code| in_script(code, 0xff10),
    |code| in_script(code, 0x660),
    |code| in_script(code, 0x6f0),
    |code| in_script(code, 0x966),
    |code| format!("\t{}\u{a0}{}", &code[..3], &code[3..]),
    |code| format!("{}\u{2011}{}\u{200b}", &code[..3], &code[3..]),
    |code| format!("\u{1b}[200~{code}\u{1b}[201~"),
    |code| format!("{} {}", &code[..3], &code[3..]),
    |code| format!(" {code}"),
    |code| format!("{}-{}", &code[..3], &code[3..]),
    |code| format!("{code} "),
];

/// What looks like the code and is none.
fn never_codes(code: &str) -> Vec<String> {
    vec![
        String::new(),
        format!("{code}\n"),
        format!("+{code}"),
        format!("-{}-{}", &code[..3], &code[3..]),
        code[1..].to_owned(),
        format!("0x{code}0"),
        format!("{code},{code}"),
        // Superscripts are numbers, and no decimal digits.
        code.replace(&code[..1], "\u{b2}"),
    ]
}

/// The code in the digits that follow this zero.
fn in_script(code: &str, zero: u32) -> String {
    let digits = code.chars().filter_map(|c| c.to_digit(10));
    digits
        .filter_map(|digit| char::from_u32(zero + digit))
        .collect()
}
