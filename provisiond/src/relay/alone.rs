//! A login host that is cut off: while no verifier can be reached, two codes open a login, by the
//! hashes that a verifier has given this host before (`policy.when-cut-off: two-codes`).
//!
//! It judges nothing by itself, see [`crate::policy::offline`]. What it owes is the order: a pair is
//! used up on disk before its login is let in, and a verifier hears of it.

mod errands;
mod folder;

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use common::answer::Answer;
use common::config::fleet::{UpstreamSettings, WhenCutOff};
use common::names::user::UserName;
use common::pairs::ITERATIONS;
use common::wire::protocol::{Error, OfflineState, Verdict};

use self::errands::Errands;
use self::folder::Folder;
use super::upstream::Upstream;
use crate::audit::{Audit, Line};
use crate::clock;
use crate::policy::offline::{judge, used};
use crate::record::offline::{Kept, KeptDevice, MOST_PAIRS};

/// The state of a relay that can go on alone.
pub(super) struct Alone {
    folder: Folder,
    /// Held from the reading of a user's file to its writing.
    turn: Mutex<()>,
    takes_two_codes: AtomicBool,
    is_cut_off: AtomicBool,
    /// The verifiers refuse to give this host copies.
    is_refused: AtomicBool,
    upstream: RwLock<Arc<Upstream>>,
    errands: Mutex<Errands>,
    changed: Condvar,
    audit: Audit,
}

impl Alone {
    /// Opens the folder, and starts the thread that asks for copies and reports what was used. `None`:
    /// the settings refuse logins while no verifier is reached, and there is nothing left of before.
    ///
    /// # Errors
    /// The folder cannot be used, or the system has no thread to give.
    pub(super) fn start(
        settings: &UpstreamSettings,
        upstream: Arc<Upstream>,
        audit: &Audit,
    ) -> io::Result<Option<Arc<Self>>> {
        let takes_two_codes = settings.when_cut_off == WhenCutOff::TwoCodes;
        if !takes_two_codes && !settings.copies.try_exists()? {
            return Ok(None);
        }
        let folder = Folder::open(&settings.copies)?;
        folder.remove(&decoys_name())?;
        let errands = Errands::of(&folder.all()?);
        let alone = Arc::new(Self {
            folder,
            turn: Mutex::new(()),
            takes_two_codes: AtomicBool::new(takes_two_codes),
            is_cut_off: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            upstream: RwLock::new(upstream),
            errands: Mutex::new(errands),
            changed: Condvar::new(),
            audit: audit.clone(),
        });
        let runs = Arc::clone(&alone);
        std::thread::Builder::new()
            .name("offline-copies".into())
            .spawn(move || runs.run_errands())?;
        alone.forget_copies_unless_wanted();
        Ok(Some(alone))
    }

    /// Puts other settings in force.
    pub(super) fn obey(&self, when_cut_off: WhenCutOff, upstream: Arc<Upstream>) {
        *self
            .upstream
            .write()
            .unwrap_or_else(PoisonError::into_inner) = upstream;
        let takes_two_codes = when_cut_off == WhenCutOff::TwoCodes;
        self.takes_two_codes
            .store(takes_two_codes, Ordering::SeqCst);
        self.forget_copies_unless_wanted();
    }

    /// Whether a login that reaches no verifier is judged here.
    pub(super) fn takes_two_codes(&self) -> bool {
        self.takes_two_codes.load(Ordering::SeqCst)
    }

    /// Judges an attempt that could be sent to no verifier. When this returns, what it used up is
    /// durable.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`]: it is not.
    pub(super) fn verify(
        &self,
        user: &UserName,
        answer: Option<&Answer>,
        service: &str,
    ) -> Result<(Verdict, Option<&'static str>), Error> {
        let _turn = self.turn();
        let now = clock::now();
        let kept = self.read(user).filter(|_| clock::can_be(now));
        let is_known = kept.is_some();
        // The same is read, judged and written for every user, so that the time tells nothing.
        let decoys = decoys_name();
        let name = if is_known { user } else { &decoys };
        let kept = kept.or_else(|| self.read(name)).unwrap_or_else(decoy);
        let judged = judge(&kept, answer, service, now);
        let mut reason = judged.reason;
        if let Some(mut next) = judged.next {
            if !is_known {
                next.wrong.clear();
                reason = Some("no_offline_copy");
            }
            self.folder.write(name, &next).map_err(|error| {
                self.tell(None, error);
                Error::StoreUnavailable
            })?;
        }
        if judged.verdict == Verdict::Accepted {
            self.is_to_report(user);
        }
        Ok((judged.verdict, reason))
    }

    /// After a login that a verifier has accepted: its codes are used up here, too. A file that cannot
    /// be changed is removed.
    pub(super) fn has_used(&self, user: &UserName, answer: Option<&Answer>) {
        let _turn = self.turn();
        let Some(kept) = self.read(user) else { return };
        let next = used(&kept, answer, clock::now());
        if next != kept
            && let Err(error) = self.folder.write(user, &next)
        {
            self.tell(Some(user), error);
            let _ = self.folder.remove(user);
            self.errands().forget(user);
        }
    }

    /// Says once that this host is cut off.
    pub(super) fn begins(&self) {
        if !self.is_cut_off.swap(true, Ordering::SeqCst) {
            self.audit.write(Line::new("cut_off").warning());
        }
    }

    /// Says once that a verifier has answered again.
    pub(super) fn ends(&self) {
        if self.is_cut_off.swap(false, Ordering::SeqCst) {
            self.audit.write(Line::new("cut_off_ended").warning());
        }
    }

    /// The state, for `Status`.
    pub(super) fn told(&self) -> OfflineState {
        let refused = self.is_refused.load(Ordering::SeqCst);
        OfflineState {
            two_codes: self.takes_two_codes(),
            copies: self.errands().copies() as u64,
            refused,
        }
    }

    /// What is kept of the user, if it can be used. What cannot be is removed.
    fn read(&self, user: &UserName) -> Option<Kept> {
        self.folder.read(user).unwrap_or_else(|error| {
            self.tell(Some(user), error);
            let _ = self.folder.remove(user);
            self.errands().forget(user);
            None
        })
    }

    fn forget_copies_unless_wanted(&self) {
        if self.takes_two_codes() {
            return;
        }
        let users = self.errands().users();
        for user in users {
            self.keep(&user, Kept::without_pairs);
        }
    }

    /// Changes what is kept of a user, and removes the file if nothing of it counts any more.
    fn keep(&self, user: &UserName, change: impl FnOnce(Kept) -> Kept) {
        let _turn = self.turn();
        let kept = self.read(user);
        let was_there = kept.is_some();
        let next = change(kept.unwrap_or_else(|| Kept::nothing(user)));
        let is_of_use = next.has_unreported() || next.has_pairs(clock::now());
        let written = match is_of_use {
            true => self.folder.write(user, &next),
            false => self.folder.remove(user),
        };
        match written {
            Err(error) => self.tell(Some(user), error),
            Ok(()) if was_there && !is_of_use => {
                let line = Line::new("offline_copy_removed").with("user", user.as_str());
                self.audit.write(line);
            }
            Ok(()) => {}
        }
        match is_of_use {
            true => self.errands().settle(user, &next),
            false => self.errands().forget(user),
        }
    }

    /// Logs what is wrong with the copies of a user, or of all.
    fn tell(&self, user: Option<&UserName>, why: impl Display) {
        let line = Line::new("offline_copy_failed");
        let line = line.with_some("user", user.map(UserName::as_str));
        self.audit.write(line.with("reason", why).error());
    }

    fn is_to_report(&self, user: &UserName) {
        self.errands().report(user, Instant::now());
        self.changed.notify_one();
    }

    fn upstream(&self) -> Arc<Upstream> {
        let upstream = self.upstream.read();
        Arc::clone(&upstream.unwrap_or_else(PoisonError::into_inner))
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn errands(&self) -> MutexGuard<'_, Errands> {
        self.errands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the users of whom nothing is kept are judged by: as long as what is kept of a user with one
/// device, and good for no service.
fn decoy() -> Kept {
    let device = KeptDevice {
        digits: 6,
        period: 30,
        floor: u64::MAX,
        hashes: vec![0; MOST_PAIRS.saturating_mul(8)],
        ..KeptDevice::default()
    };
    Kept {
        iterations: ITERATIONS,
        devices: vec![device],
        ..Kept::nothing(&decoys_name())
    }
}

/// A user of that name would be refused.
fn decoys_name() -> UserName {
    UserName::new("no account of this host").unwrap_or_else(|_| UserName::reserved(0))
}
