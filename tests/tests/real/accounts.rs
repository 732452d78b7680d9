//! Users that have a device, that had one, and that never did.

use serde_json::json;
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::{PamCode, Reply};
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

#[test]
fn who_is_not_enrolled_sees_what_everybody_sees_and_is_refused() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let wrong = daemon.enroll("alice").wrong();
    let stack = Stack::of(&daemon, "strangers", "");
    let enrolled = stack.login("alice", &[&wrong, &wrong, &wrong]);
    let stranger = stack.login("bob", &[&wrong, &wrong, &wrong]);
    let unknown = stack.login("no-such-account", &[&wrong, &wrong, &wrong]);
    assert_eq!(
        (enrolled.code, enrolled.prompts().len()),
        (PamCode::AUTH_ERR, 3)
    );
    for other in [stranger, unknown] {
        assert_eq!((other.code, &other.said), (enrolled.code, &enrolled.said));
    }
    daemon.audited("bob", "not_enrolled");
    daemon.audited("no-such-account", "not_enrolled");
}

/// By the form of the text alone: users with and without a device, with recovery codes, shut, and
/// names without an account are told the same.
#[test]
fn letters_in_place_of_digits_are_told_as_such_and_the_same_to_every_user() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    daemon.enroll("carol");
    let off = daemon.totpctl(&["disable", "carol"], "");
    assert!(off.status.success(), "{off:?}");
    for (lang, own, ordinary) in [
        ("en", "only the digits 0 to 9", "was not accepted."),
        ("de", "nur die Ziffern 0 bis 9", "wurde nicht angenommen."),
    ] {
        let stack = Stack::of(&daemon, "letters", &format!("lang={lang}"));
        for (typed, said) in [
            (["12345o", "hello", "123.456"], own),
            (["12", "abcd-efgh-ijkl-mnop", "\u{1b}[A1"], ordinary),
        ] {
            let enrolled = stack.login("alice", &typed);
            assert_eq!(enrolled.code, PamCode::AUTH_ERR);
            let told = enrolled.told();
            assert!(
                told.len() == 3 && told.iter().all(|told| told.contains(said)),
                "{told:?}"
            );
            for user in ["bob", "carol", "no-such-account"] {
                assert_eq!(stack.login(user, &typed).said, enrolled.said, "{user}");
            }
        }
    }
}

#[test]
fn guessing_on_tells_nobody_who_has_a_device() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let wrong = daemon.enroll("alice").wrong_codes(7);
    let stack = Stack::of(&daemon, "guesses", "retry=1");
    let guesses = |user: &str| -> Vec<_> {
        wrong
            .iter()
            .map(|wrong| stack.login(user, &[wrong]))
            .map(|login| (login.code, login.said))
            .collect()
    };
    let enrolled = guesses("alice");
    assert_ne!(
        enrolled.first(),
        enrolled.last(),
        "after five guesses another prompt comes"
    );
    let mut played = Vec::new();
    for (kind, verdict) in [
        ("unknown", "not_enrolled"),
        ("pending", "not_enrolled"),
        ("off", "disabled"),
        ("gone", "disabled"),
    ] {
        // Names share a thousand budgets: by chance one of them may be used up already.
        let fresh = (0..).map(|n| format!("{kind}-{n}")).find(|user| {
            make_user(&daemon, kind, user);
            asked(&daemon, user) == "one_code"
        });
        let user = fresh.expect("a name");
        assert_eq!(guesses(&user), enrolled, "{kind}");
        daemon.audited(&user, verdict);
        played.push(user);
    }
    assert_eq!(
        daemon.call("Status", &json!({})).expect("a status")["users"],
        users(&daemon)
    );
    daemon.kill();
    daemon.start_again();
    for user in played {
        assert_eq!(
            asked(&daemon, &user),
            "two_codes",
            "a restart tells nothing either"
        );
    }
}

/// Brings a user into the state that `kind` names.
fn make_user(daemon: &Daemon, kind: &str, user: &str) {
    match kind {
        "unknown" => {}
        "pending" => drop(
            daemon
                .call("Enroll", &json!({ "user": user }))
                .expect("a pending device"),
        ),
        _ => drop(daemon.enroll(user)),
    }
    match kind {
        "off" => drop(daemon.totpctl_json(&["disable", user], "")),
        "gone" => drop(daemon.totpctl_json(&["revoke", user], "")),
        _ => {}
    }
}

/// What a person of that name is asked for.
fn asked(daemon: &Daemon, user: &str) -> String {
    let told = daemon
        .call("Challenge", &json!({ "user": user, "service": "asked" }))
        .expect("a challenge");
    assert_eq!(told["digits"], json!([6]), "{told}");
    told["ask"].as_str().expect("what to ask for").to_owned()
}

fn users(daemon: &Daemon) -> usize {
    daemon.totpctl_json(&["list"], "")["users"]
        .as_array()
        .expect("a list")
        .len()
}

#[test]
fn nullok_ignores_who_never_was_enrolled_without_a_prompt() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let ignored = Stack::expecting_ignore(&daemon, "nullok", "nullok").login("bob", &[]);
    assert_eq!((ignored.code, ignored.said.len()), (PamCode::SUCCESS, 0));
    let alone = Stack::of(&daemon, "nullok-alone", "nullok").login("bob", &[]);
    assert_eq!(
        alone.code,
        PamCode::PERM_DENIED,
        "a stack in which only IGNORE comes back denies"
    );
}

#[test]
fn nullok_still_asks_who_is_enrolled_and_who_once_was() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "nullok-enrolled", "nullok retry=1");
    assert_eq!(
        stack.login("alice", &[&alice.wrong()]).code,
        PamCode::AUTH_ERR
    );
    assert_eq!(
        stack.login("alice", &[&alice.code()]).code,
        PamCode::SUCCESS
    );
    daemon.totpctl_json(&["revoke", "alice"], "");
    let asked = stack.login("alice", &[&alice.code_at(1)]);
    assert_eq!((asked.code, asked.prompts().len()), (PamCode::AUTH_ERR, 1));
}

#[test]
fn nullok_ignores_whose_device_is_only_pending() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let pending = daemon
        .call("Enroll", &json!({ "user": "alice" }))
        .expect("a pending device");
    let ignored = Stack::expecting_ignore(&daemon, "nullok-pending", "nullok").login("alice", &[]);
    assert_eq!(
        ignored.code,
        PamCode::SUCCESS,
        "what was never confirmed gates nothing"
    );
    let code = authenticator(&pending).code();
    daemon
        .call("Confirm", &json!({ "user": "alice", "code": code }))
        .expect("a confirmed device");
    let asked = Stack::expecting_ignore(&daemon, "nullok-confirmed", "nullok retry=1")
        .login("alice", &[&code]);
    assert_eq!((asked.code, asked.prompts().len()), (PamCode::AUTH_ERR, 1));
}

#[test]
fn user_unknown_tells_the_stack_after_the_prompt() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "unknown", "user_unknown retry=1");
    let stranger = stack.login("bob", &["123456"]);
    assert_eq!(
        (stranger.code, stranger.prompts().len()),
        (PamCode::USER_UNKNOWN, 1)
    );
    assert_eq!(
        stack.login("alice", &[&alice.wrong()]).code,
        PamCode::AUTH_ERR
    );
    assert_eq!(
        stack.login("alice", &[&alice.code()]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn a_pending_device_opens_nothing_until_its_first_code_is_confirmed() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "pending", "retry=1");
    let device = authenticator(
        &daemon
            .call("Enroll", &json!({ "user": "alice" }))
            .expect("a device"),
    );
    let [current, next] = device.pair();
    assert_eq!(stack.login("alice", &[&current]).code, PamCode::AUTH_ERR);
    let confirmed = daemon.totpctl(&["confirm", "alice"], &format!("{current}\n"));
    assert!(confirmed.status.success(), "{confirmed:?}");
    assert_eq!(
        stack.login("alice", &[&current]).code,
        PamCode::AUTH_ERR,
        "the first code is spent by confirming"
    );
    assert_eq!(stack.login("alice", &[&next]).code, PamCode::SUCCESS);
}

#[test]
fn enrolling_with_totpctl_asks_for_the_first_code() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let refused = daemon.totpctl(&["enroll", "alice"], "000\n");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let state = daemon
        .call("Show", &json!({ "user": "alice" }))
        .expect("the user");
    assert_eq!(state["user"]["devices"][0]["state"], "pending");
    assert_eq!(state["user"]["enrolled"], false);
}

#[test]
fn a_disabled_device_opens_nothing_and_opens_again_when_it_is_enabled() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let [current, next] = daemon.enroll("alice").pair();
    let stack = Stack::of(&daemon, "disabled", "retry=1");
    daemon.totpctl_json(&["disable", "alice"], "");
    assert_eq!(stack.login("alice", &[&current]).code, PamCode::AUTH_ERR);
    daemon.audited("alice", "disabled");
    daemon.totpctl_json(&["enable", "alice"], "");
    assert_eq!(stack.login("alice", &[&next]).code, PamCode::SUCCESS);
    assert_eq!(stack.login("alice", &[&next]).code, PamCode::AUTH_ERR);
}

#[test]
fn a_device_revoked_while_its_owner_types_opens_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let old = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "revoked", "retry=1");
    let mut new = None;
    let login = stack.converse("alice", |_| {
        daemon.totpctl_json(&["revoke", "alice"], "");
        new = Some(daemon.enroll("alice"));
        Reply::text(&old.code())
    });
    assert_eq!(login.code, PamCode::AUTH_ERR);
    assert_eq!(
        stack
            .login("alice", &[&new.expect("a new device").code()])
            .code,
        PamCode::SUCCESS
    );
    assert_eq!(
        stack.login("alice", &[&old.code_at(1)]).code,
        PamCode::AUTH_ERR,
        "the old one never again"
    );
}

#[test]
fn a_device_disabled_while_its_owner_types_opens_nothing() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let [current, next] = daemon.enroll("alice").pair();
    let stack = Stack::of(&daemon, "disabled-meanwhile", "retry=1");
    let login = stack.converse("alice", |_| {
        daemon.totpctl_json(&["disable", "alice"], "");
        Reply::text(&current)
    });
    assert_eq!(login.code, PamCode::AUTH_ERR);
    daemon.totpctl_json(&["enable", "alice"], "");
    assert_eq!(stack.login("alice", &[&next]).code, PamCode::SUCCESS);
}

#[test]
fn the_same_key_enrolled_again_does_not_revive_a_code() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let current = alice.code();
    let stack = Stack::of(&daemon, "revived", "retry=1");
    assert_eq!(stack.login("alice", &[&current]).code, PamCode::SUCCESS);
    daemon.totpctl_json(&["revoke", "alice"], "");
    let again = daemon.totpctl(
        &["enroll", "alice", "--key", "-", "--yes"],
        &format!("{}\n", alice.key),
    );
    assert!(again.status.success(), "{again:?}");
    assert_eq!(stack.login("alice", &[&current]).code, PamCode::AUTH_ERR);
    assert_eq!(
        stack.login("alice", &[&alice.code_at(1)]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn a_key_that_comes_back_with_another_period_is_not_shut_out_by_the_steps_of_the_old_one() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks.of(Setup::new()).start();
    let stack = Stack::of(&daemon, "slower", "retry=1");
    let quick = daemon.enroll("alice");
    assert_eq!(
        stack.login("alice", &[&quick.code_when(clocks.now())]).code,
        PamCode::SUCCESS
    );
    daemon.totpctl_json(&["revoke", "alice"], "");
    let again = json!({ "user": "alice", "key": quick.key, "period": 60, "active": true });
    let slow = authenticator(&daemon.call("Enroll", &again).expect("the same key"));
    clocks.pass(60);
    assert_eq!(
        stack.login("alice", &[&slow.code_when(clocks.now())]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn a_code_of_the_moment_in_which_a_key_is_taken_over_does_not_count() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let stack = Stack::of(&daemon, "taken-over", "retry=1");
    let device = Authenticator::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let (active, [present, next]) = device.within_a_step(["alice", "bob"], |user| {
        let taken = daemon.totpctl(
            &["enroll", user, "--key", "-", "--yes"],
            &format!("{}\n", device.key),
        );
        assert!(taken.status.success(), "{taken:?}");
    });
    assert_eq!(
        stack.login(active, &[&present]).code,
        PamCode::AUTH_ERR,
        "it may have been used there"
    );
    daemon.audited(active, "already_used");
    assert_eq!(stack.login(active, &[&next]).code, PamCode::SUCCESS);
    let (pending, [present, next]) = device.within_a_step(["carol", "dave"], |user| {
        let key = json!({ "user": user, "key": device.key });
        assert_eq!(
            daemon.call("Enroll", &key).expect("a device")["state"],
            "pending"
        );
    });
    let said = daemon.totpctl(&["confirm", pending], &format!("{present}\n"));
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let (said, advice) = (
        String::from_utf8_lossy(&said.stdout),
        "already_used: this code was used already, or may have been used",
    );
    assert!(
        said.starts_with(advice) && said.ends_with("type the next one\n"),
        "{said}"
    );
    assert!(
        daemon
            .totpctl(&["confirm", pending], &format!("{next}\n"))
            .status
            .success()
    );
}

#[test]
fn each_of_two_devices_opens_and_revoking_one_leaves_the_other() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let (phone, token) = (daemon.enroll("alice"), daemon.enroll_as("alice", "token"));
    let stack = Stack::of(&daemon, "devices", "retry=1");
    assert_eq!(
        stack.login("alice", &[&phone.code()]).code,
        PamCode::SUCCESS
    );
    assert_eq!(
        stack.login("alice", &[&token.code()]).code,
        PamCode::SUCCESS,
        "a step is spent for one device"
    );
    daemon.totpctl_json(&["revoke", "alice", "--device", "default"], "");
    assert_eq!(
        stack.login("alice", &[&phone.code_at(1)]).code,
        PamCode::AUTH_ERR
    );
    assert_eq!(
        stack.login("alice", &[&token.code_at(1)]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn people_see_their_own_devices_and_nobody_elses() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let own = daemon.totpctl_as("alice", &["--json", "show"], "");
    let told: serde_json::Value =
        serde_json::from_slice(&own.stdout).unwrap_or_else(|e| panic!("{e}: {own:?}"));
    assert!(
        told.to_string().contains("\"alice\"") && !told.to_string().contains("key"),
        "{told}"
    );
    assert_eq!(
        daemon
            .totpctl_as("bob", &["show", "alice"], "")
            .status
            .code(),
        Some(4)
    );
    let alice = json!({ "user": "alice" });
    assert!(
        daemon
            .call_as(&Caller::user("alice"), "Show", &alice)
            .is_ok()
    );
    for stranger in [Caller::user("bob"), Caller::number(54321)] {
        let error = daemon
            .call_as(&stranger, "Show", &alice)
            .expect_err("an error");
        assert_eq!(error.0, "PermissionDenied", "{stranger:?}");
    }
}

#[test]
fn an_administrator_without_root_enrols_others() {
    let _place = world::enter();
    world::group("totpadmins", &["carol"]);
    let daemon = Setup::new().with("  admin-group: totpadmins\n").start();
    let enrolled = daemon.totpctl_as("carol", &["--json", "enroll", "alice", "--yes"], "");
    assert!(enrolled.status.success(), "{enrolled:?}");
    let told: serde_json::Value = serde_json::from_slice(&enrolled.stdout).expect("JSON");
    let code = authenticator(&told).code();
    assert_eq!(
        Stack::of(&daemon, "admin", "")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
    assert_eq!(
        daemon
            .totpctl_as("bob", &["enroll", "alice", "--yes"], "")
            .status
            .code(),
        Some(4)
    );
}
