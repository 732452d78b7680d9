//! The daemon's disk fails while it serves: each call of the store gives an error, once or always; there
//! are no inodes left; the store is copied while logins go on. No result is acknowledged that the next
//! start does not know.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::json;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::strace::Strace;
use tests::world;

use crate::clock::copy;

/// The calls by which the store changes its files, and the errors of a disk.
const CALLS: [&str; 8] = [
    "fdatasync",
    "fsync",
    "pwrite64",
    "write",
    "sync_file_range",
    "ftruncate",
    "rename",
    "openat",
];

/// Once, once later, always.
const WHEN: [&str; 3] = ["1", "2", "1+"];

#[test]
fn whichever_call_of_the_disk_fails_once_or_always_no_acknowledged_result_is_lost() {
    let _place = world::enter();
    let mut ended = 0;
    for call in CALLS {
        for when in WHEN {
            let fault = format!("{call}:error=EIO:when={when}");
            let mut daemon = Daemon::start();
            let users: Vec<String> = (0..6).map(|n| format!("user-{n}")).collect();
            let devices = daemon.enroll_many(&users);
            let codes: Vec<String> = devices.iter().map(|device| device.code()).collect();
            let stack = Stack::of(&daemon, "disk-fault", "retry=1");
            let strace = Strace::attach(&daemon, &fault);
            let told: Vec<[PamCode; 2]> = users
                .iter()
                .zip(&devices)
                .zip(&codes)
                .map(|((user, device), code)| {
                    [device.wrong(), code.clone()].map(|typed| stack.login(user, &[&typed]).code)
                })
                .collect();
            let enrolled = daemon.totpctl(&["enroll", "late", "--yes"], "");
            // A daemon that is ending may still take a connection.
            let serves_on = UnixStream::connect(daemon.login_socket()).is_ok();
            if serves_on && call != "fdatasync" {
                daemon.kill();
            } else {
                assert_eq!(daemon.wait().code(), Some(70), "{fault}");
                ended += 1;
            }
            strace.abandon();
            daemon.start_again();
            let shown = daemon.call("Show", &json!({ "user": "late" }));
            assert!(
                !enrolled.status.success() || shown.is_ok(),
                "{fault}: the enrolment is lost"
            );
            for (user, (code, told)) in users.iter().zip(codes.iter().zip(told)) {
                let wrong = u64::from(told[0] == PamCode::AUTH_ERR);
                assert!(
                    daemon.budget(user) <= 5 - wrong,
                    "{fault}: {user}: a guess came back"
                );
                let again = stack.login(user, &[code]).code;
                let is_new = again == PamCode::SUCCESS && told[1] != PamCode::SUCCESS;
                assert!(
                    is_new || again == PamCode::AUTH_ERR,
                    "{fault}: {user}: {again:?}"
                );
            }
            let doubts = daemon.log.with(&["event=store_rolled_back"]);
            assert!(doubts.is_empty(), "{fault}: {doubts:?}");
        }
    }
    println!(
        "figures: {} faults of the disk, {ended} daemons ended by them, no acknowledged result lost",
        CALLS.len() * WHEN.len()
    );
}

#[test]
fn a_sync_that_fails_refuses_that_login_and_ends_the_daemon() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let [code, next] = daemon.enroll("alice").pair();
    let stack = Stack::of(&daemon, "failed-sync", "retry=1");
    let strace = Strace::attach(&daemon, "fdatasync:error=EIO:when=1");
    let login = stack.login("alice", &[&code]);
    assert_eq!(login.code, PamCode::AUTHINFO_UNAVAIL);
    assert_eq!(daemon.wait().code(), Some(70));
    drop(strace);
    daemon
        .log
        .wait_for(&["event=store_failed", "check the disk"]);
    daemon.start_again();
    assert_eq!(stack.login("alice", &[&next]).code, PamCode::SUCCESS);
}

#[test]
fn a_copy_of_the_state_that_is_taken_while_logins_go_on_is_whole_or_known_to_be_older() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let users: Vec<String> = (0..40).map(|n| format!("user-{n}")).collect();
    let devices = daemon.enroll_many(&users);
    let stack = Stack::of(&daemon, "live", "retry=1");
    let (early, late) = devices.split_at(10);
    let codes: Vec<String> = early.iter().map(|device| device.code()).collect();
    for (user, code) in users.iter().zip(&codes) {
        assert_eq!(stack.login(user, &[code]).code, PamCode::SUCCESS);
    }
    for round in 0..3 {
        let taken = world::state_folder();
        std::thread::scope(|scope| {
            let rest = users[10 + round * 10..].iter().zip(&late[round * 10..]);
            scope.spawn(|| {
                rest.take(10).for_each(|(user, device)| {
                    let _ = stack.login(user, &[&device.code()]);
                });
            });
            copy(&daemon.setup.state, &taken);
        });
        let Ok(restored) = Setup::in_state(&taken).try_start() else {
            continue;
        };
        let status = restored.call("Status", &json!({})).expect("its state");
        let is_whole = status["users"] == users.len();
        assert!(
            is_whole || status["incomplete"] == true,
            "round {round}: {status}"
        );
        let stack = Stack::of(&restored, "restored", "retry=1 nullok");
        for (user, code) in users.iter().zip(&codes) {
            let again = stack.login(user, &[code]).code;
            assert_eq!(again, PamCode::AUTH_ERR, "round {round}: {user}");
        }
        for user in &users {
            assert_eq!(stack.login(user, &[""]).code, PamCode::AUTH_ERR, "{user}");
        }
    }
}

#[test]
fn a_disk_without_inodes_is_waited_for_and_no_used_code_comes_back() {
    let _place = world::enter();
    let root = world::scratch_folder("few-inodes");
    let at = root.to_str().expect("a path in UTF-8");
    let options = "size=16m,nr_inodes=64";
    world::run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", at]);
    let state = root.join("state");
    world::give_to_daemon(&state);
    let mut daemon = Setup::in_state(&state).start();
    let [code, next] = daemon.enroll("alice").pair();
    let stack = Stack::of(&daemon, "inodes", "retry=1");
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    let filled = take_all_inodes(&root);
    assert!(daemon.terminate().success() || daemon.log.text().contains("store_failed"));
    daemon.start_again();
    daemon.log.wait_for(&["event=store_waits", "No space left"]);
    fs::remove_dir_all(filled).expect("its end");
    daemon.log.wait_for(&["event=store_goes_on"]);
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::AUTH_ERR);
    assert_eq!(stack.login("alice", &[&next]).code, PamCode::SUCCESS);
    drop(daemon);
    world::run("umount", &["--lazy", at]);
}

fn take_all_inodes(root: &Path) -> std::path::PathBuf {
    let folder = root.join("filling");
    fs::create_dir(&folder).expect("a folder");
    (0..)
        .take_while(|n| fs::File::create(folder.join(n.to_string())).is_ok())
        .count();
    folder
}
