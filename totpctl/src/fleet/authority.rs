//! The authority: a folder with its certificate, its key and the list of what it has signed. The key
//! never leaves the folder.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::config::Trust;
use common::config::fleet::host_name;
use common::config::tls_files::TlsFiles;
use data_encoding::HEXLOWER;
use nix::unistd::geteuid;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;
use x509_parser::time::ASN1Time;
use zeroize::Zeroizing;

use super::Issued;
use crate::exit::Failure;
use crate::new_file::{NewFile, NewFolder};
use crate::table::now;

/// The authority, opened.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, as PEM.
    pub(crate) ca: String,
    /// When its certificate ends, in Unix seconds.
    until: u64,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Purpose {
    /// A verifier's: it is called.
    Verifier,
    /// A host's: it calls.
    Host,
}

/// A certificate that was signed, and its key.
pub(crate) struct Signed {
    /// The certificate, as PEM.
    pub(crate) cert: String,
    /// Its key, as PEM.
    pub(crate) key: Zeroizing<String>,
    /// SHA-256 of the certificate, in hexadecimal.
    pub(crate) fingerprint: String,
    /// When it ends, in Unix seconds.
    pub(crate) until: u64,
}

impl Authority {
    /// Makes an authority in a new folder. Returns when it ends.
    pub(crate) fn make(folder: &Path, valid: Duration) -> Result<u64, Failure> {
        let failed = |error: rcgen::Error| cannot_sign(folder, &error.to_string());
        let until = now().saturating_add(valid.as_secs());
        let mut wish = between(folder, until)?;
        wish.distinguished_name = named(&unique_name(folder)?);
        wish.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        wish.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = wish.self_signed(&key).map_err(failed)?;
        NewFolder::create(folder)?;
        let pem = Zeroizing::new(key.serialize_pem());
        NewFile::create(&folder.join(KEY))?.fill(pem.as_bytes())?;
        NewFile::create(&folder.join(CERTIFICATE))?.fill(certificate.pem().as_bytes())?;
        Ok(until)
    }

    /// Opens the authority. Its key may be readable by its owner alone.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let (ca, key) = (folder.join(CERTIFICATE), folder.join(KEY));
        if !key.exists() {
            return Err(Failure::File {
                path: folder.to_owned(),
                problem: NO_AUTHORITY.to_owned(),
            });
        }
        let files = TlsFiles {
            cert: ca.clone(),
            ca,
            key,
        };
        let texts = files.read(&Trust::new(geteuid().as_raw(), None))?;
        let is_damaged = |error: rcgen::Error| cannot_sign(folder, &error.to_string());
        let key = KeyPair::from_pem(&texts.key).map_err(is_damaged)?;
        let issuer = Issuer::from_ca_cert_pem(&texts.ca, key).map_err(is_damaged)?;
        let until = end_of(texts.ca.as_bytes()).ok_or_else(|| {
            cannot_sign(folder, "its certificate cannot be read: put a copy back")
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            issuer,
            ca: texts.ca,
            until,
        })
    }

    /// Makes a key and signs its certificate, which ends no later than the authority's. It is written
    /// down in the list before it can be used.
    pub(crate) fn sign(
        &self,
        purpose: Purpose,
        names: &[String],
        valid: Duration,
    ) -> Result<Signed, Failure> {
        let failed = |error: rcgen::Error| cannot_sign(&self.folder, &error.to_string());
        let until = now().saturating_add(valid.as_secs()).min(self.until);
        if until <= now() {
            return Err(cannot_sign(&self.folder, OVER));
        }
        let mut wish = between(&self.folder, until)?;
        wish.distinguished_name = named(names.first().map_or("", String::as_str));
        wish.subject_alt_names = names
            .iter()
            .map(|name| alternative(name))
            .collect::<Result<_, _>>()?;
        wish.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        wish.extended_key_usages = vec![purpose.extended()];
        wish.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = wish.signed_by(&key, &self.issuer).map_err(failed)?;
        let signed = Signed {
            cert: certificate.pem(),
            key: Zeroizing::new(key.serialize_pem()),
            fingerprint: HEXLOWER.encode(&Sha256::digest(certificate.der())),
            until,
        };
        Issued::of(purpose, names, &signed).append_to(&self.folder)?;
        Ok(signed)
    }

    /// The last certificate of each machine, in the order of the list.
    pub(crate) fn machines(&self) -> Result<Vec<Issued>, Failure> {
        let mut machines: Vec<Issued> = Vec::new();
        for issued in Issued::all(&self.folder)? {
            match machines
                .iter_mut()
                .find(|machine| machine.is_of_the_same(&issued))
            {
                Some(machine) => *machine = issued,
                None => machines.push(issued),
            }
        }
        Ok(machines)
    }

    /// The names of the verifiers that were added, each once, in the order of the list.
    pub(crate) fn verifiers(&self) -> Result<Vec<String>, Failure> {
        let machines = self.machines()?.into_iter();
        let verifiers = machines.filter(|machine| machine.role == Purpose::Verifier);
        Ok(verifiers
            .filter_map(|machine| machine.names.into_iter().next())
            .collect())
    }
}

impl Purpose {
    fn extended(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Verifier => ExtendedKeyUsagePurpose::ServerAuth,
            Self::Host => ExtendedKeyUsagePurpose::ClientAuth,
        }
    }
}

/// When the first certificate of a PEM file ends, in Unix seconds.
pub(crate) fn end_of(pem: &[u8]) -> Option<u64> {
    let pem = Pem::iter_from_buffer(pem).next()?.ok()?;
    let certificate = pem.parse_x509().ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok()
}

/// A certificate that holds from now on. Clocks of other machines may be a little behind.
fn between(folder: &Path, until: u64) -> Result<CertificateParams, Failure> {
    let at = |seconds: u64| {
        let seconds = i64::try_from(seconds).ok()?;
        Some(ASN1Time::from_timestamp(seconds).ok()?.to_datetime())
    };
    let mut wish = CertificateParams::default();
    let times = at(now().saturating_sub(BEHIND)).zip(at(until));
    (wish.not_before, wish.not_after) = times.ok_or_else(|| cannot_sign(folder, NO_CLOCK))?;
    Ok(wish)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Two fleets must not have authorities of one name: a certificate of the other one would be called
/// damaged in place of foreign.
fn unique_name(folder: &Path) -> Result<String, Failure> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| cannot_sign(folder, &error.to_string()))?;
    Ok(format!("pam-totp fleet {}", HEXLOWER.encode(&random)))
}

/// A name or an address, as a certificate holds it.
fn alternative(name: &str) -> Result<SanType, Failure> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let bad = |why: String| {
        Failure::BadParameter(format!("{}: {why}", common::wire::text::printable(name)))
    };
    let name = host_name(name).map_err(bad)?;
    let text = name
        .try_into()
        .map_err(|error: rcgen::Error| bad(error.to_string()))?;
    Ok(SanType::DnsName(text))
}

fn cannot_sign(folder: &Path, why: &str) -> Failure {
    Failure::File {
        path: folder.to_owned(),
        problem: format!("the authority can sign nothing: {why}"),
    }
}

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";
/// How far another machine's clock may be behind, in seconds.
const BEHIND: u64 = 300;
const NO_AUTHORITY: &str = "holds no authority: 'totpctl fleet init' makes one; or name the folder of another one with --folder";
const OVER: &str = "its certificate has ended: make another authority, and add every machine again";
const NO_CLOCK: &str = "this machine's clock is wrong: set it";

#[cfg(test)]
mod tests;
