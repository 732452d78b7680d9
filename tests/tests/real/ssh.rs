//! sshd's own limits around the module, and users that go away: nothing is left behind, no guess is
//! charged, and the owner gets in.

use std::fmt::Write;

use tests::count;
use tests::oathtool::Authenticator;
use tests::sshd::{Client, Sshd, System, as_user, knows_penalties};
use tests::world;

#[test]
fn hundreds_of_rounds_on_one_connection_are_no_more_guesses_than_on_many() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP retry=1");
    let alice = system.daemon.enroll("alice");
    let rounds = count("PAM_TOTP_SSH_ROUNDS", 60);
    let sshd = Sshd::start_with(
        "keyboard-interactive",
        "MaxAuthTries 1000000\nLoginGraceTime 0\n",
    );
    let (wrong, tries) = (
        alice.wrong_codes(rounds),
        format!("NumberOfPasswordPrompts={rounds}"),
    );
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let client = Client {
        user: "alice",
        codes: &wrong,
        options: &[&tries],
        ..Client::default()
    };
    let session = sshd.login(&client);
    assert!(
        !session.accepted && session.prompts.len() == rounds,
        "{} prompts",
        session.prompts.len()
    );
    let log = &system.daemon.log;
    let two = sshd.login(&Client {
        codes: &[&alice.pair().join(" ")],
        options: &[],
        ..client
    });
    assert!(two.accepted, "{two:?}");
    system.daemon.audited("alice", "accepted");
    assert_eq!(log.with(&["user=alice", "verdict=rejected"]).len(), 5);
    assert_eq!(system.daemon.refusals_told("alice"), rounds);
}

#[test]
fn guesses_from_many_addresses_are_taken_from_one_budget() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP retry=1");
    let alice = system.daemon.enroll("alice");
    let sshd = Sshd::start("keyboard-interactive");
    for n in 1..=8 {
        let (from, wrong) = (format!("BindAddress=127.0.{n}.1"), alice.wrong());
        let client = Client {
            user: "alice",
            codes: &[&wrong],
            options: &[&from],
            ..Client::default()
        };
        assert!(!sshd.login(&client).accepted);
        let verdict = if n <= 5 {
            "rejected"
        } else {
            "two_codes_needed"
        };
        let source = format!("source=127.0.{n}.1");
        system
            .daemon
            .log
            .wait_for(&["user=alice", &source, &format!("verdict={verdict}")]);
    }
}

#[test]
fn two_wrong_codes_in_two_connections_from_a_known_address_come_back_with_the_login() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP retry=1");
    let alice = system.daemon.enroll("alice");
    let sshd = Sshd::start("keyboard-interactive");
    let login = |code: &str| {
        sshd.login(&Client {
            user: "alice",
            codes: &[code],
            ..Client::default()
        })
        .accepted
    };
    assert!(login(&alice.code()), "the address is known from now on");
    for (wrong, left) in alice.wrong_codes(2).iter().zip([4, 3]) {
        assert!(!login(wrong));
        assert_eq!(system.daemon.known_budget("alice"), left);
    }
    assert!(login(&alice.code_at(1)));
    assert_eq!(system.daemon.known_budget("alice"), 5);
}

#[test]
fn a_client_that_repeats_its_wrong_answer_pays_for_one_guess() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP retry=1");
    let sshd = Sshd::start_with("keyboard-interactive", "MaxAuthTries 100\n");
    let people = ["alice", "bob"].map(|user| (user, system.daemon.enroll(user)));
    let clock = people[0].1.clone();
    let ((user, _), _) = clock.within_a_step(people, |(user, device)| {
        let wrong = device.wrong();
        let options = ["NumberOfPasswordPrompts=5"];
        let session = sshd.login(&Client {
            user,
            codes: &[wrong.as_str(); 5],
            options: &options,
            ..Client::default()
        });
        assert!(
            !session.accepted && session.prompts.len() == 5,
            "{session:?}"
        );
    });
    system.daemon.log.wait_for_many(
        5,
        &[
            "event=verify ",
            &format!(" user={user} "),
            " verdict=rejected ",
        ],
    );
    let again = system.daemon.logged(&[
        "event=verify ",
        &format!(" user={user} "),
        " reason=repeated ",
    ]);
    assert_eq!((again.len(), system.daemon.budget(user)), (4, 4));
}

/// With the penalties of newer versions of sshd for sources that fail, where they exist.
#[test]
fn however_few_tries_sshd_gives_whoever_is_asked_for_two_codes_gets_in() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP");
    let alice = system.daemon.enroll("alice");
    let mut lines = "MaxAuthTries 1\n".to_owned();
    if knows_penalties() {
        writeln!(lines, "PerSourcePenalties authfail:600 min:1").expect("a text");
    }
    println!("penalties: {}", knows_penalties());
    let sshd = Sshd::start_with("publickey,keyboard-interactive", &lines);
    let key = sshd.authorize("alice");
    empty_the_budget(&system, &alice);
    let login = |codes: &[&str]| {
        sshd.login(&Client {
            user: "alice",
            key: Some(&key),
            codes,
            ..Client::default()
        })
    };
    // Typed like every day, and then as the next prompt says: in one conversation, which is one
    // try.
    let [current, next] = alice.pair();
    let session = login(&[&current, &format!("{current} {next}")]);
    assert!(
        session.accepted && session.prompts.len() == 2,
        "{session:?}"
    );
    assert!(
        session.prompts[0].contains("Verification code (the current one"),
        "{session:?}"
    );
    // A refusal is the last try of its connection.
    let wrong = alice.wrong();
    let refused = login(&[&wrong, &wrong, &wrong, &wrong]);
    assert!(
        !refused.accepted && refused.prompts.len() == 3,
        "{refused:?}"
    );
    sshd.log
        .wait_for(&["maximum authentication attempts exceeded for alice"]);
}

#[test]
fn three_mistyped_codes_in_one_round_are_one_failure_for_sshd() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP");
    let alice = system.daemon.enroll("alice");
    let sshd = Sshd::start_with("keyboard-interactive", "MaxAuthTries 2\n");
    let (wrong, right) = (alice.wrong(), alice.code());
    let codes = [&wrong, &wrong, &wrong, &wrong, &right].map(String::as_str);
    let session = sshd.login(&Client {
        user: "alice",
        codes: &codes,
        by_default: true,
        ..Client::default()
    });
    assert!(
        session.accepted && session.prompts.len() == 5,
        "{session:?}"
    );
    let refused = sshd.login(&Client {
        user: "alice",
        codes: &["no code"; 9],
        by_default: true,
        ..Client::default()
    });
    assert!(
        !refused.accepted && refused.prompts.len() == 6,
        "{refused:?}"
    );
    sshd.log
        .wait_for(&["maximum authentication attempts exceeded for alice"]);
}

#[test]
fn who_goes_away_at_the_prompt_leaves_nothing_behind_and_is_charged_nothing() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP");
    let code = system.daemon.enroll("alice").code();
    let sshd = Sshd::start("keyboard-interactive");
    let alice = Client {
        user: "alice",
        codes: &[&code],
        ..Client::default()
    };
    drop(sshd.begin(&alice));
    sshd.wait_until_idle();
    assert!(
        system.daemon.logged(&["event=verify"]).is_empty(),
        "nothing was typed"
    );
    assert!(sshd.login(&alice).accepted);
}

#[test]
fn who_does_not_answer_until_sshd_gives_up_leaves_nothing_behind_and_is_charged_nothing() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP");
    let code = system.daemon.enroll("alice").code();
    let sshd = Sshd::start_with("keyboard-interactive", "LoginGraceTime 2\n");
    let alice = Client {
        user: "alice",
        codes: &[&code],
        ..Client::default()
    };
    let mut silent = sshd.begin(&alice);
    // Not every version writes a line about it.
    sshd.wait_until_idle();
    silent.answer(&code);
    assert!(!silent.got_in());
    // The same while the daemon is asked, which stands still.
    let mut answered = sshd.begin(&alice);
    system.daemon.freeze();
    answered.answer("123456");
    assert!(!answered.got_in());
    sshd.wait_until_idle();
    system.daemon.thaw();
    assert!(sshd.login(&alice).accepted, "the code was not spent");
}

#[test]
fn who_cannot_be_asked_is_refused_at_once() {
    let _place = world::enter();
    let system = System::start();
    for service in ["sshd", "sudo"] {
        system.service(service, "auth required TOTP");
    }
    system.allow_sudo("alice");
    system.daemon.enroll("alice");
    let sudo = as_user("alice", &["sudo", "-n", "-k", "id"], "");
    assert_eq!(
        (sudo.status.code(), sudo.stdout.len()),
        (Some(1), 0),
        "{sudo:?}"
    );
    let sshd = Sshd::start("keyboard-interactive");
    for options in [&["BatchMode=yes"][..], &["KbdInteractiveAuthentication=no"]] {
        let session = sshd.login(&Client {
            user: "alice",
            codes: &["123456"],
            options,
            ..Client::default()
        });
        assert!(
            !session.accepted && session.prompts.is_empty(),
            "{session:?}"
        );
    }
    assert!(system.daemon.logged(&["event=verify"]).is_empty());
}

fn empty_the_budget(system: &System, device: &Authenticator) {
    let stack = tests::stack::Stack::of(&system.daemon, "guesses", "retry=1");
    for _ in 0..5 {
        stack.login("alice", &[&device.wrong()]);
    }
    assert_eq!(system.daemon.budget("alice"), 0);
}
