//! Encryption of keys at rest: the sealed key (enckey), version 2. All of our own encryption is in
//! this file.
//!
//! ```text
//! salt          32 random bytes, fresh for every seal
//! key ‖ nonce   HKDF-SHA256(ikm = application secret, salt, info = "pam-totp enckey v2"), 32 + 12 bytes   RFC 5869
//! sealed        AES-256-GCM(key, nonce, plaintext, aad)                                              SP 800-38D
//! aad           length-prefixed: version, tag, user, device id, kind, algorithm, digits, period
//! ```
//! Each pair of key and nonce is used once, because each salt is. The additional data binds a
//! sealed key to its place: an attacker with access to the store cannot move it to another user,
//! device or kind, nor change a parameter (fewer digits are easier to guess), because then it does
//! not open.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::names::user::UserName;
use crate::secret::{KEY_BYTES, Key};
use crate::secrets::{Secrets, Tag};
use crate::totp::Parameters;

/// A key as it is stored: useless without the application secret of its tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enckey {
    tag: String,
    salt: [u8; 32],
    sealed: Vec<u8>,
}

/// The place that a sealed key belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The user that has the device.
    pub user: &'a UserName,
    /// The device's random id. Its name is left out, so that renaming needs no new seal.
    pub device: &'a [u8; 16],
    /// What the key is for: the word of the device's [`Kind`](crate::names::device::Kind).
    pub kind: &'a str,
    /// What its codes look like.
    pub parameters: Parameters,
}

impl Enckey {
    /// Seals `key` under the default tag.
    ///
    /// # Errors
    /// [`CannotSeal`] when the default secret is a weak one, or the system has no randomness to
    /// give.
    pub fn seal(key: &Key, secrets: &Secrets, binding: &Binding<'_>) -> Result<Self, CannotSeal> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|_| CannotSeal::NoRandomness)?;
        Self::seal_with(salt, key, secrets, binding)
    }

    /// Opens the key in its place.
    ///
    /// # Errors
    /// [`CannotOpen`] for any failure (no such tag, altered, moved, not a key): the error does not
    /// tell which.
    pub fn open(&self, secrets: &Secrets, binding: &Binding<'_>) -> Result<Key, CannotOpen> {
        let material = derive(secrets, &self.tag, &self.salt).ok_or(CannotOpen)?;
        let (cipher, nonce) = cipher(&material).ok_or(CannotOpen)?;
        let mut buffer = Zeroizing::new(self.sealed.clone());
        let opened =
            cipher.decrypt_in_place(&nonce, &additional_data(&self.tag, binding), &mut *buffer);
        match opened {
            Ok(()) => Key::new(std::mem::take(&mut *buffer)).map_err(|_| CannotOpen),
            Err(_) => {
                buffer.zeroize();
                Err(CannotOpen)
            }
        }
    }

    /// The tag of the application secret that the key is sealed under.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The length of the sealed key, in bytes.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        self.sealed.len().saturating_sub(GCM_TAG)
    }

    pub(crate) fn from_parts(tag: &Tag, salt: &[u8], sealed: Vec<u8>) -> Option<Self> {
        let possible = sealed
            .len()
            .checked_sub(GCM_TAG)
            .is_some_and(|length| KEY_BYTES.contains(&length));
        let salt = salt.try_into().ok().filter(|_| possible)?;
        Some(Self {
            tag: tag.to_string(),
            salt,
            sealed,
        })
    }

    pub(crate) fn salt(&self) -> &[u8; 32] {
        &self.salt
    }

    pub(crate) fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    fn seal_with(
        salt: [u8; 32],
        key: &Key,
        secrets: &Secrets,
        binding: &Binding<'_>,
    ) -> Result<Self, CannotSeal> {
        let tag = secrets
            .sealing_tag()
            .ok_or(CannotSeal::WeakSecret)?
            .to_string();
        let aad = additional_data(&tag, binding);
        let material = derive(secrets, &tag, &salt).ok_or(CannotSeal::WeakSecret)?;
        let (cipher, nonce) = cipher(&material).ok_or(CannotSeal::Cipher)?;
        // Encrypted in place, with room for the GCM tag: no copy of the plaintext stays behind.
        let mut buffer = Zeroizing::new(Vec::with_capacity(
            key.expose().len().saturating_add(GCM_TAG),
        ));
        buffer.extend_from_slice(key.expose());
        cipher
            .encrypt_in_place(&nonce, &aad, &mut *buffer)
            .map_err(|_| CannotSeal::Cipher)?;
        Ok(Self {
            tag,
            salt,
            sealed: std::mem::take(&mut *buffer),
        })
    }
}

/// Why a key cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSeal {
    /// The system gave no random bytes.
    #[error("the key cannot be sealed: the system gave no random bytes")]
    NoRandomness,
    /// The default secret is a weak one, which only opens.
    #[error(
        "the key cannot be sealed: the default application secret is too short and only opens; add one from \
         'provisiond --new-secret' and make it the default"
    )]
    WeakSecret,
    /// Version 1 only.
    #[error(
        "the key cannot be sealed: its cost must be 0 to {}",
        crate::lineage::enckey::MAX_COST
    )]
    Cost,
    /// The cipher failed, which does not happen for a key.
    #[error("the key cannot be sealed: the cipher refused")]
    Cipher,
}

/// The sealed key does not open here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sealed key cannot be opened: its application secret is missing, or the key was altered"
)]
pub struct CannotOpen;

type Material = Zeroizing<[u8; 44]>;

fn derive(secrets: &Secrets, tag: &str, salt: &[u8; 32]) -> Option<Material> {
    secrets.derive(tag, Some(salt), b"pam-totp enckey v2")
}

fn cipher(material: &Material) -> Option<(Aes256Gcm, Nonce<aes_gcm::aead::consts::U12>)> {
    let (key, nonce) = material.split_first_chunk::<32>()?;
    Some((
        Aes256Gcm::new_from_slice(key).ok()?,
        Nonce::try_from(nonce).ok()?,
    ))
}

fn additional_data(tag: &str, binding: &Binding<'_>) -> Vec<u8> {
    let Parameters {
        alg,
        digits,
        period,
    } = binding.parameters;
    let fields: [&[u8]; 8] = [
        b"2",
        tag.as_bytes(),
        binding.user.as_str().as_bytes(),
        binding.device,
        binding.kind.as_bytes(),
        alg.word().as_bytes(),
        &[digits],
        &period.to_be_bytes(),
    ];
    length_prefixed(&fields)
}

/// Joins fields so that no two lists of fields give the same bytes: each field after its length
/// (four bytes, big-endian).
#[must_use]
pub fn length_prefixed(fields: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::new();
    for field in fields {
        joined.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        joined.extend_from_slice(field);
    }
    joined
}

const GCM_TAG: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use data_encoding::HEXLOWER;

    use super::*;
    use crate::secrets::TaggedSecrets;
    use crate::totp::Algorithm;

    fn secrets(text: &str) -> Secrets {
        Secrets::new(TaggedSecrets::from_text(text).unwrap(), None).unwrap()
    }

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    const SECRETS: &str = "1: 0123456789abcdef\n2: fedcba9876543210";
    const KEY: &[u8] = b"12345678901234567890";

    #[test]
    fn what_was_sealed_opens_in_its_place() {
        let (alice, secrets) = (user("alice"), secrets(SECRETS));
        for length in [10, 20, 32, 64] {
            let key = Key::new(vec![7; length]).unwrap();
            let binding = Binding {
                user: &alice,
                device: &[1; 16],
                kind: "totp",
                parameters: Parameters::default(),
            };
            let sealed = Enckey::seal(&key, &secrets, &binding).unwrap();
            assert_eq!(sealed.tag(), "2");
            assert_eq!(
                sealed.open(&secrets, &binding).unwrap().expose(),
                key.expose()
            );
        }
    }

    #[test]
    fn a_sealed_key_opens_nowhere_else() {
        let (alice, bob, both) = (user("alice"), user("bob"), secrets(SECRETS));
        let parameters = Parameters::default();
        let here = Binding {
            user: &alice,
            device: &[1; 16],
            kind: "totp",
            parameters,
        };
        let sealed = Enckey::seal(&Key::new(KEY.to_vec()).unwrap(), &both, &here).unwrap();
        for elsewhere in [
            Binding { user: &bob, ..here },
            Binding {
                device: &[2; 16],
                ..here
            },
            Binding {
                kind: "hotp",
                ..here
            },
            Binding {
                parameters: Parameters {
                    alg: Algorithm::Sha256,
                    ..parameters
                },
                ..here
            },
            Binding {
                parameters: Parameters {
                    digits: 7,
                    ..parameters
                },
                ..here
            },
            Binding {
                parameters: Parameters {
                    period: 60,
                    ..parameters
                },
                ..here
            },
        ] {
            assert_eq!(
                sealed.open(&both, &elsewhere).err(),
                Some(CannotOpen),
                "{elsewhere:?}"
            );
        }
    }

    #[test]
    fn a_sealed_key_opens_under_no_other_secret() {
        let (alice, both) = (user("alice"), secrets(SECRETS));
        let here = Binding {
            user: &alice,
            device: &[1; 16],
            kind: "totp",
            parameters: Parameters::default(),
        };
        let sealed = Enckey::seal(&Key::new(KEY.to_vec()).unwrap(), &both, &here).unwrap();
        let retagged = Enckey {
            tag: "1".into(),
            ..sealed.clone()
        };
        assert!(retagged.open(&both, &here).is_err());
        assert!(
            sealed.open(&secrets("1: 0123456789abcdef"), &here).is_err(),
            "its tag is gone"
        );
        assert!(
            sealed
                .open(&secrets("2: another secret of that tag"), &here)
                .is_err()
        );
    }

    #[test]
    fn every_altered_byte_is_noticed() {
        let (alice, secrets) = (user("alice"), secrets(SECRETS));
        let binding = Binding {
            user: &alice,
            device: &[1; 16],
            kind: "totp",
            parameters: Parameters::default(),
        };
        let sealed = Enckey::seal(&Key::new(KEY.to_vec()).unwrap(), &secrets, &binding).unwrap();
        for at in 0..sealed.sealed.len() {
            let mut altered = sealed.clone();
            altered.sealed[at] ^= 1;
            assert!(altered.open(&secrets, &binding).is_err(), "byte {at}");
            altered.sealed.truncate(at);
            assert!(altered.open(&secrets, &binding).is_err(), "cut at {at}");
        }
        for at in 0..32 {
            let mut altered = sealed.clone();
            altered.salt[at] ^= 1;
            assert!(altered.open(&secrets, &binding).is_err(), "salt {at}");
        }
    }

    #[test]
    fn every_seal_has_a_salt_of_its_own() {
        let (alice, secrets) = (user("alice"), secrets(SECRETS));
        let binding = Binding {
            user: &alice,
            device: &[1; 16],
            kind: "totp",
            parameters: Parameters::default(),
        };
        let key = Key::new(KEY.to_vec()).unwrap();
        let salts: HashSet<[u8; 32]> = (0..1000)
            .map(|_| Enckey::seal(&key, &secrets, &binding).unwrap().salt)
            .collect();
        assert_eq!(salts.len(), 1000);
    }

    #[test]
    fn the_form_of_version_2_is_fixed() {
        // Computed with another HKDF and another AES-GCM: those of Python's `cryptography` package.
        let (alice, secrets) = (user("alice"), secrets(SECRETS));
        let binding = Binding {
            user: &alice,
            device: &[1; 16],
            kind: "totp",
            parameters: Parameters::default(),
        };
        let sealed = Enckey::seal_with(
            [3; 32],
            &Key::new(KEY.to_vec()).unwrap(),
            &secrets,
            &binding,
        )
        .unwrap();
        assert_eq!(HEXLOWER.encode(&sealed.sealed), KNOWN_ANSWER);
    }

    const KNOWN_ANSWER: &str =
        "042d890c130f6676db998b5c4276464c0b9ce49750e0c9f7b09a03888ba29bb366c8885c";

    #[test]
    fn aes_gcm_is_that_of_the_standard() {
        // GCM specification, test case 16: AES-256 with additional data.
        let decode = |hex: &str| HEXLOWER.decode(hex.as_bytes()).unwrap();
        let key = decode("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let nonce = decode("cafebabefacedbaddecaf888");
        let mut buffer = decode(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ));
        let aad = decode("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let cipher = Aes256Gcm::new_from_slice(&key).unwrap();
        let nonce: [u8; 12] = nonce.try_into().unwrap();
        cipher
            .encrypt_in_place(&nonce.into(), &aad, &mut buffer)
            .unwrap();
        assert!(
            HEXLOWER
                .encode(&buffer)
                .ends_with("bcc9f66276fc6ece0f4e1768cddf8853bb2d551b")
        );
    }

    #[test]
    fn length_prefixes_keep_fields_apart() {
        assert_ne!(
            length_prefixed(&[b"ab", b"c"]),
            length_prefixed(&[b"a", b"bc"])
        );
        assert_eq!(length_prefixed(&[b"a"]), [0, 0, 0, 1, b'a']);
    }
}
