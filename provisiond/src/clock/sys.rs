//! The system calls that have no safe wrapper: adjtimex(2) for the clock, getpwent_r(3) for the
//! list of accounts. The crate's only unsafe code.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, MutexGuard, TryLockError};

use nix::libc::{
    ENOENT, TIME_ERROR, adjtimex, c_char, endpwent, getpwent_r, gid_t, passwd, setpwent, timex,
};

/// Whether the kernel regards its clock as synchronised (adjtimex(2)): a time service has
/// disciplined it recently. `None` if the call fails, as in a container or under a seccomp filter.
#[must_use]
pub fn synchronised() -> Option<bool> {
    let mut told = MaybeUninit::<timex>::zeroed();
    // SAFETY: adjtimex(2) takes a pointer to a `timex`. It reads `modes`, which is 0, so that it
    // changes nothing, and writes no further than the struct, which is integers all through. It is
    // not kept.
    let state = unsafe { adjtimex(told.as_mut_ptr()) };
    (state >= 0).then_some(state != TIME_ERROR)
}

/// A walk through the accounts that the name service lists (getpwent_r(3)). The C library has one
/// cursor for the whole process, so there is one walk at a time.
pub struct Accounts {
    buffer: Vec<c_char>,
    _turn: MutexGuard<'static, ()>,
}

impl Accounts {
    /// Begins a walk. `None`: another is under way.
    #[must_use]
    pub fn begin() -> Option<Self> {
        let turn = match WALKING.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        // SAFETY: setpwent(3) takes and returns nothing. `WALKING` keeps every other walk out.
        unsafe { setpwent() };
        Some(Self {
            buffer: vec![0; BUFFER],
            _turn: turn,
        })
    }

    /// The next account's name, if it is UTF-8, and its primary group; `None` after the last
    /// account.
    ///
    /// # Errors
    /// [`Failed`]: the name service failed.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not fail")]
    pub fn next(&mut self) -> Result<Option<(Option<String>, gid_t)>, Failed> {
        let (mut entry, mut found) = (MaybeUninit::<passwd>::uninit(), ptr::null_mut());
        // SAFETY: getpwent_r(3) writes the struct, its strings into the buffer, no further than the
        // length that is given, and where the struct is, or null. It keeps none of the pointers.
        let code = unsafe {
            getpwent_r(
                entry.as_mut_ptr(),
                self.buffer.as_mut_ptr(),
                self.buffer.len(),
                &raw mut found,
            )
        };
        if found.is_null() {
            return if [0, ENOENT].contains(&code) {
                Ok(None)
            } else {
                Err(Failed)
            };
        }
        // SAFETY: it is not null, so the struct is written.
        let entry = unsafe { entry.assume_init() };
        // SAFETY: its name is a C string in our buffer, which lives for longer than the copy is
        // made.
        let name = (!entry.pw_name.is_null()).then(|| unsafe { CStr::from_ptr(entry.pw_name) });
        Ok(Some((
            name.and_then(|name| name.to_str().ok()).map(str::to_owned),
            entry.pw_gid,
        )))
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        // SAFETY: as setpwent(3).
        unsafe { endpwent() };
    }
}

/// The name service failed, or an account does not fit into the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

static WALKING: Mutex<()> = Mutex::new(());
const BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_the_same_twice() {
        assert_eq!(synchronised(), synchronised());
    }
}
