//! Parses a stored record in JSON: every member must be known, of its type, and present once.

use data_encoding::HEXLOWER;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::answer::CODE_DIGITS;
use crate::enckey::Enckey;
use crate::lineage::enckey::{EnckeyV1, MAX_COST, SALT_BYTES};
use crate::lineage::record::{BadRecord, KeyRecord, MAX_PERIOD, StoredKey};
use crate::names::user::UserName;
use crate::otpauth::Label;
use crate::secret::{KEY_BYTES, Key, SecretText, decode_base32};
use crate::secrets::Tag;
use crate::totp::{Algorithm, Parameters};
use crate::wire::protocol::from_object;

/// Reads a record in JSON.
pub(super) fn record(text: &str) -> Result<KeyRecord, BadRecord> {
    object::<RawRecord<'_>>(text)?.check()
}

fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, BadRecord> {
    let bad = |e: serde_json::Error| BadRecord::Json {
        line: e.line(),
        column: e.column(),
    };
    from_object(text.as_bytes()).map_err(bad)
}

/// The object as it is written. `null` means absent, except for a key and a place: passlib refuses
/// it there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecord<'a> {
    r#type: String,
    v: u64,
    #[serde(borrow, default, deserialize_with = "there")]
    enckey: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "there")]
    key: Option<SecretText>,
    alg: Option<String>,
    digits: Option<u64>,
    period: Option<u64>,
    label: Option<String>,
    issuer: Option<String>,
    /// Written by a beta of passlib. It is ignored: an imported key starts at the present step
    /// anyway.
    #[serde(rename = "last_counter")]
    _last_counter: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "there")]
    user: Option<String>,
    #[serde(default, deserialize_with = "there")]
    device: Option<String>,
}

/// A member that is left out or has a value.
fn there<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl RawRecord<'_> {
    fn check(self) -> Result<KeyRecord, BadRecord> {
        if self.r#type != "totp" {
            return Err(BadRecord::Type);
        }
        if self.v != 1 {
            return Err(BadRecord::Version);
        }
        let parameters = parameters(self.alg.as_deref(), self.digits, self.period)?;
        let (label, issuer) = (
            label(self.label.as_deref())?,
            label(self.issuer.as_deref())?,
        );
        let place = match (self.user, self.device) {
            (Some(user), Some(device)) => Some(place(&user, &device)?),
            (None, None) => None,
            _ => return Err(BadRecord::Place),
        };
        let key = match (self.enckey, self.key) {
            (None, None) => return Err(BadRecord::NoKey),
            (Some(_), Some(_)) => return Err(BadRecord::TwoKeys),
            (None, Some(_)) if place.is_some() => return Err(BadRecord::Place),
            (None, Some(key)) => StoredKey::Plain(Key::from_base32(key.expose())?),
            (Some(enckey), None) => object::<RawEnckey>(enckey.get())?.check(place)?,
        };
        Ok(KeyRecord {
            key,
            parameters,
            label,
            issuer,
        })
    }
}

/// The sealed key as it is written, either version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEnckey {
    v: u64,
    t: String,
    c: Option<u64>,
    s: String,
    k: String,
}

impl RawEnckey {
    fn check(self, place: Option<SealedFor>) -> Result<StoredKey, BadRecord> {
        let tag = Tag::new(&self.t).map_err(|_| BadRecord::Tag)?;
        let (salt, sealed) = (decode(&self.s)?, decode(&self.k)?);
        match (self.v, self.c, place) {
            (1, Some(cost), None) => {
                let cost = u32::try_from(cost)
                    .ok()
                    .filter(|cost| *cost <= MAX_COST)
                    .ok_or(BadRecord::Cost)?;
                if !SALT_BYTES.contains(&salt.len()) || !KEY_BYTES.contains(&sealed.len()) {
                    return Err(BadRecord::Sealed);
                }
                Ok(StoredKey::V1(EnckeyV1 {
                    tag: tag.to_string(),
                    cost,
                    salt,
                    sealed,
                }))
            }
            (2, None, Some((user, device))) => {
                let enckey = Enckey::from_parts(&tag, &salt, sealed).ok_or(BadRecord::Sealed)?;
                Ok(StoredKey::V2 {
                    enckey,
                    user,
                    device,
                })
            }
            (1, Some(_), Some(_)) | (2, None, None) => Err(BadRecord::Place),
            _ => Err(BadRecord::EnckeyVersion),
        }
    }
}

/// The parameters in a record or a URI; missing ones are passlib's defaults.
///
/// # Errors
/// [`BadRecord`], with the bounds.
pub fn parameters(
    alg: Option<&str>,
    digits: Option<u64>,
    period: Option<u64>,
) -> Result<Parameters, BadRecord> {
    let defaults = Parameters::default();
    let alg = alg.map_or(Ok(defaults.alg), |word| {
        word.parse::<Algorithm>().map_err(|_| BadRecord::Algorithm)
    })?;
    let digits = digits.map_or(Some(defaults.digits), |digits| u8::try_from(digits).ok());
    let digits = digits
        .filter(|digits| CODE_DIGITS.contains(&usize::from(*digits)))
        .ok_or(BadRecord::Digits)?;
    let period = period.map_or(Some(defaults.period), |period| u32::try_from(period).ok());
    let period = period
        .filter(|period| (1..=MAX_PERIOD).contains(period))
        .ok_or(BadRecord::Period)?;
    Ok(Parameters {
        alg,
        digits,
        period,
    })
}

/// A label or an issuer; an empty one counts as absent.
pub(super) fn label(text: Option<&str>) -> Result<Option<Label>, BadRecord> {
    let text = text.filter(|text| !text.is_empty());
    text.map(Label::as_shared)
        .transpose()
        .map_err(|_| BadRecord::Label)
}

fn place(user: &str, device: &str) -> Result<SealedFor, BadRecord> {
    let user = UserName::new(user).map_err(|_| BadRecord::Place)?;
    let device = HEXLOWER
        .decode(device.as_bytes())
        .map_err(|_| BadRecord::Place)?;
    Ok((user, device.try_into().map_err(|_| BadRecord::Place)?))
}

/// Base32 in either case, with or without padding. Bits left over at the end are ignored, as passlib
/// does.
fn decode(text: &str) -> Result<Vec<u8>, BadRecord> {
    decode_base32(&text.to_ascii_uppercase()).ok_or(BadRecord::Sealed)
}

type SealedFor = (UserName, [u8; 16]);
