//! Keeps the process's memory, and with it keys that are open and application secrets, off the disk: nothing of it is
//! swapped out, or written down when the machine hibernates (mlock(2)).

use nix::errno::Errno;
use nix::libc::MCL_ONFAULT;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// Locks all memory that there is and will be, each page when it is first used: the stacks of hundreds of threads are
/// large and hardly touched.
///
/// # Errors
/// Whatever the system says; nothing is locked then. That is so wherever a limit stays (RLIMIT_MEMLOCK): memory that is
/// needed later could not be had.
pub fn lock() -> Result<(), Errno> {
    // Root may lift the limit; for others the service manager has.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    if getrlimit(Resource::RLIMIT_MEMLOCK)?.0 != RLIM_INFINITY {
        return Err(Errno::EPERM);
    }
    let on_fault = MlockAllFlags::from_bits_retain(MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault)
}
