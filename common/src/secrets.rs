//! Application secrets: the secrets that keys are encrypted (sealed) under. Each has a tag; the
//! default tag seals, every tag opens.
//!
//! Reads no file: [`crate::config`] does.

use std::collections::BTreeMap;
use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

pub use self::tagged::TaggedSecrets;

mod tagged;

/// The application secrets in force, and the tag that seals.
pub struct Secrets {
    secrets: BTreeMap<Tag, Secret>,
    default_tag: Tag,
}

/// A secret, byte for byte as given: version 1 of the sealed key is made of these bytes.
struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    weak: bool,
}

impl Secret {
    fn new(text: &str) -> Self {
        Self {
            weak: trimmed(text.as_bytes()).len() < MIN_SECRET,
            bytes: Zeroizing::new(text.as_bytes().to_vec()),
        }
    }
}

impl Secrets {
    /// Checks every tag and secret and settles the default tag: the given one, else the numerically
    /// greatest if all are digits, else the lexically greatest.
    ///
    /// # Errors
    /// [`BadSecrets`], naming the tag and never the secret.
    pub fn new(tagged: TaggedSecrets, default_tag: Option<&str>) -> Result<Self, BadSecrets> {
        let secrets = Self::with_weak(tagged, default_tag)?;
        let weak = secrets.secrets.iter().find(|(_, secret)| secret.weak);
        weak.map_or(Ok(()), |(tag, _)| Err(BadSecrets::Short(tag.clone())))?;
        Ok(secrets)
    }

    /// The same, but weak secrets are taken as well. They open sealed keys of version 1, made by
    /// other programs, and nothing else.
    ///
    /// # Errors
    /// [`BadSecrets`], naming the tag and never the secret.
    pub fn with_weak(tagged: TaggedSecrets, default_tag: Option<&str>) -> Result<Self, BadSecrets> {
        let mut secrets = BTreeMap::new();
        for (tag, value) in tagged.iter() {
            let tag = Tag::new(tag)?;
            if value.is_empty() {
                return Err(BadSecrets::Short(tag));
            }
            secrets.insert(tag, Secret::new(value));
        }
        let default_tag = match default_tag {
            Some(given) => secrets
                .keys()
                .find(|tag| tag.as_str() == given)
                .ok_or(BadSecrets::NoSuchDefault)?,
            None => greatest(secrets.keys()).ok_or(BadSecrets::None)?,
        };
        Ok(Self {
            default_tag: default_tag.clone(),
            secrets,
        })
    }

    /// The tag that new keys are sealed under.
    #[must_use]
    pub fn default_tag(&self) -> &Tag {
        &self.default_tag
    }

    /// The default tag, if its secret is strong enough to seal. A weak secret only opens.
    #[must_use]
    pub fn sealing_tag(&self) -> Option<&Tag> {
        self.secrets
            .get(&self.default_tag)
            .filter(|secret| !secret.weak)
            .map(|_| &self.default_tag)
    }

    /// Whether these secrets seal as `other` do: under the same default tag, with the same secret.
    #[must_use]
    pub fn seal_as(&self, other: &Self) -> bool {
        let own = self.find(self.default_tag.as_str());
        let theirs = other.find(other.default_tag.as_str());
        std::ptr::eq(self, other)
            || self.default_tag == other.default_tag
                && own.map(|own| &own.bytes) == theirs.map(|theirs| &theirs.bytes)
    }

    /// Every tag.
    pub fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.secrets.keys()
    }

    /// `N` bytes derived from the secret of `tag`, without white space at its ends, by HKDF-SHA256
    /// (RFC 5869) with `salt` and `info`; `None` when there is no such tag, or its secret is a weak
    /// one. `info` separates the purposes: each purpose has its own.
    #[must_use]
    pub fn derive<const N: usize>(
        &self,
        tag: &str,
        salt: Option<&[u8]>,
        info: &[u8],
    ) -> Option<Zeroizing<[u8; N]>> {
        let secret = self.find(tag).filter(|secret| !secret.weak)?;
        let mut derived = Zeroizing::new([0; N]);
        Hkdf::<Sha256>::new(salt, trimmed(&secret.bytes))
            .expand(info, derived.as_mut())
            .ok()?;
        Some(derived)
    }

    /// The secret of `tag` itself, weak or not, for version 1 of the sealed key alone.
    pub(crate) fn secret(&self, tag: &str) -> Option<&[u8]> {
        self.find(tag).map(|secret| secret.bytes.as_slice())
    }

    fn find(&self, tag: &str) -> Option<&Secret> {
        self.secrets
            .iter()
            .find(|(known, _)| known.as_str() == tag)
            .map(|(_, secret)| secret)
    }
}

fn trimmed(secret: &[u8]) -> &[u8] {
    secret.trim_ascii()
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("tags", &self.secrets.keys())
            .field("default_tag", &self.default_tag)
            .finish()
    }
}

fn greatest<'a>(tags: impl Iterator<Item = &'a Tag> + Clone) -> Option<&'a Tag> {
    let numeric = |tag: &&Tag| tag.0.bytes().all(|b| b.is_ascii_digit());
    if tags.clone().all(|tag| numeric(&tag)) {
        // Longer is greater once leading zeros are gone; the tag itself breaks the tie between `1`
        // and `01`.
        tags.max_by_key(|tag| {
            let digits = tag.0.trim_start_matches('0');
            (digits.len(), digits, tag.as_str())
        })
    } else {
        tags.max()
    }
}

/// The tag of an application secret: 1 to 64 letters, digits, `.`, `_`, `-`, beginning with a
/// letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Takes a tag from the settings.
    ///
    /// # Errors
    /// [`BadSecrets::Tag`], naming it.
    pub fn new(tag: &str) -> Result<Self, BadSecrets> {
        let ordinary = tag
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        let begins_well = tag.starts_with(|c: char| c.is_ascii_alphanumeric());
        if ordinary && begins_well && tag.len() <= MAX_TAG {
            Ok(Self(tag.to_owned()))
        } else {
            Err(BadSecrets::Tag)
        }
    }

    /// The tag, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why application secrets cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecrets {
    /// There is none.
    #[error("there is no application secret: make one with 'provisiond --new-secret'")]
    None,
    /// Not a tag.
    #[error(
        "a tag has 1 to {MAX_TAG} letters, digits, '.', '_' or '-', and begins with a letter or a digit"
    )]
    Tag,
    /// A line without a colon, or with a control character.
    #[error("line {0} of the secrets is not 'tag: value'")]
    Line(usize),
    /// Not even one whole line.
    #[error(
        "the secrets have no line end and may have been cut short: end every 'tag: value' line with a line end"
    )]
    NoLineEnd,
    /// Not a JSON object of texts.
    #[error(
        "the secrets begin like JSON, but line {0} does not fit one object of tags and strings, each tag once"
    )]
    Json(usize),
    /// The same tag twice.
    #[error("a tag of the application secrets is repeated: give each secret a tag of its own")]
    Repeated,
    /// Too short to seal anything.
    #[error(
        "the application secret '{0}' has fewer than {MIN_SECRET} bytes: make one with 'provisiond --new-secret'"
    )]
    Short(Tag),
    /// The default secret is too short to seal anything, where something is to be sealed.
    #[error(
        "the application secret '{0}' is the default but has fewer than {MIN_SECRET} bytes, so it opens keys and never seals \
         them: name a stronger one with 'default-tag', or make one with 'provisiond --new-secret'"
    )]
    WeakDefault(Tag),
    /// The default tag names no secret.
    #[error("no application secret has the default tag: add that secret, or choose another tag")]
    NoSuchDefault,
}

const MAX_TAG: usize = 64;
/// Bytes in an application secret at least, after white space at its ends is taken off.
pub const MIN_SECRET: usize = 16;

#[cfg(test)]
mod tests;
