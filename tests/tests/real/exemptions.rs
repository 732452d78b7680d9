//! Users that are let by without a code: rules, the roll-out and users that were never enrolled.

use std::process::Command;

use serde_json::{Value, json};
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup};
use tests::libpam::{Item, PamCode, Reply};
use tests::odd_names::with_odd_names;
use tests::sshd::{Client, Sshd, System};
use tests::stack::{Login, Stack};
use tests::wire::Caller;
use tests::world;

#[test]
fn who_comes_from_an_exempt_network_is_asked_nothing_and_everybody_else_is() {
    let _place = world::enter();
    let daemon = with_rules("- {name: lan, from: [192.0.2.0/24, '2001:db8::/32']}");
    let alice = daemon.enroll("alice");
    let stack = Stack::expecting_ignore(&daemon, "lan", "retry=1");
    for (n, inside) in ["192.0.2.7", "::ffff:192.0.2.7", "2001:DB8::1"]
        .into_iter()
        .enumerate()
    {
        let_by(&login(&stack, "alice", &[(Item::Rhost, inside)]));
        let lines = daemon.log.wait_for_many(
            n + 1,
            &["event=verify ", "user=alice", "verdict=exempt", "rule=lan"],
        );
        assert!(
            lines
                .iter()
                .any(|line| line.contains(&format!("source={inside}"))),
            "each use is on record: {lines:?}"
        );
    }
    let outside = [
        "198.51.100.1",
        "192.0.2.7.example.org",
        "lan",
        "192.0.2.07",
        "192.0.2.7%eth0",
        "::1",
        "",
    ];
    for rhost in outside {
        is_asked(
            &login(
                &stack,
                "alice",
                &[(Item::Rhost, rhost), (Item::Tty, "pts/1")],
            ),
            rhost,
        );
    }
    let code = alice.code();
    let stack = Stack::of(&daemon, "lan-outside", "retry=1");
    assert_eq!(
        stack.login("alice", &[&code]).code,
        PamCode::SUCCESS,
        "nothing of it was spent"
    );
}

#[test]
fn what_people_say_of_their_own_logins_exempts_nobody() {
    let _place = world::enter();
    let daemon = with_rules(
        "- {name: lan, from: [192.0.2.0/24]}\n- {name: here, from: [local]}\n- {name: some-services, services: [sshd]}",
    );
    daemon.enroll("alice");
    for (rhost, tty) in [
        (json!("192.0.2.7"), Value::Null),
        (Value::Null, json!("/dev/tty1")),
    ] {
        let about = json!({ "user": "alice", "service": "sshd", "rhost": rhost, "tty": tty });
        let told = daemon
            .call_as(&Caller::user("alice"), "Challenge", &about)
            .expect("a challenge");
        assert_eq!(told["ask"], "one_code", "{about}");
        let attempt =
            json!({ "user": "alice", "service": "sshd", "rhost": rhost, "tty": tty, "codes": [] });
        let told = daemon
            .call_as(&Caller::user("alice"), "Verify", &attempt)
            .expect("a verdict");
        assert_eq!(
            (&told["verdict"], &told["rule"]),
            (&json!("malformed"), &Value::Null),
            "{attempt}"
        );
        let told = daemon.call("Verify", &attempt).expect("a verdict");
        assert_eq!(told["verdict"], "exempt", "the same from root: {attempt}");
    }
}

#[test]
fn the_members_of_an_exempt_group_are_asked_nothing() {
    let _place = world::enter();
    world::group("robots", &["bob"]);
    let daemon = with_rules("- {name: robots, groups: [robots]}");
    daemon.enroll("bob");
    daemon.enroll("alice");
    let stack = Stack::expecting_ignore(&daemon, "robots", "retry=1");
    let_by(&login(&stack, "bob", &[]));
    is_asked(&login(&stack, "alice", &[]), "no member");
    is_asked(&login(&stack, "no-such-account", &[]), "no account");
    let told = daemon.call_as(
        &Caller::user("bob"),
        "Challenge",
        &json!({ "user": "bob", "service": "locker" }),
    );
    assert_eq!(
        told.expect("a challenge")["ask"],
        "nothing",
        "a group is looked up, not reported by the caller"
    );
}

#[test]
fn a_group_of_which_nobody_tells_exempts_nobody() {
    let _place = world::enter();
    world::group("robots-2", &["bob"]);
    for untold in ["odd-broken-robots", "odd-hung-robots"] {
        let rules = format!("rules:\n- {{name: robots, groups: [robots-2, {untold}]}}\n");
        let daemon = with_odd_names(Setup::new().with(&rules)).start();
        daemon.enroll("carol");
        is_asked(
            &login(&Stack::of(&daemon, "untold", "retry=1"), "carol", &[]),
            untold,
        );
        let_by(&login(
            &Stack::expecting_ignore(&daemon, "told", ""),
            "bob",
            &[],
        ));
    }
}

#[test]
fn every_condition_of_a_rule_must_hold() {
    let _place = world::enter();
    let (now, never) = (today(0), format!("{},{} 00:00-24:00", today(3), today(4)));
    let both_days = format!("{now},{}", today(1));
    let daemon = with_rules(&format!(
        "- {{name: backup, users: [alice], services: [backup-1], from: local, hours: ['{both_days}', '{never}']}}\n\
         - {{name: another-day, users: [bob], services: [backup-1], hours: '{never}'}}"
    ));
    daemon.enroll("alice");
    daemon.enroll("bob");
    let (named, other) = (
        Stack::expecting_ignore(&daemon, "backup-1", "retry=1"),
        Stack::expecting_ignore(&daemon, "backup-2", "retry=1"),
    );
    let tty = (Item::Tty, "tty1");
    let_by(&login(&named, "alice", &[tty]));
    is_asked(&login(&other, "alice", &[tty]), "another service");
    is_asked(
        &login(&named, "bob", &[tty]),
        "another user, and another day",
    );
    is_asked(
        &login(&named, "alice", &[tty, (Item::Rhost, "192.0.2.1")]),
        "another place",
    );
    is_asked(&login(&named, "alice", &[]), "no place");
}

#[test]
fn hours_are_those_of_a_clock_that_is_not_in_doubt() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let today = by_date(&["-d", &format!("@{}", clocks.now())]);
    let daemon = clocks
        .of(Setup::new().with(&format!("rules: [{{name: today, hours: '{today}'}}]\n")))
        .start();
    daemon.enroll("alice");
    let asked = || {
        let told = daemon
            .call("Challenge", &json!({ "user": "alice", "service": "hours" }))
            .expect("a challenge");
        told["ask"].as_str().expect("what to ask for").to_owned()
    };
    assert_eq!(asked(), "nothing");
    clocks.pass(86_400);
    assert_eq!(asked(), "one_code", "another day");
    clocks.set_by(6 * 86_400);
    assert_eq!(
        asked(),
        "one_code",
        "the same day of another week, says a clock that was set just now"
    );
    clocks.pass(240);
    assert_eq!(asked(), "nothing");
}

#[test]
fn rules_are_judged_once_more_when_the_attempt_is_made_and_nothing_is_accepted_without_a_code() {
    let _place = world::enter();
    let mut daemon = with_rules("- {name: lan, from: [192.0.2.0/24]}");
    let alice = daemon.enroll("alice");
    let about = json!({ "user": "alice", "service": "deciding", "rhost": "192.0.2.7" });
    assert_eq!(
        daemon.call("Challenge", &about).expect("a challenge")["ask"],
        "nothing"
    );
    let attempt = |codes: &[&str]| {
        let attempt =
            json!({ "user": "alice", "service": "deciding", "rhost": "192.0.2.7", "codes": codes });
        daemon.call("Verify", &attempt).expect("a verdict")["verdict"].clone()
    };
    assert_eq!(attempt(&[&alice.wrong()]), "exempt", "none is needed");
    assert_eq!(attempt(&[""]), "malformed");
    assert_eq!(attempt(&[]), "exempt");
    daemon.setup.settings = daemon
        .setup
        .settings
        .replace("192.0.2.0/24", "198.51.100.0/24");
    daemon.setup.write();
    daemon.call("Reload", &json!({})).expect("other rules");
    let attempt =
        json!({ "user": "alice", "service": "deciding", "rhost": "192.0.2.7", "codes": [] });
    assert_eq!(
        daemon.call("Verify", &attempt).expect("a verdict")["verdict"],
        "malformed"
    );
}

#[test]
fn until_their_day_the_never_enrolled_of_a_group_are_let_by() {
    let _place = world::enter();
    world::group("staff-of-tests", &["alice", "carol"]);
    let daemon = Setup::new()
        .with("roll-out: {enforce-after: {staff-of-tests: 2999-12-31, everybody: 2026-01-01}}\n")
        .start();
    let stack = Stack::expecting_ignore(&daemon, "roll-out", "retry=1");
    let_by(&login(&stack, "alice", &[]));
    daemon
        .log
        .wait_for(&["user=alice", "verdict=exempt", "rule=enforce-after"]);
    is_asked(&login(&stack, "bob", &[]), "everybody's day is over");
    let days = "roll-out: {enforce-after: {staff-of-tests: 2026-01-01, everybody: 2999-12-31}}\n";
    let sooner = Setup::new().with(days).start();
    let stack_of_sooner = Stack::expecting_ignore(&sooner, "roll-out-sooner", "retry=1");
    is_asked(
        &login(&stack_of_sooner, "alice", &[]),
        "her group's day is over, and not everybody's",
    );
    let_by(&login(&stack_of_sooner, "bob", &[]));
    daemon
        .call("Enroll", &json!({ "user": "carol" }))
        .expect("a pending device");
    let_by(&login(&stack, "carol", &[]));
    let device = daemon.enroll("alice");
    is_asked(&login(&stack, "alice", &[]), "enrolled");
    assert_eq!(
        Stack::of(&daemon, "roll-out-code", "")
            .login("alice", &[&device.code()])
            .code,
        PamCode::SUCCESS
    );
    daemon.totpctl_json(&["revoke", "alice"], "");
    is_asked(&login(&stack, "alice", &[]), "once enrolled");
}

#[test]
fn who_was_never_enrolled_is_skipped_or_denied_as_the_settings_say_and_who_once_was_is_asked() {
    let _place = world::enter();
    let skipping = Setup::new().with("unknown-users: skip\n").start();
    let denying = Setup::new().with("unknown-users: deny\n").start();
    for daemon in [&skipping, &denying] {
        daemon.enroll("alice");
        daemon.totpctl_json(&["revoke", "alice"], "");
        is_asked(
            &login(&Stack::of(daemon, "once-enrolled", "retry=1"), "alice", &[]),
            "once enrolled",
        );
    }
    let_by(&login(
        &Stack::expecting_ignore(&skipping, "skipped", ""),
        "bob",
        &[],
    ));
    skipping
        .log
        .wait_for(&["user=bob", "verdict=exempt", "rule=unknown-users"]);
    for (options, code) in [
        ("", PamCode::AUTH_ERR),
        ("nullok", PamCode::AUTH_ERR),
        ("user_unknown", PamCode::USER_UNKNOWN),
    ] {
        let denied = Stack::of(&denying, "denied", options).login("bob", &[]);
        assert_eq!((denied.code, denied.said.len()), (code, 0), "{options}");
    }
    denying.audited("bob", "not_enrolled");
}

#[test]
fn while_it_is_only_observed_verdicts_are_logged_and_nobody_is_denied() {
    let _place = world::enter();
    let daemon = Setup::new().with("roll-out: {observe: true}\n").start();
    let alice = daemon.enroll("alice");
    let stack = Stack::expecting_ignore(&daemon, "observed", "");
    for (typed, would) in [(alice.wrong(), "rejected"), ("no code".into(), "malformed")] {
        let observed = stack.login("alice", &[&typed]);
        assert_eq!(
            (observed.code, observed.prompts().len()),
            (PamCode::SUCCESS, 1),
            "{would}"
        );
        daemon.log.wait_for(&[
            "user=alice",
            "verdict=exempt",
            "rule=observe",
            &format!("would={would}"),
        ]);
    }
    assert_eq!(daemon.budget("alice"), 4, "it counts as it will");
    let tried = daemon.totpctl(&["--json", "verify", "alice"], "no code\n");
    let told: Value = serde_json::from_slice(&tried.stdout).expect("JSON");
    assert_eq!(
        told,
        json!({ "verdict": "exempt", "rule": "observe", "would": "malformed" })
    );
    assert_eq!(tried.status.code(), Some(1), "it would not get in");
    let own = json!({ "user": "alice", "codes": ["no code"], "service": "own" });
    let own = daemon
        .call_as(&Caller::user("alice"), "Verify", &own)
        .expect("a verdict");
    assert_eq!(own["would"], json!(null), "{own}");
    let code = alice.code();
    assert_eq!(
        Stack::of(&daemon, "observed-right", "")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
    let replayed = stack.login("alice", &[&code]);
    assert_eq!(replayed.code, PamCode::SUCCESS);
    daemon
        .log
        .wait_for(&["user=alice", "rule=observe", "would=already_used"]);
    let_by(&login(&stack, "bob", &[]));
    daemon
        .log
        .wait_for(&["user=bob", "verdict=exempt", "rule=observe"]);
    daemon.totpctl_json(&["revoke", "alice"], "");
    assert_eq!(
        stack.login("alice", &["123456"]).prompts().len(),
        1,
        "a user that once was enrolled is asked"
    );
    daemon.totpctl_json(&["disable", "alice", "--all"], "");
    let once = Stack::expecting_ignore(&daemon, "observed-shut", "retry=1");
    is_asked(&login(&once, "alice", &[]), "a shut account is shut");
}

#[test]
fn with_forward_pass_who_is_exempt_types_the_password_alone() {
    // The others know alice by another password.
    let _place = world::enter_alone();
    world::set_password("alice", "correct horse 123456");
    let daemon = with_rules("- {name: lan, from: [192.0.2.0/24]}");
    daemon.enroll("alice");
    let line = tests::stack::auth_line(&daemon, "forward_pass");
    let stack = Stack::new(
        "exempt-forward",
        &format!("{line}auth required pam_unix.so use_first_pass nodelay\n"),
    );
    let with_password = |password: &str| {
        let mut asked = Vec::new();
        let code = stack
            .attempt("alice")
            .item(Item::Rhost, "192.0.2.7")
            .run(|message| {
                asked.push(message.text.to_owned());
                Reply::text(password)
            });
        (code.code, asked)
    };
    assert_eq!(
        with_password("correct horse 123456"),
        (PamCode::SUCCESS, vec!["Password: ".to_owned()])
    );
    assert_eq!(with_password("correct horse").0, PamCode::AUTH_ERR);
}

#[test]
fn ssh_from_an_exempt_network_asks_for_the_key_alone() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP\nauth required pam_permit.so");
    let code = system.daemon.enroll("alice").code();
    let sshd = Sshd::start("publickey,keyboard-interactive");
    let key = sshd.authorize("alice");
    let session = |codes: &[&str]| {
        sshd.login(&Client {
            user: "alice",
            key: Some(&key),
            codes,
            ..Client::default()
        })
    };
    assert!(!session(&["000"]).accepted);
    reload(
        &system.daemon,
        "rules: [{name: loopback, from: [127.0.0.0/8], services: [sshd]}]\n",
    );
    let let_by = session(&[]);
    assert!(let_by.accepted && let_by.prompts.is_empty(), "{let_by:?}");
    system.daemon.log.wait_for(&[
        "user=alice",
        "service=sshd",
        "source=127.0.0.1",
        "verdict=exempt",
        "rule=loopback",
    ]);
    reload(
        &system.daemon,
        "rules: [{name: loopback, from: [127.0.0.0/8], services: [login]}]\n",
    );
    assert!(session(&[&code]).accepted);
}

/// Puts settings in force that have these lines besides.
fn reload(daemon: &Daemon, lines: &str) {
    world::write_for_daemon(
        &daemon.setup.folder.join("settings.yaml"),
        &format!("{}{lines}", daemon.setup.settings),
    );
    daemon.call("Reload", &json!({})).expect("other settings");
}

fn with_rules(rules: &str) -> Daemon {
    Setup::new().with(&format!("rules:\n{rules}\n")).start()
}

/// One try in which nothing right is typed.
fn login(stack: &Stack, user: &str, items: &[(Item, &str)]) -> Login {
    let attempt = items
        .iter()
        .fold(stack.attempt(user), |attempt, (item, value)| {
            attempt.item(*item, value)
        });
    attempt.run(|_| Reply::text("000"))
}

/// In a stack that succeeds only if the module stands aside.
fn let_by(login: &Login) {
    assert_eq!(
        (login.code, login.said.len()),
        (PamCode::SUCCESS, 0),
        "{login:?}"
    );
}

fn is_asked(login: &Login, why: &str) {
    assert_eq!(login.prompts(), ["Verification code: "], "{why}");
    assert_ne!(login.code, PamCode::SUCCESS, "{why}");
}

/// The day of the week so many days from now.
fn today(later: u32) -> String {
    by_date(&["-d", &format!("+{later} days")])
}

/// What date(1) calls a day of the week.
fn by_date(when: &[&str]) -> String {
    let date = Command::new("date")
        .arg("+%a")
        .args(when)
        .env("LC_ALL", "C")
        .output();
    String::from_utf8(date.expect("date").stdout)
        .expect("a day")
        .trim()
        .to_lowercase()
}
