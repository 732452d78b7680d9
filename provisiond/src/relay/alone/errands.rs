//! What a relay does behind its logins, in a thread of its own: it asks for offline copies, asks from
//! time to time whether they still hold, and reports the codes that were used while it was cut off. A
//! report is kept until a verifier has said that it has it.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::names::user::UserName;
use common::wire::protocol::{Error, OfflineCopy, OfflineCopyReply, OfflineDevice, SpentOffline};
use data_encoding::{BASE64, HEXLOWER};

use super::Alone;
use super::folder::MOST_FILES;
use crate::audit::Line;
use crate::clock;
use crate::record::offline::{Kept, KeptDevice};
use crate::relay::upstream::Unanswered;

/// What is to be asked about each user.
#[derive(Default)]
pub(super) struct Errands(HashMap<UserName, Errand>);

struct Errand {
    /// The PAM service to ask for.
    service: String,
    next: Instant,
    /// When a verifier last said that the pairs hold.
    asked: Option<Instant>,
    /// When pairs last came.
    renewed: Option<Instant>,
    /// New pairs are wanted.
    wants_pairs: bool,
    /// A verifier has to hear of a code.
    reports: bool,
    /// There is a file.
    is_kept: bool,
}

impl Errands {
    /// Those of the files that an earlier process has left.
    pub(super) fn of(all: &[(UserName, Kept)]) -> Self {
        let errand = |kept: &Kept| Errand {
            service: kept.services.first().cloned().unwrap_or_default(),
            next: Instant::now(),
            asked: None,
            renewed: None,
            wants_pairs: false,
            reports: kept.has_unreported(),
            is_kept: true,
        };
        let errands = all.iter().map(|(user, kept)| (user.clone(), errand(kept)));
        Self(errands.collect())
    }

    /// How many users have a file.
    pub(super) fn copies(&self) -> usize {
        self.0.values().filter(|errand| errand.is_kept).count()
    }

    /// All users of whom something is to be asked.
    pub(super) fn users(&self) -> Vec<UserName> {
        self.0.keys().cloned().collect()
    }

    /// A code of the user was used, of which a verifier has to hear.
    pub(super) fn report(&mut self, user: &UserName, now: Instant) {
        if let Some(errand) = self.0.get_mut(user) {
            (errand.reports, errand.next) = (true, now);
        }
    }

    /// The file of the user was written.
    pub(super) fn settle(&mut self, user: &UserName, kept: &Kept) {
        if let Some(errand) = self.0.get_mut(user) {
            (errand.is_kept, errand.reports) = (true, kept.has_unreported());
        }
    }

    /// There is no file of the user any more.
    pub(super) fn forget(&mut self, user: &UserName) {
        self.0.remove(user);
    }

    fn is_kept(&self, user: &UserName) -> bool {
        self.0.get(user).is_some_and(|errand| errand.is_kept)
    }

    /// The service by which a verifier has to hear of a code of the user.
    fn owed(&self, user: &UserName) -> Option<String> {
        let errand = self.0.get(user).filter(|errand| errand.reports);
        errand.map(|errand| errand.service.clone())
    }

    fn want(&mut self, user: &UserName, service: &str) {
        let now = Instant::now();
        if self.0.len() < MOST_FILES || self.0.contains_key(user) {
            let errand = self.0.entry(user.clone()).or_insert_with(|| Errand {
                service: service.to_owned(),
                next: now,
                asked: None,
                renewed: None,
                wants_pairs: true,
                reports: false,
                is_kept: false,
            });
            let is_new = |renewed: Instant| renewed.elapsed() < Duration::from_secs(RENEWED);
            if !errand.renewed.is_some_and(is_new) {
                (errand.wants_pairs, errand.next) = (true, errand.next.min(now));
            }
        }
    }

    fn doubt(&mut self, user: &UserName) {
        let Some(errand) = self.0.get_mut(user) else {
            return;
        };
        let earliest = errand.asked.and_then(|asked| asked.checked_add(SOON));
        let earliest = earliest.unwrap_or_else(Instant::now);
        errand.next = errand.next.min(earliest);
    }

    fn due(&mut self) -> Vec<(UserName, String, bool)> {
        let now = Instant::now();
        let due = self.0.iter().filter(|(_, errand)| errand.next <= now);
        due.map(|(user, errand)| (user.clone(), errand.service.clone(), errand.wants_pairs))
            .collect()
    }

    fn again(&mut self, user: &UserName, after: Duration) {
        if let Some(errand) = self.0.get_mut(user) {
            let now = Instant::now();
            errand.next = now.checked_add(after).unwrap_or(now);
        }
    }

    fn answered(&mut self, user: &UserName, wants_pairs: bool) {
        if let Some(errand) = self.0.get_mut(user) {
            let now = Instant::now();
            errand.asked = Some(now);
            if wants_pairs {
                (errand.renewed, errand.wants_pairs) = (Some(now), false);
            }
            if !errand.wants_pairs {
                errand.next = now.checked_add(CHECK).unwrap_or(now);
            }
        }
    }
}

impl Alone {
    /// After a login that a verifier has accepted: new pairs are wanted.
    pub(in crate::relay) fn wants_copy(&self, user: &UserName, service: &str) {
        if self.takes_two_codes() {
            self.errands().want(user, service);
            self.changed.notify_one();
        }
    }

    /// After a login that a verifier has refused: perhaps the pairs do not hold any more.
    pub(in crate::relay) fn doubts(&self, user: &UserName) {
        self.errands().doubt(user);
        self.changed.notify_one();
    }

    /// Before a login of the user goes to a verifier: the verifier hears first of what was used here, so
    /// that nothing of it opens another login by way of this host.
    ///
    /// # Errors
    /// No verifier has said that it has heard.
    pub(in crate::relay) fn reports_before(
        &self,
        user: &UserName,
        deadline: Instant,
    ) -> Result<(), Unanswered> {
        let owed = self.errands().owed(user);
        match owed {
            Some(service) => self.run_errand(user, &service, false, deadline),
            None => Ok(()),
        }
    }

    /// The life of the thread.
    pub(super) fn run_errands(&self) {
        loop {
            let errands = self.errands();
            let waited = self.changed.wait_timeout(errands, TICK);
            let due = waited.unwrap_or_else(PoisonError::into_inner).0.due();
            let is_reached = self.upstream().is_reached();
            for (user, service, wants_pairs) in due {
                let now = Instant::now();
                let deadline = now.checked_add(CALL_TIME).unwrap_or(now);
                if is_reached {
                    let _ = self.run_errand(&user, &service, wants_pairs, deadline);
                } else {
                    self.errands().again(&user, TICK);
                }
            }
        }
    }

    fn run_errand(
        &self,
        user: &UserName,
        service: &str,
        wants_pairs: bool,
        deadline: Instant,
    ) -> Result<(), Unanswered> {
        let upstream = self.upstream();
        let kept = {
            let _turn = self.turn();
            self.read(user)
        };
        let is_old = kept.as_ref().is_none_or(|kept| is_old(kept, clock::now()));
        let with_pairs = wants_pairs && is_old && self.takes_two_codes();
        let question = OfflineCopy {
            user: user.as_str().to_owned(),
            service: service.to_owned(),
            spent: kept.as_ref().map(reported),
            pairs: Some(with_pairs),
        };
        // Not as a question, which goes to the next verifier before a copy is made.
        match upstream.attempt(&question, deadline) {
            Ok((reply, _)) => {
                self.errands().answered(user, wants_pairs);
                self.take(user, reply, with_pairs);
                Ok(())
            }
            Err(unanswered) => self.lacks_answer(user, unanswered, wants_pairs),
        }
    }

    /// Keeps what the verifier has said of the user.
    fn take(&self, user: &UserName, reply: OfflineCopyReply, with_pairs: bool) {
        self.ends();
        self.is_refused.store(false, Ordering::SeqCst);
        let now = clock::now();
        let wanted = self.takes_two_codes();
        self.keep(user, |kept| match merged(&kept, reply, with_pairs, now) {
            Some(next) if wanted => next,
            Some(next) => next.without_pairs(),
            None => kept.without_pairs(),
        });
        if with_pairs && self.errands().is_kept(user) {
            let line = Line::new("offline_copy").with("user", user.as_str());
            self.audit.write(line);
        }
    }

    /// A verifier that permits no copy takes no report either: nothing is kept then.
    /// After an accepted login it is the host that has no right, and else perhaps the user.
    fn lacks_answer(
        &self,
        user: &UserName,
        unanswered: Unanswered,
        wants_pairs: bool,
    ) -> Result<(), Unanswered> {
        match &unanswered {
            Unanswered::Refused(Error::PermissionDenied) => {
                if wants_pairs && !self.is_refused.swap(true, Ordering::SeqCst) {
                    self.tell(None, NO_RIGHT);
                }
                self.keep(user, |_| Kept::nothing(user));
                return Ok(());
            }
            Unanswered::Refused(error) => {
                self.tell(Some(user), error);
                self.errands().again(user, LATER);
            }
            _ => {
                let mut errands = self.errands();
                let after = if errands.owed(user).is_some() {
                    SOON
                } else {
                    LATER
                };
                errands.again(user, after);
            }
        }
        Err(unanswered)
    }
}

/// Whether new pairs are worth their cost to the verifier.
fn is_old(kept: &Kept, now: u64) -> bool {
    !kept.has_pairs(now) || now.abs_diff(kept.made) >= RENEWED
}

fn reported(kept: &Kept) -> Vec<SpentOffline> {
    let devices = kept.devices.iter().filter_map(|device| {
        Some(SpentOffline {
            device: HEXLOWER.encode(&device.id),
            step: device.unreported?,
        })
    });
    devices.collect()
}

/// What is kept from now on: the devices that the verifier names. No floor falls, and a code that was
/// used meanwhile is still to be reported. `None`: the reply is none.
fn merged(kept: &Kept, reply: OfflineCopyReply, with_pairs: bool, now: u64) -> Option<Kept> {
    let has_new = with_pairs && !reply.devices.is_empty();
    let salt = match has_new {
        true => HEXLOWER
            .decode(reply.salt.as_bytes())
            .ok()?
            .try_into()
            .ok()?,
        false => kept.salt,
    };
    let mut devices = Vec::new();
    for told in &reply.devices {
        devices.push(one_merged(kept, told, has_new)?);
    }
    let next = Kept {
        services: reply.services,
        made: if has_new { now } else { kept.made },
        salt,
        iterations: if has_new {
            reply.iterations
        } else {
            kept.iterations
        },
        devices,
        ..kept.clone()
    };
    next.to_bytes().is_some().then_some(next)
}

fn one_merged(kept: &Kept, told: &OfflineDevice, has_new: bool) -> Option<KeptDevice> {
    let id = HEXLOWER.decode(told.device.as_bytes()).ok()?;
    let id: [u8; 16] = id.try_into().ok()?;
    let before = kept.devices.iter().find(|device| device.id == id);
    let floor = before.map_or(0, |before| before.floor).max(told.floor);
    let unreported = before.and_then(|before| before.unreported);
    let (first, hashes) = match (has_new, before) {
        (true, _) => (told.first, BASE64.decode(told.pairs.as_bytes()).ok()?),
        (false, Some(before)) => (before.first, before.hashes.clone()),
        (false, None) => (0, Vec::new()),
    };
    Some(KeptDevice {
        id,
        digits: told.digits,
        period: told.period,
        drift: told.drift,
        floor,
        unreported: unreported.filter(|step| *step > told.floor),
        first,
        hashes,
    })
}

const NO_RIGHT: &str =
    "the verifiers give this host no offline copies: add 'offline-copy: true' to its rule there";
/// How often the thread looks for something to do, and whether a verifier is back.
const TICK: Duration = Duration::from_secs(1);
/// When a verifier is asked again that gave no answer, or about a user that it has refused.
const SOON: Duration = Duration::from_secs(10);
/// The same where nothing hurries.
const LATER: Duration = Duration::from_secs(60);
/// How often a verifier is asked whether the pairs of a user still hold.
const CHECK: Duration = Duration::from_secs(600);
/// Seconds: younger pairs are not replaced.
const RENEWED: u64 = 1800;
/// How long a verifier may take to make a copy.
const CALL_TIME: Duration = Duration::from_secs(5);
