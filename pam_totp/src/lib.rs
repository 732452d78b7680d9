//! The PAM module `pam_totp.so`: its six entry points (`pam_sm_authenticate` and the others) that
//! libpam calls.
//!
//! The module asks the user for a code, and provisiond judges it. Each entry point catches panics:
//! the user sees nothing of it, the log gets a line, and the return code is `PAM_ABORT`. The module
//! keeps no key, knows no store and no clock, starts no thread, reads no environment and opens no
//! file.

#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails, which is what it should do"
    )
)]

pub mod authenticate;
mod conversation;
mod memory;
pub mod messages;
pub mod options;
pub mod password_and_code;
mod provisiond;
mod transaction;

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use pamsm::{LogLvl, Pam, PamError, PamFlags};

use crate::authenticate::authenticate;
use crate::options::Options;
use crate::provisiond::Provisiond;
use crate::transaction::{Transaction, log};

/// Asks for a code and succeeds if it is right: pam_sm_authenticate(3).
///
/// # Safety
/// Called by libpam: `argv` has `argc` C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pam_sm_authenticate(
    pam: Pam,
    flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    fenced(&pam, || {
        // SAFETY: what libpam promises.
        let arguments = unsafe { arguments(argc, argv) };
        match Options::parse(&arguments) {
            Ok(mut options) => {
                let silent = PamFlags::from_bits_truncate(flags).contains(PamFlags::SILENT);
                // A silent module cannot show the key, and the ticket would be used up for nothing.
                options.enroll &= !silent;
                let mut application = Transaction::new(&pam, silent || options.quiet);
                authenticate(&mut application, &mut Provisiond::new(&options), &options)
            }
            Err(bad) => {
                log(&pam, LogLvl::ERR, &bad.to_string());
                PamError::SERVICE_ERR
            }
        }
    })
}

/// There are no credentials to set, and nothing is read: sshd authenticates in another process.
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_setcred(
    pam: Pam,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    fenced(&pam, || PamError::SUCCESS)
}

/// An error: the module belongs in `auth` lines only.
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_acct_mgmt(
    pam: Pam,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    fenced(&pam, || PamError::SERVICE_ERR)
}

/// An error: the module belongs in `auth` lines only.
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_open_session(
    pam: Pam,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    fenced(&pam, || PamError::SERVICE_ERR)
}

/// An error: the module belongs in `auth` lines only.
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_close_session(
    pam: Pam,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    fenced(&pam, || PamError::SERVICE_ERR)
}

/// An error: the module belongs in `auth` lines only.
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_chauthtok(
    pam: Pam,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    fenced(&pam, || PamError::SERVICE_ERR)
}

/// Runs an entry point and turns a panic into `PAM_ABORT`.
fn fenced(pam: &Pam, entry: impl FnOnce() -> PamError) -> c_int {
    let code = caught(entry).unwrap_or_else(|place| {
        log(
            pam,
            LogLvl::CRIT,
            &format!("this is a bug in pam_totp: it panicked at {place}; please report it"),
        );
        PamError::ABORT
    });
    code as c_int
}

/// Returns what `entry` returns, or the place of its panic. The panic's message is dropped: it may
/// quote typed text.
fn caught(entry: impl FnOnce() -> PamError) -> Result<PamError, String> {
    static QUIET: Once = Once::new();
    catch_unwind(AssertUnwindSafe(|| {
        // Unit tests share the hook with the test harness, which needs its own.
        if !cfg!(test) {
            QUIET.call_once(panic_quietly);
        }
        entry()
    }))
    .map_err(|_| PLACE.take().unwrap_or_default())
}

/// Makes panics record their place instead of printing, whatever RUST_BACKTRACE says. The hook
/// belongs to the standard library that is linked into this module, so it does not see panics of
/// the application or of other modules.
fn panic_quietly() {
    std::panic::set_hook(Box::new(|panic| {
        PLACE.set(panic.location().map(ToString::to_string))
    }));
}

thread_local! {
    /// The place of this thread's last panic.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// The module's arguments. An argument that is missing is replaced by an empty one, which no option
/// has.
///
/// # Safety
/// `argv` is null or has `argc` pointers, each null or a C string that stays as it is for `'a`.
unsafe fn arguments<'a>(argc: c_int, argv: *const *const c_char) -> Vec<&'a [u8]> {
    const MISSING: &[u8] = b"";
    let strings: &[*const c_char] = match usize::try_from(argc) {
        Ok(0) => &[],
        // SAFETY: as above, and not null.
        Ok(count) if !argv.is_null() => unsafe { std::slice::from_raw_parts(argv, count) },
        _ => return vec![MISSING],
    };
    let bytes = |text: &*const c_char| match text.is_null() {
        true => MISSING,
        // SAFETY: as above, and not null.
        false => unsafe { CStr::from_ptr(*text) }.to_bytes(),
    };
    strings.iter().map(bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;
    use std::ptr;

    use super::*;

    /// A null handle: libpam refuses to read from it.
    fn no_handle() -> Pam {
        // SAFETY: `Pam` is `repr(transparent)` over the handle, a `*const c_void`; libpam refuses
        // null.
        unsafe { std::mem::transmute::<*const c_void, Pam>(ptr::null()) }
    }

    fn authenticate_with(argv: &[*const c_char]) -> c_int {
        let argc = argv.len().try_into().unwrap();
        // SAFETY: every test's `argv` holds C strings and nulls.
        unsafe { pam_sm_authenticate(no_handle(), 0, argc, argv.as_ptr()) }
    }

    #[test]
    fn setcred_succeeds_and_reads_nothing() {
        assert_eq!(
            pam_sm_setcred(no_handle(), 0, 1, ptr::null()),
            PamError::SUCCESS as c_int
        );
    }

    #[test]
    fn account_session_and_password_are_service_errors() {
        for entry in [
            pam_sm_acct_mgmt,
            pam_sm_open_session,
            pam_sm_close_session,
            pam_sm_chauthtok,
        ] {
            assert_eq!(
                entry(no_handle(), 0, 1, ptr::null()),
                PamError::SERVICE_ERR as c_int
            );
        }
    }

    #[test]
    fn a_bad_option_is_a_service_error_before_anything_is_read() {
        for argv in [
            &[c"nullok".as_ptr(), c"nulok".as_ptr()][..],
            &[c"retry=0".as_ptr()],
            &[ptr::null()],
        ] {
            assert_eq!(authenticate_with(argv), PamError::SERVICE_ERR as c_int);
        }
    }

    #[test]
    fn without_a_user_the_conversation_has_failed() {
        assert_eq!(
            authenticate_with(&[c"debug".as_ptr()]),
            PamError::CONV_ERR as c_int
        );
    }

    #[test]
    fn a_panic_is_abort() {
        assert_eq!(
            fenced(&no_handle(), || panic!("planted")),
            PamError::ABORT as c_int
        );
        assert_eq!(caught(|| PamError::AUTH_ERR), Ok(PamError::AUTH_ERR));
    }

    #[test]
    fn the_arguments_are_read_as_bytes() {
        let argv = [c"a b".as_ptr(), c"\xff".as_ptr(), ptr::null()];
        // SAFETY: three strings, one of them missing.
        let read = unsafe { arguments(3, argv.as_ptr()) };
        assert_eq!(read, [&b"a b"[..], b"\xff", b""]);
        // SAFETY: no string is looked at, here and below.
        assert!(unsafe { arguments(0, ptr::null()) }.is_empty());
        for (argc, argv) in [(-1, argv.as_ptr()), (3, ptr::null())] {
            // SAFETY: as above.
            assert_eq!(unsafe { arguments(argc, argv) }, [b""]);
        }
    }
}
