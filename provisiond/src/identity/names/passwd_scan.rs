//! All accounts that the name service lists. Many directories list none, or those that were asked for lately.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

use nix::libc::{ENOENT, c_char, endpwent, getpwent_r, gid_t, passwd, setpwent};

use super::{Found, NoAnswer};

/// The names of those who have this group as their own. A name that is no text is left out.
///
/// # Errors
/// [`NoAnswer`]: it took too long, there are too many, or they are being listed already.
pub(super) fn with_own_group(gid: gid_t) -> Found<BTreeSet<String>> {
    let _turn = match LISTING.try_lock() {
        Ok(turn) => turn,
        Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
        Err(TryLockError::WouldBlock) => return Err(NoAnswer),
    };
    let (begun, mut names) = (Instant::now(), BTreeSet::new());
    let mut accounts = Accounts::begin();
    while let Some((name, own)) = accounts.next()? {
        if begun.elapsed() > MAX_TIME || names.len() >= MAX_NAMES {
            return Err(NoAnswer);
        }
        names.extend(name.filter(|_| own == gid));
    }
    Ok(Some(names))
}

/// The one place that the C library has in its list of accounts.
struct Accounts {
    buffer: Vec<c_char>,
}

impl Accounts {
    fn begin() -> Self {
        // SAFETY: setpwent(3) takes and returns nothing. Whoever else is on the way through the list is kept out by `LISTING`.
        unsafe { setpwent() };
        Self { buffer: vec![0; BUFFER] }
    }

    /// An account's name, if it is text, and its own group; `None` behind the last one.
    fn next(&mut self) -> Result<Option<(Option<String>, gid_t)>, NoAnswer> {
        let (mut entry, mut found) = (MaybeUninit::<passwd>::uninit(), ptr::null_mut());
        // SAFETY: getpwent_r(3) writes the struct, its strings into the buffer, no further than the length that is given, and
        // where the struct is, or null. It keeps none of the pointers.
        let code =
            unsafe { getpwent_r(entry.as_mut_ptr(), self.buffer.as_mut_ptr(), self.buffer.len(), &raw mut found) };
        if found.is_null() {
            return if [0, ENOENT].contains(&code) { Ok(None) } else { Err(NoAnswer) };
        }
        // SAFETY: it is not null, so the struct is written.
        let entry = unsafe { entry.assume_init() };
        // SAFETY: its name is a C string in our buffer, which lives for longer than the copy is made.
        let name = (!entry.pw_name.is_null()).then(|| unsafe { CStr::from_ptr(entry.pw_name) });
        Ok(Some((name.and_then(|name| name.to_str().ok()).map(str::to_owned), entry.pw_gid)))
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        // SAFETY: as setpwent(3).
        unsafe { endpwent() };
    }
}

/// The C library has one place in the list for the whole process.
static LISTING: Mutex<()> = Mutex::new(());
const BUFFER: usize = 64 * 1024;
/// Longer than anybody waits for it: who asks again within half a minute finds the answer.
const MAX_TIME: Duration = Duration::from_secs(10);
const MAX_NAMES: usize = 65_536;
