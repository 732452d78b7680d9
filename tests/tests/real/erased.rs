//! Sealed keys that were deleted or replaced: no file of the daemon holds them after its next start,
//! and nothing else is lost, whatever happens to the daemon or the disk meanwhile.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::json;
use tests::daemon::{Daemon, Setup};
use tests::disk::Disk;
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::world;

use crate::clock::copy;
use crate::records::{edit, row};

#[test]
fn a_sealed_key_that_was_deleted_or_replaced_is_in_no_file_after_the_next_start() {
    let _place = world::enter();
    let deletions: [(&str, &[&str]); 4] = [
        ("forgotten", &["forget", "forgotten", "--yes"]),
        ("revoked", &["revoke", "revoked"]),
        ("renamed", &["rename-user", "renamed", "another"]),
        (
            "begun-again",
            &["enroll", "begun-again", "--device", "default", "--yes"],
        ),
    ];
    let mut daemon = Daemon::start();
    daemon.enroll("kept");
    for (user, delete) in deletions {
        let pending = json!({ "user": user, "active": user != "begun-again" });
        daemon.call("Enroll", &pending).expect("a device");
        let [kept, gone] = ["kept", user].map(|user| sealed_key(&mut daemon, user));
        daemon.totpctl_json(delete, "");
        assert!(daemon.terminate().success());
        let is_kept = |key| is_in(&daemon.setup.state, key) || is_in(&daemon.setup.runtime, key);
        assert!(is_kept(&gone), "{user}: sled keeps former versions");
        daemon.start_again();
        let is_kept = |key| is_in(&daemon.setup.state, key) || is_in(&daemon.setup.runtime, key);
        assert!(!is_kept(&gone), "{user}: the key is still there");
        assert!(is_kept(&kept), "{user}: and so is another's");
    }
    daemon
        .log
        .wait_for_many(deletions.len(), &["event=keys_erased"]);
}

#[test]
fn a_daemon_that_deleted_no_key_copies_nothing_at_its_start() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "nothing-deleted", "retry=1");
    let code = alice.code();
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    assert_eq!(
        stack.login("alice", &[&alice.wrong()]).code,
        PamCode::AUTH_ERR
    );
    daemon.totpctl_json(&["disable", "alice"], "");
    assert!(daemon.terminate().success());
    daemon.start_again();
    assert!(daemon.logged(&["event=keys_"]).is_empty());
}

#[test]
fn a_daemon_killed_at_any_step_of_erasing_loses_nothing_and_the_next_start_erases() {
    let _place = world::enter();
    let (mut daemon, gone) = with_a_key_to_erase(&world::state_folder());
    let before = world::scratch_folder("before").join("state");
    copy(&daemon.setup.state, &before);
    for call in ["mkdir", "pwrite64", "fsync", "unlinkat,rmdir", "renameat2"] {
        let mut steps = 0;
        loop {
            copy(&before, &daemon.setup.state);
            let fault = format!("inject={call}:signal=KILL:when={}", steps + 1);
            let trace = format!("trace={call}");
            let mut traced = Traced::start(&daemon.setup, &["-e", &trace, "-e", &fault]);
            if traced.says("event=started") {
                break;
            }
            drop(traced);
            steps += 1;
            daemon.start_again();
            is_whole_without(&daemon, &gone, &fault);
            daemon.kill();
        }
        assert!(steps > 0, "{call}: the daemon was never killed");
        println!("{call}: killed at {steps} steps");
    }
}

#[test]
fn after_a_power_cut_while_a_key_is_erased_nothing_is_lost() {
    let _place = world::enter();
    let disk = Disk::new();
    let (daemon, gone) = with_a_key_to_erase(&disk.state());
    let mut traced = Traced::start(&daemon.setup, &["-e", CALLS, "-e", SLOW_CALLS]);
    // strace writes a call when it returns; the next one begins a moment later.
    for call in ["renameat2(", "fsync(", "AT_REMOVEDIR"] {
        assert!(traced.says(call), "{call}");
        let cut = disk.cut();
        let after = Setup::in_state(&cut.root.join("state")).start();
        is_whole_without(&after, &gone, call);
    }
}

#[test]
fn a_disk_that_fails_while_a_key_is_erased_leaves_the_store_as_it_was() {
    let _place = world::enter();
    let (mut daemon, gone) = with_a_key_to_erase(&world::state_folder());
    let copied = daemon.setup.state.join("store.erasing/db");
    let copied = copied.to_str().expect("a path in UTF-8");
    let fault = "inject=pwrite64:error=EIO";
    let mut traced = Traced::start(&daemon.setup, &["-P", copied, "-e", fault]);
    assert!(traced.says("event=keys_not_erased"));
    assert!(traced.says("event=started"));
    drop(traced);
    assert!(is_in(&daemon.setup.state, &gone));
    daemon.start_again();
    daemon.log.wait_for(&["event=keys_erased"]);
    is_whole_without(&daemon, &gone, "after a failed disk");
}

/// Users, of whom one was forgotten, and the daemon has ended since. Returns the sealed key of the
/// one.
pub(crate) fn with_a_key_to_erase(state: &Path) -> (Daemon, Vec<u8>) {
    let mut daemon = Setup::in_state(state).start();
    for user in ["alice", "bob", "forgotten"] {
        daemon.enroll(user);
    }
    let gone = sealed_key(&mut daemon, "forgotten");
    daemon.totpctl_json(&["forget", "forgotten", "--yes"], "");
    assert!(daemon.terminate().success());
    (daemon, gone)
}

/// The daemon, started after an erasing that was disturbed, has all users and not that key.
pub(crate) fn is_whole_without(daemon: &Daemon, gone: &[u8], when: &str) {
    assert!(!is_in(&daemon.setup.state, gone), "{when}: not erased");
    let left = daemon.setup.state.join("store.erasing");
    assert!(!left.exists(), "{when}: a copy is left");
    let status = daemon.totpctl_json(&["status"], "");
    let users = (&status["users"], &status["incomplete"]);
    assert_eq!(users, (&json!(2), &json!(false)), "{when}: {status}");
    for user in ["alice", "bob"] {
        let shown = daemon.totpctl_json(&["show", user], "");
        assert_eq!(shown["devices"][0]["state"], "active", "{when}: {shown}");
    }
    let doubts = daemon.log.with(&["event=store_"]);
    assert!(doubts.is_empty(), "{when}: {doubts:?}");
}

/// The salt of a user's first sealed key, as it lies in the store. Starts the daemon again.
fn sealed_key(daemon: &mut Daemon, user: &str) -> Vec<u8> {
    let mut salt = Vec::new();
    edit(daemon, |db| {
        let value = db.get(row(user)).expect("the store").expect("a record");
        // The second format, and the tag '1', which is one byte long.
        let begin = [0, 1, b'1'];
        let name = place(&value, b"default").expect("the device");
        let at = place(&value[name..], &begin).expect("its key") + name + begin.len();
        salt = value[at..at + 32].to_vec();
    });
    salt
}

fn place(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Whether a file in the folder has these bytes.
fn is_in(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_in(&path, bytes);
        }
        path.is_file() && place(&fs::read(&path).expect("a file"), bytes).is_some()
    })
}

/// A daemon under strace from its first instant on. It is killed when dropped.
pub(crate) struct Traced {
    daemon: Child,
    lines: io::Lines<BufReader<ChildStderr>>,
}

impl Traced {
    pub(crate) fn start(setup: &Setup, options: &[&str]) -> Self {
        setup.write();
        let plain = setup.command();
        let mut daemon = Command::new("strace");
        // The daemon stays our own child.
        daemon.args(["--follow-forks", "--daemonize"]);
        daemon.args(options).arg(plain.get_program());
        daemon.args(plain.get_args()).stderr(Stdio::piped());
        let mut daemon = daemon.spawn().expect("strace, of the package of that name");
        let lines = BufReader::new(daemon.stderr.take().expect("its output")).lines();
        Self { daemon, lines }
    }

    /// Waits until the daemon, or strace, writes that. False: it has ended.
    pub(crate) fn says(&mut self, part: &str) -> bool {
        let mut lines = self.lines.by_ref().map_while(Result::ok);
        lines.any(|line| line.contains(part))
    }

    /// What is written up to that, or to the daemon's end.
    pub(crate) fn until(&mut self, part: &str) -> Vec<String> {
        let mut told = Vec::new();
        for line in self.lines.by_ref().map_while(Result::ok) {
            let is_it = line.contains(part);
            told.push(line);
            if is_it {
                break;
            }
        }
        told
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

const CALLS: &str = "trace=renameat2,fsync,unlinkat,rmdir";
const SLOW_CALLS: &str = "inject=fsync,unlinkat,rmdir:delay_enter=300000";
