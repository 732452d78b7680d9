//! The store is damaged, lost or put back, at rest and under the running daemon: no user who was
//! enrolled is let by as one who never was, and no login is acknowledged into a file that is gone.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::disk::Disk;
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::world;

use crate::clock::{copy, copy_store};
use crate::erased::Traced;

/// Something that happens to a file or folder.
pub(crate) type Touch = fn(&Path);

const USERS: usize = 12;
/// Both ways to let a user by who never was enrolled.
const LENIENT: &str = "unknown-users: skip\n";
pub(crate) const NULLOK: &str = "retry=1 nullok";

/// A daemon that was stopped, and a copy of all that it has written.
pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    good: PathBuf,
    pub(crate) users: Vec<String>,
    /// A code of each, shown before the daemon was stopped.
    pub(crate) codes: Vec<String>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::of(LENIENT)
    }

    fn of(settings: &str) -> Self {
        let mut daemon = Setup::new().with(settings).start();
        let users: Vec<String> = (0..USERS).map(|number| format!("user-{number}")).collect();
        let devices = daemon.enroll_many(&users);
        let codes = devices.iter().map(Authenticator::code).collect();
        assert!(daemon.terminate().success());
        let good = world::scratch_folder("good").join("state");
        copy(&daemon.setup.state, &good);
        Self {
            daemon,
            good,
            users,
            codes,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.daemon.setup.state.join(name)
    }

    pub(crate) fn mirror(&self) -> PathBuf {
        self.daemon.setup.runtime.join("generation")
    }

    /// Puts everything back as it was when the daemon was stopped, but the mirror.
    pub(crate) fn restore(&self) {
        copy(&self.good, &self.daemon.setup.state);
    }

    /// Starts the daemon on what is there now. It has every user, and doubts nothing.
    fn has_all(&mut self, what: &str) {
        self.daemon.start_again();
        let status = self.daemon.call("Status", &json!({})).expect("its state");
        let told = (&status["incomplete"], &status["users"]);
        assert_eq!(told, (&json!(false), &json!(USERS)), "{what}: {status}");
        let doubts = self.daemon.log.with(&["event=store_rolled_back"]);
        assert!(doubts.is_empty(), "{what}: {doubts:?}");
        self.daemon.kill();
    }

    /// Starts the daemon on what is there now. No user who was enrolled gets in without a code.
    fn lets_none_by(&mut self, what: &str) {
        if let Err(status) = self.daemon.try_start_again() {
            assert_eq!(status.code(), Some(78), "{what}");
            return;
        }
        let stack = Stack::of(&self.daemon, "missing", NULLOK);
        for user in &self.users {
            let login = stack.login(user, &[""]);
            assert_eq!(login.code, PamCode::AUTH_ERR, "{what}: {user}");
        }
        self.daemon.kill();
    }
}

#[test]
fn no_damage_to_any_one_file_loses_a_user_or_a_used_code() {
    let _place = world::enter();
    let mut scene = Scene::new();
    let mirror = fs::read(scene.mirror()).expect("a mirror");
    for file in files_of(&scene.good) {
        for (damage, hurt) in DAMAGES {
            for with_mirror in [true, false] {
                scene.restore();
                match with_mirror {
                    true => fs::write(scene.mirror(), &mirror).expect("the mirror"),
                    false => fs::remove_file(scene.mirror()).expect("the mirror"),
                }
                hurt(&scene.path(&file));
                scene.has_all(&format!("{file}: {damage}, mirror: {with_mirror}"));
            }
        }
    }
}

#[test]
fn bits_flipped_and_cuts_anywhere_in_the_store_let_no_enrolled_user_by() {
    let _place = world::enter();
    let mut scene = Scene::new();
    // Without the copy, which heals it.
    fs::remove_dir_all(scene.good.join("store.journal")).expect("the copy");
    let whole = fs::read(scene.path("store/db")).expect("the store");
    let used = whole.iter().rposition(|byte| *byte != 0).expect("users");
    for part in 0..10 {
        let offset = used * part / 10;
        scene.restore();
        let mut bytes = whole.clone();
        bytes[offset] ^= 1 << (part % 8);
        fs::write(scene.path("store/db"), bytes).expect("a flipped bit");
        scene.lets_none_by(&format!("a bit at {offset}"));
        scene.restore();
        cut(&scene.path("store/db"), offset as u64);
        scene.lets_none_by(&format!("cut at {offset}"));
    }
}

#[test]
fn while_users_may_be_missing_none_is_let_by_or_enrolled_until_root_accepts_it() {
    let _place = world::enter();
    let mut scene = Scene::new();
    for name in fs::read_dir(&scene.daemon.setup.state).expect("its files") {
        let path = name.expect("a file").path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.expect("its end");
    }
    scene.daemon.start_again();
    let daemon = &scene.daemon;
    daemon
        .log
        .wait_for(&["event=store_incomplete", " users=0 ", " known="]);
    let stack = Stack::of(daemon, "missing", NULLOK);
    assert_eq!(stack.login("user-1", &[""]).code, PamCode::AUTH_ERR);
    let line = daemon.audited("user-1", "refused");
    assert!(line.contains(" reason=store_incomplete"), "{line}");
    for (method, wish) in [
        ("Enroll", json!({ "user": "newcomer", "active": true })),
        ("Enroll", json!({ "user": "newcomer" })),
        ("Ticket", json!({ "user": "newcomer" })),
    ] {
        let refusal = daemon.call(method, &wish).expect_err("it is refused");
        assert_eq!(refusal.0, "StoreIncomplete", "{method}");
    }
    let status = daemon.call("Status", &json!({})).expect("its state");
    assert_eq!(status["incomplete"], true, "{status}");
    let told = daemon.totpctl(&["status"], "");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("users may be missing"), "{told}");
    let why = daemon.totpctl(&["why", "user-1"], "");
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("totpctl store accept-loss"), "{why}");
    let accepted = daemon.totpctl_json(&["store", "accept-loss"], "");
    assert_eq!(accepted, json!({ "accepted": true }));
    daemon
        .log
        .wait_for(&["event=store_accept_loss accepted=true "]);
    scene.daemon.kill();
    scene.daemon.start_again();
    let stack = Stack::expecting_ignore(&scene.daemon, "given-up", NULLOK);
    assert_eq!(stack.login("user-1", &[]).code, PamCode::SUCCESS);
    scene.daemon.enroll("newcomer");
    let again = scene.daemon.totpctl_json(&["store", "accept-loss"], "");
    assert_eq!(again, json!({ "accepted": false }));
}

#[test]
fn a_good_copy_that_is_put_back_ends_the_doubt() {
    let _place = world::enter();
    let mut scene = Scene::new();
    let db = scene.path("store/db");
    cut(&db, fs::metadata(&db).expect("the store").len() / 2);
    // It would bring the store up again.
    fs::remove_dir_all(scene.path("store.journal")).expect("the journal");
    if scene.daemon.try_start_again().is_ok() {
        let status = scene.daemon.call("Status", &json!({})).expect("its state");
        assert_eq!(status["incomplete"], true, "{status}");
        scene.daemon.kill();
    }
    copy_store(&scene.good, &scene.daemon.setup.state);
    scene.daemon.start_again();
    let status = scene.daemon.call("Status", &json!({})).expect("its state");
    assert_eq!(
        (&status["incomplete"], &status["users"]),
        (&json!(false), &json!(USERS)),
        "{status}"
    );
    scene.daemon.enroll("newcomer");
}

#[test]
fn a_store_of_before_a_users_first_code_does_not_make_the_user_a_stranger() {
    let _place = world::enter();
    let mut daemon = Setup::new().with(LENIENT).start();
    let pending = daemon
        .call("Enroll", &json!({ "user": "alice" }))
        .expect("a pending device");
    assert!(daemon.terminate().success());
    let before = world::scratch_folder("before");
    copy_store(&daemon.setup.state, &before);
    daemon.start_again();
    let code = authenticator(&pending).code();
    let confirmed = daemon
        .call("Confirm", &json!({ "user": "alice", "code": code }))
        .expect("a verdict");
    assert_eq!(confirmed["verdict"], "accepted", "{confirmed}");
    daemon.kill();
    copy_store(&before, &daemon.setup.state);
    // As after a boot.
    fs::remove_file(daemon.setup.runtime.join("generation")).expect("the mirror");
    daemon.start_again();
    let login = Stack::of(&daemon, "missing", NULLOK).login("alice", &[""]);
    assert_eq!(login.code, PamCode::AUTH_ERR);
}

#[test]
fn a_store_that_is_taken_from_under_the_running_daemon_is_healed_by_the_next_start() {
    let _place = world::enter();
    let touches: [(&str, Touch); 5] = [
        ("removed", |state| {
            fs::remove_dir_all(state.join("store")).expect("removed");
        }),
        ("renamed", |state| {
            fs::rename(state.join("store"), state.join("elsewhere")).expect("renamed");
        }),
        ("its log renamed", |state| {
            fs::rename(state.join("store/db"), state.join("store/bd")).expect("renamed");
        }),
        ("emptied", |state| cut(&state.join("store/db"), 0)),
        ("replaced by its copy", |state| {
            copy(&state.join("store"), &state.join("copy"));
            copy(&state.join("copy"), &state.join("store"));
        }),
    ];
    for (what, touch) in touches {
        let mut daemon = Daemon::start();
        let [code, next] = daemon.enroll("alice").pair();
        touch(&daemon.setup.state);
        let login = |daemon: &Daemon, code: &str| {
            let stack = Stack::of(daemon, "touched", "retry=1");
            stack.login("alice", &[code]).code
        };
        assert_eq!(login(&daemon, &code), PamCode::SUCCESS, "{what}");
        assert_eq!(daemon.wait().code(), Some(70), "{what}");
        daemon.log.wait_for(&["event=store_failed"]);
        daemon.start_again();
        assert_eq!(login(&daemon, &code), PamCode::AUTH_ERR, "{what}");
        daemon.audited("alice", "already_used");
        assert_eq!(login(&daemon, &next), PamCode::SUCCESS, "{what}");
        let status = daemon.call("Status", &json!({})).expect("its state");
        assert_eq!(status["incomplete"], false, "{what}: {status}");
        let doubts = daemon.log.with(&["event=store_rolled_back"]);
        assert!(doubts.is_empty(), "{what}: {doubts:?}");
    }
}

#[test]
fn a_journal_that_is_taken_from_under_the_running_daemon_is_begun_anew_and_no_login_is_refused() {
    let _place = world::enter();
    let touches: [(&str, Touch); 3] = [
        ("removed", |journal| {
            fs::remove_dir_all(journal).expect("removed");
        }),
        ("renamed", |journal| {
            fs::rename(journal, journal.with_file_name("elsewhere")).expect("renamed");
        }),
        ("emptied", |journal| cut(&segment(journal), 0)),
    ];
    for (what, touch) in touches {
        let mut daemon = Daemon::start();
        let [code, next] = daemon.enroll("alice").pair();
        touch(&daemon.setup.state.join("store.journal"));
        let login = |daemon: &Daemon, code: &str| {
            let stack = Stack::of(daemon, "touched", "retry=1");
            stack.login("alice", &[code]).code
        };
        assert_eq!(login(&daemon, &code), PamCode::SUCCESS, "{what}");
        daemon.log.wait_for(&["event=store_healed", " what=copy "]);
        daemon.kill();
        // Then the copy alone is left.
        fs::remove_dir_all(daemon.setup.state.join("store")).expect("removed");
        daemon.start_again();
        daemon.log.wait_for(&["event=store_healed", " what=store "]);
        assert_eq!(login(&daemon, &code), PamCode::AUTH_ERR, "{what}");
        daemon.audited("alice", "already_used");
        assert_eq!(login(&daemon, &next), PamCode::SUCCESS, "{what}");
    }
}

/// The journal's only segment.
pub(crate) fn segment(journal: &Path) -> PathBuf {
    let mut entries = fs::read_dir(journal).expect("a folder");
    entries.next().expect("a segment").expect("an entry").path()
}

#[test]
fn a_disk_that_fails_while_the_copy_is_renewed_leaves_the_daemon_serving_with_a_line() {
    let _place = world::enter();
    let mut scene = Scene::new();
    fs::remove_dir_all(scene.path("store.journal")).expect("the copy");
    let draft = scene.path("store.journal/snapshot.new");
    let draft = draft.to_str().expect("a path in UTF-8");
    let fault = "inject=write:error=EIO";
    let mut traced = Traced::start(&scene.daemon.setup, &["-P", draft, "-e", fault]);
    assert!(traced.says("event=store_not_healed what=copy"));
    let asked = scene.daemon.totpctl_json(&["status"], "");
    assert_eq!(asked["users"], USERS, "{asked}");
    drop(traced);
    scene.has_all("the next start");
}

#[test]
fn a_disk_that_fails_while_the_store_is_healed_leaves_it_as_it_was_and_the_next_start_heals() {
    let _place = world::enter();
    let mut scene = Scene::new();
    cut(&scene.path("store/db"), 0);
    let draft = scene.path("store.healing/db");
    let draft = draft.to_str().expect("a path in UTF-8");
    let fault = "inject=pwrite64:error=EIO";
    let mut traced = Traced::start(&scene.daemon.setup, &["-P", draft, "-e", fault]);
    assert!(traced.says("event=store_not_healed what=store"));
    drop(traced);
    scene.has_all("the next start");
}

#[test]
fn a_daemon_killed_at_any_step_of_healing_loses_nothing_and_the_next_start_heals() {
    let _place = world::enter();
    let mut scene = Scene::new();
    for call in ["mkdir", "renameat2", "rename", "fsync", "unlinkat,rmdir"] {
        let mut steps = 0;
        loop {
            scene.restore();
            cut(&scene.path("store/db"), 0);
            let fault = format!("inject={call}:signal=KILL:when={}", steps + 1);
            let trace = format!("trace={call}");
            let mut traced = Traced::start(&scene.daemon.setup, &["-e", &trace, "-e", &fault]);
            if traced.says("event=started") {
                break;
            }
            drop(traced);
            steps += 1;
            scene.daemon.start_again();
            let status = scene.daemon.call("Status", &json!({})).expect("its state");
            let told = (&status["incomplete"], &status["users"]);
            assert_eq!(told, (&json!(false), &json!(USERS)), "{fault}: {status}");
            scene.daemon.kill();
        }
        assert!(steps > 0, "{call}: the daemon was never killed");
        println!("{call}: killed at {steps} steps");
    }
}

#[test]
fn a_daemon_killed_at_any_step_of_renewing_the_copy_loses_nothing_and_the_next_start_renews() {
    let _place = world::enter();
    let mut scene = Scene::new();
    for call in ["write", "rename", "fsync", "unlink"] {
        let mut steps = 0;
        loop {
            scene.restore();
            hurt_the_copy(&scene.daemon.setup.state);
            let fault = format!("inject={call}:signal=KILL:when={}", steps + 1);
            let draft = scene.path("store.journal/snapshot.new");
            let [draft, folder] =
                [draft.as_path(), &scene.path("store.journal")].map(|path| text(path).to_owned());
            let trace = format!("trace={call}");
            let options = ["-P", &draft, "-P", &folder, "-e", &trace, "-e", &fault];
            let mut traced = Traced::start(&scene.daemon.setup, &options);
            if traced.says("event=store_healed what=copy") {
                break;
            }
            drop(traced);
            steps += 1;
            scene.has_all(&fault);
        }
        println!("{call}: killed at {steps} steps");
    }
}

#[test]
fn after_a_power_cut_while_a_part_is_made_anew_nothing_is_lost() {
    let _place = world::enter();
    let hurts: [(&str, Touch, &[&str]); 2] = [
        (
            "store",
            |state| cut(&state.join("store/db"), 0),
            &["fsync(", "renameat2(", "rename("],
        ),
        ("copy", hurt_the_copy, &["fsync(", "rename(", "unlink("]),
    ];
    for (what, hurt, calls) in hurts {
        let disk = Disk::new();
        let mut daemon = Setup::in_state(&disk.state()).start();
        for user in ["alice", "bob"] {
            daemon.enroll(user);
        }
        assert!(daemon.terminate().success());
        hurt(&daemon.setup.state);
        world::run("sync", &["--file-system", text(&daemon.setup.state)]);
        let mut traced = Traced::start(&daemon.setup, &["-e", CALLS, "-e", SLOW_CALLS]);
        for call in calls {
            assert!(traced.says(call), "{what}: {call}");
            let cut = disk.cut();
            let after = Setup::in_state(&cut.root.join("state")).start();
            let status = after.call("Status", &json!({})).expect("its state");
            let told = (&status["incomplete"], &status["users"]);
            assert_eq!(told, (&json!(false), &json!(2)), "{what} {call}: {status}");
        }
    }
}

/// Zeros where the journal begins.
pub(crate) fn hurt_the_copy(state: &Path) {
    let segment = segment(&state.join("store.journal"));
    let file = fs::File::options().write(true).open(segment).expect("it");
    file.write_all_at(&[0; 64], 0).expect("zeros");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn a_state_folder_that_others_can_write_and_pipes_in_it_do_not_hold_up_the_start() {
    let _place = world::enter();
    let chmod: Touch = |state| {
        world::run("chmod", &["0777", state.to_str().expect("a path")]);
    };
    let pipes: Touch = |state| {
        for name in ["store.events", "store.events.old", "store.marker"] {
            let path = state.join(name);
            let _ = fs::remove_file(&path);
            world::run("mkfifo", &[path.to_str().expect("a path")]);
        }
    };
    for (touch, named) in [
        (chmod, "other users can write to it"),
        (pipes, "store.marker"),
    ] {
        let mut daemon = Daemon::start();
        daemon.enroll("alice");
        assert!(daemon.terminate().success());
        touch(&daemon.setup.state);
        let status = daemon.try_start_again().expect_err("it does not start");
        assert_eq!(status.code(), Some(78), "a restart mends nothing: {named}");
        daemon.log.wait_for(&["cannot be used", named]);
    }
}

/// What can happen to a file.
const DAMAGES: [(&str, Touch); 4] = [
    ("removed", |path| fs::remove_file(path).expect("its end")),
    ("emptied", |path| cut(path, 0)),
    ("cut to half", |path| {
        cut(path, fs::metadata(path).expect("a file").len() / 2);
    }),
    ("a page of zeros in its middle", |path| {
        let file = fs::File::options().write(true).open(path).expect("a file");
        let size = file.metadata().expect("its size").len();
        let page = vec![0; usize::try_from(size.min(4096)).expect("a size")];
        file.write_all_at(&page, size / 3).expect("zeros");
    }),
];

pub(crate) fn cut(path: &Path, size: u64) {
    let file = fs::File::options().write(true).open(path).expect("a file");
    file.set_len(size).expect("its new size");
}

/// The files of the state that hold records, or witness them, by their paths in it.
pub(crate) fn files_of(state: &Path) -> Vec<String> {
    let mut files = vec!["store.marker".to_owned(), "store.lock".to_owned()];
    for folder in ["store", "store.journal"] {
        for entry in fs::read_dir(state.join(folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("its kind").is_file() {
                files.push(format!("{folder}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    files
}

const CALLS: &str = "trace=rename,renameat2,fsync,unlink";
const SLOW_CALLS: &str = "inject=rename,renameat2,fsync,unlink:delay_enter=200000";
