//! Prepares etcd for the daemon, as etcd's administrator: the user that the daemon's certificate
//! names, a role for the store's prefix alone, and, if that is wished, authentication for all.
//!
//! What is there already stays as it is. What would give the daemon more than its prefix is refused,
//! and so is what would leave etcd without an administrator.

use std::future::Future;

use common::config::tls_files::{TlsFiles, TlsTexts};
use common::config::{ConfigError, EtcdSettings, Trust};
use etcd_client::{Client, Error, GetOptions, Permission, StatusResponse, UserAddOptions};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use webpki::EndEntityCert;
use zeroize::Zeroizing;

use super::after;
use super::fault::{Fault, denied};
use super::nodes::{options, unusable};
use super::version::{LEAST, objection};
use super::wire::Wire;

/// What etcd is prepared for, and by whom.
pub struct Preparing<'a> {
    /// The store.
    pub settings: &'a EtcdSettings,
    /// Whose files of TLS are trusted.
    pub trust: &'a Trust,
    /// Certificate and key of etcd's root, in PEM.
    pub root: Zeroizing<String>,
    /// Whether authentication is turned on.
    pub enable_auth: bool,
}

/// Why etcd is not prepared. What was done before stays, and does no harm.
#[derive(Debug, thiserror::Error)]
pub enum NotPrepared {
    /// The store has no TLS.
    #[error(
        "etcd knows a daemon by its certificate, and provisiond.store.etcd has none: without TLS there are no roles, and any \
         process of this machine may read and write everything"
    )]
    NoTls,
    /// The daemon's files.
    #[error(transparent)]
    Files(#[from] ConfigError),
    /// The certificate of root.
    #[error(
        "standard input must hold the certificate of etcd's root and its key, in PEM: cat root.pem root.key | provisiond \
         --prepare-etcd"
    )]
    NoRoot,
    /// A certificate without a user.
    #[error(
        "{0} names no user: etcd takes the common name (CN), and there must be exactly one; have another certificate made"
    )]
    NoName(String),
    /// The daemon would be root.
    #[error(
        "{0} names the user 'root', who may do everything in etcd: have a certificate with another common name (CN) made for \
         the daemon"
    )]
    DaemonIsRoot(String),
    /// Authentication would lock the administrator out.
    #[error(
        "the certificate on standard input is for '{0}': with authentication only 'root' administers etcd, and it cannot be \
         turned off without root; have a certificate with the common name (CN) 'root' made first"
    )]
    NotRoot(String),
    /// The certificate may not administer.
    #[error(
        "etcd's authentication is on, and the certificate on standard input (CN '{0}') is not its root's: use the one with the \
         common name 'root'"
    )]
    Refused(String),
    /// The user has more than the one role.
    #[error(
        "the user '{user}' has other roles, too ({roles}): take them away with 'etcdctl user revoke-role', or give the daemon \
         a certificate of its own"
    )]
    OtherRoles {
        /// The user.
        user: String,
        /// Their names.
        roles: String,
    },
    /// The role allows more than the prefix.
    #[error(
        "the role '{0}' allows other keys, too: see 'etcdctl role get {0}', and take them away"
    )]
    OtherKeys(String),
    /// The daemon reads what is not its own.
    #[error(
        "the daemon's certificate reads keys that are not below {0}, although authentication is on: look at its user in etcd"
    )]
    TooMuch(String),
    /// No member did it.
    #[error("{0}")]
    Etcd(String),
}

/// Prepares etcd. Returns what there is to tell, line by line.
///
/// # Errors
/// [`NotPrepared`].
pub fn prepare(preparing: &Preparing<'_>) -> Result<Vec<String>, NotPrepared> {
    let settings = preparing.settings;
    let files = settings.tls.as_ref().ok_or(NotPrepared::NoTls)?;
    let daemon = files.read(preparing.trust)?;
    let user = user_of(&daemon.cert, &files.cert.display().to_string())?;
    if user == ROOT {
        return Err(NotPrepared::DaemonIsRoot(files.cert.display().to_string()));
    }
    let administrator = of_root(&preparing.root, &daemon)?;
    let name = user_of(&administrator.cert, "the certificate on standard input")?;
    if preparing.enable_auth && name != ROOT {
        return Err(NotPrepared::NotRoot(name));
    }
    let known_to_root = shown_by_root(settings, files);
    let mut etcd = Member::reach(&known_to_root, administrator, name)?;
    let mut lines = etcd.make_user(&user)?;
    lines.extend(etcd.make_role(&user, &settings.prefix)?);
    if preparing.enable_auth {
        lines.extend(etcd.enable_auth()?);
    }
    lines.push(etcd.prove(settings, (daemon, files), preparing.enable_auth)?);
    Ok(lines)
}

/// The member that does it.
struct Member<'a> {
    wire: Wire,
    settings: &'a EtcdSettings,
    endpoint: String,
    client: Client,
    texts: TlsTexts,
    /// The user that the administrator's certificate names.
    name: String,
}

impl<'a> Member<'a> {
    /// The first member that answers. One that is too old ends the search: all have to serve.
    fn reach(
        settings: &'a EtcdSettings,
        texts: TlsTexts,
        name: String,
    ) -> Result<Self, NotPrepared> {
        let wire =
            Wire::start().map_err(|error| etcd(format!("cannot start a thread: {error}")))?;
        let mut sentence = "provisiond.store.etcd has no endpoints".to_owned();
        for endpoint in &settings.endpoints {
            let client = connected(&wire, settings, endpoint, &texts).ok_or(NotPrepared::NoRoot)?;
            let asked = client.clone();
            match wire.call(after(settings.timeout), status_of(asked)) {
                Ok(status) => {
                    if let Some(why) = objection(status.version(), LEAST) {
                        return Err(etcd(format!("{endpoint} {why}")));
                    }
                    return Ok(Self {
                        wire,
                        settings,
                        endpoint: endpoint.clone(),
                        client,
                        texts,
                        name,
                    });
                }
                Err(error) => {
                    sentence = Fault::of(&error, endpoint, settings, Some(&texts)).sentence;
                }
            }
        }
        Err(etcd(sentence))
    }

    fn make_user(&mut self, user: &str) -> Result<Vec<String>, NotPrepared> {
        let listed = self.ask(|mut etcd| async move { etcd.user_list().await })?;
        if listed.users().iter().any(|other| other == user) {
            return Ok(vec![format!("user '{user}': was there")]);
        }
        let new = user.to_owned();
        self.ask(|mut etcd| async move {
            let without_password = UserAddOptions::new().with_no_pwd();
            etcd.user_add(new, "", Some(without_password)).await
        })?;
        Ok(vec![format!("user '{user}': made, without a password")])
    }

    fn make_role(&mut self, user: &str, prefix: &str) -> Result<Vec<String>, NotPrepared> {
        let role = role_of(prefix);
        let listed = self.ask(|mut etcd| async move { etcd.role_list().await })?;
        let is_there = listed.roles().contains(&role);
        if !is_there {
            let new = role.clone();
            self.ask(|mut etcd| async move { etcd.role_add(new).await })?;
        }
        let name = user.to_owned();
        let told = self.ask(|mut etcd| async move { etcd.user_get(name).await })?;
        let others = told.roles().iter().map(String::as_str);
        let others: Vec<&str> = others.filter(|other| *other != role).collect();
        if !others.is_empty() {
            return Err(NotPrepared::OtherRoles {
                user: user.to_owned(),
                roles: others.join(", "),
            });
        }
        let name = role.clone();
        let told = self.ask(|mut etcd| async move { etcd.role_get(name).await })?;
        let wanted = Permission::read_write(prefix).with_prefix();
        let permissions = told.permissions();
        if permissions.iter().any(|other| *other != wanted) {
            return Err(NotPrepared::OtherKeys(role));
        }
        let (name, granted) = (role.clone(), role.clone());
        self.ask(|mut etcd| async move { etcd.role_grant_permission(name, wanted).await })?;
        let of = user.to_owned();
        self.ask(|mut etcd| async move { etcd.user_grant_role(of, granted).await })?;
        let was = if is_there { "was there" } else { "made" };
        Ok(vec![format!(
            "role '{role}': {was}, and '{user}' has it; it reads and writes the keys below {prefix}, and no others"
        )])
    }

    fn enable_auth(&mut self) -> Result<Vec<String>, NotPrepared> {
        let mut lines = self.make_user(ROOT)?;
        self.ask(|mut etcd| async move { etcd.user_grant_role(ROOT, ROOT).await })?;
        self.ask(|mut etcd| async move { etcd.auth_enable().await })?;
        lines.push("authentication: is on; the user 'root' administers etcd".to_owned());
        Ok(lines)
    }

    /// Reads as the daemon: below the prefix, which must succeed, and everywhere, which must not.
    fn prove(
        &self,
        settings: &EtcdSettings,
        (daemon, files): (TlsTexts, &TlsFiles),
        must_be_on: bool,
    ) -> Result<String, NotPrepared> {
        let (cert, prefix) = (files.cert.display(), &settings.prefix);
        let client = connected(&self.wire, settings, &self.endpoint, &daemon);
        let client = client.ok_or_else(|| etcd(unusable(settings)))?;
        let read = |key: &str, options: GetOptions| {
            let (mut etcd, key) = (client.clone(), key.to_owned());
            let options = options.with_count_only();
            self.wire.call(after(settings.timeout), async move {
                etcd.get(key, Some(options)).await
            })
        };
        read(prefix, GetOptions::new().with_prefix()).map_err(|error| {
            let fault = Fault::of(&error, &self.endpoint, settings, Some(&daemon));
            etcd(fault.sentence)
        })?;
        match read("\0", GetOptions::new().with_from_key()) {
            Err(error) if denied(&error) => Ok(format!(
                "tried with {cert}: the daemon reads the keys below {prefix}, and no others"
            )),
            Err(error) => {
                let fault = Fault::of(&error, &self.endpoint, settings, Some(&daemon));
                Err(etcd(fault.sentence))
            }
            Ok(_) if must_be_on => Err(NotPrepared::TooMuch(prefix.clone())),
            Ok(_) => Ok(format!(
                "authentication: is off, so every certificate of the CA may do everything; --enable-auth turns it on (tried \
                 with {cert})"
            )),
        }
    }

    fn ask<T, F>(&self, does: impl FnOnce(Client) -> F) -> Result<T, NotPrepared>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let answer = self
            .wire
            .call(after(self.settings.timeout), does(self.client.clone()));
        answer.map_err(|error| match denied(&error) {
            true => NotPrepared::Refused(self.name.clone()),
            false => {
                let texts = Some(&self.texts);
                etcd(Fault::of(&error, &self.endpoint, self.settings, texts).sentence)
            }
        })
    }
}

/// The connection. `None`: certificate and key cannot be used.
fn connected(
    wire: &Wire,
    settings: &EtcdSettings,
    endpoint: &str,
    texts: &TlsTexts,
) -> Option<Client> {
    let options = options(endpoint, settings, Some(texts));
    let endpoints = [endpoint.to_owned()];
    let connects = async move { Client::connect(endpoints, Some(options)).await };
    wire.call(after(settings.timeout), connects).ok()
}

async fn status_of(mut client: Client) -> Result<StatusResponse, Error> {
    client.status().await
}

/// The settings for sentences about root's certificate, which is in no file.
fn shown_by_root(settings: &EtcdSettings, files: &TlsFiles) -> EtcdSettings {
    EtcdSettings {
        tls: Some(TlsFiles {
            ca: files.ca.clone(),
            cert: "on standard input".into(),
            key: "the key there".into(),
        }),
        ..settings.clone()
    }
}

/// Root's certificate and key, with the CA that the daemon trusts.
fn of_root(pem: &str, daemon: &TlsTexts) -> Result<TlsTexts, NotPrepared> {
    let mut is_key = false;
    let of_certificates = |line: &&str| {
        is_key |= line.starts_with("-----BEGIN") && line.ends_with("PRIVATE KEY-----");
        let is_kept = !is_key;
        is_key &= !line.starts_with("-----END");
        is_kept
    };
    let cert: Vec<&str> = pem.lines().filter(of_certificates).collect();
    if cert.len() == pem.lines().count() {
        return Err(NotPrepared::NoRoot);
    }
    Ok(TlsTexts {
        ca: daemon.ca.clone(),
        cert: cert.join("\n"),
        key: Zeroizing::new(pem.to_owned()),
    })
}

/// The user that etcd takes a certificate for: its common name.
fn user_of(pem: &str, whose: &str) -> Result<String, NotPrepared> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| match whose {
        ON_STANDARD_INPUT => NotPrepared::NoRoot,
        file => NotPrepared::NoName(file.to_owned()),
    })?;
    let none = || NotPrepared::NoName(whose.to_owned());
    let certificate = EndEntityCert::try_from(&der).map_err(|_| none())?;
    common_name(certificate.subject()).ok_or_else(none)
}

/// The only common name of a subject: its object identifier, the kind of text, its length, the text.
fn common_name(subject: &[u8]) -> Option<String> {
    let mut places = subject.windows(COMMON_NAME.len()).enumerate();
    let (at, _) = places.find(|(_, bytes)| *bytes == COMMON_NAME)?;
    if places.any(|(_, bytes)| bytes == COMMON_NAME) {
        return None;
    }
    let [_, length, rest @ ..] = subject.get(at.checked_add(COMMON_NAME.len())?..)? else {
        return None;
    };
    // A length of more than 127 has other bytes, and is longer than a common name may be.
    let name = rest.get(..usize::from(*length))?;
    let name = std::str::from_utf8(name).ok()?;
    (!name.is_empty() && *length < 0x80).then(|| name.to_owned())
}

/// The role of one store. Its name has the prefix, so that two stores on one cluster have two.
fn role_of(prefix: &str) -> String {
    format!("pam-totp:{prefix}")
}

fn etcd(sentence: String) -> NotPrepared {
    NotPrepared::Etcd(sentence)
}

/// etcd's own name of its administrator, and of the administrator's role.
const ROOT: &str = "root";
const ON_STANDARD_INPUT: &str = "the certificate on standard input";
/// The object identifier 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<u8> {
        let name = |name: &&str| {
            let length = u8::try_from(name.len()).unwrap();
            [COMMON_NAME, &[0x0c, length], name.as_bytes()].concat()
        };
        [b"\x31\x05".to_vec(), names.iter().flat_map(name).collect()].concat()
    }

    #[test]
    fn the_user_is_the_only_common_name_of_a_certificate() {
        assert_eq!(common_name(&named(&["verifier"])), Some("verifier".into()));
        for none in [named(&[]), named(&["root", "verifier"]), named(&[""])] {
            assert_eq!(common_name(&none), None);
        }
        let whole = named(&["verifier"]);
        for cut in 0..whole.len() {
            assert_eq!(common_name(&whole[..cut]), None, "{cut}");
        }
        let long = [COMMON_NAME, &[0x0c, 0x81, 0x80], &[b'x'; 300]].concat();
        assert_eq!(common_name(&long), None);
    }
}
