//! The real libpam, as a safe function: [`transact`] plays one application, from
//! `pam_start_confdir` to `pam_end`.
//!
//! The only unsafe code of the tests, with its two rooms. It knows nothing of our module; stacks
//! and their folders are `stack.rs`.

mod c;
mod conversation;

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::panic::resume_unwind;
use std::path::Path;
use std::ptr::{null, null_mut};

use self::c::{
    PamConv, PamHandle, pam_acct_mgmt, pam_authenticate, pam_chauthtok, pam_close_session, pam_end,
    pam_open_session, pam_set_item, pam_setcred, pam_start_confdir, pam_strerror,
};
use self::conversation::{State, converse_from_c};

/// What an application asks of libpam, in its order.
pub struct Application<'a> {
    /// The service's file name in `confdir`.
    pub service: &'a str,
    /// PAM_USER, if the application knows it.
    pub user: Option<&'a str>,
    /// The folder of the service files.
    pub confdir: &'a Path,
    /// Items set before the first call.
    pub items: &'a [(Item, String)],
    /// The calls; the first one that does not succeed is the last.
    pub calls: &'a [Call],
    /// Flags of every call.
    pub flags: i32,
    /// Is told when the calls begin and when they have ended: what libpam does to start and to end
    /// lies outside.
    pub notice: &'a dyn Fn(Moment),
}

/// What [`Application::notice`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The first call comes next.
    Begin,
    /// The last call has returned.
    End,
}

/// Plays the application and returns the last call's code. `converse` answers every message of the
/// conversation.
///
/// # Panics
/// When libpam does not start, or when `converse` panics.
pub fn transact(
    application: &Application<'_>,
    converse: &mut dyn FnMut(&Message<'_>) -> Reply,
) -> PamCode {
    let code = transact_if_started(application, converse);
    code.unwrap_or_else(|code| panic!("pam_start_confdir: {code:?}"))
}

/// As [`transact`], for service files that libpam may refuse to read: then `pam_start_confdir`
/// fails, and its code is the error.
///
/// # Panics
/// When `converse` panics.
pub fn transact_if_started(
    application: &Application<'_>,
    converse: &mut dyn FnMut(&Message<'_>) -> Reply,
) -> Result<PamCode, PamCode> {
    let text = |text: &str| CString::new(text).expect("no NUL in names");
    let (service, user) = (text(application.service), application.user.map(text));
    let confdir = text(application.confdir.to_str().expect("a confdir in UTF-8"));
    let state = State {
        converse: RefCell::new(converse),
        handle: Cell::new(null_mut()),
        panicked: Cell::new(None),
    };
    let conversation = PamConv {
        converse: Some(converse_from_c),
        data: (&raw const state).cast_mut().cast(),
    };
    let mut handle = null_mut();
    // SAFETY: pam_start_confdir(3): the strings end in NUL and libpam copies them and the
    // structure; `handle` is written on success. `state` outlives the handle, which ends in this
    // function.
    let started = PamCode(unsafe {
        pam_start_confdir(
            service.as_ptr(),
            user.as_ref().map_or(null(), |u| u.as_ptr()),
            &raw const conversation,
            confdir.as_ptr(),
            &raw mut handle,
        )
    });
    if started != PamCode::SUCCESS {
        return Err(started);
    }
    state.handle.set(handle);
    set_item(handle, FAIL_DELAY, (no_delay as *const ()).cast());
    for (item, value) in application.items {
        set_item(handle, *item as c_int, text(value).as_ptr().cast());
    }
    (application.notice)(Moment::Begin);
    let code = run(handle, application);
    (application.notice)(Moment::End);
    // SAFETY: pam_end(3): the handle is live and is not used after this.
    unsafe { pam_end(handle, code.0) };
    if let Some(panic) = state.panicked.take() {
        resume_unwind(panic);
    }
    Ok(code)
}

fn run(handle: *mut PamHandle, application: &Application<'_>) -> PamCode {
    let mut code = PamCode::SUCCESS;
    for call in application.calls {
        let function = match call {
            Call::Authenticate => pam_authenticate,
            Call::SetCred => pam_setcred,
            Call::Account => pam_acct_mgmt,
            Call::OpenSession => pam_open_session,
            Call::CloseSession => pam_close_session,
            Call::ChangeAuthtok => pam_chauthtok,
        };
        // SAFETY: the handle is live, and every one of these takes a handle and flags.
        code = PamCode(unsafe { function(handle, application.flags) });
        if code != PamCode::SUCCESS {
            break;
        }
    }
    code
}

fn set_item(handle: *mut PamHandle, item: c_int, value: *const c_void) {
    // SAFETY: pam_set_item(3): the handle is live; text is copied, and PAM_FAIL_DELAY takes the
    // function itself.
    let code = PamCode(unsafe { pam_set_item(handle, item, value) });
    assert_eq!(code, PamCode::SUCCESS, "pam_set_item {item}");
}

/// A call of an application.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like libpam's functions")]
pub enum Call {
    Authenticate,
    SetCred,
    Account,
    OpenSession,
    CloseSession,
    ChangeAuthtok,
}

/// An item that applications set (pam_set_item(3)).
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like libpam's constants")]
pub enum Item {
    User = 2,
    Tty = 3,
    Rhost = 4,
    Ruser = 8,
}

/// One message of the conversation.
pub struct Message<'a> {
    /// Prompt or information.
    pub style: Style,
    /// What the person sees.
    pub text: &'a str,
    handle: *mut PamHandle,
}

impl Message<'_> {
    /// The application sets an item in the middle of its own conversation.
    pub fn set_item(&self, item: Item, value: &str) {
        let value = CString::new(value).expect("no NUL in items");
        set_item(self.handle, item as c_int, value.as_ptr().cast());
    }

    /// Whether an answer is wanted.
    #[must_use]
    pub fn is_prompt(&self) -> bool {
        matches!(self.style, Style::Hidden | Style::Echoed)
    }
}

/// How a message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// PAM_PROMPT_ECHO_OFF.
    Hidden,
    /// PAM_PROMPT_ECHO_ON.
    Echoed,
    /// PAM_ERROR_MSG.
    Error,
    /// PAM_TEXT_INFO.
    Info,
    /// A style that libpam does not define.
    Unknown(i32),
}

/// What the application does with a message.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with these bytes, which hold no NUL.
    Bytes(Vec<u8>),
    /// Succeeds with a response whose text is NULL.
    Null,
    /// Succeeds without handing over any response.
    Missing,
    /// Fails with this code.
    Fail(PamCode),
}

impl Reply {
    /// Answers with a text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Bytes(text.into())
    }
}

/// A PAM return code (`_pam_types.h`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PamCode(pub i32);

#[expect(missing_docs, reason = "named like libpam's constants")]
impl PamCode {
    pub const SUCCESS: Self = Self(0);
    pub const SERVICE_ERR: Self = Self(3);
    pub const BUF_ERR: Self = Self(5);
    pub const PERM_DENIED: Self = Self(6);
    pub const AUTH_ERR: Self = Self(7);
    pub const AUTHINFO_UNAVAIL: Self = Self(9);
    pub const USER_UNKNOWN: Self = Self(10);
    pub const CONV_ERR: Self = Self(19);
    pub const IGNORE: Self = Self(25);
    pub const ABORT: Self = Self(26);
}

impl std::fmt::Debug for PamCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SAFETY: pam_strerror(3) ignores its handle and returns a static text for every number.
        let text = unsafe { pam_strerror(null_mut(), self.0) };
        // SAFETY: that text is never NULL and ends in NUL.
        let text = unsafe { CStr::from_ptr(text) };
        write!(f, "{} ({})", self.0, text.to_string_lossy())
    }
}

/// Refusals would sleep; ours do not.
extern "C" fn no_delay(_status: c_int, _microseconds: c_uint, _data: *mut c_void) {}

/// PAM_SILENT: no information, prompts only.
pub const SILENT: i32 = 0x8000;
const FAIL_DELAY: c_int = 10;
