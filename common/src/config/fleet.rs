//! The settings of a fleet: `provisiond.upstream` makes the daemon of a login host a relay, and
//! `provisiond.fleet` lets a verifier serve relays: where it listens, what each host may ask for, and
//! which hosts' certificates are revoked.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Deserializer};

use super::problem::{Problem, bad};
use super::sections::RawSettings;
use crate::config::roles::{named_group, named_services};
use crate::config::tls_files::TlsFiles;
use crate::config::values::given::{Several, Text, given};
use crate::config::values::in_order::{Entries, entry_name, in_order};
use crate::names::service::is_one_service;
use crate::wire::text::printable;

/// Where a relay's calls go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// The verifiers: the first one that answers is asked.
    pub servers: Vec<ServerAddress>,
    /// The relay's certificate, and the verifiers' authority.
    pub tls: TlsFiles,
    /// What logins get while no verifier can be reached.
    pub when_cut_off: WhenCutOff,
    /// The folder of the offline copies.
    pub copies: PathBuf,
}

/// What logins get at a relay while no verifier can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenCutOff {
    /// They are refused.
    #[default]
    Deny,
    /// Two codes open them, by the offline copies that verifiers have given this host.
    TwoCodes,
}

/// The address of a verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// The name or the address, which the verifier's certificate must hold.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl FromStr for ServerAddress {
    type Err = String;

    /// `verifier.example.com`, `verifier.example.com:6238`, `192.0.2.1`, `[2001:db8::1]:6238`.
    fn from_str(text: &str) -> Result<Self, String> {
        server(text)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// How a verifier serves relays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The verifier's certificate, and the hosts' authority.
    pub tls: TlsFiles,
    /// What hosts may ask for, in the order of the file.
    pub hosts: Vec<HostRule>,
    /// Hosts and certificates that are not served.
    pub revoked: Vec<Revoked>,
}

impl Fleet {
    /// The section of a verifier's settings. Neither the other sections nor the secrets are judged.
    ///
    /// # Errors
    /// [`Problem`]: the text is no settings, or the section is in error.
    pub fn in_settings(text: &str) -> Result<Option<Self>, Problem> {
        let raw = RawSettings::parse(text)?;
        raw.fleet.map(RawFleet::check).transpose()
    }

    /// The rule for the host whose certificate has that name: the first one that matches.
    #[must_use]
    pub fn rule(&self, host: &str) -> Option<&HostRule> {
        self.hosts.iter().find(|rule| rule.matches(host))
    }

    /// Whether the host, or the certificate with that SHA-256 fingerprint, is revoked.
    #[must_use]
    pub fn is_revoked(&self, host: &str, fingerprint: &[u8; 32]) -> bool {
        self.revoked.iter().any(|revoked| match revoked {
            Revoked::Host(name) => name.eq_ignore_ascii_case(host),
            Revoked::Certificate(revoked) => revoked == fingerprint,
        })
    }
}

/// What some hosts may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    /// Its name in the settings.
    pub name: String,
    /// The names in the hosts' certificates. `*.example.com` is every name with one label more.
    pub names: Vec<String>,
    /// The services that the hosts may ask for.
    pub services: Vec<String>,
    /// The groups whose members the hosts may ask for.
    pub users_groups: Vec<String>,
    /// Whether the verifier trusts the remote host and the terminal that the hosts report.
    pub trusted_rhost: bool,
    /// Whether the hosts get offline copies: hashes by which they judge two codes while they reach no
    /// verifier.
    pub offline_copy: bool,
}

impl HostRule {
    fn matches(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix('*') {
            Some(domain) => {
                let label = host.split('.').next().unwrap_or_default();
                let rest = host.get(label.len()..).unwrap_or_default();
                !label.is_empty() && rest.eq_ignore_ascii_case(domain)
            }
            None => name.eq_ignore_ascii_case(host),
        })
    }

    /// Whether the hosts may ask for that PAM service.
    #[must_use]
    pub fn serves(&self, service: &str) -> bool {
        let mut own = self.services.iter();
        own.any(|own| is_one_service(own, service))
    }
}

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// Every certificate with that name.
    Host(String),
    /// The certificate with that SHA-256 fingerprint.
    Certificate([u8; 32]),
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a relay's 'servers', 'ca', 'cert' and 'key'"
)]
pub(super) struct RawUpstream {
    servers: Several,
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    #[serde(default, deserialize_with = "given")]
    copies: Option<PathBuf>,
}

impl RawUpstream {
    pub(super) fn check(self, when_cut_off: WhenCutOff) -> Result<UpstreamSettings, Problem> {
        let servers = self.servers.check("servers", server);
        let servers = servers.map_err(|why| bad("provisiond.upstream", why))?;
        if servers.len() > MAX_SERVERS {
            let why = format!("a relay has 1 to {MAX_SERVERS} servers");
            return Err(bad("provisiond.upstream", why));
        }
        let tls = files([self.ca, self.cert, self.key]);
        let tls = tls.map_err(|why| bad("provisiond.upstream", why))?;
        let copies = self.copies.unwrap_or_else(|| COPIES.into());
        if !copies.is_absolute() {
            let why = "'copies': give the folder by its absolute path";
            return Err(bad("provisiond.upstream", why));
        }
        Ok(UpstreamSettings {
            servers,
            tls,
            when_cut_off,
            copies,
        })
    }
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a verifier's 'listen', 'ca', 'cert', 'key' and 'hosts'"
)]
pub(super) struct RawFleet {
    #[serde(default, deserialize_with = "given")]
    listen: Option<Text>,
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    hosts: RawHosts,
    #[serde(default, deserialize_with = "given")]
    revoked: Option<Several>,
}

impl RawFleet {
    pub(super) fn check(self) -> Result<Fleet, Problem> {
        let wrong = |why: String| bad("provisiond.fleet", why);
        let listen = self.listen.as_ref().map_or(LISTEN, |Text(text)| text);
        let revoked = self
            .revoked
            .map(|revoked| revoked.check_list("revoked", MAX_REVOKED, revocation));
        Ok(Fleet {
            listen: address(listen).map_err(wrong)?,
            tls: files([self.ca, self.cert, self.key]).map_err(wrong)?,
            hosts: self.hosts.check().map_err(wrong)?,
            revoked: revoked.transpose().map_err(wrong)?.unwrap_or_default(),
        })
    }
}

/// Names and their rules, in the order of the file.
struct RawHosts(Vec<(String, RawHost)>);

impl RawHosts {
    fn check(self) -> Result<Vec<HostRule>, String> {
        let each = self.0.into_iter().map(|(name, raw)| {
            let shown = printable(&name);
            raw.check(name).map_err(|why| format!("'{shown}': {why}"))
        });
        each.collect()
    }
}

impl<'de> Deserialize<'de> for RawHosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        in_order(deserializer, &HOSTS).map(Self)
    }
}

const HOSTS: Entries = Entries {
    what: "names of rules, each with 'names', 'services' and 'users-groups'",
    plural: "rules for hosts",
    most: 64,
};

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a rule's 'names', 'services' and 'users-groups'"
)]
struct RawHost {
    names: Several,
    services: Vec<Text>,
    #[serde(rename = "users-groups", alias = "users_groups")]
    users_groups: Several,
    #[serde(
        rename = "trusted-rhost",
        alias = "trusted_rhost",
        default,
        deserialize_with = "given"
    )]
    trusted_rhost: Option<bool>,
    #[serde(
        rename = "offline-copy",
        alias = "offline_copy",
        default,
        deserialize_with = "given"
    )]
    offline_copy: Option<bool>,
}

impl RawHost {
    fn check(self, name: String) -> Result<HostRule, String> {
        if self.services.is_empty() || self.services.len() > MAX_SERVICES {
            return Err(format!("a rule has 1 to {MAX_SERVICES} services"));
        }
        Ok(HostRule {
            name: entry_name(name, "the name of a rule for hosts")?,
            names: self.names.check("names", pattern)?,
            services: named_services(&self.services)?,
            users_groups: self.users_groups.check("users-groups", named_group)?,
            trusted_rhost: self.trusted_rhost.unwrap_or(true),
            offline_copy: self.offline_copy.unwrap_or(false),
        })
    }
}

fn files(paths: [PathBuf; 3]) -> Result<TlsFiles, String> {
    if let Some(relative) = paths.iter().find(|path| !path.is_absolute()) {
        let shown = printable(&relative.display().to_string());
        return Err(format!("'{shown}': give a file by its absolute path"));
    }
    let [ca, cert, key] = paths;
    Ok(TlsFiles { ca, cert, key })
}

fn server(text: &str) -> Result<ServerAddress, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(ServerAddress {
            host: address.ip().to_string(),
            port: address.port(),
        });
    }
    let alone = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = alone.parse::<IpAddr>() {
        return Ok(ServerAddress {
            host: address.to_string(),
            port: PORT,
        });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)),
        None => (text, Some(PORT)),
    };
    let port = port.ok_or("write a server as 'NAME:PORT', with a port of 1 to 65535")?;
    Ok(ServerAddress {
        host: host_name(host)?,
        port,
    })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok();
    address
        .filter(|address| address.port() > 0)
        .ok_or_else(|| {
            let shown = printable(text);
            format!(
                "'listen': '{shown}': write an address and a port, such as '{LISTEN}' or '192.0.2.1:{PORT}'"
            )
        })
}

fn pattern(text: &str) -> Result<String, String> {
    match text.strip_prefix("*.") {
        Some(domain) => host_name(domain).map(|domain| format!("*.{domain}")),
        None => host_name(text),
    }
}

/// A name of the DNS, as certificates hold it (RFC 5280 section 4.2.1.6), in lower case.
///
/// # Errors
/// A sentence.
pub fn host_name(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(plain)
    };
    let is_name = text.len() <= 253 && text.split('.').all(is_label);
    is_name
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "write the name of a host as its certificate has it".to_owned())
}

/// An entry of `revoked`.
///
/// # Errors
/// A sentence.
pub fn revocation(text: &str) -> Result<Revoked, String> {
    let hexadecimal = text.replace(':', "");
    let decoded = HEXLOWER_PERMISSIVE.decode(hexadecimal.as_bytes());
    if let Some(fingerprint) = decoded.ok().and_then(|bytes| bytes.try_into().ok()) {
        return Ok(Revoked::Certificate(fingerprint));
    }
    host_name(text).map(Revoked::Host).map_err(|_| {
        "write the name of a host, or the SHA-256 fingerprint of a certificate in 64 hexadecimal digits"
            .to_owned()
    })
}

/// The port, if the settings name none: the number of the RFC about TOTP.
const PORT: u16 = 6238;
const COPIES: &str = "/var/lib/pam-totp/offline";
const LISTEN: &str = "[::]:6238";
const MAX_SERVERS: usize = 8;
const MAX_SERVICES: usize = 16;
/// Fingerprints of so many certificates fit into the settings.
const MAX_REVOKED: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RelaySettings;
    use crate::config::policy::RawPolicy;

    const TLS: &str = "ca: /c, cert: /h, key: /k";

    fn fleet(text: &str) -> Result<Fleet, String> {
        let raw: RawFleet = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
        raw.check().map_err(|problem| problem.to_string())
    }

    fn servers(text: &str) -> Result<Vec<String>, String> {
        let raw: RawUpstream = serde_yaml::from_str(&format!("{{servers: {text}, {TLS}}}"))
            .map_err(|e| e.to_string())?;
        let upstream = raw.check(WhenCutOff::Deny);
        let upstream = upstream.map_err(|problem| problem.to_string())?;
        Ok(upstream.servers.iter().map(ToString::to_string).collect())
    }

    fn with_hosts(hosts: &str) -> Result<Fleet, String> {
        fleet(&format!("{{{TLS}, hosts: {hosts}}}"))
    }

    #[test]
    fn a_verifier_is_named_by_host_or_address_and_its_port_may_be_left_out() {
        for (text, address) in [
            ("v1.example.com", "v1.example.com:6238"),
            ("V1.example.com:7000", "v1.example.com:7000"),
            ("192.0.2.1", "192.0.2.1:6238"),
            ("192.0.2.1:1", "192.0.2.1:1"),
            ("'[2001:db8::1]'", "[2001:db8::1]:6238"),
            ("'[2001:db8::1]:9'", "[2001:db8::1]:9"),
        ] {
            assert_eq!(servers(text), Ok(vec![address.to_owned()]), "{text}");
            assert_eq!(servers(&format!("[{text}]")).unwrap().len(), 1);
        }
        for (text, part) in [
            ("[]", "1 to 64 entries"),
            ("v1:0", "NAME:PORT"),
            ("v1:x", "NAME:PORT"),
            ("'v 1'", "as its certificate has it"),
            ("[a, b, c, d, e, f, g, h, i]", "1 to 8 servers"),
        ] {
            let sentence = servers(text).unwrap_err();
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    #[test]
    fn a_host_that_is_cut_off_refuses_logins_unless_both_sides_say_otherwise() {
        let relay = |more: &str, policy: &str| {
            let upstream = format!("provisiond: {{upstream: {{servers: v1, {TLS}{more}}}}}\n");
            let raw = RawSettings::parse(&(upstream + policy));
            let checked = raw.and_then(RelaySettings::check);
            let upstream = checked.map_err(|problem| problem.to_string())?.upstream;
            Ok::<_, String>((upstream.when_cut_off, upstream.copies))
        };
        let copies = PathBuf::from(COPIES);
        assert_eq!(relay("", ""), Ok((WhenCutOff::Deny, copies.clone())));
        assert_eq!(
            relay(", copies: /var/lib/x", "policy: {when_cut_off: two-codes}"),
            Ok((WhenCutOff::TwoCodes, "/var/lib/x".into()))
        );
        for (more, policy, why) in [
            ("", "policy: {when-cut-off: one-code}", "one-code"),
            ("", "policy: {when-cut-off: }", "line 2"),
            (", copies: x", "", "absolute path"),
            (
                "",
                "policy: {when-cut-off: deny, window: 1}",
                "'policy.window'",
            ),
            ("", "policy: {self-service: off}", "'policy.self-service'"),
        ] {
            let told = relay(more, policy).unwrap_err();
            assert!(told.contains(why), "{policy}: {told}");
        }
        let of_a_verifier: RawPolicy = serde_yaml::from_str("{when-cut-off: deny}").unwrap();
        assert!(of_a_verifier.check().is_err());
        let rule = "names: web, services: sshd, users-groups: staff";
        for (more, gets) in [("", false), (", offline-copy: true", true)] {
            let fleet = with_hosts(&format!("{{web: {{{rule}{more}}}}}").replace("sshd", "[sshd]"));
            assert_eq!(fleet.unwrap().hosts[0].offline_copy, gets);
        }
    }

    #[test]
    fn the_first_rule_that_matches_a_hosts_name_holds() {
        let fleet = with_hosts(
            "{one: {names: web1.example.com, services: [sshd], users-groups: staff}, \
              web: {names: ['*.example.com', gate], services: [sshd, sudo], users_groups: [staff, admins], \
                    trusted-rhost: false}}",
        )
        .unwrap();
        let rule = |host| fleet.rule(host).map(|rule| rule.name.as_str());
        assert_eq!(
            [
                rule("web1.example.com"),
                rule("WEB2.Example.com"),
                rule("gate")
            ],
            [Some("one"), Some("web"), Some("web")]
        );
        for unknown in [
            "example.com",
            "a.web1.example.com",
            ".example.com",
            "gate2",
            "",
            "xexample.com",
        ] {
            assert_eq!(rule(unknown), None, "{unknown}");
        }
        let (one, web) = (&fleet.hosts[0], &fleet.hosts[1]);
        assert!(one.trusted_rhost && !web.trusted_rhost);
        assert!(one.serves("sshd") && !one.serves("sudo") && web.serves("sudo-i"));
        assert_eq!(fleet.listen.to_string(), "[::]:6238");
    }

    #[test]
    fn a_host_is_revoked_by_its_name_and_a_certificate_by_its_fingerprint() {
        let hexadecimal = "AB:".repeat(31) + "ab";
        let fleet = fleet(&format!(
            "{{{TLS}, hosts: {{}}, revoked: [web7.example.com, '{hexadecimal}']}}"
        ))
        .unwrap();
        let (other, stolen) = ([0; 32], [0xab; 32]);
        assert!(fleet.is_revoked("Web7.example.com", &other));
        assert!(fleet.is_revoked("web1.example.com", &stolen));
        assert!(!fleet.is_revoked("web1.example.com", &other));
    }

    #[test]
    fn the_list_of_what_is_revoked_may_be_empty_or_as_long_as_a_fleet_needs() {
        let revoked = |list: &str| fleet(&format!("{{{TLS}, hosts: {{}}, revoked: [{list}]}}"));
        assert_eq!(revoked("").unwrap().revoked.len(), 0);
        assert_eq!(revoked(&"web, ".repeat(500)).unwrap().revoked.len(), 500);
        assert!(revoked(&"web, ".repeat(501)).is_err());
    }

    #[test]
    fn settings_of_a_fleet_that_cannot_be_meant_are_refused_with_a_sentence() {
        let rule = |names: &str, services: &str, groups: &str| {
            with_hosts(&format!(
                "{{a: {{names: {names}, services: {services}, users-groups: {groups}}}}}"
            ))
        };
        for (refused, part) in [
            (rule("'*'", "[s]", "g"), "as its certificate has it"),
            (rule("'a.*.b'", "[s]", "g"), "as its certificate has it"),
            (rule("[]", "[s]", "g"), "1 to 64 entries"),
            (rule("h", "[]", "g"), "1 to 16 services"),
            (rule("h", "[Login]", "g"), "in lower case"),
            (rule("h", "[s]", "''"), "no group can have that name"),
            (
                with_hosts("{'a b': {names: h, services: [s], users-groups: g}}"),
                "letters, digits",
            ),
            (with_hosts("[a]"), "names of rules"),
            (with_hosts("{a: {names: h, services: [s]}}"), "users-groups"),
            (
                fleet("{ca: c, cert: /h, key: /k, hosts: {}}"),
                "absolute path",
            ),
            (fleet("{cert: /h, key: /k, hosts: {}}"), "ca"),
            (
                fleet(&format!("{{{TLS}, hosts: {{}}, listen: '6238'}}")),
                "an address and a port",
            ),
            (
                fleet(&format!("{{{TLS}, hosts: {{}}, listen: '[::]:0'}}")),
                "an address and a port",
            ),
            (
                fleet(&format!("{{{TLS}, hosts: {{}}, revoked: ['a b']}}")),
                "64 hexadecimal digits",
            ),
            (
                fleet(&format!("{{{TLS}, hosts: {{}}, revoke: [a]}}")),
                "revoke",
            ),
        ] {
            let sentence = refused.unwrap_err();
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
