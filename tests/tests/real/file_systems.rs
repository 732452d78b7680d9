//! The file system of the store: on each that can be made here the same holds, of kills, power cuts,
//! healing, erasing and a full disk; and the log names one that promises less than a disk.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;
use serde_json::json;
use tests::daemon::{Daemon, Setup};
use tests::disk::{Disk, Kind};
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::{wire, world};

use crate::clock::copy;
use crate::erased::{Traced, is_whole_without, with_a_key_to_erase};
use crate::missing_users::cut;

#[test]
fn on_ext4_no_kill_power_cut_damage_or_full_disk_brings_a_used_code_back() {
    on_a_disk(Kind::Ext4);
}

#[test]
fn on_xfs_no_kill_power_cut_damage_or_full_disk_brings_a_used_code_back() {
    on_a_disk(Kind::Xfs);
}

#[test]
fn on_btrfs_no_kill_power_cut_damage_or_full_disk_brings_a_used_code_back() {
    on_a_disk(Kind::Btrfs);
}

#[test]
fn on_a_tmpfs_all_holds_but_the_power_cut_and_the_log_says_that_it_vanishes() {
    let _place = world::enter();
    let root = world::scratch_folder("tmpfs");
    world::run(
        "mount",
        &["-t", "tmpfs", "-o", "size=32m", "tmpfs", text(&root)],
    );
    let concern = played_in(&state_in(&root, "state"), &root);
    assert!(
        concern.contains("kind=tmpfs ") && concern.contains("in memory"),
        "{concern}"
    );
    world::run("umount", &["--lazy", text(&root)]);
}

#[test]
fn on_an_overlay_all_holds_but_the_power_cut_and_the_log_says_that_it_goes_with_its_container() {
    let _place = world::enter();
    let disk = Disk::new();
    let [lower, upper, work, root] = ["lower", "upper", "work", "merged"].map(|name| {
        let folder = disk.root.join(name);
        fs::create_dir(&folder).expect("a folder");
        folder
    });
    let layers = [
        ("lowerdir", &lower),
        ("upperdir", &upper),
        ("workdir", &work),
    ];
    let layers = layers.map(|(name, folder)| format!("{name}={}", text(folder)));
    let options = layers.join(",");
    world::run(
        "mount",
        &["-t", "overlay", "-o", &options, "overlay", text(&root)],
    );
    let concern = played_in(&state_in(&root, "state"), &root);
    assert!(concern.contains("kind=overlay "), "{concern}");
    world::run("umount", &["--lazy", text(&root)]);
}

/// As ZFS before 2.2, and FUSE.
#[test]
fn where_two_folders_cannot_be_exchanged_a_damaged_store_heals_in_two_steps_that_a_kill_may_part() {
    let _place = world::enter();
    let disk = Disk::new();
    let mut scene = Scene::in_state(&disk.state());
    assert!(scene.daemon.terminate().success());
    let (good, state) = (world::scratch_folder("good").join("state"), disk.state());
    copy(&state, &good);
    let mirror = scene.daemon.setup.runtime.join("generation");
    let mirrored = fs::read(&mirror).expect("a mirror");
    let mut kills = 0;
    loop {
        copy(&good, &state);
        fs::write(&mirror, &mirrored).expect("the mirror");
        cut(&state.join("store/db"), 0);
        let kill = format!("inject=rename:signal=KILL:when={}", kills + 1);
        let options = [
            "-e",
            "trace=renameat2,rename",
            "-e",
            CANNOT_EXCHANGE,
            "-e",
            &kill,
        ];
        let mut traced = Traced::start(&scene.daemon.setup, &options);
        let told = traced.until("event=started");
        let says = |part: &str| told.iter().any(|line| line.contains(part));
        let is_up = says("event=started");
        assert!(!is_up || says("event=store_healed what=store "), "{told:?}");
        assert!(!is_up || says("event=file_system kind=other "), "{told:?}");
        drop(traced);
        scene.daemon.start_again();
        scene.holds(&format!("killed at step {kills}"));
        scene.daemon.kill();
        if is_up {
            break;
        }
        kills += 1;
        assert!(kills < 20, "it never heals");
    }
    assert!(kills >= 2, "killed at {kills} steps");
}

/// Plays it on a disk of that kind, and cuts its power.
fn on_a_disk(kind: Kind) {
    let _place = world::enter();
    let mut disk = Disk::of(kind);
    let concern = played_in(&disk.state(), &disk.root);
    assert_eq!(concern, "", "{kind:?}");
    let state = state_in(&disk.root, "cut");
    let mut scene = Scene::in_state(&state);
    for cut in 0..2 {
        let user = format!("cut-{cut}");
        let code = scene.daemon.enroll(&user).code();
        assert_eq!(scene.login(&user, &code), PamCode::SUCCESS, "{kind:?}");
        disk.lose_power(|| scene.daemon.kill());
        // As after a boot.
        fs::remove_file(scene.daemon.setup.runtime.join("generation")).expect("the mirror");
        scene.daemon.start_again();
        scene.holds(&format!("{kind:?}, after power cut {cut}"));
        assert_eq!(scene.login(&user, &code), PamCode::AUTH_ERR, "{kind:?}");
        scene.daemon.audited(&user, "already_used");
    }
}

/// Kills, damage, erasing and a full disk. Returns the line about the file system, if there is one.
fn played_in(state: &Path, root: &Path) -> String {
    let mut scene = Scene::in_state(state);
    scene.daemon.kill();
    scene.daemon.start_again();
    scene.holds("after a kill");
    assert!(scene.daemon.terminate().success());
    let db = state.join("store/db");
    cut(&db, 0);
    scene.daemon.start_again();
    scene
        .daemon
        .log
        .wait_for(&["event=store_healed what=store "]);
    scene.holds("after damage");
    erases_in(&state_in(root, "erased"));
    full_disk(&mut scene, root);
    let told = scene.daemon.log.with(&["event=file_system "]);
    told.first().cloned().unwrap_or_default()
}

fn erases_in(state: &Path) {
    let (mut daemon, gone) = with_a_key_to_erase(state);
    daemon.start_again();
    daemon.log.wait_for(&["event=keys_erased"]);
    is_whole_without(&daemon, &gone, "erased");
}

/// Other programs take all room. The daemon ends, waits, and goes on without a hand.
fn full_disk(scene: &mut Scene, root: &Path) {
    let filling = fill(root);
    let users = (0..).map(|n| json!({ "user": format!("late-{n}"), "active": true }));
    let socket = scene.daemon.login_socket();
    let refused = users
        .map(|wish| wire::call_if_alive(&socket, "Enroll", &wish))
        .find(|reply| !matches!(reply, Some(Ok(_))))
        .expect("no room");
    // None where the process has ended before the reply was on its way.
    if let Some(Err((name, _))) = refused {
        assert_eq!(name, "StoreUnavailable");
    }
    assert_eq!(scene.daemon.wait().code(), Some(70));
    scene.daemon.start_again();
    scene.daemon.log.wait_for(&["event=store_waits"]);
    fs::remove_file(filling).expect("room");
    scene.daemon.log.wait_for(&["event=store_goes_on"]);
    scene.holds("after a full disk");
}

/// Takes all room of the file system, and returns the file that has it.
fn fill(root: &Path) -> PathBuf {
    let path = root.join("filling");
    let file = fs::File::create(&path).expect("a file");
    let mut rest = fs::File::create(root.join("rest")).expect("another");
    let mut size = 0;
    for step in [8 << 20, 1 << 20, 64 << 10, 4 << 10] {
        while posix_fallocate(&file, size, step).is_ok() {
            size += step;
        }
    }
    // A file system that gives no more in advance may still have some.
    while rest.write_all(&[1; 4096]).is_ok() && rest.sync_data().is_ok() {}
    path
}

/// A daemon with two users: alice has used a code, and bob has guessed once.
struct Scene {
    daemon: Daemon,
    used: String,
}

impl Scene {
    fn in_state(state: &Path) -> Self {
        let daemon = Setup::in_state(state).start();
        let [alice, bob] = ["alice", "bob"].map(|user| daemon.enroll(user));
        let used = alice.code();
        let scene = Self { daemon, used };
        assert_eq!(scene.login("alice", &scene.used), PamCode::SUCCESS);
        assert_eq!(scene.login("bob", &bob.wrong()), PamCode::AUTH_ERR);
        scene
    }

    fn login(&self, user: &str, code: &str) -> PamCode {
        let stack = Stack::of(&self.daemon, "file-systems", "retry=1");
        stack.login(user, &[code]).code
    }

    /// The code stays used, the guess charged, and no user is missing.
    fn holds(&self, when: &str) {
        assert_eq!(self.login("alice", &self.used), PamCode::AUTH_ERR, "{when}");
        assert_eq!(self.daemon.budget("bob"), 4, "{when}");
        let status = self.daemon.call("Status", &json!({})).expect("its state");
        assert_eq!(status["incomplete"], false, "{when}: {status}");
    }
}

/// A folder of the daemon's user.
fn state_in(root: &Path, name: &str) -> PathBuf {
    let state = root.join(name);
    world::give_to_daemon(&state);
    state
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

const CANNOT_EXCHANGE: &str = "inject=renameat2:error=EINVAL";
