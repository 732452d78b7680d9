//! PSKC key containers (RFC 6030), plain or encrypted: what FreeIPA, privacyIDEA, LinOTP and makers
//! of hardware tokens exchange.
//!
//! The file comes from outside, so the XML has limits: no document type, hence no entities, and a
//! bounded number of elements. `sealed` decrypts.

mod sealed;

use common::secret::{Key, SecretText};
use data_encoding::BASE64;
use roxmltree::{Document, Error, Node, ParsingOptions};
use zeroize::Zeroizing;

pub use self::sealed::Lock;
use self::sealed::Opener;
use crate::entry::{filled, number, parameters};
use crate::{BadFile, Entry, Item, MAX_LINE, Problem, text, within_limits};

/// What opens the file.
///
/// # Errors
/// [`BadFile`].
pub fn lock(bytes: &[u8]) -> Result<Lock, BadFile> {
    Lock::of(&parsed(text(bytes)?)?)
}

/// Reads the container. `secret` is the passphrase or the key in hexadecimal, as [`lock`] says.
///
/// # Errors
/// [`BadFile`]; a bad key is an item of its own.
pub fn read(bytes: &[u8], secret: Option<&SecretText>) -> Result<Vec<Item>, BadFile> {
    let document = parsed(text(bytes)?)?;
    let opener = Opener::of(&document, secret)?;
    let packages = children(document.root_element(), "KeyPackage");
    let items = packages.map(|package| {
        let line = document.text_pos_at(package.range().start).row;
        Item::at_line(line.into(), entry(package, &opener))
    });
    within_limits(items.collect())
}

fn parsed(text: &str) -> Result<Document<'_>, BadFile> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|error| match error {
        Error::DtdDetected => BadFile::DocumentType,
        error => BadFile::Xml(error.pos().row),
    })?;
    let root = document.root_element();
    if root.tag_name().name() == "KeyContainer" && root.tag_name().namespace() == Some(PSKC) {
        Ok(document)
    } else {
        Err(BadFile::NotPskc)
    }
}

/// A package: one key.
fn entry(package: Node<'_, '_>, opener: &Opener) -> Result<Entry, Problem> {
    let key = child(package, "Key").ok_or(Problem::Form("a key package has no key"))?;
    if child(key, "Policy").is_some_and(has_unknown_rules) {
        return Err(Problem::Policy);
    }
    let data = child(key, "Data").ok_or(Problem::Form("a key has no data"))?;
    let secret = child(data, "Secret").ok_or(Problem::Form("a key has no secret"))?;
    let secret = Key::new(value(secret, opener)?)?;
    let counter = whole(data, "Counter")?;
    let algorithm = key.attribute("Algorithm").unwrap_or_default();
    let kind = algorithm.rsplit([':', '#']).next().unwrap_or_default();
    let entry = Entry::of_kind(kind, secret, parameters_of(key, data)?, counter)?;
    let skew = child(data, "TimeDrift").map(plain).transpose()?;
    let skew = skew.map_or(Ok(0), |steps| {
        steps
            .parse::<i32>()
            .map_err(|_| Problem::Number("TimeDrift"))
    })?;
    let issuer = child(key, "Issuer").and_then(|issuer| issuer.text());
    let user = child(key, "UserId").or_else(|| child(child(package, "DeviceInfo")?, "UserId"));
    let user = user.and_then(|user| user.text()).map(account);
    Ok(Entry {
        skew: skew.into(),
        ..entry.shown_as(user.as_deref(), issuer)?
    })
}

/// The hash, the digits and the period of a key.
fn parameters_of(
    key: Node<'_, '_>,
    data: Node<'_, '_>,
) -> Result<common::totp::Parameters, Problem> {
    let about = child(key, "AlgorithmParameters");
    let format = about.and_then(|about| child(about, "ResponseFormat"));
    let digits = format.and_then(|format| format.attribute("Length"));
    let digits = digits.map(|digits| number(digits, "Length")).transpose()?;
    let encoding = format.and_then(|format| format.attribute("Encoding"));
    if encoding.is_some_and(|encoding| encoding != "DECIMAL") {
        return Err(Problem::Kind);
    }
    let suite = about.and_then(|about| child(about, "Suite")?.text());
    let suite = suite.map(|suite| suite.trim().to_ascii_lowercase());
    let alg = suite
        .as_deref()
        .map(|suite| suite.trim_start_matches("hmac-"));
    Ok(parameters(alg, digits, whole(data, "TimeInterval")?)?)
}

/// RFC 6030, section 5: a key with a rule that the reader does not know must not be used.
fn has_unknown_rules(policy: Node<'_, '_>) -> bool {
    policy.children().filter(Node::is_element).any(|rule| {
        !(rule.tag_name().name() == "KeyUsage" && rule.text().map(str::trim) == Some("OTP"))
    })
}

/// The account in a user's distinguished name (`UID=alice,OU=…`), or the whole name.
fn account(user: &str) -> String {
    let uid = user.split(',').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("uid").then_some(value)
    });
    uid.unwrap_or(user).trim().to_owned()
}

/// A key's bytes: plain, or encrypted.
fn value(secret: Node<'_, '_>, opener: &Opener) -> Result<Vec<u8>, Problem> {
    match child(secret, "EncryptedValue") {
        Some(encrypted) => opener.open(encrypted, child(secret, "ValueMAC")),
        None => base64(plain(secret)?).map(|mut bytes| std::mem::take(&mut *bytes)),
    }
}

fn whole(data: Node<'_, '_>, name: &'static str) -> Result<Option<u64>, Problem> {
    let found = child(data, name).map(plain).transpose()?;
    found.map(|text| number(text, name)).transpose()
}

fn plain<'a>(value: Node<'a, '_>) -> Result<&'a str, Problem> {
    let text = child(value, "PlainValue").and_then(|value| value.text());
    filled(text)
        .filter(|text| text.len() <= MAX_LINE)
        .ok_or(Problem::Form(
            "a value is neither plain nor encrypted in a way that is taken",
        ))
}

/// Base64 as XML writes it: with line ends.
fn base64(text: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let mut joined = Zeroizing::new(String::with_capacity(text.len()));
    joined.extend(text.chars().filter(|c| !c.is_ascii_whitespace()));
    let bytes = BASE64.decode(joined.as_bytes());
    bytes
        .map(Zeroizing::new)
        .map_err(|_| Problem::Form("a value is not base64"))
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    let is_it = move |node: &Node<'a, 'i>| node.is_element() && node.tag_name().name() == name;
    node.children().filter(is_it)
}

const PSKC: &str = "urn:ietf:params:xml:ns:keyprov:pskc";
/// The most nodes of a file: elements, texts and comments. The largest file has some 25 for each of
/// 100,000 keys; more would take a gigabyte of memory.
const MAX_NODES: u32 = 4_000_000;

#[cfg(test)]
mod tests;
