//! Sectors that the disk cannot read (EIO): one file of the state heals from the others, before the start
//! and while the daemon serves, and nothing is overwritten that could still be saved.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tests::connection::open;
use tests::daemon::{Daemon, Setup};
use tests::strace::Strace;
use tests::wire::{exchange, request};
use tests::world;

use crate::clock::copy;
use crate::erased::Traced;
use crate::missing_users::{files_of, hurt_the_copy};

const USERS: usize = 12;

/// A daemon that was stopped, its mirror, and a copy of its state, which has files of every kind.
struct Stopped {
    daemon: Daemon,
    good: PathBuf,
    mirror: Vec<u8>,
}

impl Stopped {
    fn new() -> Self {
        let mut daemon = Daemon::start();
        daemon.enroll_many(&(0..USERS).map(|n| format!("user-{n}")).collect::<Vec<_>>());
        assert!(daemon.terminate().success());
        // A copy that was hurt is renewed, and begins with a snapshot then.
        hurt_the_copy(&daemon.setup.state);
        daemon.start_again();
        daemon.log.wait_for(&["event=store_healed what=copy "]);
        daemon.enroll("late");
        assert!(daemon.terminate().success());
        let good = world::scratch_folder("readable").join("state");
        copy(&daemon.setup.state, &good);
        let mirror = fs::read(daemon.setup.runtime.join("generation")).expect("a mirror");
        Self {
            daemon,
            good,
            mirror,
        }
    }

    /// Puts all back as it was when the daemon was stopped.
    fn restore(&self) {
        let _ = fs::remove_dir_all(self.path("store.damaged"));
        copy(&self.good, &self.daemon.setup.state);
        fs::write(self.daemon.setup.runtime.join("generation"), &self.mirror).expect("the mirror");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.daemon.setup.state.join(name)
    }

    /// Starts the daemon under strace, with these reads of that file failing.
    fn start_unreadable(&self, file: &str, when: &str) -> Traced {
        let path = self.path(file);
        let path = path.to_str().expect("a path in UTF-8");
        let fault = format!("inject={READS}:error=EIO:when={when}");
        let trace = format!("trace={READS}");
        Traced::start(
            &self.daemon.setup,
            &["-P", path, "-e", &trace, "-e", &fault],
        )
    }

    /// What is served has every user, and doubts nothing.
    fn has_all(&self, what: &str) {
        let status = self.daemon.totpctl_json(&["status"], "");
        let told = (&status["incomplete"], &status["users"]);
        assert_eq!(told, (&json!(false), &json!(USERS + 1)), "{what}: {status}");
    }
}

#[test]
fn a_file_with_sectors_that_cannot_be_read_heals_from_the_other_copy() {
    let _place = world::enter();
    let mut stopped = Stopped::new();
    let mut files = files_of(&stopped.good);
    // It is never read.
    files.retain(|file| file != "store.lock");
    let kinds = ["store/db", "store/conf", "store/snap.", "store.marker"];
    let kinds = kinds.into_iter().chain([SNAPSHOT, "journal/0"]);
    for kind in kinds {
        assert!(
            files.iter().any(|file| file.contains(kind)),
            "{kind}: {files:?}"
        );
    }
    for file in &files {
        stopped.restore();
        let is_of_sled = file.starts_with("store/");
        // A healed database has the name of the damaged one.
        let when = if is_of_sled { "1..2" } else { "1+" };
        let mut traced = stopped.start_unreadable(file, when);
        let told = traced.until("event=started");
        let count = |part: &str| told.iter().filter(|line| line.contains(part)).count();
        assert_eq!(count("event=started"), 1, "{file}: {told:?}");
        assert_eq!(count(STORE_HEALED), usize::from(is_of_sled), "{file}");
        if file.starts_with("store.journal/") && count(COPY_HEALED) == 0 {
            assert!(traced.says(COPY_HEALED), "{file}");
        }
        stopped.has_all(file);
        drop(traced);
        stopped.daemon.start_again();
        stopped.has_all(&format!("{file}: the next start"));
        stopped.daemon.kill();
        let told = stopped.daemon.log.with(&["event=store_rolled_back"]);
        assert!(told.is_empty(), "{file}: {told:?}");
    }
}

#[test]
fn a_database_that_cannot_be_read_is_set_aside_as_it_was() {
    let _place = world::enter();
    let stopped = Stopped::new();
    let files = files_of(&stopped.good);
    for file in files.iter().filter(|file| file.starts_with("store/")) {
        stopped.restore();
        let mut traced = stopped.start_unreadable(file, "1..2");
        let told = traced.until("event=started");
        assert!(
            told.iter().any(|line| line.contains(STORE_HEALED)),
            "{file}"
        );
        for kept in files.iter().filter_map(|file| file.strip_prefix("store/")) {
            let read = |folder: &Path| fs::read(folder.join(kept)).expect("a file");
            let (was, aside) = (stopped.good.join("store"), stopped.path("store.damaged"));
            assert!(read(&was) == read(&aside), "{file}: {kept} was changed");
        }
    }
}

#[test]
fn where_the_copy_is_gone_as_well_what_the_disk_still_reads_is_served_and_nothing_is_changed() {
    let _place = world::enter();
    let stopped = Stopped::new();
    let database = fs::read(stopped.path("store/db")).expect("the database");
    // The first daemon's reads fail until it knows; the other one's do when it saves what is left, too.
    for (hurt, event, aside) in [
        ("1..2", STORE_HEALED, "store.damaged"),
        ("3..140", "restore a backup", "store"),
    ] {
        stopped.restore();
        fs::remove_dir_all(stopped.path("store.journal")).expect("the copy");
        let mut traced = stopped.start_unreadable("store/db", hurt);
        assert!(traced.says(event), "{hurt}");
        let is_served = traced
            .until("event=started")
            .iter()
            .any(|line| line.contains("started"));
        assert_eq!(is_served, event == STORE_HEALED, "{hurt}");
        if is_served {
            stopped.has_all(hurt);
        }
        let kept = stopped.path(aside).join("db");
        assert!(
            fs::read(kept).expect("the database") == database,
            "{hurt}: it was changed"
        );
        assert!(!stopped.path("store.readable").exists(), "{hurt}");
    }
}

#[test]
fn a_disk_that_loses_a_sector_under_the_running_daemon_ends_it_and_the_next_start_heals() {
    let _place = world::enter();
    let mut setup = Setup::new();
    // Less than the records take: they are read from the disk again.
    setup.settings = setup.settings.replace("}}\n", ", cache-mib: 1}}\n");
    let mut daemon = setup.start();
    let users: Vec<String> = (0..3000).map(|n| format!("user-{n}")).collect();
    daemon.enroll_many(&users);
    assert!(daemon.terminate().success());
    daemon.start_again();
    let strace = Strace::attach(&daemon, "pread64:error=EIO:when=1+");
    // The daemon ends before it answers, or answers that the store is unavailable.
    let mut shown = users.iter().map(|user| {
        let call = request("Show", &json!({ "user": user }));
        exchange(open(&daemon.login_socket()), &call)
    });
    assert!(shown.any(|answer| !String::from_utf8_lossy(&answer).contains("devices")));
    assert_eq!(daemon.wait().code(), Some(70));
    strace.abandon();
    daemon
        .log
        .wait_for(&["event=store_failed", "the disk has lost a part"]);
    daemon.start_again();
    let status = daemon.totpctl_json(&["status"], "");
    let told = (&status["incomplete"], &status["users"]);
    assert_eq!(told, (&json!(false), &json!(users.len())), "{status}");
}

const STORE_HEALED: &str = "event=store_healed what=store ";
const COPY_HEALED: &str = "event=store_healed what=copy ";
const SNAPSHOT: &str = "store.journal/snapshot";
/// The call by which the daemon reads a file itself. sled has threads, and strace counts the calls of each.
const READS: &str = "read";
