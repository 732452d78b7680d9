//! What the module owes to libpam and to the application: its options, its codes, its conversation.

use tests::daemon::Daemon;
use tests::libpam::{Call, Item, PamCode, Reply, Style};
use tests::stack::{Stack, auth_line};
use tests::world;

#[test]
fn a_bad_option_denies_without_a_prompt_and_the_log_names_it() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    for (n, (option, name)) in [
        ("nulok", "nulok"),
        ("retry=many", "retry"),
        ("retry=0", "retry"),
        ("timeout=-1", "timeout"),
        ("server_uid=root", "server_uid"),
        ("nullok nullok", "nullok"),
        ("debug=1", "debug"),
        ("alwaysok", "alwaysok"),
        ("window=3", "window"),
        ("prompt=Code: authtok_prompt=Code:", "authtok_prompt"),
    ]
    .into_iter()
    .enumerate()
    {
        let service = format!("bad-option-{n}");
        let login = Stack::of(&daemon, &service, option).login("alice", &[&alice.code()]);
        assert_eq!(
            (login.code, login.prompts().len()),
            (PamCode::SERVICE_ERR, 0),
            "{option}"
        );
        world::syslog().wait_for(&[&format!("({service}:auth)"), &format!("'{name}'")]);
    }
}

#[test]
fn options_that_are_long_or_no_text_deny_without_a_prompt() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    // libpam gives the line up, or hands it to the module, which has no such option: either way no
    // prompt comes.
    for (n, option) in [&b"x"[..], b"prompt=\xff\xfe", b"\xc3\x28", b"nullok\xa0"]
        .into_iter()
        .enumerate()
    {
        for length in [1, 300, 4096, 1 << 16] {
            let service = format!("long-{n}-{length}");
            let stack = Stack::of(&daemon, &service, "OPTION");
            let file = stack.confdir().join(&service);
            let line = auth_line(&daemon, "").into_bytes();
            let option = [option, &b"y".repeat(length)].concat();
            std::fs::write(file, [line.trim_ascii_end(), b" ", &option, b"\n"].concat())
                .expect("a service file");
            let login = stack.login("alice", &[&code]);
            let allowed =
                [PamCode::SUCCESS, PamCode::IGNORE, PamCode::USER_UNKNOWN].contains(&login.code);
            assert!(!allowed && login.said.is_empty(), "{service}: {login:?}");
        }
    }
    assert_eq!(
        Stack::of(&daemon, "short", "")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
}

#[test]
fn what_is_set_elsewhere_is_refused_with_the_place_and_without_the_value() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    for (n, (option, place)) in [
        ("secret=/home/hunter2", "provisiond alone keeps the keys"),
        ("user=hunter2", "a user of its own"),
        ("no_strict_owner", "provisiond's store"),
        ("allowed_perm=hunter2", "provisiond's store"),
        ("allow_readonly", "provisiond's store"),
        ("usersfile=/etc/hunter2", "provisiond's store"),
        ("window=hunter2", "'policy.window'"),
        ("alwaysok", "is never supported"),
        ("failmode=hunter2", "is never supported"),
    ]
    .into_iter()
    .enumerate()
    {
        let service = format!("elsewhere-{n}");
        let login = Stack::of(&daemon, &service, option).login("alice", &[&alice.code()]);
        assert_eq!(
            (login.code, login.said.len()),
            (PamCode::SERVICE_ERR, 0),
            "{option}"
        );
        let heading = format!("({service}:auth)");
        world::syslog().wait_for(&[&heading, place]);
        let value = option
            .split_once('=')
            .map_or("no value", |(_, value)| value);
        assert!(
            world::syslog().with(&[&heading, value]).is_empty(),
            "{option}"
        );
    }
}

#[test]
fn the_module_denies_everything_but_authentication() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let line = auth_line(&daemon, "");
    let every = ["auth", "account", "session", "password"]
        .map(|kind| line.replacen("auth", kind, 1))
        .concat();
    let stack = Stack::new("everything", &every);
    let after = |calls: &[Call]| {
        stack
            .attempt("alice")
            .calls(calls)
            .run(|_| Reply::text(&code))
            .code
    };
    assert_eq!(
        after(&[Call::SetCred]),
        PamCode::SUCCESS,
        "there are no credentials to set"
    );
    for call in [
        Call::Account,
        Call::OpenSession,
        Call::CloseSession,
        Call::ChangeAuthtok,
    ] {
        assert_eq!(after(&[call]), PamCode::SERVICE_ERR, "{call:?}");
    }
    assert_eq!(
        after(&[Call::Authenticate, Call::SetCred]),
        PamCode::SUCCESS
    );
}

#[test]
fn a_person_has_three_tries_or_as_many_as_the_option_says() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for (option, tries) in [("", 3), ("retry=2", 2), ("retry=1", 1)] {
        let login = Stack::of(&daemon, "tries", option).converse("bob", |_| Reply::text("12"));
        let asked = (login.code, login.prompts().len(), login.told().len());
        // Never PAM_MAXTRIES, after which the client of ssh would ask for an answer that is thrown
        // away.
        assert_eq!(asked, (PamCode::AUTH_ERR, tries, tries), "{option:?}");
        let last =
            "The code was not accepted. Try again with the code that your device shows then.";
        assert_eq!(login.told().last(), Some(&last), "{option:?}");
    }
}

#[test]
fn the_last_of_the_tries_still_counts() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let login = Stack::of(&daemon, "last", "").login("alice", &["", &alice.wrong(), &alice.code()]);
    assert_eq!((login.code, login.prompts().len()), (PamCode::SUCCESS, 3));
}

#[test]
fn the_person_is_told_that_a_code_was_used_and_when_the_next_one_comes() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "told", "");
    let code = alice.code();
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    let second = stack.login("alice", &[&code, &alice.code_at(1)]);
    assert_eq!(second.code, PamCode::SUCCESS);
    let once = Stack::of(&daemon, "told-once", "retry=1").login("alice", &[&code]);
    for told in [second.told().concat(), once.told().concat()] {
        assert!(
            told.starts_with("That code was already used. Your device shows the next one in"),
            "{told:?}"
        );
    }
}

#[test]
fn silence_is_kept_when_the_application_wants_it_and_the_prompts_stay() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "silent", "");
    let login = stack.attempt("bob").silent().run(|_| Reply::text("123456"));
    assert_eq!(
        (login.code, login.prompts().len(), login.told().len()),
        (PamCode::AUTH_ERR, 3, 0)
    );
}

#[test]
fn quiet_and_no_warn_keep_silence_too() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for option in ["quiet", "no_warn"] {
        let login = Stack::of(&daemon, "quiet", option).converse("bob", |_| Reply::text("123456"));
        assert_eq!(
            (login.code, login.prompts().len(), login.told().len()),
            (PamCode::AUTH_ERR, 3, 0),
            "{option}"
        );
    }
}

#[test]
fn with_always_prompt_who_was_never_enrolled_is_asked_and_let_through() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    for option in [
        "nullok always_prompt retry=1",
        "nouserok always_prompt retry=1",
    ] {
        let stack = Stack::expecting_ignore(&daemon, "always", option);
        let bob = stack.login("bob", &["123456"]);
        assert_eq!(
            (bob.code, bob.prompts()),
            (PamCode::SUCCESS, vec!["Verification code: "]),
            "{option}"
        );
        assert_eq!(
            stack.login("alice", &[&alice.wrong()]).code,
            PamCode::AUTH_ERR,
            "{option}"
        );
    }
    assert!(daemon.logged(&["event=verify", "user=bob"]).is_empty());
    let asked =
        Stack::of(&daemon, "always-asked", "always_prompt retry=1").login("bob", &["123456"]);
    assert_eq!(asked.code, PamCode::AUTH_ERR);
}

#[test]
fn the_prompt_is_hidden_and_worded_as_the_options_say() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = |options: &str| {
        Stack::of(&daemon, "prompt", options)
            .login("bob", &["1", "2", "3"])
            .said
            .remove(0)
    };
    assert_eq!(code(""), (Style::Hidden, "Verification code: ".into()));
    assert_eq!(
        code("[prompt=Code of your phone: ]"),
        (Style::Hidden, "Code of your phone: ".into())
    );
    assert_eq!(
        code("[authtok_prompt=Token: ]"),
        (Style::Hidden, "Token: ".into())
    );
    assert_eq!(
        code("echo_verification_code"),
        (Style::Echoed, "Verification code: ".into())
    );
    assert_eq!(
        code("echo-verification-code"),
        (Style::Echoed, "Verification code: ".into())
    );
}

#[test]
fn the_module_speaks_german_when_the_option_says_so() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let login = Stack::of(&daemon, "german", "lang=de retry=2").login("bob", &["1", "2"]);
    assert_eq!(login.prompts(), ["Bestätigungscode: "; 2]);
    let told = [
        "Der Code wurde nicht angenommen. Geben Sie den Code ein, den Ihr Gerät jetzt zeigt.",
        "Der Code wurde nicht angenommen. Versuchen Sie es noch einmal mit dem Code, den Ihr Gerät dann zeigt.",
    ];
    assert_eq!(login.told(), told);
    let refused = Stack::of(&daemon, "german-no", "lang=fr").login("bob", &["1"]);
    assert_eq!(
        (refused.code, refused.said.len()),
        (PamCode::SERVICE_ERR, 0)
    );
}

#[test]
fn a_conversation_that_fails_is_a_conversation_error_and_costs_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "failing", "");
    for reply in [
        Reply::Fail(PamCode::CONV_ERR),
        Reply::Fail(PamCode::ABORT),
        Reply::Missing,
    ] {
        let login = stack.replies("alice", [reply.clone(), Reply::text(&code)]);
        assert_eq!(
            (login.code, login.prompts().len()),
            (PamCode::CONV_ERR, 1),
            "{reply:?}"
        );
    }
    assert_eq!(daemon.budget("alice"), 5);
    assert_eq!(
        stack.login("alice", &[&code]).code,
        PamCode::SUCCESS,
        "none of them spent it"
    );
}

#[test]
fn strange_replies_are_refused_and_cost_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "strange", "retry=1");
    let mut padded = " ".repeat(513).into_bytes();
    padded.extend_from_slice(code.as_bytes());
    for reply in [
        Reply::Null,
        Reply::text(""),
        Reply::bytes(&vec![b'1'; 1 << 20]),
        Reply::bytes(&vec![b'1'; 513]),
        Reply::bytes(&padded),
        Reply::bytes(b"\xff\xfe123456"),
    ] {
        assert_eq!(stack.replies("alice", [reply]).code, PamCode::AUTH_ERR);
    }
    daemon
        .log
        .wait_for_many(6, &["user=alice", "verdict=malformed"]);
    assert_eq!(daemon.budget("alice"), 5);
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
}

#[test]
fn a_user_name_that_changes_at_the_prompt_is_a_refusal() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (alice, bob) = (daemon.enroll("alice").code(), daemon.enroll("bob").code());
    let stack = Stack::of(&daemon, "changing", "retry=1");
    for code in [&alice, &bob] {
        let login = stack.converse("alice", |prompt| {
            prompt.set_item(Item::User, "bob").expect("an item");
            Reply::text(code)
        });
        assert_eq!(login.code, PamCode::AUTH_ERR);
    }
    assert_eq!(
        stack.login("alice", &[&alice]).code,
        PamCode::SUCCESS,
        "no code was spent"
    );
    assert_eq!(stack.login("bob", &[&bob]).code, PamCode::SUCCESS);
}

#[test]
fn names_that_no_account_has_are_refused() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "names", "retry=1");
    let long = "a".repeat(300);
    for name in [
        "../../etc/passwd",
        "a/b",
        "a\nb",
        "\u{1b}[2J",
        long.as_str(),
        "%s%n",
        " ",
        "root ",
    ] {
        let login = stack.converse(name, |_| Reply::text("123456"));
        assert_eq!(login.code, PamCode::AUTH_ERR, "{name:?}");
    }
    for line in daemon.log.text().lines().chain(
        world::syslog()
            .with(&["(names:auth)"])
            .iter()
            .map(String::as_str),
    ) {
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

#[test]
fn the_audit_line_says_where_the_login_came_from_and_cannot_be_forged() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "origin", "retry=1");
    let attempt = |rhost: &str| {
        let login = stack
            .attempt("bob")
            .item(Item::Rhost, rhost)
            .item(Item::Tty, "ssh");
        assert_eq!(login.run(|_| Reply::text("123456")).code, PamCode::AUTH_ERR);
    };
    attempt("192.0.2.1");
    daemon.log.wait_for(&[
        "event=verify",
        "user=bob",
        "service=origin",
        "source=192.0.2.1",
        "tty=ssh",
    ]);
    attempt("x\nevent=verify user=root verdict=accepted");
    daemon.log.wait_for_many(2, &["event=verify", "user=bob"]);
    assert!(
        daemon
            .log
            .text()
            .lines()
            .all(|line| !line.starts_with("event=verify user=root"))
    );
}

#[test]
fn no_code_and_no_key_is_ever_logged() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let (code, wrong) = (alice.code(), alice.wrong());
    let typed = ["never-to-be-logged", &wrong, &code];
    assert_eq!(
        Stack::of(&daemon, "secrecy", "debug")
            .login("alice", &typed)
            .code,
        PamCode::SUCCESS
    );
    assert_eq!(
        Stack::of(&daemon, "secrecy", "debug retry=1")
            .login("alice", &[&code])
            .code,
        PamCode::AUTH_ERR
    );
    daemon.audited("alice", "already_used");
    let everything = daemon.log.text() + &world::syslog().with(&["(secrecy:auth)"]).join("\n");
    for secret in [
        typed[0],
        &format!(" {code} "),
        &format!("={code}"),
        &alice.key,
    ] {
        assert!(!everything.contains(secret), "{secret} in:\n{everything}");
    }
}
