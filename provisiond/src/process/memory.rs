//! Locks the daemon's memory (mlockall): opened keys and application secrets are never swapped to
//! disk, nor written when the machine hibernates.

use nix::errno::Errno;
use nix::libc::MCL_ONFAULT;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// Locks all present and future memory, each page when it is first used: the stacks of hundreds of
/// threads are large and mostly unused.
///
/// # Errors
/// The system's error; no memory is locked then. A limit that stays (RLIMIT_MEMLOCK) is an error,
/// too: later allocations would fail under it.
pub fn lock() -> Result<(), Errno> {
    // Root may raise the limit. For other users the service manager has done so.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    if getrlimit(Resource::RLIMIT_MEMLOCK)?.0 != RLIM_INFINITY {
        return Err(Errno::EPERM);
    }
    let on_fault = MlockAllFlags::from_bits_retain(MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault)
}
