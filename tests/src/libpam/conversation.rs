//! The conversation as libpam calls it: messages come in, and answers go out in memory that the
//! module frees.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::c::{PamHandle, PamMessage, PamResponse, calloc};
use super::{Message, PamCode, Reply, Style};

/// What libpam hands back to us as `data`. Only ever borrowed shared.
pub(super) struct State<'a> {
    pub(super) converse: RefCell<&'a mut dyn FnMut(&Message<'_>) -> Reply>,
    pub(super) handle: Cell<*mut PamHandle>,
    pub(super) panicked: Cell<Option<Box<dyn Any + Send>>>,
}

/// libpam calls this. A panic waits until libpam has ended.
pub(super) extern "C" fn converse_from_c(
    count: c_int,
    messages: *mut *const PamMessage,
    responses: *mut *mut PamResponse,
    data: *mut c_void,
) -> c_int {
    // SAFETY: `data` is the `State` that `transact` registered; libpam calls from within `transact`
    // only, and on its thread.
    let state = unsafe { &*data.cast::<State<'_>>() };
    // SAFETY: libpam hands over `count` messages and a place for the responses.
    let told = catch_unwind(AssertUnwindSafe(|| unsafe {
        answer_all(state, count, messages, responses)
    }));
    told.unwrap_or_else(|panic| {
        state.panicked.set(Some(panic));
        PamCode::CONV_ERR
    })
    .0
}

/// # Safety
/// As pam_conv(3): `messages` points to `count` pointers to messages, `responses` may be written.
unsafe fn answer_all(
    state: &State<'_>,
    count: c_int,
    messages: *mut *const PamMessage,
    responses: *mut *mut PamResponse,
) -> PamCode {
    let count = usize::try_from(count).expect("a count");
    // SAFETY: calloc of a small size; the module frees it.
    let array = unsafe { calloc(count, size_of::<PamResponse>()) }.cast::<PamResponse>();
    assert!(!array.is_null(), "out of memory");
    for n in 0..count {
        // SAFETY: `n` is below `count`.
        let message = unsafe { *messages.add(n) };
        // SAFETY: libpam's pointer to a live message.
        let message = unsafe { &*message };
        // SAFETY: its text ends in NUL.
        let text = unsafe { CStr::from_ptr(message.text) }.to_string_lossy();
        let shown = Message {
            style: style(message.style),
            text: &text,
            handle: state.handle.get(),
        };
        match (state.converse.borrow_mut())(&shown) {
            // SAFETY: `n` is below the array's length.
            Reply::Bytes(bytes) => unsafe { (*array.add(n)).text = to_c(&bytes) },
            Reply::Null => {}
            Reply::Missing => return PamCode::SUCCESS,
            Reply::Fail(code) => return code,
        }
    }
    // SAFETY: libpam gave the place; the array is now the module's.
    unsafe { *responses = array };
    PamCode::SUCCESS
}

fn style(number: c_int) -> Style {
    match number {
        1 => Style::Hidden,
        2 => Style::Echoed,
        3 => Style::Error,
        4 => Style::Info,
        other => Style::Unknown(other),
    }
}

/// A text that the module frees with free(3).
fn to_c(bytes: &[u8]) -> *mut c_char {
    assert!(!bytes.contains(&0), "libpam's replies end at NUL");
    // SAFETY: one byte more than the text, zeroed.
    let copy = unsafe { calloc(bytes.len() + 1, 1) }.cast::<u8>();
    assert!(!copy.is_null(), "out of memory");
    // SAFETY: the copy is that long, and new.
    unsafe { copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    copy.cast()
}
