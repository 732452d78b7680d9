//! The application that runs the login, through libpam: its items, its conversation function, the system's log.
//!
//! Speaks C so that nobody else must. What a person typed lives in the application's reply only until it is copied into
//! a secret; the reply is then wiped and freed, once, whatever the application answered.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};

use common::secret::SecretText;
use pamsm::{LogLvl, Pam, PamError, PamLibExt, PamMsgStyle};
use zeroize::Zeroize;

use crate::authenticate::{Application, Origin};

/// One login of an application.
pub(crate) struct Transaction<'a> {
    pam: &'a Pam,
    silent: bool,
}

impl<'a> Transaction<'a> {
    /// `silent`: nothing is said, but what must be asked is asked.
    pub(crate) fn new(pam: &'a Pam, silent: bool) -> Self {
        Self { pam, silent }
    }

    fn converse(&self, style: PamMsgStyle, text: &str) -> Option<SecretText> {
        let conversation: NonNull<Conversation> = item(self.pam, PAM_CONV)?.cast();
        // SAFETY: pam_get_item(3): the item PAM_CONV is a `struct pam_conv`, libpam's own copy, which stays as it is
        // until somebody sets the item; it is copied here, before anybody is called.
        let conversation = unsafe { conversation.read() };
        conversation.say(style, text)
    }
}

impl Application for Transaction<'_> {
    fn user(&mut self) -> Option<Vec<u8>> {
        self.pam.get_user(None).ok().flatten().map(|name| name.to_bytes().to_vec())
    }

    fn user_now(&self) -> Option<Vec<u8>> {
        self.pam.get_cached_user().ok().flatten().map(|name| name.to_bytes().to_vec())
    }

    fn origin(&self) -> Origin {
        let known = |item: Option<&CStr>| item.map(CStr::to_bytes).filter(|text| !text.is_empty()).map(shortened);
        // SAFETY: pam_get_item(3): the item PAM_TTY is a C string, which stays as it is until somebody sets the item.
        let tty = item(self.pam, PAM_TTY).map(|tty| unsafe { CStr::from_ptr(tty.as_ptr().cast()) });
        Origin {
            service: known(self.pam.get_service().ok().flatten()).unwrap_or_default(),
            rhost: known(self.pam.get_rhost().ok().flatten()),
            tty: known(tty),
        }
    }

    fn ask(&mut self, prompt: &str, echo: bool) -> Option<SecretText> {
        self.converse(if echo { PamMsgStyle::PROMPT_ECHO_ON } else { PamMsgStyle::PROMPT_ECHO_OFF }, prompt)
    }

    fn tell(&mut self, sentence: &str) {
        if !self.silent {
            // Whoever cannot be told can still be asked: if not, asking will fail. An error rather than information,
            // because sudo prints information on the standard output of what it runs.
            drop(self.converse(PamMsgStyle::ERROR_MSG, sentence));
        }
    }

    fn log(&self, level: LogLvl, line: &str) {
        log(self.pam, level, line);
    }
}

/// One line to the system's log, facility authpriv, headed by libpam with the names of module and service.
pub(crate) fn log(pam: &Pam, level: LogLvl, line: &str) {
    let Ok(line) = CString::new(line) else { return };
    // pamsm's own call declares `c_void` as what comes back, which is not what comes back.
    // SAFETY: pam_syslog(3) reads the handle and two C strings, of which the first takes the second.
    unsafe { pam_syslog(handle(pam), level as c_int, c"%s".as_ptr(), line.as_ptr()) };
}

/// What strangers chose, made fit for the daemon: text of at most [`MAX_BYTES`] bytes.
fn shortened(bytes: &[u8]) -> String {
    let mut short = String::new();
    for c in String::from_utf8_lossy(bytes).chars() {
        if short.len().saturating_add(c.len_utf8()) > MAX_BYTES {
            break;
        }
        short.push(c);
    }
    short
}

fn item(pam: &Pam, kind: c_int) -> Option<NonNull<c_void>> {
    let mut item: *const c_void = ptr::null();
    // SAFETY: pam_get_item(3) writes one pointer, to `item`. It checks the handle.
    let code = unsafe { pam_get_item(handle(pam), kind, &raw mut item) };
    if code == PamError::SUCCESS as c_int { NonNull::new(item.cast_mut()) } else { None }
}

/// The handle, which pamsm keeps to itself.
fn handle(pam: &Pam) -> *const c_void {
    // SAFETY: `Pam` is `repr(transparent)` over the handle, a `*const c_void`.
    unsafe { std::mem::transmute_copy::<Pam, *const c_void>(pam) }
}

/// `struct pam_conv`: how an application talks to the person. See pam_conv(3).
#[derive(Clone, Copy)]
#[repr(C)]
struct Conversation {
    callback: Option<Callback>,
    appdata: *mut c_void,
}

type Callback = unsafe extern "C" fn(c_int, *mut *const Message, *mut *mut Reply, *mut c_void) -> c_int;

/// `struct pam_message`.
#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

/// `struct pam_response`.
#[repr(C)]
struct Reply {
    text: *mut c_char,
    unused: c_int,
}

impl Conversation {
    /// One message, one reply. `None` if there is no such function, it fails, or no reply comes.
    fn say(&self, style: PamMsgStyle, text: &str) -> Option<SecretText> {
        let callback = self.callback?;
        let text = CString::new(text).ok()?;
        let message = Message { style: style as c_int, text: text.as_ptr() };
        let mut messages: *const Message = &raw const message;
        let mut replies = Replies(ptr::null_mut());
        // SAFETY: pam_conv(3): an array of one message, which lives until the end of this function, as does its text;
        // a place for the array of replies; and the application's own pointer.
        let code = unsafe { callback(1, &raw mut messages, &raw mut replies.0, self.appdata) };
        // `replies` is dropped on every path: like libpam's own pam_prompt(3), we free what an error came with.
        if code == PamError::SUCCESS as c_int { replies.typed() } else { None }
    }
}

/// The array of one reply that the application allocated, or null.
struct Replies(*mut Reply);

impl Replies {
    fn typed(&self) -> Option<SecretText> {
        let text = self.text()?;
        Some(SecretText::typed(if text.is_null() {
            b""
        } else {
            // SAFETY: pam_conv(3): not null, a reply is a C string. It is freed when `self` is dropped, not before.
            unsafe { CStr::from_ptr(text) }.to_bytes()
        }))
    }

    fn text(&self) -> Option<*mut c_char> {
        let reply = NonNull::new(self.0)?;
        // SAFETY: pam_conv(3): not null, it is an array of as many replies as there were messages, which is one.
        Some(unsafe { reply.as_ref() }.text)
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        let Some(text) = self.text() else { return };
        if !text.is_null() {
            // SAFETY: pam_conv(3): not null, a reply is a C string, and with the reply it has become ours.
            unsafe { wipe(text) };
        }
        // SAFETY: pam_conv(3): the reply comes from malloc and is the module's to free; free(3) takes null.
        unsafe { free(text.cast()) };
        // SAFETY: the same holds of the array. This is the end of `self`: nobody frees it again.
        unsafe { free(self.0.cast()) };
    }
}

/// # Safety
/// `text` is a C string, and nobody else looks at it.
unsafe fn wipe(text: *mut c_char) {
    // SAFETY: as above: there is a NUL to be found.
    let length = unsafe { CStr::from_ptr(text) }.count_bytes();
    // SAFETY: as above: all bytes before the NUL are the string's own.
    unsafe { std::slice::from_raw_parts_mut(text.cast::<u8>(), length) }.zeroize();
}

unsafe extern "C" {
    fn free(memory: *mut c_void);
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_get_item(pam: *const c_void, kind: c_int, item: *mut *const c_void) -> c_int;
    fn pam_syslog(pam: *const c_void, priority: c_int, format: *const c_char, ...);
}

const PAM_TTY: c_int = 3;
const PAM_CONV: c_int = 5;
/// The longest text of an item that goes to the daemon.
const MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// What an application does when it is called, and what it was told.
    struct Script<'a> {
        code: c_int,
        /// No array; an array with no text; an array with this text.
        reply: Option<Option<&'a CStr>>,
        seen: Vec<(c_int, String)>,
    }

    unsafe extern "C" {
        fn calloc(count: usize, size: usize) -> *mut c_void;
        fn strdup(text: *const c_char) -> *mut c_char;
    }

    unsafe extern "C" fn act(
        n: c_int,
        messages: *mut *const Message,
        replies: *mut *mut Reply,
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
        script.seen.push((message.style, text.to_str().unwrap().to_owned()));
        if let Some(reply) = script.reply {
            // SAFETY: plain allocations, which the caller frees.
            let array = unsafe { calloc(1, size_of::<Reply>()) }.cast::<Reply>();
            // SAFETY: the text is a C string.
            let text = reply.map_or(ptr::null_mut(), |text| unsafe { strdup(text.as_ptr()) });
            // SAFETY: the array has room for one reply.
            unsafe { array.write(Reply { text, unused: 0 }) };
            // SAFETY: there is a place for the array.
            unsafe { replies.write(array) };
        }
        script.code
    }

    fn say(code: c_int, reply: Option<Option<&CStr>>) -> Option<String> {
        let mut script = Script { code, reply, seen: Vec::new() };
        let conversation = Conversation { callback: Some(act), appdata: (&raw mut script).cast() };
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
        for code in [CONV_ERR, PamError::ABORT as c_int, PamError::CONV_AGAIN as c_int, -1, 12345] {
            for reply in [None, Some(None), Some(Some(c"123456"))] {
                assert_eq!(say(code, reply), None, "{code}");
            }
        }
    }

    #[test]
    fn without_a_function_or_with_a_text_that_is_no_c_string_nobody_is_called() {
        let nobody = Conversation { callback: None, appdata: ptr::null_mut() };
        assert!(nobody.say(PamMsgStyle::TEXT_INFO, "hello").is_none());
        let conversation = Conversation { callback: Some(act), appdata: ptr::null_mut() };
        assert!(conversation.say(PamMsgStyle::TEXT_INFO, "a\0b").is_none());
    }

    #[test]
    fn every_byte_of_a_reply_is_wiped() {
        let mut reply = *b"123456\0tail";
        // SAFETY: a C string of our own.
        unsafe { wipe(reply.as_mut_ptr().cast()) };
        assert_eq!(&reply, b"\0\0\0\0\0\0\0tail");
    }

    #[test]
    fn strangers_text_is_cut_between_two_characters() {
        assert_eq!(shortened(b"192.0.2.1"), "192.0.2.1");
        assert_eq!(shortened(&[b'x'; 65_536]), "x".repeat(256));
        assert_eq!(shortened("xé".repeat(1000).as_bytes()), format!("{}x", "xé".repeat(85)));
        assert_eq!(shortened(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(shortened(&[0xff; 1000]), "\u{fffd}".repeat(85));
    }

    /// A transaction of the real libpam, in a folder without services.
    struct Real {
        pam: *const c_void,
        _folder: tempfile::TempDir,
    }

    #[link(name = "pam")]
    unsafe extern "C" {
        fn pam_start_confdir(
            service: *const c_char,
            user: *const c_char,
            conversation: *const Conversation,
            folder: *const c_char,
            pam: *mut *const c_void,
        ) -> c_int;
        fn pam_set_item(pam: *const c_void, kind: c_int, item: *const c_void) -> c_int;
        fn pam_end(pam: *const c_void, status: c_int) -> c_int;
    }

    impl Real {
        fn start(script: &mut Script<'_>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("other"), "auth required pam_deny.so\n").unwrap();
            let path = CString::new(folder.path().to_str().unwrap()).unwrap();
            let conversation = Conversation { callback: Some(act), appdata: ptr::from_mut(script).cast() };
            let mut pam = ptr::null();
            // SAFETY: three C strings, a conversation that libpam copies, and a place for the handle.
            let code = unsafe {
                pam_start_confdir(
                    c"totp".as_ptr(),
                    c"alice".as_ptr(),
                    &raw const conversation,
                    path.as_ptr(),
                    &raw mut pam,
                )
            };
            assert_eq!(code, 0);
            Self { pam, _folder: folder }
        }

        fn set(&self, kind: c_int, item: &CStr) {
            // SAFETY: libpam copies the C string.
            assert_eq!(unsafe { pam_set_item(self.pam, kind, item.as_ptr().cast()) }, 0);
        }

        fn pam(&self) -> Pam {
            // SAFETY: `Pam` is `repr(transparent)` over the handle.
            unsafe { std::mem::transmute::<*const c_void, Pam>(self.pam) }
        }
    }

    impl Drop for Real {
        fn drop(&mut self) {
            // SAFETY: the handle is open, and not used again.
            unsafe { pam_end(self.pam, 0) };
        }
    }

    const PAM_USER: c_int = 2;
    const PAM_RHOST: c_int = 4;

    #[test]
    fn libpam_tells_who_logs_in_and_from_where() {
        let mut script = Script { code: 0, reply: None, seen: Vec::new() };
        let real = Real::start(&mut script);
        let pam = real.pam();
        let mut transaction = Transaction::new(&pam, false);
        assert_eq!(transaction.user().unwrap(), b"alice");
        assert_eq!(transaction.origin(), Origin { service: "totp".into(), rhost: None, tty: None });
        real.set(PAM_USER, c"root");
        real.set(PAM_RHOST, c"a\xffb");
        real.set(PAM_TTY, c"/dev/pts/1");
        assert_eq!(transaction.user_now().unwrap(), b"root");
        let Origin { rhost, tty, .. } = transaction.origin();
        assert_eq!((rhost.as_deref(), tty.as_deref()), (Some("a\u{fffd}b"), Some("/dev/pts/1")));
        real.set(PAM_RHOST, c"");
        assert_eq!(transaction.origin().rhost, None);
    }

    #[test]
    fn who_wants_silence_is_asked_but_not_told() {
        let mut script = Script { code: 0, reply: Some(Some(c"123456")), seen: Vec::new() };
        let real = Real::start(&mut script);
        let pam = real.pam();
        for silent in [false, true] {
            let mut transaction = Transaction::new(&pam, silent);
            transaction.tell("Sorry.");
            assert_eq!(transaction.ask("Code: ", silent).unwrap().expose(), "123456");
        }
        let seen: Vec<_> = script.seen.iter().map(|(style, text)| (*style, text.as_str())).collect();
        assert_eq!(seen, [(3, "Sorry."), (1, "Code: "), (2, "Code: ")]);
    }
}
