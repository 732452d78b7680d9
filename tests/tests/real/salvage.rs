//! Both parts of the store are damaged: what is whole in either is served, without the guesses and codes
//! of before, and no user that may be missing passes as one that never enrolled.

use std::fs;
use std::path::Path;

use serde_json::json;
use tests::libpam::PamCode;
use tests::stack::Stack;
use tests::world;

use crate::erased::Traced;
use crate::missing_users::{NULLOK, Scene, Touch, cut, segment};

/// What happens to the database, and to the journal, which is all of the copy here.
const DAMAGES: [(&str, Touch, Touch); 4] = [
    ("removed, cut", remove, cut_journal),
    ("emptied, overwritten in its middle", empty, hurt_journal),
    ("cut, overwritten in its middle", halve, hurt_journal),
    ("removed, removed", remove, remove_journal),
];

#[test]
fn where_both_parts_are_hurt_what_is_left_is_served_without_guesses_and_no_missing_user_passes() {
    let _place = world::enter();
    let mut scene = Scene::new();
    let mirror = fs::read(scene.mirror()).expect("a mirror");
    for (what, hurt_store, hurt_journal) in DAMAGES {
        scene.restore();
        fs::write(scene.mirror(), &mirror).expect("the mirror");
        hurt_store(&scene.path("store"));
        hurt_journal(&scene.path("store.journal"));
        if let Err(status) = scene.daemon.try_start_again() {
            assert_eq!(status.code(), Some(78), "{what}");
            assert!(what.ends_with("removed"), "{what}: something is left");
            continue;
        }
        scene.daemon.log.wait_for(&["event=store_salvaged "]);
        let status = scene.daemon.call("Status", &json!({})).expect("its state");
        assert_eq!(status["incomplete"], true, "{what}: {status}");
        let served = status["users"].as_u64().expect("a number");
        assert!(served > 0, "{what}: {status}");
        let mut left = 0;
        for (user, code) in scene.users.iter().zip(&scene.codes) {
            let stack = Stack::of(&scene.daemon, "salvaged", NULLOK);
            for typed in ["", code] {
                let login = stack.login(user, &[typed]);
                assert_eq!(login.code, PamCode::AUTH_ERR, "{what}: {user}");
            }
            if scene.daemon.call("Show", &json!({ "user": user })).is_ok() {
                assert_eq!(scene.daemon.budget(user), 0, "{what}: {user}");
                left += 1;
            }
        }
        assert_eq!(left, served, "{what}");
        assert!(scene.path("store.damaged").exists() || what.starts_with("removed"));
        scene.daemon.kill();
    }
}

#[test]
fn a_daemon_killed_at_any_step_of_saving_what_is_left_lets_no_user_by_and_the_next_start_saves_it()
{
    let _place = world::enter();
    let mut scene = Scene::new();
    let mirror = fs::read(scene.mirror()).expect("a mirror");
    let (mut kills, mut saved) = (0, None);
    for call in ["mkdir", "renameat2", "rename", "fsync", "unlinkat,rmdir"] {
        for step in 1.. {
            scene.restore();
            fs::write(scene.mirror(), &mirror).expect("the mirror");
            halve(&scene.path("store"));
            hurt_journal(&scene.path("store.journal"));
            let fault = format!("inject={call}:signal=KILL:when={step}");
            let trace = format!("trace={call}");
            let mut traced = Traced::start(&scene.daemon.setup, &["-e", &trace, "-e", &fault]);
            let has_ended = !traced.says("event=started");
            drop(traced);
            scene.daemon.start_again();
            let status = scene.daemon.call("Status", &json!({})).expect("its state");
            assert_eq!(status["incomplete"], true, "{fault}: {status}");
            let users = status["users"].as_u64();
            assert_eq!(*saved.get_or_insert(users), users, "{fault}: {status}");
            let stack = Stack::of(&scene.daemon, "killed", NULLOK);
            for user in &scene.users {
                let login = stack.login(user, &[""]);
                assert_eq!(login.code, PamCode::AUTH_ERR, "{fault}: {user}");
            }
            scene.daemon.kill();
            if !has_ended {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 10, "the daemon was killed {kills} times only");
    println!("{kills} kills while what is left is saved");
}

fn remove(store: &Path) {
    fs::remove_dir_all(store).expect("its end");
}

fn empty(store: &Path) {
    cut(&store.join("db"), 0);
}

fn halve(store: &Path) {
    let db = store.join("db");
    let bytes = fs::read(&db).expect("the database");
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("users");
    cut(&db, used as u64 / 2);
}

fn remove_journal(journal: &Path) {
    fs::remove_dir_all(journal).expect("its end");
}

fn cut_journal(journal: &Path) {
    let segment = segment(journal);
    let bytes = fs::read(&segment).expect("the segment");
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("users");
    cut(&segment, used as u64 / 2);
}

/// Most of it is overwritten, but for its beginning and its end.
fn hurt_journal(journal: &Path) {
    let segment = segment(journal);
    let mut bytes = fs::read(&segment).expect("the segment");
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("users");
    bytes[used / 4..used * 7 / 8].fill(0x5a);
    fs::write(&segment, bytes).expect("the segment");
}
