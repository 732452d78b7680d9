//! Imports the formats of the crate `import`: whose each entry is, and what the daemon is told.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ::import::pskc::Lock;
use ::import::{BadFile, Entry, Item, google_authenticator, pskc};
use common::names::device::Kind;
use common::wire::protocol::{ForeignKey, Import};

use super::{Candidate, Moving, bytes_of};
use crate::cli::{ImportFile, ImportOptions, LabelledFile};
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::render::moving::Place;

/// Reads a file of one format.
pub(super) type Reader = fn(&[u8]) -> Result<Vec<Item>, BadFile>;

/// How the account of an entry is found.
#[derive(Clone, Copy)]
pub(super) enum User<'a> {
    /// The file names accounts.
    Account,
    /// The file has labels of authenticator apps, or the administrator names the account.
    Label(Option<&'a str>),
}

/// Imports a file.
pub(super) fn import(
    context: &Context<'_>,
    file: &ImportFile,
    user: User<'_>,
    read: Reader,
) -> Result<Exit, Failure> {
    let bytes = bytes_of(&file.path)?;
    all(context, file.how, user, read(&bytes))
}

/// Imports the file of one user of google-authenticator.
pub(super) fn google_authenticator(
    context: &Context<'_>,
    path: &Path,
    user: &str,
    how: ImportOptions,
) -> Result<Exit, Failure> {
    let bytes = bytes_of(path)?;
    let items = google_authenticator::read(&bytes);
    all(context, how, User::Label(Some(user)), items)
}

/// Imports a PSKC container; asks for what opens it.
pub(super) fn pskc(context: &Context<'_>, wanted: &LabelledFile) -> Result<Exit, Failure> {
    let bytes = bytes_of(&wanted.file.path)?;
    let prompt = match pskc::lock(&bytes)? {
        Lock::Open => None,
        Lock::Passphrase => Some("Passphrase of the file: "),
        Lock::Key => Some("Key of the file (32 hexadecimal digits): "),
    };
    let secret = match prompt {
        None => None,
        Some(prompt) => {
            let typed = context.prompt.ask_hidden(prompt)?;
            Some(typed.ok_or(Failure::NoInput("what opens the file"))?)
        }
    };
    let items = pskc::read(&bytes, secret.as_ref());
    let user = User::Label(wanted.user.as_deref());
    all(context, wanted.file.how, user, items)
}

fn all(
    context: &Context<'_>,
    how: ImportOptions,
    user: User<'_>,
    items: Result<Vec<Item>, BadFile>,
) -> Result<Exit, Failure> {
    let items = items?;
    if let (User::Label(Some(_)), [_, _, ..]) = (user, &*items) {
        return Err(Failure::Usage(ONE_ENTRY));
    }
    let mut moving = Moving::new(context, how);
    for item in items {
        moving.entry(candidate(
            item.place.into(),
            user,
            item.entry.map_err(Failure::from),
        ))?;
    }
    moving.end()
}

/// The call for an entry.
pub(super) fn candidate(place: Place, user: User<'_>, entry: Result<Entry, Failure>) -> Candidate {
    let scratch_codes = entry
        .as_ref()
        .ok()
        .and_then(|entry| entry.scratch_codes.as_ref());
    let scratch_codes = scratch_codes.map_or(0, Vec::len);
    let lists_spent = entry.as_ref().is_ok_and(|entry| entry.lists_spent);
    let named = entry.as_ref().ok().and_then(|entry| entry.user.as_deref());
    let user = match user {
        User::Label(Some(user)) => Some(user.to_owned()),
        User::Label(None) => named.map(account_of),
        User::Account => named.map(str::to_owned),
    };
    let call = entry.and_then(|entry| {
        let user = user.clone();
        Ok(Import {
            user: user.ok_or_else(|| Failure::BadRecord(NO_USER.to_owned()))?,
            foreign: Some(foreign(&entry)),
            scratch_codes: entry.scratch_codes,
            ..Import::default()
        })
    });
    Candidate {
        place,
        user,
        scratch_codes,
        lists_spent,
        call,
    }
}

/// The account that a label stands for: that of its name, or, if this machine has none, that of the
/// part before an `@`. If there is neither, the label is the name.
fn account_of(label: &str) -> String {
    let exists = |name: &str| matches!(nix::unistd::User::from_name(name), Ok(Some(_)));
    let short = label.split_once('@').map(|(short, _)| short);
    match short {
        Some(short) if !exists(label) && exists(short) => short.to_owned(),
        _ => label.to_owned(),
    }
}

fn foreign(entry: &Entry) -> ForeignKey {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let spent = entry.spent_since(now.unwrap_or_default().as_secs());
    ForeignKey {
        key: entry.key.to_base32(),
        kind: entry.kind,
        alg: Some(entry.parameters.alg.to_string()),
        digits: Some(entry.parameters.digits),
        period: (entry.kind == Kind::Totp).then_some(entry.parameters.period),
        counter: entry.counter,
        label: entry.label.as_ref().map(|label| label.as_str().to_owned()),
        issuer: entry
            .issuer
            .as_ref()
            .map(|issuer| issuer.as_str().to_owned()),
        spent: Some(spent),
        skew: Some(entry.skew),
        spent_is_whole: None,
    }
}

const NO_USER: &str =
    "the entry does not name a user: if the file has one entry, name the user with '--user'";
const ONE_ENTRY: &str = "the file has several entries, and '--user' is for a file with one: leave it out, or split the file";
