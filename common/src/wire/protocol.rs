//! The messages of `org.pamtotp.Provision`, which [`INTERFACE`] describes and documents, and of
//! `org.varlink.service`. Nothing else defines a message.

mod daemon;
mod devices;
mod error;
mod login;
mod recovery;
#[cfg(test)]
mod tests;
mod users;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::daemon::*;
pub use self::devices::*;
pub use self::error::Error;
pub use self::login::*;
pub use self::recovery::*;
pub use self::users::*;

/// The interface as its clients read it: every method, type and error.
pub const INTERFACE: &str = include_str!("../org.pamtotp.Provision.varlink");
/// The interface's name.
pub const NAME: &str = "org.pamtotp.Provision";
/// Where root's processes connect: the module's and the administrator's.
pub const LOGIN_SOCKET: &str = "/run/pam-totp/login.sock";
/// Where everybody else connects.
pub const OPEN_SOCKET: &str = "/run/pam-totp/provisiond.sock";

/// A method of the interface: what is sent, and what comes back.
pub trait Call: Serialize {
    /// The method's qualified name.
    const METHOD: &'static str;
    /// The parameters of its reply.
    type Reply: DeserializeOwned;
}

/// A call as it travels. `parameters` stays unread until the method is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<'a> {
    /// Qualified method name.
    #[serde(borrow)]
    pub method: std::borrow::Cow<'a, str>,
    /// The method's parameters, still as text.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// The caller takes several replies.
    #[serde(default)]
    pub more: bool,
    /// The caller takes no reply at all.
    #[serde(default)]
    pub oneway: bool,
    /// The caller would leave the protocol after this call; nothing here does.
    #[serde(default)]
    pub upgrade: bool,
}

/// A call on its way out.
#[derive(Serialize)]
pub struct OutgoingRequest<'a, C> {
    /// Qualified method name.
    pub method: &'static str,
    /// The method's parameters.
    pub parameters: &'a C,
    /// Ask for several replies.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A reply as it travels: `parameters`, or `error` with its own.
#[derive(Deserialize)]
pub struct Reply<'a> {
    /// The reply's or the error's parameters, still as text.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// Qualified error name.
    #[serde(borrow, default)]
    pub error: Option<std::borrow::Cow<'a, str>>,
    /// Another reply to the same call follows.
    #[serde(default)]
    pub continues: bool,
}

/// A successful reply on its way out.
#[derive(Serialize)]
pub struct OutgoingReply<P> {
    /// The reply's parameters.
    pub parameters: P,
    /// Another reply to the same call follows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
}

/// Reads a JSON object. The derived readers would also take an array of the fields' values in their order, which is no
/// message of anybody's.
///
/// # Errors
/// Whatever is not an object, or not that one.
pub fn from_object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    match text.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(text),
        _ => Err(serde::de::Error::custom("a message and its parameters must be JSON objects")),
    }
}

macro_rules! calls {
    ($($call:ident => $reply:ty),* $(,)?) => {
        /// A method of the interface.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the interface file documents them")]
        pub enum Method { $($call),* }

        impl Method {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$call),*];

            /// The name after the interface's.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$call => stringify!($call)),* }
            }
        }

        $(impl Call for $call {
            const METHOD: &'static str = concat!("org.pamtotp.Provision.", stringify!($call));
            type Reply = $reply;
        })*
    };
}

calls! {
    Challenge => ChallengeReply, Verify => VerifyReply, Enroll => EnrollReply, Confirm => ConfirmReply,
    Show => ShowReply, List => ShowReply, Events => EventsReply, SetState => SetStateReply, Revoke => DeviceReply,
    RenameDevice => DeviceReply, Resync => ResyncReply, Restrict => DeviceReply,
    RenameUser => RenameUserReply, Forget => ForgetReply,
    NewRecoveryCodes => RecoveryCodesReply, Bypass => TimedCodeReply, Ticket => TimedCodeReply, Unlock => UnlockReply,
    Import => ImportReply, Export => ExportReply, Status => StatusReply, Reload => Nothing,
    ClockAccept => ClockAcceptReply, RevokeGrace => RevokeGraceReply,
}
