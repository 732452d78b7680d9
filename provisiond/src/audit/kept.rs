//! The event files: the latest few megabytes of events, one JSON object a line, readable for the
//! daemon only; how they rotate and are filtered.
//!
//! They lie beside the store and are not part of it: no login waits for them, and no verdict
//! depends on them. A full file replaces the older one. Events that verifiers, administrators and
//! the helpdesk, ordinary users' processes and strangers cause have files of their own for each
//! kind: no flood of theirs pushes out the attempts at root's programs, or what another kind did.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::wire::event::Event;

use crate::audit::Share;
use crate::store::private;

/// The files, written.
#[derive(Debug)]
pub(super) struct Kept {
    main: Writer,
    staff: Writer,
    verifiers: Writer,
    own: Writer,
    strangers: Writer,
    /// Files that another program has removed or moved since the start.
    gone: u64,
}

/// The paths of all files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    main: Pair,
    staff: Pair,
    verifiers: Pair,
    own: Pair,
    strangers: Pair,
}

/// Two files, with the newer one open while it can be written.
#[derive(Debug)]
struct Writer {
    pair: Pair,
    open: Option<Open>,
    /// Lines to be written, and how many.
    lines: Vec<u8>,
    count: u64,
}

/// The newer file, open.
#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    identity: Identity,
}

/// Device and number of a file.
type Identity = (u64, u64);

/// The paths of two files, and the size at which the newer one becomes the older.
#[derive(Clone, Debug)]
struct Pair {
    newer: PathBuf,
    older: PathBuf,
    full: u64,
}

/// The filter of a caller that reads events.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only events about this user.
    pub user: Option<String>,
    /// Only events since this time, in Unix seconds.
    pub since: Option<u64>,
    /// At most so many, the latest ones.
    pub limit: usize,
}

impl Wanted {
    /// Whether an event passes the filter.
    #[must_use]
    pub fn take(&self, event: &Event) -> bool {
        let user = self.user.as_deref();
        self.since.is_none_or(|since| event.time >= since)
            && (user.is_none() || event.fields.value("user") == user)
    }
}

impl Kept {
    /// Opens no file yet: the first write reports a failing disk.
    pub(super) fn new(files: Files) -> Self {
        let writer = |pair| Writer {
            pair,
            open: None,
            lines: Vec::new(),
            count: 0,
        };
        Self {
            main: writer(files.main),
            staff: writer(files.staff),
            verifiers: writer(files.verifiers),
            own: writer(files.own),
            strangers: writer(files.strangers),
            gone: 0,
        }
    }

    /// How many files another program has removed or moved since the start.
    pub(super) const fn gone(&self) -> u64 {
        self.gone
    }

    /// Adds an event to those that are written next.
    pub(super) fn add(&mut self, event: &Event, share: Share) {
        self.writer(share).add(event);
    }

    /// Appends what was added to the files of its share. After an error, or when another program has
    /// removed or moved a file, it is opened anew. Returns how many events were lost.
    pub(super) fn write(&mut self) -> u64 {
        let mut lost = 0u64;
        for writer in [
            &mut self.main,
            &mut self.staff,
            &mut self.verifiers,
            &mut self.own,
            &mut self.strangers,
        ] {
            let count = std::mem::take(&mut writer.count);
            if count == 0 {
                continue;
            }
            if writer.let_go_of_a_lost_file() {
                self.gone = self.gone.saturating_add(1);
            }
            if writer.write().is_err() {
                lost = lost.saturating_add(count);
            }
            writer.lines.clear();
        }
        lost
    }

    fn writer(&mut self, share: Share) -> &mut Writer {
        match share {
            Share::Root | Share::Refused => &mut self.main,
            Share::Staff => &mut self.staff,
            Share::Verifier | Share::RefusedByVerifier => &mut self.verifiers,
            Share::Own => &mut self.own,
            Share::Stranger => &mut self.strangers,
        }
    }
}

impl Writer {
    fn add(&mut self, event: &Event) {
        let before = self.lines.len();
        if serde_json::to_writer(&mut self.lines, event).is_err() {
            self.lines.truncate(before);
            return;
        }
        self.lines.push(b'\n');
        self.count = self.count.saturating_add(1);
    }

    /// Closes the open file if its path does not lead to it any more: no reader would find what is
    /// written there. Returns whether that was so.
    fn let_go_of_a_lost_file(&mut self) -> bool {
        let is_lost = |open: &Open| !is_at(open.identity, &self.pair.newer);
        let is_lost = self.open.as_ref().is_some_and(is_lost);
        if is_lost {
            self.open = None;
        }
        is_lost
    }

    fn write(&mut self) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.pair.open()?,
        };
        // In one write, so that a concurrent reader sees no half line.
        open.file.write_all(&self.lines)?;
        open.size = open.size.saturating_add(self.lines.len() as u64);
        if open.size < self.pair.full {
            self.open = Some(open);
            return Ok(());
        }
        fs::rename(&self.pair.newer, &self.pair.older)
    }
}

impl Files {
    /// The files beside the store at `store`.
    pub(super) fn beside(store: &Path) -> Self {
        let beside = |newer, older, full| Pair {
            newer: crate::store::beside(store, newer),
            older: crate::store::beside(store, older),
            full,
        };
        Self {
            main: beside(".events", ".events.old", FULL),
            staff: beside(".events.staff", ".events.staff.old", FULL),
            verifiers: beside(".events.verifiers", ".events.verifiers.old", FULL),
            own: beside(".events.own", ".events.own.old", FULL_OF_OWN),
            strangers: beside(
                ".events.strangers",
                ".events.strangers.old",
                FULL_OF_STRANGERS,
            ),
        }
    }

    /// The number of the latest event; 0 if there is none.
    pub(super) fn last_number(&self) -> u64 {
        let wanted = Wanted {
            limit: 1,
            ..Wanted::default()
        };
        self.read(&wanted).last().map_or(0, |event| event.number)
    }

    /// The wanted events in order. Skips half lines and missing files.
    pub(super) fn read(&self, wanted: &Wanted) -> Vec<Event> {
        let pairs = [
            &self.main,
            &self.staff,
            &self.verifiers,
            &self.own,
            &self.strangers,
        ];
        let mut events: Vec<Event> = pairs.iter().flat_map(|pair| pair.read(wanted)).collect();
        events.sort_by_key(|event| event.number);
        events.split_off(events.len().saturating_sub(wanted.limit))
    }
}

impl Pair {
    /// Opens the newer file, at the begin of a line.
    fn open(&self) -> io::Result<Open> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = private::file(&mut options, &self.newer)?;
        let metadata = file.metadata()?;
        let size = metadata.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        // An event that a crash has cut short stays a line of its own.
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
        Ok(Open {
            file,
            size,
            identity: identity(&metadata),
        })
    }

    /// The wanted events of both files.
    fn read(&self, wanted: &Wanted) -> VecDeque<Event> {
        // Opens the newer file first: if it replaces the older one in between, its events are read
        // twice and not missed.
        let open = |path| private::file(OpenOptions::new().read(true), path).ok();
        let [newer, older] = [&self.newer, &self.older].map(|path| open(path));
        let mut latest = VecDeque::new();
        let mut number = 0;
        for file in [older, newer].into_iter().flatten() {
            for line in BufReader::new(file.take(self.full.saturating_mul(2)))
                .split(b'\n')
                .map_while(Result::ok)
            {
                let Ok(event) = serde_json::from_slice::<Event>(&line) else {
                    continue;
                };
                if event.number <= number || !wanted.take(&event) {
                    continue;
                }
                number = event.number;
                latest.push_back(event);
                if latest.len() > wanted.limit {
                    latest.pop_front();
                }
            }
        }
        latest
    }
}

/// Whether the path leads to that file. While the file is open, no other one has its number.
fn is_at(open: Identity, path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|named| identity(&named) == open)
}

fn identity(metadata: &fs::Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Bytes of a file: ten to twenty thousand events. Two files are kept.
const FULL: u64 = 4 << 20;
const FULL_OF_OWN: u64 = 2 << 20;
const FULL_OF_STRANGERS: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::audit::Line;

    struct World {
        _folder: tempfile::TempDir,
        files: Files,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self {
                files: Files::beside(&folder.path().join("store")),
                _folder: folder,
            }
        }

        fn numbers(&self, wanted: &Wanted) -> Vec<u64> {
            self.files
                .read(wanted)
                .iter()
                .map(|event| event.number)
                .collect()
        }
    }

    fn event(number: u64) -> Event {
        let user = if number.is_multiple_of(2) {
            "alice"
        } else {
            "bob"
        };
        Line::new("verify")
            .with("user", user)
            .at(1000 + number, number)
    }

    /// How many events were lost when this one was written.
    fn written(kept: &mut Kept, event: &Event, share: Share) -> u64 {
        kept.add(event, share);
        kept.write()
    }

    fn latest(limit: usize) -> Wanted {
        Wanted {
            limit,
            ..Wanted::default()
        }
    }

    #[test]
    fn events_are_read_as_they_were_written_and_the_latest_are_given() {
        let world = World::new();
        assert_eq!(
            (
                world.files.last_number(),
                world.files.read(&latest(9)).len()
            ),
            (0, 0)
        );
        for _ in 0..2 {
            let mut kept = Kept::new(world.files.clone());
            let next = world.files.last_number() + 1;
            (next..next + 5)
                .for_each(|n| assert_eq!(written(&mut kept, &event(n), Share::Root), 0));
        }
        assert_eq!(
            world.files.read(&latest(99)),
            (1..=10).map(event).collect::<Vec<_>>()
        );
        assert_eq!(world.numbers(&latest(3)), [8, 9, 10]);
        assert_eq!(world.numbers(&latest(0)), [0_u64; 0]);
        assert_eq!(
            world.numbers(&Wanted {
                user: Some("alice".into()),
                ..latest(3)
            }),
            [6, 8, 10]
        );
        assert_eq!(
            world.numbers(&Wanted {
                since: Some(1009),
                ..latest(9)
            }),
            [9, 10]
        );
        let mode = fs::metadata(&world.files.main.newer)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_a_crash_has_cut_short_is_passed_over() {
        let world = World::new();
        let mut kept = Kept::new(world.files.clone());
        assert_eq!(written(&mut kept, &event(1), Share::Root), 0);
        let whole = fs::read(&world.files.main.newer).unwrap();
        for end in 0..whole.len() {
            fs::write(
                &world.files.main.newer,
                [&whole[..], &whole[..end]].concat(),
            )
            .unwrap();
            let mut kept = Kept::new(world.files.clone());
            assert_eq!(written(&mut kept, &event(2), Share::Root), 0);
            assert_eq!(world.numbers(&latest(9)), [1, 2], "{end}");
        }
        fs::write(&world.files.main.newer, [0xff; 4096]).unwrap();
        assert_eq!(world.numbers(&latest(9)), [0_u64; 0]);
    }

    #[test]
    fn two_files_of_a_fixed_size_are_kept() {
        let world = World::new();
        let mut kept = Kept::new(world.files.clone());
        let long = |number| {
            Line::new("x")
                .with("user", "y".repeat(256))
                .with("z", "z".repeat(256))
                .at(1, number)
        };
        (1..=30_000).for_each(|n| assert_eq!(written(&mut kept, &long(n), Share::Root), 0));
        let size = |path| fs::metadata(path).unwrap().len();
        let (newer, older) = (size(&world.files.main.newer), size(&world.files.main.older));
        assert!(
            newer < FULL && (FULL..FULL + 1024).contains(&older),
            "{newer} {older}"
        );
        let numbers = world.numbers(&latest(usize::MAX));
        assert!(numbers.is_sorted() && numbers.last() == Some(&30_000) && numbers.len() > 6000);
    }

    #[test]
    fn a_flood_of_one_share_pushes_no_event_of_another_out_and_all_are_read_in_order() {
        let world = World::new();
        let mut kept = Kept::new(world.files.clone());
        let long = |number| {
            let line = Line::new("x");
            ["v", "w", "y", "z"]
                .into_iter()
                .fold(line, |line, key| line.with(key, key.repeat(256)))
                .at(1, number)
        };
        let flood: [(u64, Share); 4] = [
            (10_000, Share::Stranger),
            (40_000, Share::Own),
            (60_000, Share::RefusedByVerifier),
            (80_000, Share::Staff),
        ];
        assert_eq!(written(&mut kept, &event(2), Share::Refused), 0);
        assert_eq!(written(&mut kept, &event(4), Share::Own), 0);
        for (first, share) in flood {
            (first..first + 9_000).for_each(|n| assert_eq!(written(&mut kept, &long(n), share), 0));
            assert_eq!(written(&mut kept, &event(first + 9_000), Share::Root), 0);
        }
        let alice = Wanted {
            user: Some("alice".into()),
            ..latest(99)
        };
        assert_eq!(
            world.numbers(&alice),
            [2, 19_000, 49_000, 69_000, 89_000],
            "what stands in root's files stays"
        );
        assert_eq!(world.numbers(&latest(2)), [88_999, 89_000]);
        assert_eq!(world.files.last_number(), 89_000);
        let strangers = world.files.strangers.read(&latest(usize::MAX)).len();
        assert!((750..9000).contains(&strangers), "{strangers}");
    }

    #[test]
    fn events_go_into_a_file_that_readers_find_after_theirs_was_removed_moved_or_replaced() {
        let world = World::new();
        let mut kept = Kept::new(world.files.clone());
        let newer = world.files.main.newer.clone();
        let aside = newer.with_extension("aside");
        let lost: [&dyn Fn(); 3] = [
            &|| fs::remove_file(&newer).unwrap(),
            &|| fs::rename(&newer, &aside).unwrap(),
            &|| fs::rename(&aside, &newer).unwrap(),
        ];
        assert_eq!(written(&mut kept, &event(1), Share::Root), 0);
        for (number, lose) in (2..).zip(lost) {
            lose();
            assert_eq!(written(&mut kept, &event(number), Share::Root), 0);
            let told = world.numbers(&latest(9));
            assert_eq!(told.last(), Some(&number), "{told:?}");
            assert_eq!(kept.gone(), number - 1, "told once for each");
        }
        assert_eq!(written(&mut kept, &event(5), Share::Root), 0);
        assert_eq!(kept.gone(), 3, "a file in its place is kept open");
    }

    #[test]
    fn a_file_that_is_written_again_after_an_error_goes_on() {
        let world = World::new();
        let mut kept = Kept::new(world.files.clone());
        fs::create_dir(&world.files.main.newer).unwrap();
        assert!(written(&mut kept, &event(1), Share::Root) == 1);
        fs::remove_dir(&world.files.main.newer).unwrap();
        assert_eq!(written(&mut kept, &event(2), Share::Root), 0);
        assert_eq!(world.numbers(&latest(9)), [2]);
        let events = &world.files.main.newer;
        let target = events.with_extension("target");
        fs::rename(events, &target).unwrap();
        let pipe = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let strange: [&dyn Fn(); 3] = [
            &|| std::os::unix::fs::symlink(&target, events).unwrap(),
            &|| fs::hard_link(&target, events).unwrap(),
            &|| pipe(events),
        ];
        for make in strange {
            make();
            let mut kept = Kept::new(world.files.clone());
            assert!(written(&mut kept, &event(3), Share::Root) == 1);
            assert_eq!(world.numbers(&latest(9)), [0_u64; 0]);
            fs::remove_file(events).unwrap();
        }
    }
}
