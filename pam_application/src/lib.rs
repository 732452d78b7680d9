//! libpam from the application's side, as a safe function: [`transact`] plays one login through the
//! stack of a service, from `pam_start` to `pam_end`.
//!
//! - `conversation`: the module's messages and the user's answers, in C's memory.
//! - `c`: what libpam's headers declare.
//!
//! The crate knows no module, no terminal and no daemon. It is a library, because `totpctl try` and
//! the real tests play logins. A stack loads the modules that its file names into this process.

mod c;
mod conversation;

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::panic::resume_unwind;
use std::path::Path;
use std::ptr::{null, null_mut};

use zeroize::Zeroizing;

use self::c::{
    PamConv, PamHandle, pam_acct_mgmt, pam_authenticate, pam_chauthtok, pam_close_session, pam_end,
    pam_open_session, pam_set_item, pam_setcred, pam_start, pam_start_confdir, pam_strerror,
};
use self::conversation::{State, converse_from_c};

/// What an application asks of libpam, in its order.
pub struct Application<'a> {
    /// The service's name.
    pub service: &'a str,
    /// PAM_USER, if the application knows it.
    pub user: Option<&'a str>,
    /// The folder of the service files. `None`: the machine's own.
    pub confdir: Option<&'a Path>,
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

/// Plays the application, and returns the code of each call that was made. `converse` answers every
/// message of the conversation. A refusal does not wait: the delays that modules ask for are left
/// out.
///
/// # Errors
/// libpam cannot start, as with a service file that it refuses to read; or an item cannot be set.
///
/// # Panics
/// When `converse` panics; libpam has ended then.
pub fn transact(
    application: &Application<'_>,
    converse: &mut dyn FnMut(&Message<'_>) -> Reply,
) -> Result<Vec<PamCode>, PamCode> {
    let state = State {
        converse: RefCell::new(converse),
        handle: Cell::new(null_mut()),
        panicked: Cell::new(None),
    };
    let handle = start(application, &state)?;
    state.handle.set(handle);
    let codes = set_items(handle, application).map(|()| run(handle, application));
    let last = match &codes {
        Ok(codes) => codes.last().copied().unwrap_or(PamCode::SUCCESS),
        Err(code) => *code,
    };
    // SAFETY: pam_end(3): the handle is live and is not used after this.
    unsafe { pam_end(handle, last.0) };
    if let Some(panic) = state.panicked.take() {
        resume_unwind(panic);
    }
    codes
}

fn start(application: &Application<'_>, state: &State<'_>) -> Result<*mut PamHandle, PamCode> {
    let service = text(application.service)?;
    let user = application.user.map(text).transpose()?;
    let user = user.as_ref().map_or(null(), |user| user.as_ptr());
    let conversation = PamConv {
        converse: Some(converse_from_c),
        data: (&raw const *state).cast_mut().cast(),
    };
    let mut handle = null_mut();
    let started = match application.confdir {
        // SAFETY: pam_start(3): the strings end in NUL, libpam copies them and the structure, and
        // writes `handle`. `state` outlives the handle, which `transact` ends.
        None => unsafe {
            pam_start(
                service.as_ptr(),
                user,
                &raw const conversation,
                &raw mut handle,
            )
        },
        Some(confdir) => {
            let confdir = text(confdir.to_str().ok_or(PamCode::SYSTEM_ERR)?)?;
            // SAFETY: pam_start_confdir(3): as above.
            unsafe {
                pam_start_confdir(
                    service.as_ptr(),
                    user,
                    &raw const conversation,
                    confdir.as_ptr(),
                    &raw mut handle,
                )
            }
        }
    };
    match PamCode(started) {
        PamCode::SUCCESS => Ok(handle),
        code => Err(code),
    }
}

/// A text as C takes it. One with a NUL is no name.
fn text(text: &str) -> Result<CString, PamCode> {
    CString::new(text).map_err(|_| PamCode::SYSTEM_ERR)
}

fn set_items(handle: *mut PamHandle, application: &Application<'_>) -> Result<(), PamCode> {
    set_item(handle, FAIL_DELAY, (no_delay as *const ()).cast())?;
    for (item, value) in application.items {
        set_item(handle, *item as c_int, text(value)?.as_ptr().cast())?;
    }
    Ok(())
}

fn set_item(handle: *mut PamHandle, item: c_int, value: *const c_void) -> Result<(), PamCode> {
    // SAFETY: pam_set_item(3): the handle is live; text is copied, and PAM_FAIL_DELAY takes the
    // function itself.
    match PamCode(unsafe { pam_set_item(handle, item, value) }) {
        PamCode::SUCCESS => Ok(()),
        code => Err(code),
    }
}

fn run(handle: *mut PamHandle, application: &Application<'_>) -> Vec<PamCode> {
    let mut codes = Vec::with_capacity(application.calls.len());
    (application.notice)(Moment::Begin);
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
        let code = PamCode(unsafe { function(handle, application.flags) });
        codes.push(code);
        if code != PamCode::SUCCESS {
            break;
        }
    }
    (application.notice)(Moment::End);
    codes
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Sets an item in the middle of the conversation.
    ///
    /// # Errors
    /// libpam's.
    pub fn set_item(&self, item: Item, value: &str) -> Result<(), PamCode> {
        set_item(self.handle, item as c_int, text(value)?.as_ptr().cast())
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
#[derive(Clone)]
pub enum Reply {
    /// Answers with these bytes. With a NUL among them the conversation fails.
    Bytes(Zeroizing<Vec<u8>>),
    /// Succeeds with a response whose text is NULL.
    Null,
    /// Succeeds without handing over any response.
    Missing,
    /// Fails with this code.
    Fail(PamCode),
}

/// The bytes are a secret.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} of them)", bytes.len()),
            Self::Null => f.write_str("Null"),
            Self::Missing => f.write_str("Missing"),
            Self::Fail(code) => write!(f, "Fail({code:?})"),
        }
    }
}

impl Reply {
    /// Answers with a text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::bytes(text.as_bytes())
    }

    /// Answers with bytes.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Bytes(Zeroizing::new(bytes.to_vec()))
    }
}

/// A PAM return code (`_pam_types.h`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PamCode(pub i32);

#[expect(missing_docs, reason = "named like libpam's constants")]
impl PamCode {
    pub const SUCCESS: Self = Self(0);
    pub const SERVICE_ERR: Self = Self(3);
    pub const SYSTEM_ERR: Self = Self(4);
    pub const BUF_ERR: Self = Self(5);
    pub const PERM_DENIED: Self = Self(6);
    pub const AUTH_ERR: Self = Self(7);
    pub const AUTHINFO_UNAVAIL: Self = Self(9);
    pub const USER_UNKNOWN: Self = Self(10);
    pub const CONV_ERR: Self = Self(19);
    pub const IGNORE: Self = Self(25);
    pub const ABORT: Self = Self(26);
}

impl std::fmt::Display for PamCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SAFETY: pam_strerror(3) ignores its handle and returns a static text for every number.
        let text = unsafe { pam_strerror(null_mut(), self.0) };
        // SAFETY: that text is never NULL and ends in NUL.
        let text = unsafe { CStr::from_ptr(text) };
        f.write_str(&text.to_string_lossy())
    }
}

impl std::fmt::Debug for PamCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({self})", self.0)
    }
}

extern "C" fn no_delay(_status: c_int, _microseconds: c_uint, _data: *mut c_void) {}

/// PAM_SILENT: no information, prompts only.
pub const SILENT: i32 = 0x8000;
/// PAM_DISALLOW_NULL_AUTHTOK: an empty password is none.
pub const DISALLOW_NULL_AUTHTOK: i32 = 1;
const FAIL_DELAY: c_int = 10;
