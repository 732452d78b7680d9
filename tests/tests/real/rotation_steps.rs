//! A rotation is killed, or loses its power, at each of its writes in turn: every record can be read at
//! every instant, and the rotation that comes next ends with nothing left under the former secret.
//!
//! Long form: PAM_TOTP_ROTATION_STEPS (records).

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tests::count;
use tests::daemon::{Daemon, Setup};
use tests::disk::Disk;
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::strace::Strace;
use tests::world;

use crate::clock::copy;
use crate::rotation::{UnderWay, add_second, all_are_readable, both, rotate, take_first_away};

/// A daemon with records under the first secret, and a second one, which is the default.
struct Due {
    daemon: Daemon,
    users: Vec<String>,
    devices: Vec<Authenticator>,
    /// A code that the first user has used.
    used: String,
}

impl Due {
    fn in_state(state: &Path) -> Self {
        let mut daemon = Setup::in_state(state).start();
        let users = count("PAM_TOTP_ROTATION_STEPS", 12);
        let users: Vec<String> = (0..users).map(|n| format!("user-{n}")).collect();
        let devices = daemon.enroll_many(&users);
        let used = devices[0].code();
        let login = Stack::of(&daemon, "due", "retry=1").login(&users[0], &[&used]);
        assert_eq!(login.code, PamCode::SUCCESS);
        add_second(&mut daemon);
        Self {
            daemon,
            users,
            devices,
            used,
        }
    }
}

#[test]
fn killed_at_any_write_of_a_rotation_every_record_is_readable_and_the_next_one_ends_it() {
    let _place = world::enter();
    let mut due = Due::in_state(&world::state_folder());
    assert!(due.daemon.terminate().success());
    let before = world::scratch_folder("before").join("state");
    copy(&due.daemon.setup.state, &before);
    let mirror = due.daemon.setup.runtime.join("generation");
    let mirrored = fs::read(&mirror).expect("a mirror");
    for call in ["pwrite64", "fdatasync"] {
        let mut kills = 0;
        loop {
            copy(&before, &due.daemon.setup.state);
            fs::write(&mirror, &mirrored).expect("the mirror");
            due.daemon.start_again();
            let fault = format!("{call}:signal=KILL:when={}", kills + 1);
            let strace = Strace::attach(&due.daemon, &fault);
            let has_ended = UnderWay::begin(&due.daemon).reaches_its_end();
            due.daemon.kill();
            strace.abandon();
            due.daemon.start_again();
            all_are_readable(&due.daemon, due.users.len());
            rotate(&due.daemon);
            all_are_readable(&due.daemon, due.users.len());
            if has_ended {
                break;
            }
            assert!(due.daemon.terminate().success());
            kills += 1;
            assert!(kills < 50 + 4 * due.users.len(), "it never ends");
        }
        assert!(kills > 0, "{call}: the daemon was never killed");
        println!("figures: {kills} kills before {call} while records are rotated, none unreadable");
        take_first_away(&mut due.daemon);
        let stack = Stack::of(&due.daemon, "rotated", "retry=1");
        let replay = stack.login(&due.users[0], &[&due.used]).code;
        assert_eq!(replay, PamCode::AUTH_ERR, "{call}: spent stays spent");
        for (user, device) in due.users.iter().zip(&due.devices).skip(1) {
            let login = stack.login(user, &[&device.code()]);
            assert_eq!(login.code, PamCode::SUCCESS, "{call}: {user}");
        }
        assert!(due.daemon.terminate().success());
        due.daemon.setup.secrets = both();
    }
}

#[test]
fn after_a_power_cut_at_any_write_of_a_rotation_every_record_is_readable_and_the_next_one_ends_it()
{
    let _place = world::enter();
    let disk = Disk::new();
    let due = Due::in_state(&disk.state());
    let strace = Strace::attach(&due.daemon, "fdatasync:delay_enter=150000");
    let (rotation, is_over) = (UnderWay::begin(&due.daemon), AtomicBool::new(false));
    let mut cuts = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(rotation.reaches_its_end());
            is_over.store(true, Ordering::SeqCst);
            // One more write, so that the last cut comes.
            let codes = json!({ "user": due.users[0] });
            due.daemon.call("NewRecoveryCodes", &codes).expect("codes");
        });
        while !is_over.load(Ordering::SeqCst) {
            cuts += 1;
            strace.lines.wait_for_many(cuts, &["fdatasync("]);
            let cut = disk.cut();
            let mut setup = Setup::in_state(&cut.root.join("state"));
            setup.secrets = both();
            let after = setup.start();
            all_are_readable(&after, due.users.len());
            rotate(&after);
            let status = after.call("Status", &json!({})).expect("its state");
            assert_eq!(status["incomplete"], false, "cut {cuts}: {status}");
        }
    });
    println!("figures: {cuts} power cuts while records are rotated, none unreadable");
}
