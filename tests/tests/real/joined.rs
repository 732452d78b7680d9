//! Password and code in one field, between our module and the real pam_unix.

use serde_json::json;
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::{Item, PamCode, Reply, Style};
use tests::stack::{Stack, auth_line};
use tests::world;

const JOINED: &str = "Password & verification code: ";
const CODE: &str = "Verification code: ";
const PASSWORD: &str = "correct horse";
/// Its last six digits are a part of the password, and no code.
const PASSWORD_OF_BOB: &str = "stable000000";

/// For a test that needs bob's password. The others know bob by the usual one.
fn alone_with_bob() -> world::Alone {
    let place = world::enter_alone();
    world::set_password("bob", PASSWORD_OF_BOB);
    place
}

/// Our module with these options asks for both, and pam_unix gets the password.
fn forwarding(daemon: &Daemon, service: &str, options: &str) -> Stack {
    world::set_password("alice", PASSWORD);
    let unix = "auth required pam_unix.so use_first_pass nodelay\n";
    Stack::new(
        service,
        &(auth_line(daemon, &format!("forward_pass {options}")) + unix),
    )
}

/// pam_unix asks, and our module with these options goes on with what was typed.
fn after_unix(daemon: &Daemon, service: &str, unix: &str, options: &str) -> Stack {
    world::set_password("alice", PASSWORD);
    Stack::new(
        service,
        &format!(
            "auth {unix} pam_unix.so nodelay\n{}",
            auth_line(daemon, options)
        ),
    )
}

#[test]
fn one_prompt_takes_both_and_pam_unix_gets_the_password() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = forwarding(&daemon, "forward", "retry=1");
    let typed = format!("{PASSWORD}{}", alice.code());
    let login = stack.login("alice", &[&typed]);
    assert_eq!(
        (login.code, login.said),
        (PamCode::SUCCESS, vec![(Style::Hidden, JOINED.into())])
    );
    assert_eq!(
        stack.login("alice", &[&typed]).code,
        PamCode::AUTH_ERR,
        "the code is spent"
    );
    daemon.audited("alice", "already_used");
    let wrong_password = format!("wrong horse{}", alice.code_at(1));
    assert_eq!(
        stack.login("alice", &[&wrong_password]).code,
        PamCode::AUTH_ERR
    );
    assert_eq!(
        daemon
            .log
            .wait_for_many(3, &["event=verify", "user=alice"])
            .len(),
        3,
        "one attempt for each login"
    );
}

#[test]
fn within_a_grace_the_same_text_a_new_code_and_the_password_alone_all_let_in() {
    let _place = alone_with_bob();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = forwarding(&daemon, "one-field-grace", "retry=1 grace_period=3600");
    let permitted = |user: &str, typed: &str| {
        let attempt = stack.attempt(user).item(Item::Rhost, "192.0.2.7");
        attempt.run(|_| Reply::text(typed)).code == PamCode::SUCCESS
    };
    let first = format!("{PASSWORD}{}", alice.code());
    let next = format!("{PASSWORD}{}", alice.code_at(1));
    let wrong = format!("{PASSWORD}{}", alice.wrong());
    assert!(permitted("alice", &first));
    assert!(permitted("alice", &first), "the very same text");
    assert!(permitted("alice", PASSWORD));
    assert!(permitted("alice", &next) && permitted("alice", &next));
    assert!(
        !permitted("alice", &wrong),
        "it is no code, and so the password's end"
    );
    assert!(!permitted("alice", &format!("wrong horse{}", alice.code())));
    assert_eq!(
        daemon.known_budget("alice"),
        5,
        "what is not needed costs nothing"
    );
    daemon
        .call("RevokeGrace", &json!({ "user": "alice" }))
        .expect("an end");
    assert!(
        !permitted("alice", &next),
        "the code that was not needed is spent"
    );
    let bob = daemon.enroll("bob");
    assert!(permitted(
        "bob",
        &format!("{PASSWORD_OF_BOB}{}", bob.code())
    ));
    assert!(permitted("bob", PASSWORD_OF_BOB), "its own end is no code");
    assert!(permitted(
        "bob",
        &format!("{PASSWORD_OF_BOB}{}", bob.code_at(1))
    ));
    assert_eq!(daemon.known_budget("bob"), 5);
}

#[test]
fn a_text_of_an_exempt_user_may_end_in_a_code() {
    let _place = world::enter();
    let rules = "rules: [{name: lan, from: [192.0.2.0/24]}]\n";
    let daemon = Setup::new().with(rules).start();
    let alice = daemon.enroll("alice");
    let stack = forwarding(&daemon, "one-field-exempt", "retry=1");
    // One text throughout: a step may begin in between.
    let right = format!("{PASSWORD}{}", alice.code());
    for (typed, expected) in [
        (PASSWORD.to_owned(), PamCode::SUCCESS),
        (right.clone(), PamCode::SUCCESS),
        (right.clone(), PamCode::SUCCESS),
        (format!("{PASSWORD}{}", alice.wrong()), PamCode::AUTH_ERR),
    ] {
        let attempt = stack.attempt("alice").item(Item::Rhost, "192.0.2.7");
        let login = attempt.run(|_| Reply::text(&typed));
        assert_eq!(
            (login.code, login.prompts()),
            (expected, vec!["Password: "])
        );
    }
    let elsewhere = stack.attempt("alice").item(Item::Rhost, "198.51.100.7");
    assert_eq!(
        elsewhere.run(|_| Reply::text(&right)).code,
        PamCode::AUTH_ERR
    );
    daemon.audited("alice", "already_used");
}

/// The plugin's line `openvpn login USERNAME Password PASSWORD Verification OTP`: a prompt is
/// answered by the words that it begins with.
#[test]
fn the_very_same_text_lets_in_for_a_whole_grace_whatever_code_has_begun_it() {
    let _place = alone_with_bob();
    let clocks = Clocks::new();
    let daemon = clocks.of(Setup::new()).start();
    let (alice, bob) = (daemon.enroll("alice"), enroll_with_recovery(&daemon, "bob"));
    let stack = forwarding(&daemon, "same-text", "retry=1 grace_period=3600");
    let permitted = |user: &str, typed: &str| {
        let attempt = stack.attempt(user).item(Item::Rhost, "192.0.2.7");
        attempt.run(|_| Reply::text(typed)).code == PamCode::SUCCESS
    };
    for wrong in alice.wrong_codes(5) {
        assert!(!permitted("alice", &format!("{PASSWORD}{wrong}")));
    }
    let [current, next] = [0, 30].map(|later| alice.code_when(clocks.now() + later));
    let both = format!("{PASSWORD}{current} {next}");
    let recovery = format!("{PASSWORD_OF_BOB}{bob}");
    for (user, typed) in [("alice", &both), ("bob", &recovery)] {
        assert!(permitted(user, typed));
        assert!(permitted(user, typed), "{user}: the very same text");
    }
    clocks.pass(1800);
    for (user, typed) in [("alice", &both), ("bob", &recovery)] {
        assert!(permitted(user, typed), "{user}: half an hour later");
    }
    assert!(permitted("bob", PASSWORD_OF_BOB), "its own end is no code");
    assert!(!permitted("alice", &format!("{PASSWORD}{next} {current}")));
    clocks.pass(1801);
    for (user, typed) in [("alice", &both), ("bob", &recovery)] {
        assert!(!permitted(user, typed), "{user}: after the grace");
    }
}

/// Enrols the user, and returns a recovery code.
fn enroll_with_recovery(daemon: &Daemon, user: &str) -> String {
    let told = daemon.call("Enroll", &json!({ "user": user, "active": true }));
    let codes = &told.expect("an enrolment")["recovery_codes"];
    codes[0].as_str().expect("a recovery code").to_owned()
}

#[test]
fn a_client_that_matches_the_beginning_of_a_prompt_answers_where_two_codes_are_asked_for() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = after_unix(&daemon, "openvpn", "requisite", "retry=1");
    let login = |code: &str| {
        stack.converse("alice", |message| match message.text {
            text if text.starts_with("Password") => Reply::text(PASSWORD),
            text if text.starts_with("Verification") => Reply::text(code),
            _ => Reply::Fail(PamCode::CONV_ERR),
        })
    };
    for _ in 0..5 {
        assert_eq!(login(&alice.wrong()).code, PamCode::AUTH_ERR);
    }
    let both = login(&alice.pair().join(" "));
    assert_eq!(both.code, PamCode::SUCCESS, "{both:?}");
    assert!(
        both.told()[0].contains("many wrong codes were typed"),
        "{both:?}"
    );
}

#[test]
fn whose_code_is_wrong_does_not_get_as_far_as_guessing_passwords() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = forwarding(&daemon, "no-oracle", "retry=1");
    let [right, wrong] =
        [PASSWORD, "wrong horse"].map(|password| format!("{password}{}", alice.wrong()));
    for typed in [&right, &wrong, PASSWORD, "", "12345"] {
        assert_eq!(stack.login("alice", &[typed]).code, PamCode::AUTH_ERR);
    }
    daemon.log.wait_for_many(5, &["event=verify", "user=alice"]);
    assert_eq!(
        daemon.budget("alice"),
        3,
        "two wrong codes; without a code nothing is charged"
    );
    let bob = format!("wrong horse{}", daemon.enroll("bob").code());
    assert_eq!(stack.login("bob", &[&bob]).code, PamCode::AUTH_ERR);
    let unix_refused =
        |user: &'static str| ["pam_unix(no-oracle:auth)", "authentication failure", user];
    world::syslog().wait_for(&unix_refused("user=bob"));
    assert!(world::syslog().with(&unix_refused("user=alice")).is_empty());
}

#[test]
fn both_may_be_typed_again() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let [wrong, right] = [alice.wrong(), alice.code()].map(|code| format!("{PASSWORD}{code}"));
    let login = forwarding(&daemon, "again", "").login("alice", &[&wrong, PASSWORD, &right]);
    assert_eq!(
        (login.code, login.prompts()),
        (PamCode::SUCCESS, vec![JOINED; 3])
    );
    assert!(
        login
            .told()
            .iter()
            .all(|told| told.contains("Type your password, directly followed by")),
        "{login:?}"
    );
}

#[test]
fn the_length_is_that_of_the_users_device_or_the_options() {
    let _place = alone_with_bob();
    let daemon = Daemon::start();
    let told = daemon.totpctl_json(&["enroll", "bob", "--digits", "8", "--yes"], "");
    let bob = authenticator(&told);
    let typed = |steps| format!("{PASSWORD_OF_BOB}{}", bob.code_at(steps));
    assert_eq!(
        forwarding(&daemon, "eight", "retry=1")
            .login("bob", &[&typed(0)])
            .code,
        PamCode::SUCCESS
    );
    let six = forwarding(&daemon, "six", "retry=1 digits=6");
    assert_eq!(
        six.login("bob", &[&typed(1)]).code,
        PamCode::AUTH_ERR,
        "the option is believed"
    );
    let eight = forwarding(&daemon, "eight-too", "retry=1 digits=8");
    assert_eq!(eight.login("bob", &[&typed(1)]).code, PamCode::SUCCESS);
}

#[test]
fn with_devices_of_two_lengths_each_is_cut_where_it_begins() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let enroll = |arguments: &[&str]| {
        authenticator(&daemon.totpctl_json(&[&["enroll", "alice"], arguments].concat(), ""))
    };
    let (six, eight) = (
        enroll(&["--yes"]),
        enroll(&["--device", "long", "--digits", "8", "--yes"]),
    );
    let stack = forwarding(&daemon, "lengths", "retry=1");
    for code in [six.code(), eight.code()] {
        assert_eq!(
            stack.login("alice", &[&format!("{PASSWORD}{code}")]).code,
            PamCode::SUCCESS,
            "{}",
            code.len()
        );
    }
    assert_eq!(
        daemon
            .log
            .wait_for_many(2, &["event=verify", "user=alice"])
            .len(),
        2
    );
}

#[test]
fn when_two_codes_are_needed_both_are_cut_off() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = forwarding(&daemon, "two-codes", "retry=1");
    for _ in 0..5 {
        assert_eq!(
            stack
                .login("alice", &[&format!("{PASSWORD}{}", alice.wrong())])
                .code,
            PamCode::AUTH_ERR
        );
    }
    let [current, next] = alice.pair();
    let login = stack.login("alice", &[&format!("{PASSWORD}{current} {next}")]);
    assert_eq!(login.code, PamCode::SUCCESS, "{login:?}");
    assert_eq!(
        login.prompts(),
        ["Password & verification code (the current one and the next): "]
    );
}

#[test]
fn after_pam_unix_a_password_without_a_code_leads_to_the_prompt() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = after_unix(&daemon, "try-first", "requisite", "try_first_pass");
    let login = stack.login("alice", &[PASSWORD, &code]);
    assert_eq!(
        (login.code, login.prompts()),
        (PamCode::SUCCESS, vec!["Password: ", CODE])
    );
    daemon.audited("alice", "accepted");
    assert_eq!(
        daemon.log.wait_for_many(1, &["event=verify"]).len(),
        1,
        "a password is no code"
    );
    let wrong = stack.login("alice", &["wrong horse"]);
    assert_eq!((wrong.code, wrong.prompts().len()), (PamCode::AUTH_ERR, 1));
}

#[test]
fn a_password_that_ends_like_a_code_is_a_guess_that_the_login_gives_back() {
    let _place = alone_with_bob();
    let daemon = Daemon::start();
    let bob = loop {
        let bob = daemon.enroll("bob");
        if !(-2..3).any(|steps| bob.code_at(steps) == "000000") {
            break bob;
        }
        assert!(
            daemon
                .totpctl(&["revoke", "bob", "--yes"], "")
                .status
                .success()
        );
    };
    let (stack, code) = (
        after_unix(&daemon, "ends-in-digits", "requisite", "try_first_pass"),
        bob.code(),
    );
    let mut typed = [PASSWORD_OF_BOB, &code].into_iter();
    let login = stack.attempt("bob").item(Item::Tty, "/dev/tty1");
    let login = login.run(|_| {
        typed
            .next()
            .map_or(Reply::Fail(PamCode::CONV_ERR), Reply::text)
    });
    assert_eq!(
        (login.code, login.prompts()),
        (PamCode::SUCCESS, vec!["Password: ", CODE])
    );
    daemon.audited("bob", "rejected");
    assert_eq!(daemon.known_budget("bob"), 5);
}

#[test]
fn what_pam_unix_could_not_use_opens_with_its_code_and_comes_back_without_it() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let unix = "auth required pam_unix.so use_first_pass nodelay\n";
    for (steps, option) in [(0, "try_first_pass"), (1, "use_first_pass")] {
        world::set_password("alice", PASSWORD);
        let ours = auth_line(&daemon, &format!("{option} forward_pass"));
        let stack = Stack::new(
            "both-ways",
            &format!("auth optional pam_unix.so nodelay\n{ours}{unix}"),
        );
        let typed = format!("{PASSWORD}{}", alice.code_at(steps));
        let login = stack.login("alice", &[&typed]);
        assert_eq!(
            (login.code, login.prompts()),
            (PamCode::SUCCESS, vec!["Password: "]),
            "{option}"
        );
    }
}

#[test]
fn without_forward_pass_the_password_stays_as_it_was() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    world::set_password("alice", PASSWORD);
    let ours = auth_line(&daemon, "use_first_pass");
    let stack = format!(
        "auth optional pam_unix.so nodelay\n{ours}auth required pam_unix.so use_first_pass nodelay\n"
    );
    let login =
        Stack::new("as-it-was", &stack).login("alice", &[&format!("{PASSWORD}{}", alice.code())]);
    assert_eq!(
        login.code,
        PamCode::AUTH_ERR,
        "pam_unix sees the code as well"
    );
    daemon.audited("alice", "accepted");
}

#[test]
fn with_use_first_pass_nobody_is_asked() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let nothing =
        Stack::of(&daemon, "never-asks", "use_first_pass").login("alice", &[&alice.code()]);
    let told = "The code was not accepted. Try again with your password, directly followed by the code that your device shows then.";
    assert_eq!(
        (nothing.code, nothing.prompts().len(), nothing.told()),
        (PamCode::AUTH_ERR, 0, vec![told])
    );
    world::syslog().wait_for(&["(never-asks:auth)", "no password with a code at its end"]);
    let stack = after_unix(&daemon, "never-asks-either", "optional", "use_first_pass");
    for typed in [PASSWORD.to_owned(), format!("{PASSWORD}{}", alice.wrong())] {
        let login = stack.login("alice", &[&typed]);
        assert_eq!(
            (login.code, login.prompts().len(), login.told()),
            (PamCode::AUTH_ERR, 1, vec![told]),
            "{typed}"
        );
    }
}

#[test]
fn who_needs_no_code_types_the_password_at_either_prompt() {
    let _place = alone_with_bob();
    let daemon = Daemon::start();
    let login =
        forwarding(&daemon, "no-code", "nullok always_prompt").login("bob", &[PASSWORD_OF_BOB]);
    assert_eq!(
        (login.code, login.prompts()),
        (PamCode::SUCCESS, vec![JOINED])
    );
    let wrong =
        forwarding(&daemon, "no-code-wrong", "nullok always_prompt").login("bob", &["wrong"]);
    assert_eq!(wrong.code, PamCode::AUTH_ERR);
    let ours = auth_line(&daemon, "nullok forward_pass");
    let stack = Stack::new(
        "no-code-asked",
        &format!("{ours}auth required pam_unix.so try_first_pass nodelay\n"),
    );
    let login = stack.login("bob", &[PASSWORD_OF_BOB]);
    assert_eq!(
        (login.code, login.prompts()),
        (PamCode::SUCCESS, vec!["Password: "])
    );
}

#[test]
fn what_sshd_sends_for_a_refused_user_is_no_guess() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    for options in ["retry=1", "retry=1 forward_pass"] {
        let stack = Stack::of(&daemon, "dummy", options);
        for dummy in [
            "\u{8}\n\r\u{7f}INCORRECT",
            "\u{8}\n\r\u{7f}IN",
            "\u{8}\n\r\u{7f}INCORRECT\u{8}\n",
        ] {
            assert_eq!(
                stack.login("alice", &[dummy]).code,
                PamCode::AUTH_ERR,
                "{options}"
            );
        }
    }
    daemon
        .log
        .wait_for_many(6, &["event=verify", "verdict=malformed"]);
    assert_eq!(daemon.budget("alice"), 5);
    let unasked = after_unix(&daemon, "dummy-unasked", "optional", "use_first_pass");
    assert_eq!(
        unasked.login("alice", &["\u{8}\n\r\u{7f}INCORRECT"]).code,
        PamCode::AUTH_ERR
    );
}

#[test]
fn no_password_is_ever_logged() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = forwarding(&daemon, "secrecy-joined", "debug retry=2");
    let typed = ["never-to-be-logged", &format!("{PASSWORD}{}", alice.code())];
    assert_eq!(stack.login("alice", &typed).code, PamCode::SUCCESS);
    assert_eq!(
        stack
            .login("alice", &[typed[1], "never-to-be-logged123"])
            .code,
        PamCode::AUTH_ERR
    );
    daemon.log.wait_for_many(4, &["event=verify", "user=alice"]);
    let everything = daemon.log.text() + &world::syslog().with(&["secrecy-joined"]).join("\n");
    for secret in [PASSWORD, "never-to-be", &typed[1][PASSWORD.len()..]] {
        assert!(
            !everything.contains(&format!("{secret} "))
                && !everything.contains(&format!("={secret}")),
            "{everything}"
        );
    }
    assert!(
        !everything.contains(PASSWORD) && !everything.contains("never-to-be"),
        "{everything}"
    );
}
