//! Hashes of issued codes under the code key, and their constant-time comparison; draws new codes
//! of a given length.
//!
//! ```text
//! code key   32 random bytes, sealed like a device's key, of the kind "codes"
//! hash       HMAC-SHA256(code key, length-prefixed: purpose, code), its first 16 bytes
//! ```
//! An attacker who reads the store without the application secrets has no code key, and cannot
//! brute-force a hash offline: even a bypass of forty bits is safe there. Sixteen bytes are enough:
//! codes are random, so collisions are of no use to an attacker, and a wrong code matches one of
//! ten hashes with odds of 1 in 2^124, far below those of a right guess. The purpose keeps a ticket
//! from being accepted as a recovery code.

use common::enckey::length_prefixed;
use common::issued::IssuedCode;
use common::secret::Key;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::record::CannotMake;

/// The stored form of a code.
pub(super) type Hash = [u8; 16];

pub(super) fn hash(key: &Key, purpose: &[u8], code: &IssuedCode) -> Option<Hash> {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose()).ok()?;
    let mac = mac
        .chain_update(length_prefixed(&[purpose, code.expose().as_bytes()]))
        .finalize()
        .into_bytes();
    mac.first_chunk().copied()
}

/// Compares in constant time, also where no hash is stored.
pub(super) fn is_hash(stored: Option<&Hash>, wanted: &Hash) -> bool {
    let same: bool = stored.unwrap_or(&[0; 16]).ct_eq(wanted).into();
    same & stored.is_some()
}

/// A new code of so many random bytes. One in ten thousand short codes could be taken for digits,
/// and is drawn again.
pub(super) fn draw<const BYTES: usize>() -> Result<IssuedCode, CannotMake> {
    let drawn = (0..MAX_DRAWS).find_map(|_| {
        random::<BYTES>()
            .map(|bytes| IssuedCode::from_random(&*bytes))
            .transpose()
    });
    drawn.unwrap_or(Err(CannotMake))
}

pub(super) fn random<const BYTES: usize>() -> Result<Zeroizing<[u8; BYTES]>, CannotMake> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    getrandom::fill(&mut *bytes).map_err(|_| CannotMake)?;
    Ok(bytes)
}

pub(super) const RECOVERY: &[u8] = b"recovery";
pub(super) const BYPASS: &[u8] = b"bypass";
pub(super) const TICKET: &[u8] = b"ticket";
const MAX_DRAWS: u32 = 100;
