//! The conversation as libpam calls it: messages come in, and answers go out in memory that the
//! module wipes and frees.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::slice;

use zeroize::Zeroize;

use super::c::{PamHandle, PamMessage, PamResponse, calloc, free};
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
    let count = usize::try_from(count).unwrap_or_default();
    if count == 0 || messages.is_null() {
        return PamCode::CONV_ERR;
    }
    // SAFETY: it points to `count` pointers, and is not null.
    let messages = unsafe { slice::from_raw_parts(messages, count) };
    let Some(mut answers) = Answers::new(count) else {
        return PamCode::BUF_ERR;
    };
    for (message, answer) in messages.iter().zip(answers.all()) {
        // SAFETY: libpam's pointer to a live message.
        let message = unsafe { &**message };
        // SAFETY: its text ends in NUL.
        let text = unsafe { CStr::from_ptr(message.text) }.to_string_lossy();
        let shown = Message {
            style: style(message.style),
            text: &text,
            handle: state.handle.get(),
        };
        match (state.converse.borrow_mut())(&shown) {
            Reply::Bytes(bytes) => match to_c(&bytes) {
                Ok(text) => answer.text = text,
                Err(code) => return code,
            },
            Reply::Null => {}
            Reply::Missing => return PamCode::SUCCESS,
            Reply::Fail(code) => return code,
        }
    }
    // SAFETY: libpam gave the place; the array is now the module's.
    unsafe { *responses = answers.hand_over() };
    PamCode::SUCCESS
}

/// The answers, wiped and freed unless they are handed over.
struct Answers {
    array: *mut PamResponse,
    count: usize,
}

impl Answers {
    /// `count` answers without a text. `None`: there is no memory.
    fn new(count: usize) -> Option<Self> {
        // SAFETY: calloc(3) takes every size, and says null if it has not so much.
        let array = unsafe { calloc(count, size_of::<PamResponse>()) }.cast::<PamResponse>();
        if array.is_null() {
            return None;
        }
        Some(Self { array, count })
    }

    fn all(&mut self) -> &mut [PamResponse] {
        if self.array.is_null() {
            return &mut [];
        }
        // SAFETY: the array has `count` answers, all of them zeroed by calloc, and is ours alone.
        unsafe { slice::from_raw_parts_mut(self.array, self.count) }
    }

    fn hand_over(mut self) -> *mut PamResponse {
        std::mem::replace(&mut self.array, null_mut())
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for answer in self.all() {
            let text = answer.text;
            if text.is_null() {
                continue;
            }
            // SAFETY: `to_c` has made it, and it ends in NUL.
            let length = unsafe { CStr::from_ptr(text) }.count_bytes();
            // SAFETY: it is that long, and nothing else knows it.
            unsafe { slice::from_raw_parts_mut(text.cast::<u8>(), length) }.zeroize();
            // SAFETY: it comes from calloc, and is not used after this.
            unsafe { free(text.cast()) };
        }
        // SAFETY: it is null, or comes from calloc and is not used after this.
        unsafe { free(self.array.cast()) };
    }
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
fn to_c(bytes: &[u8]) -> Result<*mut c_char, PamCode> {
    if bytes.contains(&0) {
        return Err(PamCode::CONV_ERR);
    }
    // SAFETY: one byte more than the text, zeroed.
    let copy = unsafe { calloc(bytes.len().saturating_add(1), 1) }.cast::<u8>();
    if copy.is_null() {
        return Err(PamCode::BUF_ERR);
    }
    // SAFETY: the copy is that long, and new.
    unsafe { copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Ok(copy.cast())
}
