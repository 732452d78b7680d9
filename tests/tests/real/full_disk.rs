//! A disk that is full, or cannot be written: the daemon waits, and the log has a line when it
//! begins and one when it ends, however long it lasts.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::world;

use crate::erased::{is_whole_without, with_a_key_to_erase};
use crate::records::{edit_database, row};

#[test]
fn a_daemon_on_a_full_disk_waits_for_room_with_one_line_and_then_serves() {
    let _place = world::enter();
    let disk = SmallDisk::new();
    disk.fill();
    let daemon = Setup::in_state(&disk.0).start();
    daemon.log.wait_for(&["event=store_waits", "No space left"]);
    disk.free();
    daemon.log.wait_for(&["event=started"]);
    assert_eq!(waits_and_ends(&daemon), (1, 1));
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "room", "retry=1");
    assert_eq!(
        stack.login("alice", &[&alice.code()]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn a_disk_that_fills_up_ends_the_daemon_once_and_no_code_is_taken_twice() {
    let _place = world::enter();
    let disk = SmallDisk::new();
    let mut daemon = Setup::in_state(&disk.0).start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "fills", "retry=1");
    let code = alice.code();
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    disk.fill();
    // Until its log has used up what room it had.
    while stack.login("alice", &[&alice.wrong()]).code == PamCode::AUTH_ERR {}
    assert_eq!(daemon.wait().code(), Some(70));
    assert_eq!(daemon.log.with(&["event=store_failed"]).len(), 1);
    daemon.start_again();
    daemon.log.wait_for(&["event=store_waits"]);
    disk.free();
    daemon.log.wait_for(&["event=store_goes_on"]);
    assert_eq!(
        stack.login("alice", &[&code]).code,
        PamCode::AUTH_ERR,
        "a replay"
    );
}

#[test]
fn a_disk_that_became_read_only_is_waited_for_and_the_daemon_can_be_stopped_meanwhile() {
    let _place = world::enter();
    let disk = SmallDisk::new();
    disk.remount("ro");
    let mut daemon = Setup::in_state(&disk.0).start();
    daemon.log.wait_for(&["event=store_waits", "Read-only"]);
    daemon.signal(Signal::SIGHUP);
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert_eq!(waits_and_ends(&daemon), (1, 0));
    disk.remount("rw");
    daemon.start_again();
    daemon.enroll("alice");
}

#[test]
fn a_disk_without_room_for_a_copy_keeps_a_deleted_key_and_the_daemon_serves() {
    let _place = world::enter();
    let disk = SmallDisk::new();
    let (mut daemon, gone) = with_a_key_to_erase(&disk.0);
    disk.fill();
    disk.shrink_by(2 << 20);
    daemon.start_again();
    daemon.log.wait_for(&["event=keys_not_erased", "no room"]);
    assert_eq!(waits_and_ends(&daemon), (0, 0));
    assert!(daemon.terminate().success());
    disk.free();
    daemon.start_again();
    daemon.log.wait_for(&["event=keys_erased"]);
    is_whole_without(&daemon, &gone, "when there was room");
}

#[test]
fn a_damaged_store_without_room_to_heal_it_stays_as_it_is_until_there_is_room() {
    let _place = world::enter();
    let disk = SmallDisk::new();
    let mut daemon = Setup::in_state(&disk.0).start();
    let users = ["alice", "bob", "carol"].map(|user| daemon.enroll(user).code());
    assert!(daemon.terminate().success());
    let db = disk.0.join("store/db");
    edit_database(&disk.0, |sled| {
        sled.remove(row("bob")).expect("a record");
    });
    disk.fill();
    disk.shrink_by(2 << 20);
    let damaged = fs::read(&db).expect("the database");
    daemon.start_again();
    let line = daemon.log.wait_for(&["event=store_not_healed what=store "]);
    assert!(line.contains("no room"), "{line}");
    daemon.log.wait_for(&["event=store_waits"]);
    assert!(!disk.0.join("store.healing").exists());
    assert!(fs::read(&db).expect("the database") == damaged);
    disk.free();
    daemon.log.wait_for(&["event=store_goes_on"]);
    daemon.log.wait_for(&["event=store_healed what=store "]);
    daemon.log.wait_for_many(2, &["event=started"]);
    let status = daemon.totpctl_json(&["status"], "");
    assert_eq!(
        (&status["users"], &status["incomplete"]),
        (&3.into(), &false.into())
    );
    let stack = Stack::of(&daemon, "healed", "retry=1");
    let logins = ["alice", "bob", "carol"].iter().zip(&users);
    for (user, code) in logins {
        assert_eq!(stack.login(user, &[code]).code, PamCode::SUCCESS, "{user}");
    }
}

fn waits_and_ends(daemon: &Daemon) -> (usize, usize) {
    let count = |event: &str| daemon.log.with(&[event]).len();
    (count("event=store_waits"), count("event=store_goes_on"))
}

/// A small disk with a folder of the daemon's user. It is unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new() -> Self {
        let root = world::scratch_folder("small-disk");
        world::run(
            "mount",
            &["-t", "tmpfs", "-o", "size=8m", "tmpfs", text(&root)],
        );
        let state = root.join("state");
        world::give_to_daemon(&state);
        Self(state)
    }

    fn filling(&self) -> PathBuf {
        self.0.with_file_name("filling")
    }

    /// Another program takes all of it.
    fn fill(&self) {
        let mut file = fs::File::create(self.filling()).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// Some of what the other program takes becomes free.
    fn shrink_by(&self, bytes: u64) {
        let filling = fs::OpenOptions::new().write(true).open(self.filling());
        let filling = filling.expect("the file");
        let size = filling.metadata().expect("its size").len();
        filling.set_len(size - bytes).expect("less of it");
    }

    fn free(&self) {
        fs::remove_file(self.filling()).expect("the file");
    }

    fn remount(&self, how: &str) {
        let root = self.0.parent().expect("its root");
        world::run("mount", &["-o", &format!("remount,{how}"), text(root)]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let root = self.0.parent().expect("its root");
        world::run("umount", &["--lazy", text(root)]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
