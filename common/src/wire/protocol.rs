//! The protocol: the messages of `org.pamtotp.Provision`, which [`INTERFACE`] documents, and of
//! `org.varlink.service`. No other file defines a message.

mod daemon;
mod devices;
mod error;
mod login;
mod metrics;
mod offline;
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
pub use self::metrics::*;
pub use self::offline::*;
pub use self::recovery::*;
pub use self::users::*;

/// The interface description that clients read: every method, type and error.
pub const INTERFACE: &str = include_str!("../org.pamtotp.Provision.varlink");
/// The interface's name.
pub const NAME: &str = "org.pamtotp.Provision";
/// The socket of root's processes: the module and the administrator's client.
pub const LOGIN_SOCKET: &str = "/run/pam-totp/login.sock";
/// The socket of all other accounts.
pub const OPEN_SOCKET: &str = "/run/pam-totp/provisiond.sock";
/// The socket of root's process that imports one user's file for the daemon.
pub const IMPORTER_SOCKET: &str = "/run/pam-totp/importer.sock";

/// A method of the interface: its parameters and its reply.
pub trait MethodCall: Serialize {
    /// The method's qualified name.
    const METHOD: &'static str;
    /// The parameters of its reply.
    type Reply: DeserializeOwned;
}

/// A call as received. `parameters` is parsed when the method is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<'a> {
    /// Qualified method name.
    #[serde(borrow)]
    pub method: std::borrow::Cow<'a, str>,
    /// The method's parameters, not yet parsed.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// The caller accepts several replies.
    #[serde(default)]
    pub more: bool,
    /// The caller wants no reply.
    #[serde(default)]
    pub oneway: bool,
    /// The caller wants to leave the protocol after this call; no method here supports that.
    #[serde(default)]
    pub upgrade: bool,
}

/// A call to send.
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

/// A reply as received: `parameters`, or `error` with its parameters.
#[derive(Deserialize)]
pub struct Reply<'a> {
    /// The parameters of the reply or the error, not yet parsed.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// Qualified error name.
    #[serde(borrow, default)]
    pub error: Option<std::borrow::Cow<'a, str>>,
    /// Another reply to the same call follows.
    #[serde(default)]
    pub continues: bool,
}

/// A successful reply to send.
#[derive(Serialize)]
pub struct OutgoingReply<P> {
    /// The reply's parameters.
    pub parameters: P,
    /// Another reply to the same call follows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
}

/// Parses a JSON object. serde alone would also accept an array of the fields' values in order,
/// which is not a message.
///
/// # Errors
/// The text is not an object, or not the expected one.
pub fn from_object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    match text.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(text),
        _ => Err(serde::de::Error::custom(
            "a message and its parameters must be JSON objects",
        )),
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

            /// The name without that of the interface.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$call => stringify!($call)),* }
            }
        }

        $(impl MethodCall for $call {
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
    Import => ImportReply, Export => ExportReply, Status => StatusReply, Rotate => RotateReply, Reload => Nothing,
    ClockAccept => ClockAcceptReply, StoreAcceptLoss => StoreAcceptLossReply, RevokeGrace => RevokeGraceReply,
    Metrics => MetricsReply, OfflineCopy => OfflineCopyReply,
}
