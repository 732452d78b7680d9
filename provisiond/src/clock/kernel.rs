//! The one question to the kernel for which there is no safe wrapper.

use std::mem::MaybeUninit;

use nix::libc::{TIME_ERROR, adjtimex, timex};

/// Whether the kernel holds its clock for synchronised (adjtimex(2)): somebody disciplines it, and not long ago. `None` if
/// it does not say, as in a container or under a filter of system calls.
#[must_use]
pub fn synchronised() -> Option<bool> {
    let mut told = MaybeUninit::<timex>::zeroed();
    // SAFETY: adjtimex(2) takes a pointer to a `timex`. It reads `modes`, which is 0, so that it changes nothing, and
    // writes no further than the struct, which is integers all through. It is not kept.
    let state = unsafe { adjtimex(told.as_mut_ptr()) };
    (state >= 0).then_some(state != TIME_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_the_same_twice() {
        assert_eq!(synchronised(), synchronised());
    }
}
