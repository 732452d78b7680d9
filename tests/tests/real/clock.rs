//! What the clock does, and what comes of it: no code opens two logins, no guess comes back, and
//! the owner is in within two periods.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::config::values::calendar;
use serde_json::{Value, json};
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::tracee::wrapped;
use tests::wire::Caller;
use tests::world;

/// A daemon, its clocks, and alice, enrolled there.
struct Scene {
    clocks: Clocks,
    daemon: Daemon,
    alice: Authenticator,
}

impl Scene {
    fn new() -> Self {
        let clocks = Clocks::new();
        let daemon = clocks.of(Setup::new()).start();
        let alice = daemon.enroll("alice");
        Self {
            clocks,
            daemon,
            alice,
        }
    }

    /// What her device shows so many seconds from now.
    fn code(&self, seconds: i64) -> String {
        self.alice.code_when(self.clocks.now() + seconds)
    }

    fn login(&self, typed: &str) -> PamCode {
        Stack::of(&self.daemon, "clock", "retry=1")
            .login("alice", &[typed])
            .code
    }

    fn status(&self, field: &str) -> Value {
        self.daemon.call("Status", &json!({})).expect("a status")[field].clone()
    }

    /// In quarantine: nothing that may have been shown counts, no guess is lost, and the second
    /// code from now lets in.
    fn is_in_quarantine_for_two_periods(&self) {
        let budget = self.daemon.budget("alice");
        assert_eq!(self.status("clock"), "quarantine");
        for seconds in [-30, 0, 30] {
            assert_eq!(
                self.login(&self.code(seconds)),
                PamCode::AUTH_ERR,
                "{seconds}"
            );
        }
        let line = self.daemon.audited("alice", "refused");
        assert!(line.contains(" reason=clock_event"), "{line}");
        self.clocks.pass(60);
        assert_eq!(self.status("clock"), "ok");
        assert_eq!(self.login(&self.code(0)), PamCode::SUCCESS);
        assert_eq!(self.daemon.budget("alice"), budget);
    }

    /// The line about an event, which came without a login.
    fn told(&self, reason: &str) -> String {
        self.daemon
            .log
            .wait_for(&["event=clock_event", &format!(" reason={reason} ")])
    }

    /// The machine is switched off, and started again so many seconds later by its clock.
    fn boot_after(&mut self, seconds: i64) {
        self.daemon.kill();
        self.clocks.boot_after(seconds);
        // It is on a tmpfs.
        let mirror = self.daemon.setup.runtime.join("generation");
        std::fs::remove_file(mirror).expect("a mirror");
        self.daemon.start_again();
    }

    fn events(&self) -> usize {
        self.daemon.logged(&["event=clock_event"]).len()
    }
}

#[test]
fn after_a_login_an_hour_ahead_and_the_correction_its_code_opens_nothing_any_more() {
    let _place = world::enter();
    let scene = Scene::new();
    assert_eq!(scene.login(&scene.code(0)), PamCode::SUCCESS);
    scene.clocks.set_by(3600);
    assert!(scene.told("jumped").contains(" seconds=3600 "));
    scene.clocks.pass(60);
    let ahead = scene.code(0);
    assert_eq!(scene.login(&ahead), PamCode::SUCCESS);
    scene.clocks.set_by(-3600);
    scene
        .daemon
        .log
        .wait_for(&["event=clock_event", " seconds=-3600 "]);
    assert_eq!(scene.login(&ahead), PamCode::AUTH_ERR);
    scene.clocks.pass(60);
    assert_eq!(scene.login(&scene.code(0)), PamCode::SUCCESS);
    assert_eq!(scene.login(&ahead), PamCode::AUTH_ERR);
    scene.clocks.pass(3540);
    assert_eq!(scene.login(&ahead), PamCode::AUTH_ERR);
    scene.daemon.log.wait_for(&["verdict=already_used"]);
}

#[test]
fn a_clock_that_is_set_back_ten_seconds_is_in_quarantine_for_two_periods() {
    let _place = world::enter();
    let scene = Scene::new();
    scene.clocks.set_by(-10);
    scene.told("jumped");
    scene.is_in_quarantine_for_two_periods();
    assert_eq!(scene.events(), 1, "once");
}

#[test]
fn a_clock_that_is_set_back_while_many_log_in_lets_no_code_in_twice() {
    let _place = world::enter();
    let scene = Scene::new();
    let users: Vec<String> = (0..40).map(|n| format!("busy-{n}")).collect();
    scene.clocks.pass(5);
    let devices = scene.daemon.enroll_many(&users);
    let codes: Vec<String> = devices
        .iter()
        .map(|device| device.code_when(scene.clocks.now()))
        .collect();
    let stack = Stack::of(&scene.daemon, "busy", "retry=1");
    let accepted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for part in 0..4 {
            let (users, codes, stack, accepted) = (&users, &codes, &stack, &accepted);
            scope.spawn(move || {
                for n in (part..users.len()).step_by(4) {
                    let login = stack.login(&users[n], &[&codes[n]]).code;
                    accepted.fetch_add(usize::from(login == PamCode::SUCCESS), Ordering::Relaxed);
                }
            });
        }
        scene.daemon.log.wait_for_many(10, &["verdict=accepted"]);
        scene.clocks.set_by(-10);
    });
    scene.told("jumped");
    assert!(accepted.into_inner() >= 10);
    for (user, code) in users.iter().zip(&codes) {
        assert_eq!(stack.login(user, &[code]).code, PamCode::AUTH_ERR, "{user}");
    }
    scene.clocks.pass(60);
    for (user, device) in users.iter().zip(&devices) {
        assert_eq!(
            stack
                .login(user, &[&device.code_when(scene.clocks.now())])
                .code,
            PamCode::SUCCESS,
            "{user}"
        );
    }
}

#[test]
fn a_second_back_and_a_slow_slew_deny_no_fresh_code() {
    let _place = world::enter();
    let scene = Scene::new();
    let login = |what| assert_eq!(scene.login(&scene.code(0)), PamCode::SUCCESS, "{what}");
    scene.clocks.pass(15);
    scene.clocks.set_by(-1);
    login("a second back");
    for _ in 0..20 {
        // Five ten-thousandths: as fast as the kernel slews.
        scene.clocks.pass(1000);
        scene.clocks.move_by(-500);
        login("slewed");
    }
    assert_eq!((scene.events(), scene.status("clock")), (0, json!("ok")));
}

#[test]
fn a_machine_that_was_stopped_for_a_month_is_noticed_by_the_first_login() {
    let _place = world::enter();
    let scene = Scene::new();
    let old = scene.code(0);
    scene.clocks.move_by(30 * 86_400_000);
    assert_eq!(scene.login(&old), PamCode::AUTH_ERR);
    assert!(scene.told("jumped").contains(" seconds=2592000 "));
    scene.is_in_quarantine_for_two_periods();
}

#[test]
fn a_clock_that_was_set_while_the_daemon_was_away_is_noticed_when_it_comes_back() {
    let _place = world::enter();
    let mut scene = Scene::new();
    assert_eq!(scene.login(&scene.code(0)), PamCode::SUCCESS);
    scene.daemon.kill();
    scene.clocks.move_by(-600_000);
    scene.daemon.start_again();
    scene.told("jumped");
    // Killed again in the middle of it.
    scene.daemon.kill();
    scene.daemon.start_again();
    scene.is_in_quarantine_for_two_periods();
}

#[test]
fn a_new_boot_is_an_event_however_late_it_comes_or_if_its_clock_is_behind() {
    let _place = world::enter();
    for (seconds, reason) in [(20, "new_boot"), (-3600, "behind_last_boot")] {
        let mut scene = Scene::new();
        scene.boot_after(seconds);
        assert!(scene.told(reason).contains(&format!(" seconds={seconds} ")));
        scene.is_in_quarantine_for_two_periods();
    }
    let mut scene = Scene::new();
    scene.boot_after(3600);
    let told = scene.told("new_boot");
    let began = scene.clocks.now() - 5;
    assert!(
        told.ends_with(&format!(" at={began}")),
        "a boot is dated at its beginning: {told}"
    );
    for seconds in [-30, 0] {
        assert_eq!(scene.login(&scene.code(seconds)), PamCode::AUTH_ERR);
    }
    assert_eq!(
        scene.login(&scene.code(30)),
        PamCode::SUCCESS,
        "it was not shown before the boot"
    );
}

#[test]
fn a_restart_of_the_daemon_alone_is_no_event() {
    let _place = world::enter();
    let mut scene = Scene::new();
    scene.daemon.kill();
    scene.clocks.pass(5);
    scene.daemon.start_again();
    assert_eq!(scene.login(&scene.code(0)), PamCode::SUCCESS);
    assert_eq!((scene.events(), scene.status("clock")), (0, json!("ok")));
}

#[test]
fn after_a_boot_from_a_disk_that_was_put_back_no_code_of_before_opens_a_second_login() {
    let _place = world::enter();
    for off in [20, 200] {
        let mut scene = Scene::new();
        let waits = scene
            .daemon
            .call("Enroll", &json!({ "user": "waits" }))
            .expect("a pending device");
        let waits = authenticator(&waits);
        assert!(scene.daemon.terminate().success());
        let (state, disk) = (
            scene.daemon.setup.state.clone(),
            world::scratch_folder("disk").join("state"),
        );
        copy(&state, &disk);
        scene.clocks.pass(130);
        scene.daemon.start_again();
        let used = scene.code(0);
        let first = json!({ "user": "waits", "code": waits.code_when(scene.clocks.now()) });
        let confirm = |scene: &Scene, first: &Value| {
            scene.daemon.call("Confirm", first).expect("a verdict")["verdict"].clone()
        };
        assert_eq!(scene.login(&used), PamCode::SUCCESS);
        assert_eq!(confirm(&scene, &first), "accepted");
        scene.daemon.kill();
        copy(&disk, &state);
        scene.boot_after(off);
        scene.told("new_boot");
        assert_eq!(scene.login(&used), PamCode::AUTH_ERR, "{off}");
        assert_ne!(confirm(&scene, &first), "accepted", "{off}");
        assert_eq!(scene.daemon.log.with(&["event=store_rolled_back"]).len(), 0);
        scene.clocks.pass(60);
        assert_eq!(scene.login(&used), PamCode::AUTH_ERR, "{off}");
        assert_eq!(scene.login(&scene.code(0)), PamCode::SUCCESS);
        let first = json!({ "user": "waits", "code": waits.code_when(scene.clocks.now()) });
        assert_eq!(confirm(&scene, &first), "accepted");
    }
}

#[test]
fn what_is_enrolled_after_a_boot_works_at_once() {
    let _place = world::enter();
    let mut scene = Scene::new();
    scene.boot_after(20);
    scene.told("new_boot");
    let bob = scene.daemon.enroll("bob");
    let code = bob.code_when(scene.clocks.now());
    let stack = Stack::of(&scene.daemon, "clock", "retry=1");
    assert_eq!(stack.login("bob", &[&code]).code, PamCode::SUCCESS);
}

#[test]
fn a_clock_that_is_behind_after_a_boot_brings_no_code_of_that_past_until_something_vouches_for_it()
{
    let _place = world::enter();
    for (says, vouches) in [
        (Some(false), "an administrator"),
        (None, "an administrator"),
        (Some(false), "the kernel"),
    ] {
        let mut scene = Scene::new();
        scene.clocks.synchronised(says);
        scene.boot_after(-86_400);
        scene.told("behind_last_boot");
        // Killed, and started in another boot that is still behind.
        scene.clocks.pass(600);
        scene.daemon.kill();
        scene.boot_after(300);
        scene.clocks.pass(600);
        assert_eq!(scene.login(&scene.code(0)), PamCode::AUTH_ERR, "{says:?}");
        let line = scene.daemon.audited("alice", "refused");
        assert!(
            line.contains(" reason=clock_event ") && line.contains(" until="),
            "{line}"
        );
        assert_eq!(scene.status("clock"), "quarantine");
        let until = scene.status("quarantine_until").as_i64().expect("a time");
        assert!(until > scene.clocks.now() + 80_000, "{until}");
        if vouches == "the kernel" {
            scene.clocks.synchronised(Some(true));
        } else {
            let told = scene.daemon.totpctl(&["status"], "");
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            assert!(
                told.contains("; if the clock is right: totpctl clock-accept"),
                "{told}"
            );
            assert_eq!(
                scene.daemon.totpctl_json(&["clock-accept"], "")["accepted"],
                true
            );
        }
        assert_eq!(scene.login(&scene.code(0)), PamCode::SUCCESS, "{vouches}");
        scene.clocks.synchronised(says);
        scene.clocks.pass(30);
        assert_eq!(scene.login(&scene.code(0)), PamCode::SUCCESS, "for good");
    }
}

#[test]
fn in_a_quarantine_every_user_is_told_the_same_with_or_without_a_device() {
    let _place = world::enter();
    let mut scene = Scene::new();
    scene.daemon.totpctl_json(&["enroll", "waits"], "");
    for user in ["disabled", "elsewhere"] {
        scene.daemon.enroll(user);
    }
    scene
        .daemon
        .totpctl_json(&["disable", "disabled", "--all"], "");
    scene
        .daemon
        .totpctl_json(&["restrict", "elsewhere", "--services", "other"], "");
    scene.boot_after(20);
    let until = scene.status("quarantine_until").as_u64().expect("a time");
    let until = calendar::local(until)
        .expect("a zone")
        .strftime("%H:%M:%S")
        .to_string();
    let sentence = format!(
        "This machine was started, or its clock set, a moment ago: codes shown from {until} on are accepted."
    );
    let users = ["alice", "waits", "disabled", "elsewhere", "never-heard-of"];
    let told = |typed: &str, options: &str| {
        let stack = Stack::of(&scene.daemon, "told", options);
        users.map(|user| {
            let login = stack.login(user, &[typed, typed]);
            assert_ne!(login.code, PamCode::SUCCESS);
            login.told().join("\n")
        })
    };
    for typed in [
        &scene.code(0),
        &scene.alice.wrong(),
        "12345",
        "no code",
        "aaaa-bbbb",
    ] {
        for said in told(typed, "retry=1") {
            assert_eq!(said, sentence, "{typed}");
        }
    }
    for said in told("1234567", "retry=2 lang=de") {
        assert!(said.contains(&format!("ab {until} Uhr zeigt")), "{said}");
    }
    scene.clocks.pass(60);
    for said in told("12345", "retry=1") {
        assert!(said.starts_with("The code was not accepted."), "{said}");
    }
    scene.clocks.set_by(946_684_800 - scene.clocks.now());
    for said in told("12345", "retry=1") {
        assert!(
            said.starts_with("This machine's clock cannot be trusted now"),
            "{said}"
        );
    }
}

#[test]
fn what_clock_accept_says_is_what_status_says() {
    let _place = world::enter();
    let mut scene = Scene::new();
    let shown = |scene: &Scene, arguments: &[&str]| {
        String::from_utf8_lossy(&scene.daemon.totpctl(arguments, "").stdout).into_owned()
    };
    let agree = |scene: &Scene, accepted: bool| {
        let told = scene.daemon.totpctl_json(&["clock-accept"], "");
        assert_eq!(told["accepted"], accepted, "{told}");
        for field in ["clock", "quarantine_until"] {
            assert_eq!(told[field], scene.status(field), "{told}");
        }
        assert_eq!(scene.status("acceptable"), false);
        let said = shown(scene, &["clock-accept"]);
        let (_, state) = said.split_once(": it is ").expect("a state");
        let status = shown(scene, &["status"]);
        assert!(status.contains(state), "{said}{status}");
    };
    agree(&scene, false);
    scene.clocks.synchronised(Some(false));
    agree(&scene, false);
    scene.clocks.set_by(-10);
    scene.told("jumped");
    agree(&scene, true);
    scene.clocks.set_by(-10);
    scene.daemon.log.wait_for_many(2, &["event=clock_event"]);
    scene.clocks.pass(60);
    agree(&scene, false);
    scene.boot_after(20);
    agree(&scene, true);
    scene.boot_after(-3600);
    agree(&scene, true);
    let lost = 946_684_800 - scene.clocks.now();
    scene.clocks.set_by(lost);
    agree(&scene, false);
    scene.clocks.set_by(-lost);
    agree(&scene, true);
}

#[test]
fn a_clock_that_is_set_ten_days_forward_gives_no_guess_back() {
    let _place = world::enter();
    let mut scene = Scene::new();
    for _ in 0..3 {
        assert_eq!(scene.login(&scene.alice.wrong()), PamCode::AUTH_ERR);
    }
    scene.clocks.set_by(864_000);
    assert_eq!(scene.daemon.budget("alice"), 2);
    scene.daemon.kill();
    scene.clocks.boot_after(864_000);
    scene.daemon.start_again();
    assert_eq!(
        scene.daemon.budget("alice"),
        2,
        "the daemon cannot know how long the machine was off"
    );
    scene.clocks.pass(86_400);
    assert_eq!(scene.daemon.budget("alice"), 3);
    scene.clocks.set_by(-2_000_000);
    assert_eq!(scene.daemon.budget("alice"), 3);
}

#[test]
fn an_administrator_who_accepts_the_clock_ends_the_quarantine_and_revives_nothing() {
    let _place = world::enter();
    let scene = Scene::new();
    scene.clocks.pass(15);
    let (used, wrong) = (scene.code(0), scene.alice.wrong());
    assert_eq!(scene.login(&used), PamCode::SUCCESS);
    assert_eq!(scene.login(&wrong), PamCode::AUTH_ERR);
    scene.clocks.set_by(-10);
    scene.told("jumped");
    let told = scene.daemon.totpctl(&["status"], "");
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("in quarantine until "),
        "{told:?}"
    );
    for accepted in [true, false] {
        assert_eq!(
            scene.daemon.totpctl_json(&["clock-accept"], "")["accepted"],
            accepted
        );
        scene.daemon.log.wait_for(&[
            "event=clock_accept",
            &format!(" accepted={accepted} "),
            " role=root ",
        ]);
    }
    assert_eq!(scene.status("clock"), "ok");
    assert_eq!(
        (scene.login(&used), scene.daemon.budget("alice")),
        (PamCode::AUTH_ERR, 4)
    );
    assert_eq!(scene.login(&scene.code(30)), PamCode::SUCCESS);
}

#[test]
fn what_an_administrator_has_said_of_the_clock_outlives_the_daemon() {
    let _place = world::enter();
    let mut scene = Scene::new();
    scene.clocks.set_by(3600);
    scene.told("jumped");
    assert_eq!(
        scene
            .daemon
            .call("ClockAccept", &json!({}))
            .expect("an answer")["accepted"],
        true
    );
    scene.daemon.kill();
    scene.daemon.start_again();
    assert_eq!((scene.status("clock"), scene.events()), (json!("ok"), 1));
    assert_eq!(scene.login(&scene.code(0)), PamCode::SUCCESS);
}

#[test]
fn accepting_the_clock_does_not_accept_a_store_that_was_put_back() {
    let _place = world::enter();
    let mut scene = Scene::new();
    assert!(scene.daemon.terminate().success());
    let (store, backup) = (
        scene.daemon.setup.state.clone(),
        world::scratch_folder("yesterday").join("state"),
    );
    copy(&store, &backup);
    scene.clocks.pass(86_400);
    scene.daemon.start_again();
    let used = scene.code(0);
    assert_eq!(scene.login(&used), PamCode::SUCCESS);
    scene.daemon.kill();
    copy(&backup, &store);
    scene.daemon.start_again();
    scene.daemon.log.wait_for(&["event=store_rolled_back"]);
    assert_eq!(
        (scene.status("clock"), scene.daemon.budget("alice")),
        (json!("quarantine"), 0)
    );
    let told = scene.daemon.totpctl_json(&["clock-accept"], "");
    assert_eq!(
        (&told["accepted"], &told["clock"]),
        (&json!(false), &json!("quarantine"))
    );
    assert_eq!(
        scene.login(&format!("{used} {}", scene.code(30))),
        PamCode::AUTH_ERR
    );
    scene.daemon.audited("alice", "refused");
    scene.clocks.pass(60);
    let pair = scene.code(0) + &scene.code(30);
    assert_eq!(
        scene.login(&pair),
        PamCode::SUCCESS,
        "in within two periods, with two codes"
    );
}

#[test]
fn a_machine_that_has_lost_its_clock_judges_nothing() {
    let _place = world::enter();
    let scene = Scene::new();
    let bob = authenticator(
        &scene
            .daemon
            .call("Enroll", &json!({ "user": "bob" }))
            .expect("a pending device"),
    );
    let lost = 946_684_800 - scene.clocks.now();
    scene.clocks.set_by(lost);
    assert_eq!(scene.status("clock"), "before_build");
    assert_eq!(scene.login(&scene.code(0)), PamCode::AUTH_ERR);
    let line = scene.daemon.audited("alice", "refused");
    assert!(line.contains(" reason=clock_before_build"), "{line}");
    let first = json!({ "user": "bob", "code": bob.code_when(scene.clocks.now()) });
    assert_eq!(
        scene.daemon.call("Confirm", &first).expect("a verdict")["verdict"],
        "refused"
    );
    scene.daemon.log.wait_for(&[
        "event=confirm",
        " user=bob ",
        " verdict=refused ",
        " reason=clock_before_build",
    ]);
    let proof = json!({ "device": "second", "proof": scene.code(90) });
    let enrolled = scene
        .daemon
        .call_as(&Caller::user("alice"), "Enroll", &proof);
    assert_eq!(enrolled.expect_err("no proof").0, "ProofRequired");
    scene.clocks.set_by(-lost);
    let first = json!({ "user": "bob", "code": bob.code_when(scene.clocks.now()) });
    assert_eq!(
        scene.daemon.call("Confirm", &first).expect("a verdict")["verdict"],
        "accepted"
    );
    assert_eq!(scene.daemon.budget("alice"), 5);
}

#[test]
fn a_device_that_is_off_by_half_a_minute_always_works_and_one_by_ten_minutes_never() {
    let _place = world::enter();
    let scene = Scene::new();
    scene.clocks.pass(15);
    for (seconds, code) in [
        (25, PamCode::SUCCESS),
        (-25, PamCode::SUCCESS),
        (600, PamCode::AUTH_ERR),
    ] {
        scene.clocks.pass(120);
        assert_eq!(scene.login(&scene.code(seconds)), code, "{seconds}");
    }
    let pair = scene.code(600) + &scene.code(630);
    assert_eq!(scene.login(&pair), PamCode::AUTH_ERR);
}

#[test]
fn a_device_that_is_45_seconds_behind_gets_in_with_two_codes_and_from_then_on_with_one() {
    let _place = world::enter();
    for synchronised in [true, false] {
        let scene = Scene::new();
        scene.clocks.pass(10);
        scene.clocks.synchronised(Some(synchronised));
        assert_eq!(
            scene.status("clock"),
            if synchronised { "ok" } else { "unsynchronised" }
        );
        assert_eq!(scene.login(&scene.code(-45)), PamCode::AUTH_ERR);
        assert_eq!(
            scene.login(&(scene.code(-75) + &scene.code(-45))),
            PamCode::SUCCESS
        );
        scene.clocks.pass(300);
        let known = scene.login(&scene.code(-45));
        assert_eq!(
            known == PamCode::SUCCESS,
            synchronised,
            "a clock that may be wrong itself measures none"
        );
    }
}

#[test]
fn the_time_is_the_daemons_whatever_the_application_takes_it_for() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "own-time", "retry=1");
    let clocks = Clocks::new();
    clocks.move_by(3_600_000);
    let theirs = alice.code_when(clocks.now());
    for (typed, code) in [
        (theirs, PamCode::AUTH_ERR),
        (alice.code(), PamCode::SUCCESS),
    ] {
        let mut application = Command::new("env");
        application.envs(clocks.environment());
        assert_eq!(
            wrapped(application, &stack, "alice", &typed).code,
            Some(code)
        );
    }
}

#[test]
fn a_kernel_that_does_not_say_whether_its_clock_is_right_is_believed_and_it_is_said_once() {
    let _place = world::enter();
    let clocks = Clocks::new();
    clocks.synchronised(None);
    let daemon = clocks.of(Setup::new()).start();
    daemon.log.wait_for(&["event=clock_sync_unknown"]);
    assert_eq!(
        daemon.call("Status", &json!({})).expect("a status")["clock"],
        "ok"
    );
    assert_eq!(
        daemon
            .log
            .wait_for_many(1, &["event=clock_sync_unknown"])
            .len(),
        1
    );
}

/// Puts a whole folder in the place of another.
pub(crate) fn copy(from: &Path, to: &Path) {
    let [from, to] = [from, to].map(|path| path.to_str().expect("a path in UTF-8"));
    world::run("rm", &["-rf", to]);
    world::run("cp", &["--archive", from, to]);
}

/// Puts the store of a state folder, with its journal, in the place of another's.
pub(crate) fn copy_store(from: &Path, to: &Path) {
    for part in ["store", "store.journal"] {
        copy(&from.join(part), &to.join(part));
    }
}
