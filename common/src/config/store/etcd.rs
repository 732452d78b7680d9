//! The setting `provisiond.store.etcd`: the endpoints of the cluster, the prefix of the keys, and the
//! certificates.
//!
//! An endpoint without TLS is refused unless it is on this machine: the records are sealed, and an
//! attacker who can change them on the way could put an older one back.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::absolute;
use crate::config::problem::{Problem, bad};
use crate::config::tls_files::{RawTlsFiles, TlsFiles};
use crate::config::values::given::{Several, Text, given};
use crate::config::values::span::Span;

/// Settings of a store on etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdSettings {
    /// The members of the cluster, as `https://HOST:PORT`.
    pub endpoints: Vec<String>,
    /// What the keys of all rows begin with.
    pub prefix: String,
    /// The certificates. `None`: all endpoints are without TLS, on this machine.
    pub tls: Option<TlsFiles>,
    /// How long a question may take, over all endpoints.
    pub timeout: Duration,
    /// What this machine keeps of the store lies beside this path.
    pub path: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section of settings")]
pub(super) struct RawEtcd {
    endpoints: Several,
    #[serde(default, deserialize_with = "given")]
    prefix: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    ca: Option<PathBuf>,
    #[serde(default, deserialize_with = "given")]
    cert: Option<PathBuf>,
    #[serde(default, deserialize_with = "given")]
    key: Option<PathBuf>,
    #[serde(default, deserialize_with = "given")]
    timeout: Option<Span>,
    #[serde(default, deserialize_with = "given")]
    path: Option<PathBuf>,
}

impl RawEtcd {
    pub(super) fn check(self) -> Result<EtcdSettings, Problem> {
        let endpoints = self.endpoints.check("endpoints", endpoint);
        let endpoints = endpoints.map_err(|why| bad("provisiond.store.etcd", why))?;
        let tls = RawTlsFiles {
            ca: self.ca,
            cert: self.cert,
            key: self.key,
        };
        let tls = tls.check("provisiond.store.etcd")?;
        are_alike(&endpoints, tls.is_some())?;
        let prefix = self.prefix.map_or(DEFAULT_PREFIX.to_owned(), |Text(it)| it);
        let timeout = self.timeout.map_or(DEFAULT_TIMEOUT, |Span(it)| it);
        if !(MIN_TIMEOUT..=MAX_TIMEOUT).contains(&timeout) {
            return Err(bad(
                "provisiond.store.etcd.timeout",
                "must be between 1 and 30 seconds",
            ));
        }
        Ok(EtcdSettings {
            endpoints,
            prefix: checked_prefix(prefix)?,
            tls,
            timeout,
            path: absolute("provisiond.store.etcd.path", self.path)?,
        })
    }
}

/// All endpoints have TLS, and its files are given; or none has.
fn are_alike(endpoints: &[String], has_files: bool) -> Result<(), Problem> {
    let are_wrong = endpoints
        .iter()
        .any(|endpoint| endpoint.starts_with(HTTPS) != has_files);
    match are_wrong {
        true => Err(bad("provisiond.store.etcd", NOT_ALIKE)),
        false => Ok(()),
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    let (place, is_plain) = match (text.strip_prefix(HTTPS), text.strip_prefix(HTTP)) {
        (Some(place), _) => (place, false),
        (_, Some(place)) => (place, true),
        _ => return Err(NO_ENDPOINT.to_owned()),
    };
    let (host, port) = place.rsplit_once(':').ok_or(NO_ENDPOINT)?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0);
    if !is_port || !is_host(host) {
        return Err(NO_ENDPOINT.to_owned());
    }
    match is_plain && !is_this_machine(host) {
        true => Err(PLAIN.to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if let Some(address) = address {
        return matches!(address.parse(), Ok(IpAddr::V6(_)));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(is_plain)
}

/// A name could lead anywhere, so only addresses count, and the one name that is always here.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

fn checked_prefix(prefix: String) -> Result<String, Problem> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    let is_right = (2..=MAX_PREFIX).contains(&prefix.len())
        && prefix.starts_with('/')
        && prefix.ends_with('/')
        && prefix.bytes().all(is_plain);
    match is_right {
        true => Ok(prefix),
        false => Err(bad(
            "provisiond.store.etcd.prefix",
            "begins and ends with '/', and has letters, digits and '-._/' between: write it as '/pam-totp/'",
        )),
    }
}

const HTTPS: &str = "https://";
const HTTP: &str = "http://";
const DEFAULT_PREFIX: &str = "/pam-totp/";
/// Less than the module waits for the daemon, so that a login hears why it is refused.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_PREFIX: usize = 128;
const MAX_HOST: usize = 253;
const NO_ENDPOINT: &str = "write an endpoint as 'https://HOST:PORT', without a path";
const PLAIN: &str = "without TLS an attacker on the network could put old records back: write 'https://', and give 'ca', \
                     'cert' and 'key'";
const NOT_ALIKE: &str = "endpoints with 'https://' need 'ca', 'cert' and 'key', and endpoints with 'http://' have none of \
                         them: make all endpoints alike";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str) -> Result<EtcdSettings, String> {
        let raw: RawEtcd = serde_yaml::from_str(yaml).map_err(|error| error.to_string())?;
        raw.check().map_err(|problem| problem.to_string())
    }

    const TLS: &str = "ca: /etc/ca.pem, cert: /etc/cert.pem, key: /etc/key.pem";

    #[test]
    fn endpoints_and_certificates_are_enough() {
        let settings = check(&format!("{{endpoints: 'https://etcd-1:2379', {TLS}}}")).unwrap();
        assert_eq!(settings.endpoints, ["https://etcd-1:2379"]);
        assert_eq!(settings.prefix, "/pam-totp/");
        assert_eq!(settings.timeout, Duration::from_secs(2));
        assert_eq!(settings.path, PathBuf::from("/var/lib/pam-totp/store"));
        assert_eq!(settings.tls.unwrap().key, PathBuf::from("/etc/key.pem"));
    }

    #[test]
    fn an_endpoint_without_tls_is_refused_unless_it_is_on_this_machine() {
        for here in [
            "127.0.0.1:2379",
            "127.9.9.9:1",
            "[::1]:2379",
            "localhost:2379",
        ] {
            check(&format!("{{endpoints: ['http://{here}']}}")).unwrap();
        }
        for elsewhere in [
            "192.0.2.1:2379",
            "etcd-1:2379",
            "[2001:db8::1]:2379",
            "localhost.example:1",
        ] {
            let why = check(&format!("{{endpoints: ['http://{elsewhere}']}}")).unwrap_err();
            assert!(why.contains("put old records back"), "{elsewhere}: {why}");
        }
    }

    #[test]
    fn all_endpoints_have_tls_and_its_files_or_none_has() {
        for wrong in [
            "{endpoints: ['https://a:1']}".to_owned(),
            "{endpoints: ['https://a:1'], ca: /ca, cert: /cert}".to_owned(),
            format!("{{endpoints: ['http://127.0.0.1:1'], {TLS}}}"),
            format!("{{endpoints: ['https://a:1', 'http://127.0.0.1:1'], {TLS}}}"),
        ] {
            let why = check(&wrong).unwrap_err();
            assert!(why.contains("'ca', 'cert' and 'key'"), "{wrong}: {why}");
        }
    }

    #[test]
    fn what_is_no_endpoint_prefix_path_or_time_is_refused() {
        for endpoint in [
            "etcd-1:2379",
            "https://etcd-1",
            "https://:2379",
            "https://a:0",
            "https://a:65536",
            "https://a:+1",
            "https://a:1/",
            "https://u@a:1",
            "https://[::1:1",
            "ftp://a:1",
            "https://a b:1",
            "",
        ] {
            let why = check(&format!("{{endpoints: ['{endpoint}'], {TLS}}}")).unwrap_err();
            assert!(why.contains("https://HOST:PORT"), "{endpoint}: {why}");
        }
        let rest = format!("endpoints: ['https://a:1'], {TLS}");
        for (wrong, word) in [
            ("prefix: pam/", "prefix"),
            ("prefix: /", "prefix"),
            ("prefix: /a", "prefix"),
            ("prefix: '/a b/'", "prefix"),
            ("path: store", "absolute"),
            ("timeout: 0", "between"),
            ("timeout: 31s", "between"),
            ("timeout: ", "span of time"),
            ("user: x", "unknown"),
        ] {
            let why = check(&format!("{{{rest}, {wrong}}}")).unwrap_err();
            assert!(why.contains(word), "{wrong}: {why}");
        }
        assert!(check("{endpoints: []}").is_err() && check("{}").is_err());
    }
}
