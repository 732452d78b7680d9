//! A store of before is put back, which has forgotten how far devices were off, and which codes
//! were used ahead of their time. None of them opens anything again, and owners are in as soon as
//! the time of the last one has passed: usually at once.

use std::path::PathBuf;

use serde_json::{Value, json};
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::world;

use crate::clock::copy_store;

/// A daemon with a backup of its store, in which alice and bob are enrolled, and carol's device
/// waits for its first code.
struct Scene {
    clocks: Clocks,
    daemon: Daemon,
    alice: Authenticator,
    bob: Authenticator,
    carol: Authenticator,
    carols_key: Value,
    backup: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let clocks = Clocks::new();
        let mut daemon = clocks.of(Setup::new()).start();
        let [alice, bob] = ["alice", "bob"].map(|user| daemon.enroll(user));
        let pending = daemon
            .call("Enroll", &json!({ "user": "carol" }))
            .expect("a pending device");
        let (carol, carols_key) = (authenticator(&pending), pending["key"].clone());
        assert!(daemon.terminate().success());
        let backup = world::scratch_folder("before");
        copy_store(&daemon.setup.state, &backup);
        daemon.start_again();
        Self {
            clocks,
            daemon,
            alice,
            bob,
            carol,
            carols_key,
            backup,
        }
    }

    /// Two codes in a row of a device, the first of which it shows so many seconds from now if its
    /// clock is right.
    fn pair(&self, device: &Authenticator, seconds: i64) -> String {
        [seconds, seconds + 30]
            .map(|seconds| device.code_when(self.clocks.now() + seconds))
            .concat()
    }

    fn login(&self, user: &str, typed: &str) -> PamCode {
        Stack::of(&self.daemon, "put-back", "retry=1")
            .login(user, &[typed])
            .code
    }

    /// Alice gets in with what her device shows then.
    fn opens(&self, typed: &str) {
        assert_eq!(self.login("alice", typed), PamCode::SUCCESS);
    }

    /// An administrator sets the clock, and the daemon notices it.
    fn set_by(&self, seconds: i64) {
        self.clocks.set_by(seconds);
        self.daemon
            .log
            .wait_for(&["event=clock_event", &format!(" seconds={seconds} ")]);
    }

    /// With a kill: the daemon has no time to tell the witnesses more than they know.
    fn put_back(&mut self) {
        self.put_back_after(|_| ());
    }

    fn put_back_after(&mut self, meanwhile: impl FnOnce(&Self)) {
        self.daemon.kill();
        meanwhile(self);
        copy_store(&self.backup, &self.daemon.setup.state);
        self.daemon.start_again();
        self.daemon.log.wait_for(&["event=store_rolled_back"]);
    }

    /// Whatever alice has used up to the code that is shown `last` seconds from now stays used.
    /// Says after how many periods she is in, whose device is so many seconds `ahead`, and bob,
    /// whose clock is right.
    fn are_in_after(&self, last: i64, ahead: i64) -> [Option<i64>; 2] {
        let mut after = [None, None];
        for period in 0..20 {
            for used in [last - 30, last] {
                let pair = self.pair(&self.alice, used - 30 * period);
                assert_eq!(
                    self.login("alice", &pair),
                    PamCode::AUTH_ERR,
                    "{used} ahead, {period} periods later"
                );
            }
            let owners = [
                ("alice", self.pair(&self.alice, ahead)),
                ("bob", self.pair(&self.bob, 0)),
            ];
            for ((user, pair), after) in owners.iter().zip(&mut after) {
                if after.is_none() && self.login(user, pair) == PamCode::SUCCESS {
                    *after = Some(period);
                }
            }
            self.clocks.pass(30);
        }
        after
    }
}

#[test]
fn what_a_device_opened_whose_drift_was_learned_since_stays_used() {
    let _place = world::enter();
    let mut scene = Scene::new();
    scene.opens(&scene.pair(&scene.alice, 90));
    scene.clocks.pass(300);
    scene.opens(&scene.alice.code_when(scene.clocks.now() + 150));
    scene.put_back();
    assert_eq!(scene.are_in_after(150, 120), [Some(2), Some(6)]);
}

#[test]
fn two_codes_that_were_used_ten_steps_ahead_stay_used() {
    let _place = world::enter();
    let mut scene = Scene::new();
    scene.opens(&scene.pair(&scene.alice, 270));
    scene.put_back();
    assert_eq!(scene.are_in_after(300, 270), [Some(2), Some(11)]);
}

#[test]
fn what_was_used_while_the_clock_was_some_minutes_ahead_stays_used() {
    let _place = world::enter();
    let mut scene = Scene::new();
    scene.set_by(300);
    scene.clocks.pass(60);
    scene.opens(&scene.alice.code_when(scene.clocks.now()));
    scene.set_by(-300);
    scene.put_back();
    assert_eq!(scene.are_in_after(300, 0), [Some(11), Some(11)]);
}

#[test]
fn a_clock_that_was_a_year_ahead_keeps_nobody_out_for_longer_than_fourteen_steps() {
    let _place = world::enter();
    let mut scene = Scene::new();
    scene.set_by(31_536_000);
    scene.clocks.pass(60);
    scene.opens(&scene.alice.code_when(scene.clocks.now()));
    scene.set_by(-31_536_000);
    scene.put_back();
    assert_eq!(scene.are_in_after(31_536_000, 0), [Some(15), Some(15)]);
}

#[test]
fn after_a_boot_the_marker_alone_knows_what_was_used_ahead() {
    let _place = world::enter();
    let mut scene = Scene::new();
    scene.clocks.pass(86_400);
    scene.opens(&scene.pair(&scene.alice, 270));
    scene.put_back_after(|scene| {
        scene.clocks.boot_after(0);
        std::fs::remove_file(scene.daemon.setup.runtime.join("generation")).expect("a mirror");
    });
    assert_eq!(scene.are_in_after(300, 270), [Some(2), Some(11)]);
}

#[test]
fn where_nobody_was_ahead_owners_are_in_within_two_periods() {
    let _place = world::enter();
    let mut scene = Scene::new();
    scene.opens(&scene.alice.code_when(scene.clocks.now() + 30));
    scene.put_back();
    assert_eq!(scene.are_in_after(30, 0), [Some(2), Some(2)]);
}

#[test]
fn a_device_that_is_pending_again_is_not_confirmed_with_a_used_code_and_its_key_that_is_enrolled_anew_remembers()
 {
    let _place = world::enter();
    let mut scene = Scene::new();
    let confirm = |scene: &Scene, seconds: i64| {
        let first =
            json!({ "user": "carol", "code": scene.carol.code_when(scene.clocks.now() + seconds) });
        scene.daemon.call("Confirm", &first).expect("a verdict")["verdict"].clone()
    };
    assert_eq!(confirm(&scene, 0), "accepted");
    assert_eq!(
        scene.login("carol", &scene.pair(&scene.carol, 60)),
        PamCode::SUCCESS
    );
    scene.put_back();
    scene.clocks.pass(60);
    for used in [0, 30] {
        assert_eq!(confirm(&scene, used), "refused", "{used}");
    }
    scene.daemon.log.wait_for(&[
        "event=confirm",
        " user=carol ",
        " verdict=refused ",
        " reason=store_rolled_back",
    ]);
    let accepted = scene.daemon.call("StoreAcceptLoss", &json!({}));
    assert_eq!(accepted.expect("a reply")["accepted"], true);
    let again = json!({ "user": "carol", "key": scene.carols_key, "active": true });
    let again: Value = scene.daemon.call("Enroll", &again).expect("a device");
    assert_eq!(again["device"], "default");
    assert_eq!(
        scene.login("carol", &scene.pair(&scene.carol, 0)),
        PamCode::AUTH_ERR
    );
    assert_eq!(
        scene.login("carol", &scene.pair(&scene.carol, 30)),
        PamCode::AUTH_ERR
    );
    assert_eq!(
        scene.login("carol", &scene.pair(&scene.carol, 60)),
        PamCode::SUCCESS
    );
}

#[test]
fn a_clock_that_is_set_after_the_store_was_put_back_hides_nothing_from_a_first_login() {
    let _place = world::enter();
    for seconds in [3, -3, 0] {
        let clocks = Clocks::new();
        let mut daemon = clocks
            .of(Setup::new().with("enroll-at-login: true\n"))
            .start();
        daemon.enroll("somebody");
        let dave = daemon
            .call("Enroll", &json!({ "user": "dave" }))
            .expect("a pending device");
        let dave = authenticator(&dave);
        assert!(daemon.terminate().success());
        let backup = world::scratch_folder("pending");
        copy_store(&daemon.setup.state, &backup);
        daemon.start_again();
        let used = [0, 30].map(|seconds| {
            clocks.pass(seconds);
            let code = dave.code_when(clocks.now());
            let stack = Stack::of(&daemon, "first", "enroll retry=1");
            assert_eq!(stack.login("dave", &[&code]).code, PamCode::SUCCESS);
            code
        });
        daemon.kill();
        copy_store(&backup, &daemon.setup.state);
        if seconds == 0 {
            clocks.boot_after(20);
        }
        daemon.start_again();
        daemon.log.wait_for(&["event=store_rolled_back"]);
        clocks.set_by(seconds);
        daemon.log.wait_for(&["event=clock_event"]);
        let loss = daemon.call("StoreAcceptLoss", &json!({}));
        assert_eq!(loss.expect("an answer")["accepted"], true);
        let stack = Stack::of(&daemon, "first", "enroll retry=1");
        let login = |typed: &str| stack.login("dave", &[typed]).code;
        assert_eq!(login(&used.concat()), PamCode::AUTH_ERR, "{seconds}");
        let line = daemon.audited("dave", "refused");
        assert!(line.contains(" reason=store_rolled_back "), "{line}");
        clocks.pass(90);
        let pair = [0, 30].map(|seconds| dave.code_when(clocks.now() + seconds));
        assert_eq!(login(&pair.concat()), PamCode::SUCCESS);
    }
}
