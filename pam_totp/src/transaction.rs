//! The PAM transaction: libpam's items (user, service, remote host, password), the prompt, and the
//! system's log.
//!
//! Calls C. All calls of C but the entry points are here, in `conversation`, and in `provisiond`
//! (geteuid).

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};

use common::secret::SecretText;
use pamsm::{LogLvl, Pam, PamError, PamLibExt, PamMsgStyle};

use crate::authenticate::{Application, Origin};
use crate::conversation::{Conversation, c_text};

/// One login of an application.
pub(crate) struct Transaction<'a> {
    pam: &'a Pam,
    silent: bool,
}

impl<'a> Transaction<'a> {
    /// `silent`: there are prompts, but no messages.
    pub(crate) fn new(pam: &'a Pam, silent: bool) -> Self {
        Self { pam, silent }
    }

    fn converse(&self, style: PamMsgStyle, text: &str) -> Option<SecretText> {
        let conversation: NonNull<Conversation> = item(self.pam, PAM_CONV)?.cast();
        // SAFETY: pam_get_item(3): the item PAM_CONV is a `struct pam_conv`, libpam's own copy,
        // which stays as it is until the item is set; it is copied here, before any other call.
        let conversation = unsafe { conversation.read() };
        conversation.say(style, text)
    }
}

impl Application for Transaction<'_> {
    fn user(&mut self) -> Option<Vec<u8>> {
        self.pam
            .get_user(None)
            .ok()
            .flatten()
            .map(|name| name.to_bytes().to_vec())
    }

    fn user_now(&self) -> Option<Vec<u8>> {
        self.pam
            .get_cached_user()
            .ok()
            .flatten()
            .map(|name| name.to_bytes().to_vec())
    }

    fn origin(&self) -> Origin {
        let known = |item: Option<&CStr>| {
            item.map(CStr::to_bytes)
                .filter(|text| !text.is_empty())
                .map(shortened)
        };
        // SAFETY: pam_get_item(3): the item PAM_TTY is a C string, which stays as it is until the
        // item is set.
        let tty = item(self.pam, PAM_TTY).map(|tty| unsafe { CStr::from_ptr(tty.as_ptr().cast()) });
        Origin {
            service: known(self.pam.get_service().ok().flatten()).unwrap_or_default(),
            rhost: known(self.pam.get_rhost().ok().flatten()),
            tty: known(tty),
        }
    }

    fn ask(&mut self, prompt: &str, echo: bool) -> Option<SecretText> {
        self.converse(
            if echo {
                PamMsgStyle::PROMPT_ECHO_ON
            } else {
                PamMsgStyle::PROMPT_ECHO_OFF
            },
            prompt,
        )
    }

    fn password(&self) -> Option<SecretText> {
        let text = item(self.pam, PAM_AUTHTOK)?;
        // SAFETY: pam_get_item(3): the item PAM_AUTHTOK is a C string, which stays as it is until
        // the item is set.
        let text = unsafe { CStr::from_ptr(text.as_ptr().cast()) };
        Some(SecretText::typed(text.to_bytes()))
    }

    fn leave_password(&mut self, password: &SecretText) -> Option<()> {
        let text = c_text(password.expose());
        let text = CStr::from_bytes_with_nul(&text).ok()?;
        // SAFETY: pam_set_item(3) copies the C string; its copy is libpam's to wipe. It checks the
        // handle.
        let code = unsafe { pam_set_item(handle(self.pam), PAM_AUTHTOK, text.as_ptr().cast()) };
        (code == PamError::SUCCESS as c_int).then_some(())
    }

    fn tell(&mut self, sentence: &str) {
        if !self.silent {
            // A message that fails does not matter: if the conversation is broken, the next prompt
            // fails. The style is an error, because sudo prints information on the standard output
            // of the command that it runs.
            drop(self.converse(PamMsgStyle::ERROR_MSG, sentence));
        }
    }

    fn log(&self, level: LogLvl, line: &str) {
        log(self.pam, level, line);
    }
}

/// One line to the system's log, facility authpriv, headed by libpam with the names of module and
/// service.
pub(crate) fn log(pam: &Pam, level: LogLvl, line: &str) {
    let Ok(line) = CString::new(line) else { return };
    // pamsm's own declaration has the wrong return type. SAFETY: pam_syslog(3) reads the handle and
    // two C strings, of which the first takes the second.
    unsafe { pam_syslog(handle(pam), level as c_int, c"%s".as_ptr(), line.as_ptr()) };
}

/// A text that an attacker can choose, made fit for the daemon: UTF-8 of at most [`MAX_BYTES`]
/// bytes.
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
    if code == PamError::SUCCESS as c_int {
        NonNull::new(item.cast_mut())
    } else {
        None
    }
}

/// The handle, which pamsm keeps private.
fn handle(pam: &Pam) -> *const c_void {
    // SAFETY: `Pam` is `repr(transparent)` over the handle, a `*const c_void`.
    unsafe { std::mem::transmute_copy::<Pam, *const c_void>(pam) }
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_get_item(pam: *const c_void, kind: c_int, item: *mut *const c_void) -> c_int;
    fn pam_set_item(pam: *const c_void, kind: c_int, item: *const c_void) -> c_int;
    fn pam_syslog(pam: *const c_void, priority: c_int, format: *const c_char, ...);
}

const PAM_TTY: c_int = 3;
const PAM_CONV: c_int = 5;
const PAM_AUTHTOK: c_int = 6;
/// The longest text of an item that goes to the daemon.
const MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::tests::{Script, act};

    #[test]
    fn strangers_text_is_cut_between_two_characters() {
        assert_eq!(shortened(b"192.0.2.1"), "192.0.2.1");
        assert_eq!(shortened(&[b'x'; 65_536]), "x".repeat(256));
        assert_eq!(
            shortened("xé".repeat(1000).as_bytes()),
            format!("{}x", "xé".repeat(85))
        );
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
        fn pam_end(pam: *const c_void, status: c_int) -> c_int;
    }

    impl Real {
        fn start(script: &mut Script<'_>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("other"), "auth required pam_deny.so\n").unwrap();
            let path = CString::new(folder.path().to_str().unwrap()).unwrap();
            let conversation = Conversation {
                callback: Some(act),
                appdata: ptr::from_mut(script).cast(),
            };
            let mut pam = ptr::null();
            // SAFETY: three C strings, a conversation that libpam copies, and a place for the
            // handle.
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
            Self {
                pam,
                _folder: folder,
            }
        }

        fn set(&self, kind: c_int, item: &CStr) {
            // SAFETY: libpam copies the C string.
            let code = unsafe { pam_set_item(self.pam, kind, item.as_ptr().cast()) };
            assert_eq!(code, 0);
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
        let mut script = Script {
            code: 0,
            reply: None,
            seen: Vec::new(),
        };
        let real = Real::start(&mut script);
        let pam = real.pam();
        let mut transaction = Transaction::new(&pam, false);
        assert_eq!(transaction.user().unwrap(), b"alice");
        assert_eq!(
            transaction.origin(),
            Origin {
                service: "totp".into(),
                rhost: None,
                tty: None
            }
        );
        real.set(PAM_USER, c"root");
        real.set(PAM_RHOST, c"a\xffb");
        real.set(PAM_TTY, c"/dev/pts/1");
        assert_eq!(transaction.user_now().unwrap(), b"root");
        let Origin { rhost, tty, .. } = transaction.origin();
        assert_eq!(
            (rhost.as_deref(), tty.as_deref()),
            (Some("a\u{fffd}b"), Some("/dev/pts/1"))
        );
        real.set(PAM_RHOST, c"");
        assert_eq!(transaction.origin().rhost, None);
    }

    #[test]
    fn who_wants_silence_is_asked_but_not_told() {
        let mut script = Script {
            code: 0,
            reply: Some(Some(c"123456")),
            seen: Vec::new(),
        };
        let real = Real::start(&mut script);
        let pam = real.pam();
        for silent in [false, true] {
            let mut transaction = Transaction::new(&pam, silent);
            transaction.tell("Sorry.");
            assert_eq!(
                transaction.ask("Code: ", silent).unwrap().expose(),
                "123456"
            );
        }
        let seen: Vec<_> = script
            .seen
            .iter()
            .map(|(style, text)| (*style, text.as_str()))
            .collect();
        assert_eq!(seen, [(3, "Sorry."), (1, "Code: "), (2, "Code: ")]);
    }

    #[test]
    fn libpam_shows_and_takes_passwords_in_modules_only() {
        let mut script = Script {
            code: 0,
            reply: None,
            seen: Vec::new(),
        };
        let real = Real::start(&mut script);
        let pam = real.pam();
        let mut transaction = Transaction::new(&pam, false);
        assert!(
            transaction
                .leave_password(&SecretText::new("correct horse".into()))
                .is_none()
        );
        assert!(
            transaction
                .leave_password(&SecretText::new("cor\0rect".into()))
                .is_none()
        );
        assert!(transaction.password().is_none());
    }
}
