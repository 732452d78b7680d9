//! Guessing: five single codes, then two consecutive ones, never a locked door.

use serde_json::json;
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup};
use tests::libpam::{Item, PamCode, Reply};
use tests::oathtool::Authenticator;
use tests::stack::{Login, Stack};
use tests::wire::Caller;
use tests::world;

#[test]
fn after_five_wrong_guesses_one_code_is_not_judged_and_two_consecutive_ones_let_in() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "two-codes", "retry=1");
    let ordinary = guess(&daemon, &stack, "alice", &alice);
    let [current, next] = alice.pair();
    let single = stack.login("alice", &[&current]);
    assert_eq!(single.code, PamCode::AUTH_ERR);
    assert_ne!(
        single.prompts(),
        [ordinary.as_str()],
        "the prompt asks for two codes"
    );
    daemon.audited("alice", "two_codes_needed");
    let pair = stack.login("alice", &[&format!("{current} {next}")]);
    assert_eq!(
        pair.code,
        PamCode::SUCCESS,
        "the single code was not spent: {pair:?}"
    );
    for spent in [current, next] {
        assert_eq!(
            stack.login("alice", &[&spent]).code,
            PamCode::AUTH_ERR,
            "both are spent"
        );
    }
}

#[test]
fn the_two_codes_are_asked_for_in_the_same_conversation_too() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    guess(
        &daemon,
        &Stack::of(&daemon, "rounds", "retry=1"),
        "alice",
        &alice,
    );
    let [current, next] = alice.pair();
    let login =
        Stack::of(&daemon, "rounds", "").login("alice", &[&current, &format!("{current}{next}")]);
    assert_eq!(login.code, PamCode::SUCCESS, "{login:?}");
}

#[test]
fn two_codes_must_be_consecutive_unspent_and_both_right_and_nobody_hears_which_was_not() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "pairs", "retry=1");
    guess(&daemon, &stack, "alice", &alice);
    let ([current, next], wrong) = (alice.pair(), alice.wrong());
    let attempt = |pair: &str| stack.login("alice", &[pair]);
    let first_wrong = attempt(&format!("{wrong} {next}"));
    let second_wrong = attempt(&format!("{current} {wrong}"));
    assert_eq!(first_wrong.code, PamCode::AUTH_ERR);
    assert_eq!(
        (second_wrong.code, &second_wrong.said),
        (first_wrong.code, &first_wrong.said)
    );
    for pair in [
        format!("{next} {current}"),
        format!("{current} {current}"),
        format!("{current} {}", alice.code_at(2)),
    ] {
        let login = attempt(&pair);
        assert_eq!(
            (login.code, &login.said),
            (first_wrong.code, &first_wrong.said),
            "{pair}"
        );
    }
    assert_eq!(attempt(&format!("{current} {next}")).code, PamCode::SUCCESS);
    assert_eq!(
        attempt(&format!("{current} {next}")).code,
        PamCode::AUTH_ERR,
        "a pair is good for one login"
    );
    assert_eq!(
        attempt(&format!("{next} {}", alice.code_at(2))).code,
        PamCode::AUTH_ERR,
        "half of it is spent"
    );
}

#[test]
fn a_login_with_two_codes_gives_no_guess_back() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "no-refill", "retry=1");
    guess(&daemon, &stack, "alice", &alice);
    assert_eq!(
        stack.login("alice", &[&alice.pair().concat()]).code,
        PamCode::SUCCESS
    );
    assert_eq!(daemon.budget("alice"), 0);
    assert_eq!(
        stack.login("alice", &[&alice.code_at(2)]).code,
        PamCode::AUTH_ERR
    );
    daemon.audited("alice", "two_codes_needed");
}

#[test]
fn a_restart_gives_no_guess_back() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "restart", "retry=1");
    guess(&daemon, &stack, "alice", &alice);
    assert!(daemon.terminate().success());
    daemon.start_again();
    assert_eq!(daemon.budget("alice"), 0);
    daemon.kill();
    daemon.start_again();
    assert_eq!(daemon.budget("alice"), 0);
    assert_eq!(
        stack.login("alice", &[&alice.code()]).code,
        PamCode::AUTH_ERR
    );
    daemon.audited("alice", "two_codes_needed");
}

#[test]
fn one_users_guesses_are_nobody_elses() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (alice, bob) = (daemon.enroll("alice"), daemon.enroll("bob"));
    let stack = Stack::of(&daemon, "others", "retry=1");
    guess(&daemon, &stack, "alice", &alice);
    assert_eq!(daemon.budget("bob"), 5);
    assert_eq!(stack.login("bob", &[&bob.code()]).code, PamCode::SUCCESS);
}

#[test]
fn strangers_do_not_use_up_the_guesses_of_where_the_owner_logs_in_from() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "sources", "retry=1");
    let from = |rhost: &str, typed: &str| login_from(&stack, "alice", rhost, typed).code;
    let [current, next] = alice.pair();
    assert_eq!(from("2001:db8::7", &current), PamCode::SUCCESS);
    for _ in 0..6 {
        assert_eq!(from("203.0.113.9", &alice.wrong()), PamCode::AUTH_ERR);
        assert_eq!(from("home.example.org", &alice.wrong()), PamCode::AUTH_ERR);
    }
    assert_eq!(
        (daemon.budget("alice"), daemon.known_budget("alice")),
        (0, 5)
    );
    assert_eq!(
        from("home.example.org", &next),
        PamCode::AUTH_ERR,
        "a host name is no known source"
    );
    assert_eq!(
        from("2001:db8::8", &next),
        PamCode::SUCCESS,
        "from the same network as before"
    );
    let own = json!({ "user": "alice", "codes": [alice.wrong()], "service": "own", "rhost": "2001:db8::7" });
    let told = daemon
        .call_as(&Caller::user("alice"), "Verify", &own)
        .expect("a verdict");
    assert_eq!(
        told["verdict"], "two_codes_needed",
        "a process of one's own is not believed: {told}"
    );
    assert_eq!(from("2001:db8::9", &alice.wrong()), PamCode::AUTH_ERR);
    assert_eq!(daemon.known_budget("alice"), 4);
}

#[test]
fn who_tries_a_few_guesses_on_each_of_many_accounts_is_asked_for_two_codes_by_all_of_them() {
    let _place = world::enter();
    let daemon = Setup::new()
        .with("limits: {per-source: 12, trusted-sources: [198.51.100.0/24]}\n")
        .start();
    let (alice, bob) = (daemon.enroll("alice"), daemon.enroll("bob"));
    let stack = Stack::of(&daemon, "spray", "retry=1");
    let from = |user: &str, rhost: &str, typed: &str| login_from(&stack, user, rhost, typed);
    for source in ["203.0.113.9", "198.51.100.7"] {
        for n in 0..4 {
            for typed in ["123456", "no code", "654321"] {
                assert_eq!(
                    from(&format!("guessed-{n}"), source, typed).code,
                    PamCode::AUTH_ERR
                );
            }
        }
    }
    let told = daemon.log.wait_for(&[
        "event=source_limited ",
        "source=203.0.113.9",
        "wrong_codes=12",
    ]);
    assert_eq!(
        daemon.logged(&["event=source_limited "]),
        [told],
        "told once, and of no trusted source"
    );
    let single = from("alice", "203.0.113.9", &alice.code());
    assert_eq!(single.code, PamCode::AUTH_ERR);
    let unknown = from("no-such-account", "203.0.113.9", "123456");
    assert_eq!((unknown.code, &unknown.said), (single.code, &single.said));
    assert_eq!(
        daemon.budget("alice"),
        5,
        "a code that is not judged costs nothing"
    );
    assert_eq!(
        from("bob", "203.0.113.9", &bob.pair().join(" ")).code,
        PamCode::SUCCESS,
        "no user is locked out"
    );
    for (source, typed) in [
        ("203.0.113.10", alice.code()),
        ("198.51.100.7", alice.code_at(1)),
    ] {
        assert_eq!(
            from("alice", source, &typed).code,
            PamCode::SUCCESS,
            "{source}"
        );
    }
}

#[test]
fn codes_that_are_not_judged_tell_nobody_behind_which_name_there_is_a_device() {
    let _place = world::enter();
    let daemon = Setup::new().with("limits: {per-source: 12}\n").start();
    let wrong = daemon.enroll("alice").wrong_codes(20);
    let stack = Stack::of(&daemon, "unjudged", "retry=1");
    for (source, user) in [
        ("203.0.113.9", "alice"),
        ("203.0.113.10", "no-such-account"),
    ] {
        for wrong in &wrong {
            assert_eq!(
                login_from(&stack, user, source, wrong).code,
                PamCode::AUTH_ERR
            );
        }
        let about = json!({ "user": "somebody-else", "service": "unjudged", "rhost": source });
        assert_eq!(
            daemon.call("Challenge", &about).expect("a challenge")["ask"],
            "one_code",
            "{user}"
        );
    }
}

#[test]
fn people_who_are_not_asked_for_a_code_are_no_crowd_that_guesses() {
    let _place = world::enter();
    let daemon = Setup::new()
        .with("unknown-users: deny\nlimits: {per-source: 3}\n")
        .start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "unasked", "retry=1");
    for n in 0..4 {
        let refused = login_from(&stack, &format!("not-yet-{n}"), "203.0.113.9", "");
        assert_eq!(
            (refused.code, refused.prompts().len()),
            (PamCode::AUTH_ERR, 0),
            "{refused:?}"
        );
        daemon.audited(&format!("not-yet-{n}"), "not_enrolled");
    }
    assert_eq!(
        login_from(&stack, "alice", "203.0.113.9", &alice.code()).code,
        PamCode::SUCCESS
    );
    assert!(daemon.logged(&["event=source_limited "]).is_empty());
}

/// Nor does it for other users, and an unknown name is masked: no reply tells it apart.
#[test]
fn the_same_wrong_code_again_within_its_step_costs_nothing_whoever_is_behind_the_name() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks
        .of(Setup::new().with("limits: {per-source: 4}\n"))
        .start();
    let wrong = daemon.enroll("alice").wrong();
    let again = |user: &str| {
        daemon
            .logged(&[
                "event=verify ",
                &format!(" user={user} "),
                " reason=repeated ",
            ])
            .len()
    };
    for (user, source) in [
        ("alice", "203.0.113.9"),
        ("no-such-account", "203.0.113.10"),
    ] {
        let attempt = json!({ "user": user, "codes": [wrong], "service": "again", "rhost": source, "tty": "ssh" });
        let told = || daemon.call("Verify", &attempt).expect("a verdict");
        let first = told();
        for _ in 0..5 {
            assert_eq!(told(), first, "{user}");
        }
        daemon
            .log
            .wait_for_many(6, &["event=verify ", &format!(" user={user} ")]);
        assert_eq!(again(user), 5, "{user}");
        clocks.pass(30);
        assert_eq!(told(), first, "{user}");
        daemon
            .log
            .wait_for_many(7, &["event=verify ", &format!(" user={user} ")]);
        assert_eq!(
            again(user),
            5,
            "in the next step it is compared with another code: {user}"
        );
        let about = |user: &str| json!({ "user": user, "service": "again", "rhost": source });
        for asked in [user, "somebody-else"] {
            assert_eq!(
                daemon
                    .call("Challenge", &about(asked))
                    .expect("a challenge")["ask"],
                "one_code",
                "{asked}"
            );
        }
    }
    assert_eq!(daemon.budget("alice"), 3);
    assert_eq!(
        daemon.totpctl_json(&["why", "alice", "-n", "2"], "")["attempts"][0]["reason"],
        "repeated"
    );
}

#[test]
fn the_same_wrong_code_again_is_wrong_again_when_no_guess_is_left_and_the_right_one_is_not_judged()
{
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks.of(Setup::new()).start();
    let alice = daemon.enroll("alice");
    let (wrong, stack) = (alice.wrong_codes(5), Stack::of(&daemon, "again", "retry=1"));
    for wrong in wrong.iter().chain(&wrong) {
        assert_eq!(stack.login("alice", &[wrong]).code, PamCode::AUTH_ERR);
    }
    daemon
        .log
        .wait_for_many(10, &["event=verify ", " user=alice ", " verdict=rejected"]);
    for typed in [alice.wrong(), alice.code_when(clocks.now())] {
        let told = daemon.call(
            "Verify",
            &json!({ "user": "alice", "codes": [typed], "service": "again" }),
        );
        assert_eq!(told.expect("a verdict")["verdict"], "two_codes_needed");
    }
    let (now, later) = (
        alice.code_when(clocks.now()),
        alice.code_when(clocks.now() + 30),
    );
    assert_eq!(
        stack.login("alice", &[&format!("{now} {later}")]).code,
        PamCode::SUCCESS
    );
}

/// A login from a remote host, as sshd tells it.
fn login_from(stack: &Stack, user: &str, rhost: &str, typed: &str) -> Login {
    let login = stack
        .attempt(user)
        .item(Item::Rhost, rhost)
        .item(Item::Tty, "ssh");
    login.run(|_| Reply::text(typed))
}

#[test]
fn after_a_thousand_wrong_pairs_a_pair_still_lets_in_and_none_of_minutes_away() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let (alice, bob) = (daemon.enroll("alice"), daemon.enroll("bob"));
    let stack = Stack::of(&daemon, "many-pairs", "retry=1");
    guess(&daemon, &stack, "alice", &alice);
    for wrong in alice.wrong_codes(1000) {
        let pair = json!({ "user": "alice", "codes": [wrong, wrong], "service": "pairs" });
        let told = daemon.call("Verify", &pair).expect("a verdict");
        assert_eq!(
            (&told["verdict"], &told["ask"]),
            (&json!("rejected"), &json!("two_codes"))
        );
    }
    daemon.kill();
    daemon.start_again();
    let far = |device: &Authenticator| format!("{} {}", device.code_at(6), device.code_at(7));
    assert_eq!(
        stack.login("bob", &[&far(&bob)]).code,
        PamCode::SUCCESS,
        "no code of bob was guessed"
    );
    let refused = stack.login("alice", &[&far(&alice)]);
    assert_eq!(
        refused.code,
        PamCode::AUTH_ERR,
        "an attacker has no twenty positions"
    );
    let reason = "reason=after_many_wrong_pairs";
    daemon.log.wait_for(&[
        "event=verify ",
        "user=alice",
        "service=many-pairs",
        "verdict=rejected",
        reason,
    ]);
    let why = daemon.totpctl_json(&["why", "alice"], "").to_string();
    assert!(why.contains("totpctl resync alice"), "{why}");
    let three = [alice.code(), alice.code_at(1), alice.code_at(2)].concat();
    assert_eq!(stack.login("alice", &[&three]).code, PamCode::AUTH_ERR);
    daemon.audited("alice", "malformed");
    let right = alice.pair().concat();
    let login = stack.login("alice", &[&right]);
    assert_eq!(
        (login.code, login.prompts()),
        (PamCode::SUCCESS, refused.prompts()),
        "two codes, as before"
    );
    assert_eq!(
        stack.login("alice", &[&right]).code,
        PamCode::AUTH_ERR,
        "both are spent"
    );
}

/// Guesses until nothing is left; returns the prompt of those guesses.
fn guess(daemon: &Daemon, stack: &Stack, user: &str, device: &Authenticator) -> String {
    let mut prompt = String::new();
    for left in (0..5).rev() {
        let login = stack.login(user, &[&device.wrong()]);
        assert_eq!(login.code, PamCode::AUTH_ERR);
        assert_eq!(daemon.budget(user), left);
        prompt = login.prompts().concat();
    }
    prompt
}
