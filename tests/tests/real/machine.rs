//! The machine's own programs: sshd, sudo, su and pamtester, with the daemon and its sockets where
//! packages put them.

use serde_json::json;
use tests::libpam::PamCode;
use tests::sshd::{Client, Sshd, System, as_user, command_of};
use tests::stack::Stack;
use tests::terminal::Terminal;
use tests::world;

#[test]
fn ssh_with_a_key_and_a_code_lets_in_once() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP");
    let code = system.daemon.enroll("alice").code();
    let sshd = Sshd::start("publickey,keyboard-interactive");
    let key = sshd.authorize("alice");
    let alice = Client {
        user: "alice",
        key: Some(&key),
        codes: &[&code],
        ..Client::default()
    };
    let first = sshd.login(&alice);
    assert!(first.accepted, "{first:?}");
    assert_eq!((first.output.as_str(), first.prompts.len()), ("alice", 1));
    assert!(
        first.prompts[0].contains("Verification code: "),
        "{first:?}"
    );
    sshd.log.wait_for(&["Postponed publickey for alice"]);
    sshd.log
        .wait_for(&["Accepted keyboard-interactive/pam for alice"]);
    system.daemon.log.wait_for(&[
        "user=alice",
        "service=sshd",
        "source=127.0.0.1",
        "verdict=accepted",
    ]);
    let replay = sshd.login(&alice);
    assert!(!replay.accepted, "{replay:?}");
    sshd.log
        .wait_for(&["Failed keyboard-interactive/pam for alice"]);
    system
        .daemon
        .log
        .wait_for(&["user=alice", "service=sshd", "verdict=already_used"]);
}

#[test]
fn ssh_with_a_code_and_without_the_key_does_not_even_ask() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP");
    let code = system.daemon.enroll("alice").code();
    let sshd = Sshd::start("publickey,keyboard-interactive");
    let stranger = sshd.authorize("bob");
    for key in [None, Some(stranger.as_path())] {
        let session = sshd.login(&Client {
            user: "alice",
            key,
            codes: &[&code],
            ..Client::default()
        });
        assert!(
            !session.accepted && session.prompts.is_empty(),
            "{session:?}"
        );
    }
    assert!(system.daemon.logged(&["event=verify"]).is_empty());
}

#[test]
fn ssh_with_a_password_and_a_code_asks_for_the_code_only_after_the_right_password() {
    let _place = world::enter();
    let system = System::start();
    system.service(
        "sshd",
        "auth requisite pam_unix.so nodelay\nauth required TOTP",
    );
    world::set_password("alice", "correct horse");
    let code = system.daemon.enroll("alice").code();
    let sshd = Sshd::start("keyboard-interactive");
    let wrong = sshd.login(&Client {
        user: "alice",
        password: "wrong",
        codes: &[&code],
        ..Client::default()
    });
    assert!(!wrong.accepted && wrong.prompts.len() == 1, "{wrong:?}");
    assert_eq!(
        system.daemon.budget("alice"),
        5,
        "an attacker without the password cannot guess codes"
    );
    let right = Client {
        user: "alice",
        password: "correct horse",
        codes: &[&code],
        ..Client::default()
    };
    let session = sshd.login(&right);
    assert!(
        session.accepted && session.prompts.len() == 2,
        "the code was not spent before: {session:?}"
    );
    sshd.log
        .wait_for(&["Accepted keyboard-interactive/pam for alice"]);
    let replay = sshd.login(&right);
    assert!(!replay.accepted, "{replay:?}");
    system
        .daemon
        .log
        .wait_for(&["user=alice", "service=sshd", "verdict=already_used"]);
}

#[test]
fn ssh_with_both_in_one_field_asks_once_and_takes_the_code_once() {
    let _place = world::enter();
    let system = System::start();
    let stack = "auth required TOTP forward_pass\nauth required pam_unix.so use_first_pass nodelay";
    system.service("sshd", stack);
    world::set_password("alice", "correct horse");
    let alice = system.daemon.enroll("alice");
    let sshd = Sshd::start("keyboard-interactive");
    let login = |typed: &str| {
        sshd.login(&Client {
            user: "alice",
            password: typed,
            ..Client::default()
        })
    };
    assert!(!login(&format!("wrong{}", alice.code())).accepted);
    let typed = format!("correct horse{}", alice.code_at(1));
    let session = login(&typed);
    assert!(
        session.accepted && session.prompts.len() == 1,
        "{session:?}"
    );
    assert!(
        session.prompts[0].ends_with("Password & verification code: "),
        "{session:?}"
    );
    let replay = login(&typed);
    assert!(!replay.accepted, "{replay:?}");
    system
        .daemon
        .log
        .wait_for(&["user=alice", "service=sshd", "verdict=already_used"]);
}

#[test]
fn with_sshs_own_password_method_and_one_try_as_the_manual_says_a_typo_costs_one_guess() {
    let _place = world::enter();
    let system = System::start();
    let manual = include_str!("../../../docs/pam_totp.8");
    let (_, lines) = manual
        .split_once("auth required pam_totp.so forward_pass")
        .expect("the example");
    let (lines, _) = lines.split_once(".Ed").expect("its end");
    system.service(
        "sshd",
        &format!("auth required TOTP retry=1 forward_pass{lines}"),
    );
    world::set_password("alice", "correct horse");
    let alice = system.daemon.enroll("alice");
    let sshd = Sshd::configured(
        "UsePAM yes\nKbdInteractiveAuthentication no\nPasswordAuthentication yes\nAuthenticationMethods password\n",
    );
    let options = ["PreferredAuthentications=password"];
    let login = |code: &str| {
        let password = &format!("correct horse{code}");
        sshd.login(&Client {
            user: "alice",
            password,
            options: &options,
            ..Client::default()
        })
        .accepted
    };
    assert!(!login(&alice.wrong()));
    assert_eq!(system.daemon.budget("alice"), 4);
    assert!(login(&alice.code()));
}

#[test]
fn what_ssh_sends_for_someone_it_refuses_anyway_is_no_guess() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP forward_pass retry=1");
    let sshd = Sshd::start("keyboard-interactive");
    let session = sshd.login(&Client {
        user: "no-such-account",
        password: "horse123456",
        ..Client::default()
    });
    assert!(
        !session.accepted && session.prompts.len() == 1,
        "{session:?}"
    );
    sshd.log
        .wait_for(&["Failed keyboard-interactive/pam for invalid user no-such-account"]);
    system.daemon.log.wait_for(&[
        "user=no-such-account",
        "service=sshd",
        "verdict=not_enrolled",
    ]);
    let asked = json!({ "user": "no-such-account", "service": "sshd" });
    for _ in 0..6 {
        assert!(
            !sshd
                .login(&Client {
                    user: "no-such-account",
                    password: "horse123456",
                    ..Client::default()
                })
                .accepted
        );
    }
    let told = system
        .daemon
        .call("Challenge", &asked)
        .expect("a challenge");
    assert_eq!(told["ask"], "one_code", "what is no code costs nothing");
}

#[test]
fn ssh_gives_three_tries_in_one_conversation_and_shows_why() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP");
    let alice = system.daemon.enroll("alice");
    let sshd = Sshd::start("keyboard-interactive");
    let codes = [alice.wrong(), String::new(), alice.code()];
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let session = sshd.login(&Client {
        user: "alice",
        codes: &codes,
        ..Client::default()
    });
    assert!(
        session.accepted && session.prompts.len() == 3,
        "{session:?}"
    );
    assert!(
        session.prompts[1].contains("not accepted")
            && session.prompts[1].ends_with("Verification code: ")
    );
}

#[test]
fn with_one_try_sshs_client_shows_why_and_the_same_to_whoever_has_no_device() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP retry=1");
    let alice = system.daemon.enroll("alice");
    let sshd = Sshd::start("keyboard-interactive");
    let shown = |user: &str, code: &str| {
        let session = sshd.login(&Client {
            user,
            codes: &[code],
            options: &["LogLevel=INFO"],
            ..Client::default()
        });
        assert_eq!(
            session.prompts,
            [format!("({user}@127.0.0.1) Verification code: ")],
            "{session:?}"
        );
        session.errors.replace(user, "USER")
    };
    let wrong = shown("alice", &alice.wrong());
    assert!(
        wrong.contains(
            "The code was not accepted. Try again with the code that your device shows then."
        ),
        "{wrong}"
    );
    assert_eq!(
        shown("bob", "123456"),
        wrong,
        "a user that was never enrolled"
    );
    assert_eq!(
        shown("no-such-account", "123456"),
        wrong,
        "a user that does not exist"
    );
    let code = alice.code();
    assert!(!shown("alice", &code).contains("accepted"));
    let used = shown("alice", &code);
    assert!(
        used.contains("That code was already used. Your device shows the next one in"),
        "{used}"
    );
}

#[test]
fn ssh_as_the_readme_has_it_asks_for_nothing_that_cannot_work() {
    let _place = world::enter();
    let system = System::start();
    // The first with a password, the second with a key in its place.
    for (user, methods, auth, prompts) in [
        (
            "alice",
            "keyboard-interactive",
            recipe(),
            &["Password: ", CODE, CODE, CODE][..],
        ),
        (
            "bob",
            "publickey,keyboard-interactive",
            without_password(&recipe()),
            &[CODE; 3],
        ),
    ] {
        system.service("sshd", &auth);
        world::set_password(user, "correct horse");
        system.daemon.enroll(user);
        let sshd = Sshd::start(methods);
        let key = methods
            .starts_with("publickey")
            .then(|| sshd.authorize(user));
        let client = Client {
            user,
            key: key.as_deref(),
            password: "correct horse",
            codes: &["no code"; 9],
            by_default: true,
            options: &[],
        };
        let session = sshd.login(&client);
        assert!(
            !session.accepted && session.errors.contains("Permission denied"),
            "{session:?}"
        );
        let asked = session
            .prompts
            .iter()
            .filter_map(|prompt| prompt.lines().last());
        let before = format!("({user}@127.0.0.1) ");
        let asked: Vec<&str> = asked
            .map(|prompt| prompt.trim_start_matches(&before))
            .collect();
        assert_eq!(asked, [prompts; 3].concat(), "{session:?}");
    }
}

#[test]
fn ssh_refuses_when_the_daemon_is_gone() {
    let _place = world::enter();
    let mut system = System::start();
    system.service("sshd", "auth required TOTP");
    let code = system.daemon.enroll("alice").code();
    let sshd = Sshd::start("keyboard-interactive");
    system.daemon.kill();
    let alice = Client {
        user: "alice",
        codes: &[&code],
        ..Client::default()
    };
    assert!(!sshd.login(&alice).accepted);
    system.daemon.start_again();
    let session = sshd.login(&alice);
    assert!(session.accepted, "{session:?}");
}

#[test]
fn sudo_asks_its_user_for_a_code_and_takes_it_once() {
    let _place = world::enter();
    let system = System::start();
    system.service("sudo", "auth required TOTP retry=1");
    system.allow_sudo("alice");
    let code = system.daemon.enroll("alice").code();
    let sudo = |input: &str| as_user("alice", &["sudo", "-S", "-k", "id", "-un"], input);
    let first = sudo(&format!("{code}\n"));
    assert_eq!(
        (first.status.code(), first.stdout.as_slice()),
        (Some(0), &b"root\n"[..]),
        "{first:?}"
    );
    system
        .daemon
        .log
        .wait_for(&["user=alice", "service=sudo", "verdict=accepted"]);
    let replay = sudo(&format!("{code}\n"));
    assert_eq!(
        (replay.status.code(), replay.stdout.len()),
        (Some(1), 0),
        "{replay:?}"
    );
    system
        .daemon
        .log
        .wait_for(&["user=alice", "service=sudo", "verdict=already_used"]);
}

#[test]
fn su_asks_for_a_code_of_the_account_that_is_entered() {
    let _place = world::enter();
    let system = System::start();
    system.service("su", "auth required TOTP retry=1");
    let (alice, bob) = (
        system.daemon.enroll("alice").code(),
        system.daemon.enroll("bob").code(),
    );
    let su = |code: &str| {
        as_user(
            "alice",
            &["su", "bob", "-c", "id -un"],
            &format!("{code}\n"),
        )
    };
    let own = su(&alice);
    assert_eq!(
        (own.status.code(), own.stdout.len()),
        (Some(1), 0),
        "{own:?}"
    );
    let right = su(&bob);
    assert_eq!(
        (right.status.code(), right.stdout.as_slice()),
        (Some(0), &b"bob\n"[..]),
        "{right:?}"
    );
    assert_eq!(su(&bob).status.code(), Some(1));
    system
        .daemon
        .log
        .wait_for(&["user=bob", "service=su ", "verdict=already_used"]);
}

#[test]
fn su_asks_for_a_mistyped_code_three_times_and_is_not_called_again() {
    let _place = world::enter();
    let system = System::start();
    system.service("su", "auth required TOTP");
    let bob = system.daemon.enroll("bob");
    let su = || Terminal::start(&command_of("alice", &["su", "bob", "-c", "id -un"]), 80);
    let mut mistyped = su();
    for typed in [&bob.wrong(), &bob.wrong(), &bob.code()] {
        mistyped.answer(CODE, typed);
    }
    let (status, shown) = mistyped.end();
    assert!(status.success() && shown.ends_with("bob\n"), "{shown}");
    let mut refused = su();
    (0..3).for_each(|_| refused.answer(CODE, "no code"));
    let (status, shown) = refused.end();
    let told = shown.ends_with("su: Authentication failure\n");
    assert_eq!(
        (status.code(), told, shown.matches(CODE).count()),
        (Some(1), true, 3),
        "{shown}"
    );
}

#[test]
fn pamtester_agrees() {
    let _place = world::enter();
    let system = System::start();
    system.service("totp-tester", "auth required TOTP retry=1");
    let code = system.daemon.enroll("alice").code();
    let pamtester = |input: &str| {
        let mut command = std::process::Command::new("pamtester");
        command.args([
            "-I",
            "rhost=192.0.2.7",
            "totp-tester",
            "alice",
            "authenticate",
            "setcred",
            "acct_mgmt",
        ]);
        tests::program::with_input(command, input).status.code()
    };
    assert_eq!(pamtester(&format!("{code}\n")), Some(0));
    system
        .daemon
        .log
        .wait_for(&["user=alice", "source=192.0.2.7", "verdict=accepted"]);
    assert_eq!(pamtester(&format!("{code}\n")), Some(1));
}

#[test]
fn one_code_opens_one_of_all_services() {
    let _place = world::enter();
    let system = System::start();
    system.service("sudo", "auth required TOTP retry=1");
    system.allow_sudo("alice");
    let code = system.daemon.enroll("alice").code();
    let here = Stack::of(&system.daemon, "elsewhere", "retry=1");
    assert_eq!(here.login("alice", &[&code]).code, PamCode::SUCCESS);
    let sudo = as_user(
        "alice",
        &["sudo", "-S", "-k", "id", "-un"],
        &format!("{code}\n"),
    );
    assert_eq!(sudo.status.code(), Some(1), "{sudo:?}");
}

const CODE: &str = "Verification code: ";

/// The lines for /etc/pam.d/sshd in the README's instructions.
fn recipe() -> String {
    let lines = include_str!("../../../README.md")
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("auth "));
    let recipe = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(recipe.matches("pam_totp.so").count(), 1, "{recipe}");
    // Without the pause after a refusal.
    recipe
        .replace("pam_totp.so", "TOTP")
        .replace("pam_unix.so", "pam_unix.so nodelay")
}

fn without_password(recipe: &str) -> String {
    recipe
        .lines()
        .filter(|line| !line.contains("pam_unix.so"))
        .collect()
}
