//! Power cuts: a second daemon lives on what the disk held at that instant.

use tests::count;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::disk::Disk;
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::strace::Strace;
use tests::world;

#[test]
fn after_a_power_cut_no_accepted_code_comes_back() {
    let _place = world::enter();
    let disk = Disk::new();
    let daemon = Setup::in_state(&disk.state()).start();
    for cut in 0..cuts() {
        let user = format!("cut-{cut:04}");
        let [current, next] = daemon.enroll(&user).pair();
        assert_eq!(
            Stack::of(&daemon, "before-cut", "retry=1")
                .login(&user, &[&current])
                .code,
            PamCode::SUCCESS
        );
        let after = AfterCut::of(&disk);
        let stack = Stack::of(&after.daemon, "after-cut", "retry=1");
        assert_eq!(
            stack.login(&user, &[&current]).code,
            PamCode::AUTH_ERR,
            "cut {cut}: the code came back"
        );
        after.daemon.audited(&user, "already_used");
        assert_eq!(
            stack.login(&user, &[&next]).code,
            PamCode::SUCCESS,
            "cut {cut}: the store works"
        );
    }
    println!("figures: {} power cuts after a login", cuts());
}

#[test]
fn after_a_power_cut_no_charged_guess_comes_back() {
    let _place = world::enter();
    let disk = Disk::new();
    let daemon = Setup::in_state(&disk.state()).start();
    let stack = Stack::of(&daemon, "before-cut", "retry=1");
    for cut in 0..cuts().div_ceil(5) {
        let user = format!("charged-{cut:04}");
        let device = daemon.enroll(&user);
        for left in (0..5).rev() {
            assert_eq!(
                stack.login(&user, &[&device.wrong()]).code,
                PamCode::AUTH_ERR
            );
            assert_eq!(AfterCut::of(&disk).daemon.budget(&user), left, "cut {cut}");
        }
    }
    println!(
        "figures: {} power cuts after a guess",
        cuts().div_ceil(5) * 5
    );
}

#[test]
fn after_a_power_cut_an_enrolment_that_was_shown_is_there() {
    let _place = world::enter();
    let disk = Disk::new();
    let daemon = Setup::in_state(&disk.state()).start();
    for cut in 0..cuts().div_ceil(4) {
        let user = format!("enrolled-{cut:04}");
        let device = daemon.enroll(&user);
        let after = AfterCut::of(&disk);
        let stack = Stack::of(&after.daemon, "after-cut", "retry=1");
        assert_eq!(
            stack.login(&user, &[&device.code()]).code,
            PamCode::SUCCESS,
            "cut {cut}"
        );
    }
}

#[test]
fn a_power_cut_in_the_middle_of_an_enrolment_leaves_all_of_it_or_nothing() {
    let _place = world::enter();
    let disk = Disk::new();
    let daemon = Setup::in_state(&disk.state()).start();
    let (mut all, mut nothing) = (0, 0);
    for cut in 0..cuts().div_ceil(4).max(2) {
        // strace ends a line when the call returns: after the first of these the journal is not
        // synced yet, after the second it is.
        let last_call = if cut % 2 == 0 {
            "pwrite64("
        } else {
            "fdatasync("
        };
        let user = format!("half-{cut:04}");
        let (after, device) = std::thread::scope(|scope| {
            let slow = Strace::attach(&daemon, SLOW_STORE);
            let enrolment = scope.spawn(|| daemon.enroll(&user));
            slow.lines.wait_for(&[last_call]);
            let after = AfterCut::of(&disk);
            drop(slow);
            (after, enrolment.join().expect("the enrolment"))
        });
        let stack = Stack::of(&after.daemon, "after-cut", "retry=1");
        match after
            .daemon
            .call("Show", &serde_json::json!({ "user": user }))
        {
            Ok(shown) => {
                all += 1;
                assert_eq!(
                    shown["user"]["devices"][0]["state"], "active",
                    "cut {cut}: {shown}"
                );
                assert_eq!(
                    stack.login(&user, &[&device.code()]).code,
                    PamCode::SUCCESS,
                    "cut {cut}"
                );
            }
            Err((error, _)) => {
                nothing += 1;
                assert_eq!(error, "NoSuchUser", "cut {cut}");
                assert_eq!(
                    stack.login(&user, &[&device.code()]).code,
                    PamCode::AUTH_ERR,
                    "cut {cut}"
                );
            }
        }
    }
    assert!(
        all > 0 && nothing > 0,
        "{all} enrolments were there and {nothing} were not: some cut was too late or early"
    );
}

#[test]
fn on_a_slow_disk_nothing_is_answered_before_it_is_durable() {
    let _place = world::enter();
    let disk = Disk::new();
    let daemon = Setup::in_state(&disk.state()).start();
    let [current, _] = daemon.enroll("alice").pair();
    let wrong = daemon.enroll("bob").wrong();
    let slow = Strace::attach(&daemon, SLOW_DISK);
    let stack = Stack::of(&daemon, "slow", "retry=1 timeout=10");
    assert_eq!(stack.login("alice", &[&current]).code, PamCode::SUCCESS);
    let accepted = AfterCut::of(&disk);
    assert_eq!(stack.login("bob", &[&wrong]).code, PamCode::AUTH_ERR);
    let charged = AfterCut::of(&disk);
    let enrolled = authenticator(
        &daemon
            .call(
                "Enroll",
                &serde_json::json!({ "user": "carol", "active": true }),
            )
            .expect("a device"),
    );
    let shown = AfterCut::of(&disk);
    drop(slow);
    let login = |after: &AfterCut, user: &str, code: &str| {
        Stack::of(&after.daemon, "after-slow", "retry=1")
            .login(user, &[code])
            .code
    };
    assert_eq!(
        login(&accepted, "alice", &current),
        PamCode::AUTH_ERR,
        "the code came back"
    );
    accepted.daemon.audited("alice", "already_used");
    assert_eq!(charged.daemon.budget("bob"), 4, "the guess came back");
    assert_eq!(
        login(&shown, "carol", &enrolled.code()),
        PamCode::SUCCESS,
        "the enrolment was lost"
    );
}

#[test]
fn after_a_power_cut_what_an_administrator_did_is_done() {
    let _place = world::enter();
    let disk = Disk::new();
    let daemon = Setup::in_state(&disk.state()).start();
    let codes = ["disabled", "revoked"].map(|user| daemon.enroll(user).code());
    daemon.totpctl_json(&["disable", "disabled"], "");
    let disabled = AfterCut::of(&disk);
    daemon.totpctl_json(&["revoke", "revoked"], "");
    let revoked = AfterCut::of(&disk);
    for (after, user, code) in [
        (disabled, "disabled", &codes[0]),
        (revoked, "revoked", &codes[1]),
    ] {
        let stack = Stack::of(&after.daemon, "after-work", "retry=1");
        assert_eq!(stack.login(user, &[code]).code, PamCode::AUTH_ERR, "{user}");
        after.daemon.audited(user, "disabled");
    }
}

/// A daemon on a disk whose power was cut.
struct AfterCut {
    // Dropped before the disk it lives on.
    daemon: Daemon,
    _disk: Disk,
}

impl AfterCut {
    fn of(disk: &Disk) -> Self {
        let disk = disk.cut();
        Self {
            daemon: Setup::in_state(&disk.root.join("state")).start(),
            _disk: disk,
        }
    }
}

fn cuts() -> usize {
    count("PAM_TOTP_POWER_CUTS", 20)
}

/// Every sync takes this much longer, so that an answer which does not wait for it is out long
/// before.
const SLOW_DISK: &str = "fdatasync,fsync:delay_enter=300000";
/// The same, with a pause before the journal is written, too.
const SLOW_STORE: &str = "pwrite64,fdatasync,fsync:delay_enter=300000";
