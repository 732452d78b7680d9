//! The error replies of the protocol, and the sentences that `totpctl` shows for them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Ask, NAME, from_object};

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller's role does not allow this.
    #[error(
        "your role does not permit this, or not for that user: ask an administrator, or run it as root; totpctl(1) lists what \
         each role may do"
    )]
    PermissionDenied,
    /// No user of that name has a record.
    #[error("that user has no record: 'totpctl enroll' creates one")]
    NoSuchUser,
    /// A user of that name already has a record.
    #[error("that user already has a record: 'totpctl show' shows it, 'totpctl forget' removes it")]
    UserExists,
    /// No such device, or several and none was named.
    #[error(
        "the user has no such device, or has several and none was named: 'totpctl show' lists them, '--device' names one"
    )]
    NoSuchDevice,
    /// A device of that name or with that key exists.
    #[error(
        "the user already has a device of that name or with that key: choose another name, or revoke that device first"
    )]
    DeviceExists,
    /// The device is not waiting for its first code.
    #[error("the device is not waiting to be confirmed: 'totpctl show' shows its state")]
    NotPending,
    /// A proof is needed: a code of an active device, or two, a recovery code or a ticket.
    #[error("{}", proof_required(*ask))]
    ProofRequired {
        /// Whether one code of a device is enough.
        ask: Ask,
    },
    /// A parameter is not valid.
    #[error("{why}")]
    BadParameter {
        /// Which one.
        field: String,
        /// The reason, in a sentence.
        why: String,
    },
    /// The user's record cannot be trusted.
    #[error(
        "the user's stored record was altered, or its application secret is missing: restore the record or the secret"
    )]
    RecordDamaged,
    /// The store does not work now.
    #[error("the store is unavailable: the daemon's log says why")]
    StoreUnavailable,
    /// Users may be missing from the store, so no user is enrolled.
    #[error(
        "users may be missing from the store, so no user is enrolled or renamed now: put a good copy of the store back, or \
         give the missing users up with 'totpctl store accept-loss'"
    )]
    StoreIncomplete,
    /// Too many connections, attempts or streams.
    #[error("{why}")]
    Busy {
        /// A sentence: too many of what, and the next step.
        why: String,
    },
    /// The message was too long.
    #[error("the message is longer than 65,536 bytes: send less at once")]
    TooLarge,
    /// The daemon is a relay, which does not have the method.
    #[error(
        "this machine's daemon is a relay: it keeps no records, and passes logins on; run this on a verifier of the fleet \
         ('totpctl status' names them)"
    )]
    NotOnARelay,
    /// One of `org.varlink.service`'s own errors: an unknown interface or method.
    #[error(
        "the daemon does not know the method '{0}': check that totpctl and provisiond have the same version"
    )]
    Varlink(String),
}

impl Error {
    /// The qualified name and the parameters, as they are sent.
    #[must_use]
    pub fn to_wire(&self) -> (String, serde_json::Value) {
        let own = |name: &str| (format!("{NAME}.{name}"), serde_json::json!({}));
        match self {
            Self::PermissionDenied => own("PermissionDenied"),
            Self::NoSuchUser => own("NoSuchUser"),
            Self::UserExists => own("UserExists"),
            Self::NoSuchDevice => own("NoSuchDevice"),
            Self::DeviceExists => own("DeviceExists"),
            Self::NotPending => own("NotPending"),
            Self::ProofRequired { ask } => (
                format!("{NAME}.ProofRequired"),
                serde_json::json!({ "ask": ask }),
            ),
            Self::BadParameter { field, why } => (
                format!("{NAME}.BadParameter"),
                serde_json::json!({ "field": field, "why": why }),
            ),
            Self::RecordDamaged => own("RecordDamaged"),
            Self::StoreUnavailable => own("StoreUnavailable"),
            Self::StoreIncomplete => own("StoreIncomplete"),
            Self::Busy { why } => (format!("{NAME}.Busy"), serde_json::json!({ "why": why })),
            Self::TooLarge => own("TooLarge"),
            Self::NotOnARelay => (NOT_IMPLEMENTED.to_owned(), serde_json::json!({})),
            Self::Varlink(name) => (name.clone(), serde_json::json!({})),
        }
    }

    /// Parses an error reply; an unknown name is kept as [`Error::Varlink`].
    #[must_use]
    pub fn from_wire(name: &str, parameters: Option<&RawValue>) -> Self {
        let known = [
            Self::PermissionDenied,
            Self::NoSuchUser,
            Self::UserExists,
            Self::NoSuchDevice,
            Self::DeviceExists,
            Self::NotPending,
            Self::RecordDamaged,
            Self::StoreUnavailable,
            Self::StoreIncomplete,
            Self::TooLarge,
            Self::NotOnARelay,
        ];
        if let Some(error) = known.into_iter().find(|e| e.to_wire().0 == name) {
            return error;
        }
        match name.strip_prefix(NAME) {
            Some(".BadParameter") => {
                let BadParameter { field, why } = told(parameters);
                Self::BadParameter { field, why }
            }
            Some(".ProofRequired") => Self::ProofRequired {
                ask: told::<ProofRequired>(parameters).ask,
            },
            Some(".Busy") => Self::busy(told::<Busy>(parameters).why),
            _ => Self::Varlink(name.to_owned()),
        }
    }

    /// Too many of something, and the next step.
    #[must_use]
    pub fn busy(why: impl Into<String>) -> Self {
        Self::Busy { why: why.into() }
    }

    /// A parameter that is not valid, and the reason.
    #[must_use]
    pub fn bad(field: &str, why: impl std::fmt::Display) -> Self {
        Self::BadParameter {
            field: field.to_owned(),
            why: why.to_string(),
        }
    }
}

/// The error of a method that is described but not there: in `org.varlink.service`.
const NOT_IMPLEMENTED: &str = "org.varlink.service.MethodNotImplemented";

/// The parameters of an error; defaults, if they cannot be parsed.
fn told<T: DeserializeOwned + Default>(parameters: Option<&RawValue>) -> T {
    parameters
        .and_then(|p| from_object(p.get().as_bytes()).ok())
        .unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(default)]
struct Busy {
    why: String,
}

impl Default for Busy {
    fn default() -> Self {
        Self {
            why: "the daemon is too busy: try again in a moment".to_owned(),
        }
    }
}

#[derive(Default, Deserialize)]
struct BadParameter {
    field: String,
    why: String,
}

#[derive(Deserialize)]
struct ProofRequired {
    ask: Ask,
}

impl Default for ProofRequired {
    fn default() -> Self {
        Self { ask: Ask::OneCode }
    }
}

/// The proof that is needed, and the next step.
fn proof_required(ask: Ask) -> &'static str {
    match ask {
        Ask::OneCode | Ask::Ticket | Ask::FirstDevice | Ask::Nothing => {
            "this needs a proof: an unused code of an active device, a recovery code, or a ticket for the first device; type \
             the next code, or ask an administrator"
        }
        Ask::TwoCodes => {
            "after many wrong codes, this needs two unused codes in a row of an active device, or a recovery code; type the \
             next two codes on one line, or ask an administrator"
        }
    }
}
