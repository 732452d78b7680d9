//! `Rotate`: seals all records under the default application secret while logins go on, and says how
//! many are left under each other one.
//!
//! Nothing is remembered of a rotation: what is left to do is what is not under the default tag.

use std::sync::TryLockError;
use std::thread::{ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

use common::names::user::UserName;
use common::wire::protocol::{Error, Rotate, RotateReply};

use crate::audit::Line;
use crate::records::Failure;
use crate::records::rotation::Walk;
use crate::service::Service;
use crate::service::call::Call;

/// `Rotate`: hands to `tell` how far it is, after each batch, and returns the last reply.
///
/// # Errors
/// [`Error::BadParameter`]: it comes too early; [`Error::Busy`]: another one is under way, or the
/// settings were read again; [`Error::StoreUnavailable`]; the errors of `tell`.
pub(crate) fn rotate<E: From<Error>>(
    service: &Service,
    call: &Call<'_>,
    wish: &Rotate,
    mut tell: impl FnMut(RotateReply) -> Result<(), E>,
) -> Result<RotateReply, E> {
    may_begin(service, call, wish)?;
    let _only = match service.rotation.try_lock() {
        Ok(only) => only,
        // A thread that panicked has left nothing behind.
        Err(TryLockError::Poisoned(only)) => only.into_inner(),
        Err(TryLockError::WouldBlock) => return Err(Error::busy(UNDER_WAY).into()),
    };
    let mut progress = begun(service, call)?;
    let walked = walks(service, call, &mut progress, &mut tell);
    let left = left(&progress);
    let line = Line::new("rotate")
        .with("tag", &progress.tag)
        .with("resealed", progress.resealed)
        .with("failed", progress.failed)
        .with_some("left", left);
    service.log(call, line.warning());
    walked.map(|()| progress)
}

/// Refuses a rotation that comes too early, with the next step.
fn may_begin(service: &Service, call: &Call<'_>, wish: &Rotate) -> Result<(), Error> {
    let secrets = &call.settings.secrets;
    let default = secrets.default_tag();
    if let Some(to) = wish.to.as_deref().filter(|to| *to != default.as_str()) {
        let to = common::wire::text::printable(to);
        return Err(Error::bad(
            "to",
            format!(
                "the daemon seals under '{default}': make '{to}' the default tag, and {READ_AGAIN}"
            ),
        ));
    }
    if !service.records.wrong_secrets().is_empty() {
        return Err(Error::bad("secrets", WRONG_SECRET));
    }
    let seals = service.records.seals().ok_or(Error::StoreUnavailable)?;
    if secrets.tags().nth(1).is_none() && seals.are_all_under(default) {
        return Err(Error::bad(
            "secrets",
            format!(
                "'{default}' is the only application secret, and everything is under it: {ADD_ONE}, and {READ_AGAIN}"
            ),
        ));
    }
    Ok(())
}

fn begun(service: &Service, call: &Call<'_>) -> Result<RotateReply, Error> {
    service.settle_counts();
    let users = service.records.health().map(|health| health.users);
    let seals = service.records.seals().ok_or(Error::StoreUnavailable)?;
    let decoys = seals.by_tag().map(|(_, held)| held.decoys);
    let decoys = decoys.fold(0, u64::saturating_add);
    Ok(RotateReply {
        tag: call.settings.secrets.default_tag().to_string(),
        total: users
            .map_err(|_| Error::StoreUnavailable)?
            .saturating_add(decoys),
        looked: 0,
        resealed: 0,
        failed: 0,
        sealed: None,
    })
}

/// Walks over all records, and once more if anything was left that a login had sealed meanwhile.
fn walks<E: From<Error>>(
    service: &Service,
    call: &Call<'_>,
    progress: &mut RotateReply,
    tell: &mut impl FnMut(RotateReply) -> Result<(), E>,
) -> Result<(), E> {
    for _ in 0..WALKS {
        let before = progress.resealed;
        (progress.looked, progress.failed) = (0, 0);
        walk(service, call, progress, tell)?;
        service.settle_counts();
        progress.sealed = service.sealed(&call.settings.secrets);
        if left(progress) == Some(0) || progress.resealed == before {
            break;
        }
    }
    Ok(())
}

fn walk<E: From<Error>>(
    service: &Service,
    call: &Call<'_>,
    progress: &mut RotateReply,
    tell: &mut impl FnMut(RotateReply) -> Result<(), E>,
) -> Result<(), E> {
    let secrets = &call.settings.secrets;
    let mut place = Walk::default();
    loop {
        if !service.still_seals_as(secrets) {
            return Err(Error::busy(CHANGED).into());
        }
        let begun = Instant::now();
        let batch = service.records.next_due(&mut place, secrets);
        let Some(batch) = batch.map_err(|_| Error::StoreUnavailable)? else {
            return Ok(());
        };
        let resealed = reseal(service, call, &batch.due)?;
        let due = batch.due.len() as u64;
        progress.looked = progress.looked.saturating_add(batch.looked);
        progress.resealed = progress.resealed.saturating_add(resealed);
        progress.failed = progress.failed.saturating_add(due.saturating_sub(resealed));
        // Logins have the disk and the processors for themselves as long as the rotation had them.
        sleep(begun.elapsed().min(LONGEST_PAUSE));
        tell(progress.clone())?;
    }
}

/// Seals these records anew. Several at once, because the store syncs the disk once for all that
/// wait. Returns how many are whole now.
fn reseal(service: &Service, call: &Call<'_>, due: &[UserName]) -> Result<u64, Error> {
    let share = due.len().div_ceil(AT_ONCE).max(1);
    let counts = scope(|scope| {
        let of = |users| scope.spawn(move || reseal_all(service, call, users));
        let workers: Vec<_> = due.chunks(share).map(of).collect();
        let joined = workers.into_iter().map(ScopedJoinHandle::join);
        joined.collect::<Vec<_>>()
    });
    counts.into_iter().try_fold(0, |sum: u64, count| {
        let count = count.map_err(|_| Error::StoreUnavailable)??;
        Ok(sum.saturating_add(count))
    })
}

fn reseal_all(service: &Service, call: &Call<'_>, users: &[UserName]) -> Result<u64, Error> {
    let mut whole = 0u64;
    for user in users {
        let now = Instant::now();
        let deadline = now.checked_add(PATIENCE).unwrap_or(now);
        match service
            .records
            .reseal(user, &call.settings.secrets, deadline)
        {
            Ok(true) => whole = whole.saturating_add(1),
            Ok(false) => tell_failed(service, user, "a key does not open"),
            Err(Failure::Unavailable) => return Err(Error::StoreUnavailable),
            Err(why) => tell_failed(service, user, why),
        }
    }
    Ok(whole)
}

fn tell_failed(service: &Service, user: &UserName, why: impl std::fmt::Display) {
    let line = Line::new("not_resealed").with("user", user.as_str());
    service.audit.write(line.with("reason", why).warning());
}

/// Records and decoys under other tags than the one that seals, once they were counted.
fn left(progress: &RotateReply) -> Option<u64> {
    let sealed = progress.sealed.as_ref()?;
    let others = sealed.iter().filter(|under| under.tag != progress.tag);
    Some(others.fold(0, |sum, under| {
        sum.saturating_add(under.records)
            .saturating_add(under.decoys)
    }))
}

/// Walks at most: a second one finds what an unlucky moment has left.
const WALKS: u32 = 3;
/// Records that are sealed at the same time.
const AT_ONCE: usize = 8;
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How long one record may take.
const PATIENCE: Duration = Duration::from_secs(10);
const READ_AGAIN: &str = "have the daemon read it ('systemctl restart provisiond', or 'totpctl reload' where no service \
                          manager hands the secrets in)";
const ADD_ONE: &str =
    "add a second one to the secrets file ('provisiond --new-secret' prints its line)";
const WRONG_SECRET: &str = "an application secret has another value than before: 'totpctl status' names its tag; put the former one back first";
const UNDER_WAY: &str =
    "another rotation is under way: wait for it, or end it with Ctrl-C; nothing of it is lost";
const CHANGED: &str =
    "the daemon has read other application secrets meanwhile: run the rotation again";
