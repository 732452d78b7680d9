//! Decrypts the values of a PSKC container: AES-128-CBC and an HMAC, under a key that both sides
//! know, or that PBKDF2 makes of a passphrase.
//!
//! ```text
//! value   IV (16 bytes) ‖ AES-128-CBC(key, PKCS #7 padding); its MAC is over both
//! MAC key encrypted like a value, without a MAC of its own (RFC 6030, section 6.1.1)
//! ```
//! A value without a MAC is refused: CBC alone does not notice alterations. The MAC is checked
//! before anything is decrypted.

use aes::Aes128;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use common::secret::SecretText;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use roxmltree::{Document, Node};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{base64, child};
use crate::entry::number;
use crate::{BadFile, Problem};

/// What opens a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Nothing is encrypted.
    Open,
    /// A key that both sides know: 32 hexadecimal digits.
    Key,
    /// A passphrase.
    Passphrase,
}

impl Lock {
    pub(super) fn of(document: &Document<'_>) -> Result<Self, BadFile> {
        let Some(key) = child(document.root_element(), "EncryptionKey") else {
            return Ok(Self::Open);
        };
        Ok(if child(key, "DerivedKey").is_some() {
            Self::Passphrase
        } else {
            Self::Key
        })
    }
}

/// The keys of an encrypted container. `None`: nothing is encrypted.
pub(super) struct Opener(Option<Keys>);

struct Keys {
    key: Zeroizing<[u8; 16]>,
    mac_key: Zeroizing<Vec<u8>>,
    hash: Hash,
}

#[derive(Clone, Copy)]
enum Hash {
    Sha1,
    Sha256,
}

impl Opener {
    pub(super) fn of(
        document: &Document<'_>,
        secret: Option<&SecretText>,
    ) -> Result<Self, BadFile> {
        let root = document.root_element();
        let lock = Lock::of(document)?;
        if lock == Lock::Open {
            return Ok(Self(None));
        }
        let unknown =
            |node: Node<'_, '_>| BadFile::Cipher(document.text_pos_at(node.range().start).row);
        let secret = secret.ok_or(BadFile::SecretNeeded)?;
        let encryption = child(root, "EncryptionKey").ok_or(BadFile::NotPskc)?;
        let key = match child(encryption, "DerivedKey") {
            Some(derived) => derive(derived, secret).ok_or_else(|| unknown(derived))?,
            None => given(secret)?,
        };
        let method = child(root, "MACMethod").ok_or_else(|| unknown(encryption))?;
        let hash = hash_of(method).ok_or_else(|| unknown(method))?;
        let mac_key = match child(method, "MACKey") {
            Some(sealed) => decrypted(&key, &ciphertext(sealed).ok_or_else(|| unknown(sealed))?)
                .ok_or(BadFile::WrongSecret)?,
            None => Zeroizing::new(key.to_vec()),
        };
        Ok(Self(Some(Keys { key, mac_key, hash })))
    }

    /// A value, whose MAC is checked first.
    pub(super) fn open(
        &self,
        sealed: Node<'_, '_>,
        mac: Option<Node<'_, '_>>,
    ) -> Result<Vec<u8>, Problem> {
        let keys = self.0.as_ref().ok_or(NO_KEY)?;
        let sealed = ciphertext(sealed).ok_or(NO_KEY)?;
        let mac = mac
            .and_then(|mac| base64(mac.text()?).ok())
            .ok_or(Problem::Altered)?;
        if !keys.authenticate(&sealed, &mac) {
            return Err(Problem::Altered);
        }
        let plain = decrypted(&keys.key, &sealed).ok_or(Problem::Altered)?;
        Ok(plain.to_vec())
    }
}

impl Keys {
    fn authenticate(&self, sealed: &[u8], mac: &[u8]) -> bool {
        match self.hash {
            Hash::Sha1 => Hmac::<Sha1>::new_from_slice(&self.mac_key)
                .is_ok_and(|hmac| hmac.chain_update(sealed).verify_slice(mac).is_ok()),
            Hash::Sha256 => Hmac::<Sha256>::new_from_slice(&self.mac_key)
                .is_ok_and(|hmac| hmac.chain_update(sealed).verify_slice(mac).is_ok()),
        }
    }
}

/// The bytes of `CipherValue`, if they are of AES-128-CBC.
fn ciphertext(sealed: Node<'_, '_>) -> Option<Zeroizing<Vec<u8>>> {
    let method = child(sealed, "EncryptionMethod")?.attribute("Algorithm")?;
    if !method.eq_ignore_ascii_case(AES_128_CBC) {
        return None;
    }
    let value = child(child(sealed, "CipherData")?, "CipherValue")?.text()?;
    base64(value).ok()
}

fn decrypted(key: &[u8; 16], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (iv, sealed) = sealed.split_first_chunk::<16>()?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let cipher = Decryptor::<Aes128>::new(key.into(), iv.into());
    let length = cipher.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.len();
    Some(Zeroizing::new(buffer.get(..length)?.to_vec()))
}

fn given(secret: &SecretText) -> Result<Zeroizing<[u8; 16]>, BadFile> {
    let bytes = HEXLOWER_PERMISSIVE.decode(secret.expose().trim().as_bytes());
    let bytes = Zeroizing::new(bytes.map_err(|_| BadFile::KeyForm)?);
    let key: [u8; 16] = bytes.as_slice().try_into().map_err(|_| BadFile::KeyForm)?;
    Ok(Zeroizing::new(key))
}

/// PBKDF2 (RFC 8018), with the hash that the file names, or HMAC-SHA-1.
fn derive(derived: Node<'_, '_>, secret: &SecretText) -> Option<Zeroizing<[u8; 16]>> {
    let method = child(derived, "KeyDerivationMethod")?;
    if !method.attribute("Algorithm")?.ends_with("#pbkdf2") {
        return None;
    }
    let about = child(method, "PBKDF2-params")?;
    let salt = base64(child(child(about, "Salt")?, "Specified")?.text()?).ok()?;
    let rounds = number(child(about, "IterationCount")?.text()?.trim(), "").ok()?;
    let rounds = u32::try_from(rounds)
        .ok()
        .filter(|rounds| (1..=MAX_ROUNDS).contains(rounds))?;
    let length = child(about, "KeyLength").and_then(|length| length.text());
    if length.is_some_and(|length| length.trim() != "16") {
        return None;
    }
    let hash = match child(about, "PRF").and_then(|prf| prf.attribute("Algorithm")) {
        None => Hash::Sha1,
        Some(name) => hash_named(name)?,
    };
    let mut key = Zeroizing::new([0; 16]);
    let passphrase = secret.expose().as_bytes();
    match hash {
        Hash::Sha1 => pbkdf2_hmac::<Sha1>(passphrase, &salt, rounds, &mut *key),
        Hash::Sha256 => pbkdf2_hmac::<Sha256>(passphrase, &salt, rounds, &mut *key),
    }
    Some(key)
}

fn hash_of(method: Node<'_, '_>) -> Option<Hash> {
    hash_named(method.attribute("Algorithm")?)
}

/// The hash in the name of an HMAC, which ends in `hmac-sha1` or `hmacWithSHA1`.
fn hash_named(name: &str) -> Option<Hash> {
    let name = name.to_ascii_lowercase().replace("with", "-");
    match name.rsplit(['#', '/', ':']).next()? {
        "hmac-sha1" => Some(Hash::Sha1),
        "hmac-sha256" => Some(Hash::Sha256),
        _ => None,
    }
}

const AES_128_CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes128-cbc";
const NO_KEY: Problem = Problem::Form("a value is encrypted in a way that is not taken");
/// The most rounds of PBKDF2: some seconds on a slow machine.
const MAX_ROUNDS: u32 = 10_000_000;
