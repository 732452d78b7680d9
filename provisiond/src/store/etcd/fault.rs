//! Why etcd did not do what it was asked: each fault as a sentence with the next step, and whether the
//! update may have been made all the same.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use common::config::EtcdSettings;
use common::config::tls_files::TlsTexts;
use common::wire::text::printable;
use etcd_client::Error;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, InvalidMessage, RootCertStore};

use super::wire::NoAnswer;

/// A fault of one member of the cluster.
#[derive(Debug)]
pub(super) struct Fault {
    /// What is wrong, and the next step.
    pub(super) sentence: String,
    /// It stays until an administrator has done something: another try is in vain.
    pub(super) lasts: bool,
    /// The update may have been made, or may still be.
    pub(super) is_doubtful: bool,
    /// There was no answer in time, which says less than any other fault.
    pub(super) is_silence: bool,
}

impl Fault {
    /// A fault that stays, found before anything was asked.
    pub(super) fn lasting(sentence: String) -> Self {
        Self {
            sentence,
            lasts: true,
            is_doubtful: false,
            is_silence: false,
        }
    }

    /// A fault that may pass, found before anything was asked.
    pub(super) fn passing(sentence: String) -> Self {
        Self {
            lasts: false,
            ..Self::lasting(sentence)
        }
    }

    /// The same fault of a question that changes nothing.
    pub(super) fn of_a_question(self) -> Self {
        Self {
            is_doubtful: false,
            ..self
        }
    }

    /// The fault of a call to that endpoint.
    pub(super) fn of(
        error: &NoAnswer,
        endpoint: &str,
        settings: &EtcdSettings,
        texts: Option<&TlsTexts>,
    ) -> Self {
        let fault = match error {
            NoAnswer::TooLate => doubtful("does not answer in time: do enough members run?".into()),
            NoAnswer::Over => Self::passing("the connection was given up: the daemon stops".into()),
            NoAnswer::Error(error) => match error.as_ref() {
                Error::GRpcStatus(status) => match status.source() {
                    Some(source) => of_the_connection(source, settings, texts),
                    None => of_the_answer(status.code().into(), status.message(), settings),
                },
                Error::TransportError(error) => of_the_connection(error, settings, texts),
                other => doubtful(format!("failed: {}", printable(&other.to_string()))),
            },
        };
        Self {
            sentence: format!("{endpoint} {}", fault.sentence),
            is_silence: matches!(error, NoAnswer::TooLate),
            ..fault
        }
    }
}

/// What a member has answered. The numbers are gRPC's status codes.
fn of_the_answer(code: i32, message: &str, settings: &EtcdSettings) -> Fault {
    let is = |part: &str| message.contains(part);
    let prefix = &settings.prefix;
    match code {
        PERMISSION_DENIED => Fault::lasting(format!(
            "denies access to the keys below {prefix}: {ROLE}"
        )),
        INVALID_ARGUMENT if is(NO_USER) => Fault::lasting(format!(
            "wants to know the user of this daemon's certificate: {ROLE}"
        )),
        UNAUTHENTICATED => Fault::lasting(format!("does not know this daemon's user: {ROLE}")),
        RESOURCE_EXHAUSTED if is("space exceeded") => Fault::lasting(
            "has no space left (alarm NOSPACE), and takes no writes: compact and defragment it, or raise its quota; then \
             'etcdctl alarm disarm'"
                .into(),
        ),
        INVALID_ARGUMENT | RESOURCE_EXHAUSTED => {
            Fault::passing(format!("refuses: {}", printable(message)))
        }
        UNAVAILABLE if is("no leader") => Fault::passing(NO_LEADER.into()),
        _ => doubtful(format!("failed: {}", printable(message))),
    }
}

/// Whether etcd refuses because of who asks.
pub(super) fn denied(error: &NoAnswer) -> bool {
    let NoAnswer::Error(error) = error else {
        return false;
    };
    let Error::GRpcStatus(status) = error.as_ref() else {
        return false;
    };
    match status.code().into() {
        PERMISSION_DENIED | UNAUTHENTICATED => true,
        INVALID_ARGUMENT | FAILED_PRECONDITION => {
            let is = |part: &str| status.message().contains(part);
            is(NO_USER) || is("user name not found")
        }
        _ => false,
    }
}

/// A connection that was not made, or has broken.
fn of_the_connection(
    error: &(dyn StdError + 'static),
    settings: &EtcdSettings,
    texts: Option<&TlsTexts>,
) -> Fault {
    let (Some(files), Some(texts)) = (&settings.tls, texts) else {
        return doubtful(format!(
            "cannot be reached ({}): {NO_WAY}",
            innermost(error)
        ));
    };
    let (ca, cert) = (files.ca.display(), files.cert.display());
    let ours = || match own_certificate(texts) {
        Some(why) => format!("this daemon's certificate {cert} {why}"),
        None => format!("if it refuses the certificate {cert}, its log says why"),
    };
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            Fault::lasting(format!("has a certificate that {}", of_theirs(why, &ca)))
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            let alert = format!("refuses this daemon's connection ({alert:?}): {}", ours());
            Fault::lasting(alert)
        }
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            Fault::lasting(format!("does not speak TLS: {NO_TLS}"))
        }
        Some(other) => doubtful(format!("cannot be reached ({other})")),
        None => match system_error(error) {
            Some(ErrorKind::UnexpectedEof) => {
                doubtful(format!("ended the connection when TLS began: {NO_TLS}"))
            }
            Some(
                ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::TimedOut,
            ) => doubtful(format!(
                "cannot be reached ({}): {NO_WAY}",
                innermost(error)
            )),
            _ => {
                let why = innermost(error);
                doubtful(format!("closed the connection ({why}): {}", ours()))
            }
        },
    }
}

fn of_theirs(why: &CertificateError, ca: &impl std::fmt::Display) -> String {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("no CA in {ca} has signed: put the certificate of its CA there")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name: write the endpoint with the name in the certificate, or have one made for this name"
                .into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired: renew it (or set this machine's clock)".into()
        }
        other => format!("cannot be used ({other}): have another one made"),
    }
}

/// What a server finds wrong with this daemon's certificate, if it trusts the same CA. With TLS 1.3 its
/// refusal comes after the handshake, and may be lost with the connection.
fn own_certificate(texts: &TlsTexts) -> Option<&'static str> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(texts.ca.as_bytes()) {
        roots.add(root.ok()?).ok()?;
    }
    let chain = CertificateDer::pem_slice_iter(texts.cert.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().ok()?;
    let (own, above) = chain.split_first()?;
    let provider = Arc::new(ring::default_provider());
    let server = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let judged = server.ok()?.verify_client_cert(own, above, UnixTime::now());
    match judged.err()? {
        rustls::Error::InvalidCertificate(why) => Some(match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "has expired: renew it"
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "is not made for clients: have one made with the usage 'clientAuth'"
            }
            _ => "is of another CA, or not valid yet: have one made by the CA of the cluster",
        }),
        _ => None,
    }
}

fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    chain(error).find_map(|error| {
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let inside = inside.and_then(|error| error.downcast_ref());
        error.downcast_ref().or(inside)
    })
}

/// The kind of the system's error, if there is one.
fn system_error(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    let errors = chain(error).filter_map(|error| error.downcast_ref::<io::Error>());
    errors.last().map(io::Error::kind)
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error)
        .last()
        .map_or_else(String::new, |error| printable(&error.to_string()))
}

fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        (*error).source()
    })
}

fn doubtful(sentence: String) -> Fault {
    Fault {
        sentence,
        lasts: false,
        is_doubtful: true,
        is_silence: false,
    }
}

const ROLE: &str = "give the user that its certificate names (CN) a role with this prefix: 'provisiond --prepare-etcd' does it, \
                    as the administrator's guide says in 'A fleet'";
const NO_USER: &str = "user name is empty";
const NO_TLS: &str =
    "etcd speaks TLS if it has --cert-file and --key-file, and an endpoint with https://";
const NO_WAY: &str = "does etcd run there, and does provisiond's unit let it reach the network?";
const NO_LEADER: &str =
    "has no leader: more than half of the members must run and reach each other";
const INVALID_ARGUMENT: i32 = 3;
const PERMISSION_DENIED: i32 = 7;
const FAILED_PRECONDITION: i32 = 9;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;
