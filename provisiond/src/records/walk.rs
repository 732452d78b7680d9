//! Walks through all records: a page of them for a list, and every one when the daemon starts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};

use common::names::user::UserName;
use common::secrets::Secrets;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use super::Records;
use crate::record::{Damaged, Record};
use crate::store::{Stored, Unavailable};

impl Records {
    /// Reads the whole store when the daemon starts, while no call changes it: notes the uid of every
    /// record, and counts what needs which application secret. Calls `goes_on` after every
    /// thousand records or so.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn take_stock(
        &self,
        secrets: &Secrets,
        goes_on: impl Fn() + Sync,
    ) -> Result<(), Unavailable> {
        let looked = AtomicUsize::new(0);
        self.each(secrets, |listed| {
            self.note_uid(listed);
            self.count(listed);
            let before = looked.fetch_add(1, Ordering::Relaxed);
            if before.saturating_add(1).is_multiple_of(GOES_ON_AFTER) {
                goes_on();
            }
        })?;
        self.by_uid.is_whole_now();
        self.count_decoys(secrets)
    }

    /// Notes the uids of the records that could not be read before and that these secrets open. All
    /// others are noted: each write notes its own, and a reload must not read a hundred thousand.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn note_more_uids(&self, secrets: &Secrets) -> Result<(), Unavailable> {
        if !self.by_uid.is_whole() {
            return self.note_uids(secrets);
        }
        for name in self.by_uid.unread() {
            let stored = self.store.load(&name)?;
            let record = stored.map(|stored| Record::from_bytes(&stored.bytes, &name, secrets));
            if let Some(Ok(record)) = record {
                self.by_uid.note(record.uid, &name);
            }
        }
        Ok(())
    }

    /// Notes the uid of every record that these secrets open. Reads the whole store.
    pub(super) fn note_uids(&self, secrets: &Secrets) -> Result<(), Unavailable> {
        self.each(secrets, |listed| self.note_uid(listed))?;
        self.by_uid.is_whole_now();
        Ok(())
    }

    /// Looks at every record, on all processors: one thread at a time reads a page, and each checks
    /// the records of its own.
    fn each(&self, secrets: &Secrets, look: impl Fn(&Listed) + Sync) -> Result<(), Unavailable> {
        let after = Mutex::new(None);
        let next = || {
            let mut after = after.lock().unwrap_or_else(PoisonError::into_inner);
            let page = self.store.list(after.as_ref(), PAGE)?;
            if let Some((last, _)) = page.last() {
                *after = Some(last.clone());
            }
            Ok(page)
        };
        let work = || {
            loop {
                let page = next()?;
                if page.is_empty() {
                    return Ok(());
                }
                listed(page, secrets).for_each(|listed| look(&listed));
            }
        };
        scope(|scope| {
            // A thread that the system refuses is not needed: this one does all that is left.
            let spawn = |_| Builder::new().spawn_scoped(scope, work).ok();
            let helping: Vec<_> = (1..processors()).filter_map(spawn).collect();
            let mut done = work();
            for helper in helping {
                done = done.and(helper.join().unwrap_or(Err(Unavailable)));
            }
            done
        })
    }

    fn note_uid(&self, Listed { user, record, .. }: &Listed) {
        match record {
            Ok(record) => self.by_uid.note(record.uid, user),
            Err(_) => self.by_uid.note_unread(user),
        }
    }

    /// One page of users in the order of their names, each with the result of [`Records::look`].
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn page(
        &self,
        after: Option<&UserName>,
        secrets: &Secrets,
    ) -> Result<Vec<Listed>, Unavailable> {
        Ok(listed(self.store.list(after, PAGE)?, secrets).collect())
    }
}

/// One user of a page.
#[derive(Debug)]
pub struct Listed {
    /// The user.
    pub user: UserName,
    /// The record, unless it is damaged.
    pub record: Result<Record, Damaged>,
    pub(super) bytes: Vec<u8>,
}

fn listed(
    page: Vec<(UserName, Stored)>,
    secrets: &Secrets,
) -> impl Iterator<Item = Listed> + use<'_> {
    page.into_iter().map(|(user, Stored { bytes, .. })| {
        let record = Record::from_bytes(&bytes, &user, secrets);
        Listed {
            user,
            record,
            bytes,
        }
    })
}

/// The standard library would read the files of the cgroup as well, which AppArmor's profile denies.
fn processors() -> usize {
    let ours = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let is_ours = |number: &usize| ours.is_set(*number) == Ok(true);
    (0..CpuSet::count()).filter(is_ours).count().max(1)
}

const PAGE: usize = 256;
const GOES_ON_AFTER: usize = 1024;
