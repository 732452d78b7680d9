//! The application's PAM conversation function (pam_conv(3)), called once for each message.
//!
//! The typed text lives in the application's reply only until it is copied into a secret; the reply
//! is then wiped and freed exactly once, whatever the application returned.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};

use common::secret::SecretText;
use pamsm::{PamError, PamMsgStyle};
use zeroize::{Zeroize, Zeroizing};

/// `struct pam_conv`: how an application talks to the user. See pam_conv(3).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Conversation {
    pub(crate) callback: Option<Callback>,
    pub(crate) appdata: *mut c_void,
}

pub(crate) type Callback =
    unsafe extern "C" fn(c_int, *mut *const PamMessage, *mut *mut PamReply, *mut c_void) -> c_int;

/// `struct pam_message`.
#[repr(C)]
pub(crate) struct PamMessage {
    style: c_int,
    text: *const c_char,
}

/// `struct pam_response`.
#[repr(C)]
pub(crate) struct PamReply {
    text: *mut c_char,
    unused: c_int,
}

impl Conversation {
    /// Sends one message and returns one reply. `None`: there is no such function, it fails, or it
    /// brings no reply.
    pub(crate) fn say(&self, style: PamMsgStyle, text: &str) -> Option<SecretText> {
        let callback = self.callback?;
        // The text may show a key, so the copy is wiped.
        let text = c_text(text);
        let text = CStr::from_bytes_with_nul(&text).ok()?;
        let message = PamMessage {
            style: style as c_int,
            text: text.as_ptr(),
        };
        let mut messages: *const PamMessage = &raw const message;
        let mut replies = Replies(ptr::null_mut());
        // SAFETY: pam_conv(3): an array of one message, which lives until the end of this function,
        // as does its text; a place for the array of replies; and the application's own pointer.
        let code = unsafe { callback(1, &raw mut messages, &raw mut replies.0, self.appdata) };
        // `replies` is dropped on every path: like libpam's own pam_prompt(3), this frees the
        // replies of an error, too.
        if code == PamError::SUCCESS as c_int {
            replies.typed()
        } else {
            None
        }
    }
}

/// The text as a C string, wiped when dropped.
pub(crate) fn c_text(text: &str) -> Zeroizing<Vec<u8>> {
    // With room for all of it: a text that grew would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len().saturating_add(1)));
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// The array of one reply that the application allocated, or null.
struct Replies(*mut PamReply);

impl Replies {
    fn typed(&self) -> Option<SecretText> {
        let text = self.text()?;
        Some(SecretText::typed(if text.is_null() {
            b""
        } else {
            // SAFETY: pam_conv(3): not null, a reply is a C string. It is freed when `self` is
            // dropped, not before.
            unsafe { CStr::from_ptr(text) }.to_bytes()
        }))
    }

    fn text(&self) -> Option<*mut c_char> {
        let reply = NonNull::new(self.0)?;
        // SAFETY: pam_conv(3): not null, it is an array of as many replies as there were messages,
        // which is one.
        Some(unsafe { reply.as_ref() }.text)
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        let Some(text) = self.text() else { return };
        if !text.is_null() {
            // SAFETY: pam_conv(3): not null, a reply is a C string, and with the reply it has
            // become ours.
            unsafe { wipe(text) };
        }
        // SAFETY: pam_conv(3): the reply comes from malloc and is the module's to free; free(3)
        // takes null.
        unsafe { free(text.cast()) };
        // SAFETY: the same holds for the array. `self` is dropped here, so it is not freed again.
        unsafe { free(self.0.cast()) };
    }
}

/// # Safety
/// `text` is a C string, and no other pointer to it is in use.
unsafe fn wipe(text: *mut c_char) {
    // SAFETY: as above: there is a NUL to be found.
    let length = unsafe { CStr::from_ptr(text) }.count_bytes();
    // SAFETY: as above: all bytes before the NUL are the string's own.
    unsafe { std::slice::from_raw_parts_mut(text.cast::<u8>(), length) }.zeroize();
}

unsafe extern "C" {
    fn free(memory: *mut c_void);
}

#[cfg(test)]
pub(crate) mod tests {
    use std::ffi::CString;

    use super::*;

    /// What the application does when it is called, and what it was told.
    pub(crate) struct Script<'a> {
        pub(crate) code: c_int,
        /// No array; an array with no text; an array with this text.
        pub(crate) reply: Option<Option<&'a CStr>>,
        pub(crate) seen: Vec<(c_int, String)>,
    }

    unsafe extern "C" {
        fn calloc(count: usize, size: usize) -> *mut c_void;
        fn strdup(text: *const c_char) -> *mut c_char;
    }

    pub(crate) unsafe extern "C" fn act(
        n: c_int,
        messages: *mut *const PamMessage,
        replies: *mut *mut PamReply,
        script: *mut c_void,
    ) -> c_int {
        assert_eq!(n, 1);
        // SAFETY: every test hands its `Script` over with this function.
        let script = unsafe { &mut *script.cast::<Script<'_>>() };
        // SAFETY: an array of one pointer was sent.
        let message = unsafe { messages.read() };
        // SAFETY: it points to a message.
        let message = unsafe { &*message };
        // SAFETY: its text is a C string.
        let text = unsafe { CStr::from_ptr(message.text) };
        script
            .seen
            .push((message.style, text.to_str().unwrap().to_owned()));
        if let Some(reply) = script.reply {
            // SAFETY: plain allocations, which the caller frees.
            let array = unsafe { calloc(1, size_of::<PamReply>()) }.cast::<PamReply>();
            // SAFETY: the text is a C string.
            let text = reply.map_or(ptr::null_mut(), |text| unsafe { strdup(text.as_ptr()) });
            // SAFETY: the array has room for one reply.
            unsafe { array.write(PamReply { text, unused: 0 }) };
            // SAFETY: there is a place for the array.
            unsafe { replies.write(array) };
        }
        script.code
    }

    fn say(code: c_int, reply: Option<Option<&CStr>>) -> Option<String> {
        let mut script = Script {
            code,
            reply,
            seen: Vec::new(),
        };
        let conversation = Conversation {
            callback: Some(act),
            appdata: (&raw mut script).cast(),
        };
        let typed = conversation.say(PamMsgStyle::PROMPT_ECHO_OFF, "Code: ");
        assert_eq!(script.seen, [(1, "Code: ".to_owned())]);
        typed.map(|text| text.expose().to_owned())
    }

    const CONV_ERR: c_int = PamError::CONV_ERR as c_int;

    #[test]
    fn what_is_typed_comes_back() {
        assert_eq!(say(0, Some(Some(c"123456"))).as_deref(), Some("123456"));
    }

    #[test]
    fn an_answer_that_can_be_no_code_comes_back_empty() {
        let long = CString::new(vec![b'1'; 1 << 20]).unwrap();
        for reply in [None, Some(c""), Some(c"\xff\xfe"), Some(&long)] {
            assert_eq!(say(0, Some(reply)).as_deref(), Some(""));
        }
    }

    #[test]
    fn a_conversation_that_fails_says_nothing_whatever_it_brings() {
        assert_eq!(say(0, None), None);
        for code in [
            CONV_ERR,
            PamError::ABORT as c_int,
            PamError::CONV_AGAIN as c_int,
            -1,
            12345,
        ] {
            for reply in [None, Some(None), Some(Some(c"123456"))] {
                assert_eq!(say(code, reply), None, "{code}");
            }
        }
    }

    #[test]
    fn without_a_function_or_with_a_text_that_is_no_c_string_nobody_is_called() {
        let none = Conversation {
            callback: None,
            appdata: ptr::null_mut(),
        };
        assert!(none.say(PamMsgStyle::TEXT_INFO, "hello").is_none());
        let conversation = Conversation {
            callback: Some(act),
            appdata: ptr::null_mut(),
        };
        assert!(conversation.say(PamMsgStyle::TEXT_INFO, "a\0b").is_none());
    }

    #[test]
    fn every_byte_of_a_reply_is_wiped() {
        let mut reply = *b"123456\0tail";
        // SAFETY: a C string of our own.
        unsafe { wipe(reply.as_mut_ptr().cast()) };
        assert_eq!(&reply, b"\0\0\0\0\0\0\0tail");
    }
}
