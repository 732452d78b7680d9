//! Records leave a store on this machine's disk, or come to one. One that they come to begins as a
//! snapshot, from which sled is made, as it is after a restore.

use std::fs::{DirBuilder, File, remove_dir_all, rename};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use common::names::user::UserName;
use nix::fcntl::Flock;

use super::opening::{OpenError, at};
use super::rows::key;
use super::starting::{Surroundings, claim};
use super::summary::{SUMMARY, Summary, believed};
use super::{LOCK_WAIT, Place, SledStore, fence, record_of};
use crate::clock::Clock;
use crate::store::journal::JOURNAL;
use crate::store::journal::frame::Row;
use crate::store::journal::snapshot::{self, Start, Writing};
use crate::store::marker::{Marker, Mirror, StoreMark, beside, settle_folder, sync_folder_of};
use crate::store::moving::{Carried, Fence, Moved, New, NotMoved, Old, Rows, counted, rows_of};
use crate::store::private::{self, PRIVATE_FOLDER};
use crate::store::{Store, Version};

/// A store that records leave.
pub struct Leaving {
    store: SledStore,
    name: String,
    path: PathBuf,
    fence: Option<Fence>,
}

impl Leaving {
    /// Opens it, whatever its fence says. `fatal` as for [`SledStore::open`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        place: &Place,
        name: String,
        clock: Arc<Clock>,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let path = place.path.clone();
        let around = Surroundings::behind_the_fence();
        let store = SledStore::open_with(around, place, clock, Arc::new(|_| ()), fatal)?;
        Ok(Self {
            store,
            name,
            fence: fence::read(&path).map_err(at(&path))?,
            path,
        })
    }
}

impl Old for Leaving {
    fn name(&self) -> &str {
        &self.name
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    fn set_fence(&mut self, fence: Option<Fence>) -> Result<(), NotMoved> {
        fence::write(&self.path, fence.as_ref()).map_err(failed(&self.path))?;
        self.fence = fence;
        Ok(())
    }
}

/// A store that records come to.
pub struct Arriving {
    place: Place,
    name: String,
    clock: Arc<Clock>,
    fence: Option<Fence>,
    marker: Marker,
    /// The latest generation that is known of a store that was here.
    newest: u64,
    filled: Option<(Summary, Moved)>,
    lock: Option<Flock<File>>,
}

impl Arriving {
    /// Looks at the place. Nothing changes. `is_claimed`: this process has locked it already.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        place: Place,
        name: String,
        clock: Arc<Clock>,
        is_claimed: bool,
    ) -> Result<Self, OpenError> {
        let path = place.path.as_path();
        let deadline = Instant::now().checked_add(LOCK_WAIT);
        let lock = match is_claimed {
            true => None,
            false => Some(claim(path, deadline.unwrap_or_else(Instant::now))?),
        };
        let fence = fence::read(path).map_err(at(path))?;
        let marker = Marker::read(path).map_err(at(path))?;
        let (_, mirrored) = Mirror::open(place.mirror.as_deref()).map_err(at(path))?;
        let ages = marker.age().into_iter().chain(mirrored);
        let newest = ages.map(|age| believed(age.generation)).fold(0, u64::max);
        Ok(Self {
            name,
            clock,
            fence,
            marker,
            newest,
            filled: None,
            lock,
            place,
        })
    }

    fn path(&self) -> &Path {
        &self.place.path
    }

    fn draft(&self) -> PathBuf {
        beside(self.path(), DRAFT)
    }

    /// The folder with the snapshot that the store begins with.
    fn write_draft(&self, rows: &Rows, carried: &Carried) -> io::Result<Summary> {
        let draft = self.draft();
        remove(&draft)?;
        DirBuilder::new().mode(PRIVATE_FOLDER).create(&draft)?;
        let summary = summary_of(rows, self.newest, carried);
        let out = private::new_file(&snapshot::path(&draft))?;
        let start = Start {
            point: summary.point(),
            segment: 0,
        };
        let mut writing = Writing::new(io::BufWriter::new(out), start);
        for (user, record, version) in numbered(rows, self.newest) {
            let value = [version.0.to_be_bytes().as_slice(), record].concat();
            writing.add(Row {
                key: key(user).into(),
                value: Some(value.into()),
            })?;
        }
        writing.add(Row {
            key: SUMMARY.into(),
            value: Some(summary.to_bytes(carried.mark).into()),
        })?;
        writing.finish()?.flush()?;
        settle_folder(&draft)?;
        Ok(summary)
    }

    /// The draft takes the place of what was here. The fence keeps every daemon out meanwhile.
    fn put_in_place(&mut self, summary: Summary, carried: &Carried) -> io::Result<()> {
        let path = self.place.path.clone();
        self.marker.write(StoreMark {
            users: summary.users,
            age: summary.age(carried.mark.spent()),
        })?;
        remove(&path)?;
        remove(&beside(&path, JOURNAL))?;
        rename(self.draft(), beside(&path, JOURNAL))?;
        sync_folder_of(&path)
    }
}

impl New for Arriving {
    fn name(&self) -> &str {
        &self.name
    }

    fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    fn has_users(&self) -> bool {
        let path = self.path();
        let is_there = path.exists() || beside(path, JOURNAL).exists();
        self.marker.says_users() || is_there && self.marker.mark().is_none()
    }

    fn begin(&mut self, fence: Fence) -> Result<(), NotMoved> {
        fence::write(self.path(), Some(&fence)).map_err(failed(self.path()))?;
        self.fence = Some(fence);
        Ok(())
    }

    fn fill(&mut self, rows: &Rows, carried: &Carried) -> Result<(), NotMoved> {
        let written = self.write_draft(rows, carried);
        let summary = written.map_err(failed(self.path()))?;
        self.filled = Some((summary, counted(rows)));
        Ok(())
    }

    fn rows(&mut self) -> Result<Rows, NotMoved> {
        let mut found = Rows::new();
        let read = snapshot::play(&self.draft(), &mut |rows| {
            for (user, stored) in rows.iter().filter_map(record_of) {
                found.insert(user, stored.map_or_else(Vec::new, |stored| stored.bytes));
            }
            Ok(())
        });
        read.map_err(failed(self.path()))?;
        Ok(found)
    }

    fn finish(&mut self, carried: &Carried) -> Result<(), NotMoved> {
        let differs = || NotMoved::Differs(self.name.clone());
        let (summary, moved) = self.filled.take().ok_or_else(differs)?;
        let placed = self.put_in_place(summary, carried);
        placed.map_err(failed(self.path()))?;
        self.lock = None;
        // What sled has made of it counts, not what it was given.
        let store = SledStore::open_with(
            Surroundings::behind_the_fence(),
            &self.place,
            Arc::clone(&self.clock),
            Arc::new(|_| ()),
            |_| (),
        );
        let store = store.map_err(|why| NotMoved::Store(why.to_string()))?;
        let is_same = counted(&rows_of(&store)?) == moved
            && store.rolled_back_tick() == carried.rolled_back_tick;
        store.close();
        if !is_same {
            return Err(NotMoved::Differs(self.name.clone()));
        }
        fence::write(self.path(), None).map_err(failed(self.path()))
    }
}

/// Each record with a version: they go on from what a store at this place has reached.
fn numbered(rows: &Rows, newest: u64) -> impl Iterator<Item = (&UserName, &[u8], Version)> {
    let versions = (1..).map(move |number: u64| Version(newest.saturating_add(number)));
    rows.iter()
        .zip(versions)
        .map(|((user, record), version)| (user, record.as_slice(), version))
}

fn summary_of(rows: &Rows, newest: u64, carried: &Carried) -> Summary {
    let users = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let mut summary = Summary::default();
    summary.generation = newest.saturating_add(users);
    summary.rolled_back_tick = carried.rolled_back_tick;
    summary.incomplete = carried.incomplete;
    for (user, _, version) in numbered(rows, newest) {
        summary.follow(&key(user), None, Some(version));
    }
    summary
}

fn remove(folder: &Path) -> io::Result<()> {
    match remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> NotMoved {
    let path = path.to_owned();
    move |error| NotMoved::Store(at(&path)(error).to_string())
}

/// The ending of the folder that is being filled.
const DRAFT: &str = ".moving";
