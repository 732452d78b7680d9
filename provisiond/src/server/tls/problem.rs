//! Why a connection between two hosts of a fleet does not come about or does not last: each reason is
//! a sentence with the next step, for the log and for `totpctl status`.

use std::io;

use common::wire::frame::FrameError;
use nix::errno::Errno;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The deadline passed.
    #[error("it did not answer in time: check that it runs, and the network between")]
    TimedOut,
    /// The other side hung up.
    #[error(
        "it closed the connection: it has too many, is stopping, or does not accept this side's certificate; its log says why"
    )]
    Closed,
    /// The system refused.
    #[error("{0}: check that it runs, its port, and the network between")]
    Io(io::Error),
    /// The name cannot be resolved.
    #[error("its name has no address: check the name, and this host's resolver ({0})")]
    NoAddress(String),
    /// The frame is no frame of ours.
    #[error("{0}: check that both sides have the same version")]
    Frame(FrameError),
    /// TLS refused, on this side or on the other.
    #[error("{}", sentence(.0))]
    Tls(Error),
    /// The certificate names no single host.
    #[error("its certificate names no single host: give it exactly one DNS name")]
    NoSingleName,
    /// Something else than the protocol.
    #[error("it gave no valid reply: check that both sides have the same version")]
    NoReply,
    /// The verifier permits this host nothing.
    #[error(
        "it permits this host nothing: the name in this host's certificate is in none of the verifier's rules, or is revoked; \
         the verifier's log says which"
    )]
    NotPermitted,
    /// The daemon's own files cannot be used.
    #[error("{0}")]
    Files(String),
}

impl From<Problem> for FrameError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::TimedOut => Self::TimedOut,
            Problem::Frame(error) => error,
            Problem::Io(error) => Self::Socket(Errno::from_raw(error.raw_os_error().unwrap_or(0))),
            _ => Self::Truncated,
        }
    }
}

impl From<FrameError> for Problem {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TimedOut => Self::TimedOut,
            FrameError::Truncated => Self::Closed,
            error => Self::Frame(error),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::TimedOut,
            _ => Self::Io(error),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Tls(error)
    }
}

/// What TLS says, in words that name the certificate and the next step.
fn sentence(error: &Error) -> String {
    let known = match error {
        Error::InvalidCertificate(why) => theirs(why),
        Error::AlertReceived(alert) => ours(*alert),
        Error::NoCertificatesPresented => {
            Some("it shows no certificate: set 'cert' and 'key' there")
        }
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => Some("it does not speak TLS: check the port, and that no proxy stands between"),
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Some("it does not speak TLS 1.3: check that it is a provisiond"),
        _ => None,
    };
    known.map_or_else(|| format!("TLS failed ({error})"), str::to_owned)
}

/// What is wrong with the other side's certificate.
fn theirs(why: &CertificateError) -> Option<&'static str> {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Some("its certificate has expired: renew it there, or set the clock here")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some("its certificate is not valid yet: set the clock here, or renew it there")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(
            "its certificate was signed by another authority: check 'ca' here and 'cert' there",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Some(
                "its certificate is for another name: check the name in the settings, and 'cert' there",
            )
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Some(
            "its certificate is not meant for this side of TLS: a relay's needs the purpose clientAuth, a verifier's serverAuth",
        ),
        CertificateError::Revoked => Some("its certificate is revoked: give it another one"),
        _ => None,
    }
}

/// What the other side says of this side's certificate.
fn ours(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::CertificateExpired => Some(
            "this side's certificate has expired, or is not valid yet: renew it ('cert' and 'key'), or check both clocks",
        ),
        AlertDescription::UnknownCA => Some(
            "the other side does not know the authority of this side's certificate: check 'cert' here and 'ca' there",
        ),
        AlertDescription::CertificateRequired => {
            Some("the other side wants a certificate: set 'cert' and 'key'")
        }
        AlertDescription::CertificateRevoked => {
            Some("this side's certificate is revoked: give it another one")
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => {
            Some("the other side does not accept this side's certificate: its log says why")
        }
        AlertDescription::ProtocolVersion => {
            Some("the other side does not speak TLS 1.3: check that it is a provisiond")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_a_sentence_with_the_next_step() {
        for (error, part) in [
            (
                Error::InvalidCertificate(CertificateError::Expired),
                "renew it there",
            ),
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "another authority",
            ),
            (
                Error::InvalidCertificate(CertificateError::NotValidForName),
                "another name",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateExpired),
                "renew it (",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "'ca' there",
            ),
            (Error::NoCertificatesPresented, "shows no certificate"),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "does not speak TLS:",
            ),
            (Error::DecryptError, "TLS failed ("),
        ] {
            let sentence = Problem::Tls(error).to_string();
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
