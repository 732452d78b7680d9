//! Devices whose clock, or counter, is too far off for a login, and two codes in a row that find
//! them again.

use serde_json::{Value, json};
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

use crate::clock::copy;
use crate::roles::{DENIED, and, daemon_with_admins, everything, refusal};

/// A daemon whose time stands still, and the phone of alice, which is slow.
struct Scene {
    clocks: Clocks,
    daemon: Daemon,
    phone: Authenticator,
    behind: i64,
}

impl Scene {
    fn slow_by(behind: i64) -> Self {
        let clocks = Clocks::new();
        let daemon = clocks.of(Setup::new()).start();
        let phone = daemon.enroll("alice");
        Self {
            clocks,
            daemon,
            phone,
            behind,
        }
    }

    /// What the phone shows so many seconds from now.
    fn code(&self, seconds: i64) -> String {
        self.phone
            .code_when(self.clocks.now() - self.behind + seconds)
    }

    /// She types the code that it shows, waits for the next one, and types that.
    fn next_two(&self) -> String {
        let first = self.code(0);
        self.clocks.pass(30);
        format!("{first} {}", self.code(0))
    }

    fn resync(&self, typed: &str) -> Value {
        resync(&self.daemon, &json!({ "user": "alice", "codes": [typed] }))
    }

    fn login(&self, typed: &str) -> PamCode {
        Stack::of(&self.daemon, "resync", "retry=1")
            .login("alice", &[typed])
            .code
    }
}

#[test]
fn a_clock_that_is_90_seconds_slow_is_learned_and_the_codes_are_used_up() {
    let _place = world::enter();
    let scene = Scene::slow_by(90);
    assert_eq!(scene.login(&scene.code(0)), PamCode::AUTH_ERR);
    let used = [scene.code(0), scene.code(30)];
    let typed = scene.next_two();
    let output = scene
        .daemon
        .totpctl(&["resync", "alice"], &format!("{typed}\n"));
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(
        output.status.success() && told.contains("1 min 30 s slow"),
        "{told}"
    );
    let line = scene
        .daemon
        .log
        .wait_for(&["event=resync", " user=alice ", " verdict=accepted "]);
    assert!(
        line.contains(" device=default ") && line.contains(" seconds=-90 "),
        "{line}"
    );
    for typed in &used {
        assert_eq!(scene.login(typed), PamCode::AUTH_ERR, "it is used up");
    }
    assert_eq!(
        scene
            .daemon
            .log
            .wait_for_many(2, &["user=alice", "verdict=already_used"])
            .len(),
        2
    );
    assert_eq!(scene.resync(&typed)["verdict"], "already_used");
    scene.clocks.pass(30);
    assert_eq!(
        scene.login(&scene.code(0)),
        PamCode::SUCCESS,
        "one code will do"
    );
}

#[test]
fn a_clock_that_is_nine_minutes_slow_has_to_be_set_and_the_codes_are_used_up() {
    let _place = world::enter();
    let scene = Scene::slow_by(540);
    let typed = scene.next_two();
    let told = scene.resync(&typed);
    assert_eq!(
        (&told["verdict"], &told["seconds"]),
        (&json!("refused"), &json!(-540))
    );
    let line = scene
        .daemon
        .log
        .wait_for(&["event=resync", " verdict=refused "]);
    assert!(
        line.contains(" reason=device_clock_too_far ") && line.contains(" seconds=-540 "),
        "{line}"
    );
    assert_eq!(scene.resync(&typed)["verdict"], "already_used");
    scene.clocks.pass(30);
    assert_eq!(
        scene.login(&scene.code(0)),
        PamCode::AUTH_ERR,
        "nothing was learned"
    );
    assert_eq!(
        scene.login(&scene.code(540)),
        PamCode::SUCCESS,
        "its clock was set"
    );
}

#[test]
fn while_our_own_clock_is_in_doubt_nothing_is_measured_by_it() {
    let _place = world::enter();
    let scene = Scene::slow_by(90);
    scene.clocks.synchronised(Some(false));
    let typed = scene.next_two();
    assert_eq!(scene.resync(&typed)["verdict"], "refused");
    scene
        .daemon
        .log
        .wait_for(&["event=resync", " reason=clock_unsynchronised "]);
    scene.clocks.synchronised(Some(true));
    scene.clocks.set_by(7);
    scene.daemon.log.wait_for(&["event=clock_event"]);
    assert_eq!(scene.resync(&scene.next_two())["verdict"], "refused");
    scene
        .daemon
        .log
        .wait_for(&["event=resync", " reason=clock_event "]);
    scene.clocks.pass(300);
    assert_eq!(scene.resync(&scene.next_two())["verdict"], "accepted");
}

#[test]
fn a_button_that_was_pressed_thirty_times_for_nothing() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let stack = Stack::of(&daemon, "pressed", "retry=1");
    let codes = token(&daemon, "alice").counted(0, 40);
    assert_eq!(stack.login("alice", &[&codes[30]]).code, PamCode::AUTH_ERR);
    let ask = |daemon: &Daemon, n: usize| {
        resync(
            daemon,
            &json!({ "user": "alice", "codes": [codes[n], codes[n + 1]] }),
        )["verdict"]
            .clone()
    };
    assert_eq!(ask(&daemon, 30), "accepted");
    assert!(
        daemon
            .log
            .wait_for(&["event=resync", " verdict=accepted "])
            .contains(" skipped_codes=30 ")
    );
    daemon.kill();
    daemon.start_again();
    for used in [&codes[29], &codes[30], &codes[31]] {
        assert_eq!(stack.login("alice", &[used]).code, PamCode::AUTH_ERR);
    }
    assert_eq!(ask(&daemon, 30), "rejected", "it is behind");
    assert_eq!(ask(&daemon, 31), "already_used");
    assert_eq!(stack.login("alice", &[&codes[32]]).code, PamCode::SUCCESS);
}

#[test]
fn a_counter_that_the_store_has_lost_is_found_again_by_an_administrator_alone() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let codes = token(&daemon, "alice").counted(0, 9);
    assert!(daemon.terminate().success());
    let (store, backup) = (
        daemon.setup.state.clone(),
        world::scratch_folder("before").join("state"),
    );
    copy(&store, &backup);
    daemon.start_again();
    let stack = Stack::of(&daemon, "lost", "retry=1");
    assert_eq!(stack.login("alice", &[&codes[2]]).code, PamCode::SUCCESS);
    assert!(daemon.terminate().success());
    copy(&backup, &store);
    daemon.start_again();
    daemon.log.wait_for(&["event=store_rolled_back"]);
    let pair = format!("{} {}", codes[5], codes[6]);
    assert_eq!(stack.login("alice", &[&pair]).code, PamCode::AUTH_ERR);
    daemon.audited("alice", "refused");
    let fresh = daemon
        .call("NewRecoveryCodes", &json!({ "user": "alice" }))
        .expect("recovery codes");
    let own = json!({ "codes": [pair], "proof": fresh["recovery_codes"][0] });
    let own = daemon
        .call_as(&Caller::user("alice"), "Resync", &own)
        .expect("a verdict");
    assert_eq!(own["verdict"], "refused");
    assert_eq!(
        resync(&daemon, &json!({ "user": "alice", "codes": [pair] }))["verdict"],
        "accepted"
    );
    assert_eq!(
        stack
            .login("alice", &[&format!("{} {}", codes[7], codes[8])])
            .code,
        PamCode::SUCCESS
    );
}

#[test]
fn people_prove_who_they_are_and_run_out_of_tries() {
    let _place = world::enter();
    let daemon = daemon_with_admins();
    let phone = daemon.enroll("alice");
    let token = authenticator(&daemon.totpctl_json(
        &[
            "enroll", "alice", "--device", "token", "--kind", "hotp", "--yes",
        ],
        "",
    ));
    let codes = token.counted(0, 60);
    let wish = |n: usize| json!({ "device": "token", "codes": [codes[n], codes[n + 1]] });
    let alice = |wish: &Value| daemon.call_as(&Caller::user("alice"), "Resync", wish);
    let before = everything(&daemon);
    assert_eq!(refusal(alice(&wish(30))), "ProofRequired");
    assert_eq!(
        refusal(daemon.call_as(
            &Caller::user("bob"),
            "Resync",
            &and(&wish(30), "user", &json!("alice"))
        )),
        DENIED
    );
    assert_eq!(everything(&daemon), before, "nothing is used up");
    let proven = and(&wish(30), "proof", &json!(phone.code()));
    assert_eq!(alice(&proven).expect("a verdict")["verdict"], "accepted");
    let wrong = and(&wish(40), "proof", &json!("000000 000000"));
    (0..20).for_each(|n| assert_eq!(refusal(alice(&wrong)), "ProofRequired", "pair {n}"));
    assert_eq!(refusal(alice(&wrong)), "Busy");
    let by_admin = |wish: &Value| {
        daemon.call_as(
            &Caller::user("carol"),
            "Resync",
            &and(wish, "user", &json!("alice")),
        )
    };
    assert_eq!(
        by_admin(&json!({ "device": "token", "codes": [codes[40], codes[42]] }))
            .expect("a verdict")["verdict"],
        "rejected"
    );
    assert_eq!(
        by_admin(&wish(40)).expect("a verdict")["verdict"],
        "accepted"
    );
    assert_eq!(daemon.budget("alice"), 5, "a wrong pair is no guess");
}

#[test]
fn a_code_of_the_device_itself_proves_nothing_and_what_does_is_said() {
    let _place = world::enter();
    let scene = Scene::slow_by(0);
    let daemon = &scene.daemon;
    let fresh = daemon
        .call("NewRecoveryCodes", &json!({ "user": "alice" }))
        .expect("recovery codes");
    let found = fresh["recovery_codes"][0].as_str().expect("a code");
    let [before, current, next] = [-30, 0, 30].map(|seconds| scene.code(seconds));
    let wish = json!({ "codes": [current, next], "proof": before });
    let refused = daemon
        .call_as(&Caller::user("alice"), "Resync", &wish)
        .unwrap_err();
    assert_eq!(
        (refused.0.as_str(), &refused.1["field"]),
        ("BadParameter", &json!("proof")),
        "{refused:?}"
    );
    assert!(
        refused.1["why"]
            .as_str()
            .expect("a sentence")
            .contains("a recovery code"),
        "{refused:?}"
    );
    daemon
        .log
        .wait_for(&["event=resync", " user=alice ", " error=BadParameter "]);
    let again = daemon.totpctl_as(
        "alice",
        &["--json", "resync", "alice"],
        &format!("{current} {next}\n{found}\n"),
    );
    assert!(again.status.success(), "{again:?}");
    assert_eq!(
        daemon.log.wait_for_many(2, &["event=resync"]).len(),
        2,
        "what is only asked is in no log"
    );
}

#[test]
fn nobody_types_for_a_device_that_is_not_there() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let asked = ["resync", "alice", "--device", "lost"];
    for output in [
        daemon.totpctl(&asked, ""),
        daemon.totpctl_as("alice", &asked, ""),
    ] {
        assert_eq!(output.status.code(), Some(5), "{output:?}");
    }
    let asked = daemon.totpctl(&["resync", "alice"], "");
    assert_eq!(
        asked.status.code(),
        Some(2),
        "the codes did not come: {asked:?}"
    );
    assert!(daemon.logged(&["event=resync", " verdict="]).is_empty());
}

#[test]
fn which_device_it_is_has_to_be_clear() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    daemon
        .call("Enroll", &json!({ "user": "alice", "device": "new" }))
        .expect("a pending device");
    let ask = |more: &Value| daemon.call("Resync", more);
    let one = ask(&json!({ "user": "alice", "codes": [code] })).expect("a verdict");
    assert_eq!(
        (&one["verdict"], &one["device"]),
        (&json!("malformed"), &json!("default")),
        "the only active one"
    );
    for (user, device, error) in [
        ("alice", "new", "BadParameter"),
        ("alice", "old", "NoSuchDevice"),
        ("bob", "default", "NoSuchUser"),
    ] {
        let wish = json!({ "user": user, "device": device, "codes": [code, code] });
        assert_eq!(refusal(ask(&wish)), error, "{user} {device}");
    }
    daemon.totpctl_json(&["enroll", "alice", "--device", "second", "--yes"], "");
    assert_eq!(
        refusal(ask(&json!({ "user": "alice", "codes": [code, code] }))),
        "NoSuchDevice"
    );
}

fn resync(daemon: &Daemon, wish: &Value) -> Value {
    daemon.call("Resync", wish).expect("a verdict")
}

fn token(daemon: &Daemon, user: &str) -> Authenticator {
    authenticator(&daemon.totpctl_json(&["enroll", user, "--kind", "hotp", "--yes"], ""))
}
