//! Tests: folders and files that other users can change, or that are no files, are not believed.

use std::os::unix::fs::{chown, symlink};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

/// Makes something strange of a file or folder of this name.
type Make = fn(&Home, &str);

fn make_pipe(home: &Home, name: &str) {
    let _ = std::fs::remove_file(home.path(name));
    mkfifo(&home.path(name), Mode::S_IRWXU).unwrap();
}

/// Puts a link to it in the place of a file or folder.
fn link(home: &Home, name: &str) {
    std::fs::rename(home.path(name), home.path("moved")).unwrap();
    symlink(home.path("moved"), home.path(name)).unwrap();
}

fn open_up(home: &Home, name: &str) {
    std::fs::set_permissions(home.path(name), Permissions::from_mode(0o777)).unwrap();
}

fn name_twice(home: &Home, name: &str) {
    std::fs::hard_link(home.path(name), home.path("twin")).unwrap();
}

#[test]
fn what_others_can_change_and_what_is_no_file_is_refused_by_its_name() {
    let strange: [(&str, Make); 22] = [
        ("", open_up),
        ("store", open_up),
        ("store", link),
        ("store/blobs", open_up),
        ("store/db", open_up),
        ("store/db", link),
        ("store/db", make_pipe),
        ("store/db", name_twice),
        ("store/conf", link),
        ("store/pipe", make_pipe),
        ("store.journal", open_up),
        ("store.journal", link),
        (SEGMENT, open_up),
        (SEGMENT, link),
        (SEGMENT, name_twice),
        ("store.marker", link),
        ("store.marker", make_pipe),
        ("store.marker", name_twice),
        ("store.lock", link),
        ("store.lock", make_pipe),
        ("generation", link),
        ("generation", make_pipe),
    ];
    for (name, make) in strange {
        let home = Home::filled(3);
        make(&home, name);
        let refused = home.try_open(true).err().expect("it was opened");
        assert!(refused.needs_the_administrator(), "{name}: {refused}");
        let refusal = refused.to_string();
        let named = Path::new(name).file_name().unwrap_or_default();
        assert!(
            refusal.contains(named.to_str().unwrap()) && refusal.contains("cannot be used"),
            "{name}: {refusal}"
        );
    }
}

#[test]
fn a_folder_that_is_a_link_and_what_belongs_to_another_account_is_refused() {
    let home = Home::filled(3);
    let other = Home::new();
    symlink(home.0.path(), other.path("link")).unwrap();
    let place = Place {
        path: other.path("link/store"),
        cache_mib: 1,
        mirror: None,
    };
    let refused = SledStore::open(&place, clock(), |_| (), |why| panic!("{why}"));
    assert!(matches!(refused, Err(OpenError::Io { .. })));
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    for name in ["", "store", "store/db", "store/conf", "store.marker"] {
        let home = Home::filled(3);
        chown(home.path(name), Some(65_534), None).unwrap();
        let refusal = home.refusal();
        assert!(refusal.contains("belongs to the uid 65534"), "{refusal}");
    }
}

#[test]
fn a_draft_of_the_marker_is_never_written_through_what_stands_in_its_place() {
    let home = Home::filled(3);
    for link in [
        (|target, draft| symlink(target, draft)) as fn(PathBuf, PathBuf) -> io::Result<()>,
        |target, draft| std::fs::hard_link(target, draft),
    ] {
        std::fs::write(home.path("others"), "untouched").unwrap();
        link(home.path("others"), home.path("store.marker.new")).unwrap();
        let store = home.open();
        assert!(matches!(store.keep_mark(soon()), Ok(Outcome::Done(_))));
        drop(store);
        let others = std::fs::read_to_string(home.path("others")).unwrap();
        assert_eq!(others, "untouched");
        assert!(mark(&home).is_some_and(|mark| mark.users == 3));
    }
}
