//! `import google-authenticator --homes`: the files in the home folders of all accounts; and
//! `--at-login`, that of the one user that the daemon names. The files are the users' own, so each is
//! opened with mistrust.
//!
//! Only root's import reads them. A user must not make it read a file of somebody else, or give
//! the account a second key: the daemon takes the key of a user that was never enrolled alone.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::Command;

use ::import::google_authenticator;
use common::wire::client::ClientError;
use common::wire::protocol::{Error, Import};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use zeroize::Zeroizing;

use super::foreign::{User, candidate};
use super::{Candidate, Moving, imported};
use crate::cli::ImportOptions;
use crate::commands::{Context, expect_root, names};
use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::render::moving::Place;

/// Imports the files of all accounts that have one.
pub(super) fn import(context: &Context<'_>, how: ImportOptions) -> Result<Exit, Failure> {
    expect_root("import google-authenticator --homes")?;
    let mut moving = Moving::new(context, how);
    for account in accounts()? {
        if let Some(candidate) = account.candidate() {
            moving.entry(candidate)?;
        }
    }
    moving.end()
}

/// Imports the file of the user whose name is on standard input, and answers there with a word: for
/// the daemon, which has a login wait for it.
pub(super) fn import_at_login(context: &Context<'_>, how: ImportOptions) -> Result<Exit, Failure> {
    expect_root("import google-authenticator --at-login")?;
    let imported = named_on(io::stdin()).and_then(|account| match account {
        None => Ok(false),
        Some(account) => account.imported(&context.daemon, how),
    });
    let word = match imported {
        Ok(true) => "imported",
        Ok(false) => "nothing",
        Err(_) => "refused",
    };
    context.output.text(&format!("{word}\n"))?;
    imported.map(|_| Exit::Done)
}

/// The account of that name, if there is one.
fn named_on(input: impl Read) -> Result<Option<Account>, Failure> {
    let mut line = String::new();
    let mut input = BufReader::new(input.take(MAX_NAME));
    let unreadable = |error: io::Error| {
        Failure::BadParameter(format!("the user's name cannot be read: {error}"))
    };
    input.read_line(&mut line).map_err(unreadable)?;
    let name = names::user(line.trim_end_matches('\n'))?;
    let found = nix::unistd::User::from_name(&name)
        .map_err(|error| unlisted(&io::Error::from(error).to_string()))?;
    Ok(found.map(|user| Account {
        name: user.name,
        uid: user.uid.as_raw(),
        home: user.dir.display().to_string(),
    }))
}

/// An account with a home.
struct Account {
    name: String,
    uid: u32,
    home: String,
}

/// The accounts that the name service lists. getent is asked, because the list has no safe call.
fn accounts() -> Result<Vec<Account>, Failure> {
    let listed = Command::new(GETENT).arg("passwd").env_clear().output();
    let listed = listed.map_err(|error| unlisted(&error.to_string()))?;
    if !listed.status.success() {
        return Err(unlisted(&listed.status.to_string()));
    }
    let lines = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(lines.lines().filter_map(account).collect())
}

fn account(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let (name, uid) = (fields.next()?, fields.nth(1)?);
    let home = fields.nth(2)?;
    Some(Account {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        home: home.to_owned(),
    })
}

impl Account {
    /// Imports the file at a login. Where it names the used codes, a code that it does not name opens
    /// that login. A clock skew that the module has learned shifts which codes it names.
    fn imported(self, daemon: &Daemon, how: ImportOptions) -> Result<bool, Failure> {
        let path = Path::new(&self.home).join(FILE);
        let Some(found) = self.candidate() else {
            return Ok(false);
        };
        let answer = found.call.and_then(|mut call| {
            if let Some(foreign) = &mut call.foreign {
                let is_whole = found.lists_spent && foreign.skew == Some(0);
                foreign.spent_is_whole = is_whole.then_some(true);
            }
            imported(&daemon.session(), how, found.place, call)
        });
        match answer {
            Ok(entry) => Ok(entry.imported),
            Err(Failure::Daemon(ClientError::Refused(Error::DeviceExists))) => Ok(false),
            Err(why) => Err(Failure::File {
                path,
                problem: why.to_string(),
            }),
        }
    }

    /// `None`: the account has no file.
    fn candidate(self) -> Option<Candidate> {
        let path = Path::new(&self.home).join(FILE);
        let place = Place::File(path.display().to_string());
        let entry = match self.read() {
            Ok(None) => return None,
            Ok(Some(bytes)) => google_authenticator::read(&bytes)
                .map_err(Failure::from)
                .and_then(|items| match items.into_iter().next() {
                    Some(item) => item.entry.map_err(Failure::from),
                    None => Err(::import::BadFile::Empty.into()),
                }),
            Err(why) => Err(Failure::BadRecord(why)),
        };
        let found = candidate(place, User::Label(Some(&self.name)), entry);
        let first_only = |call| Import {
            first_only: Some(true),
            ..call
        };
        Some(Candidate {
            call: found.call.map(first_only),
            ..found
        })
    }

    /// The file, if there is one. It must be a regular file of the account that no other account may
    /// read: the checks are made on the open file, so that it cannot be exchanged in between.
    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        let unreadable = |error: nix::Error| format!("cannot be read: {}", io::Error::from(error));
        let folder = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let Ok(home) = open(
            Path::new(&self.home),
            OFlag::O_RDONLY | folder,
            Mode::empty(),
        ) else {
            return Ok(None);
        };
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&home, FILE, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(nix::Error::ENOENT) => return Ok(None),
            Err(nix::Error::ELOOP) => return Err(SYMLINK.to_owned()),
            Err(error) => return Err(unreadable(error)),
        };
        let stat = fstat(&file).map_err(unreadable)?;
        let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        let mode = Mode::from_bits_truncate(stat.st_mode);
        if kind != SFlag::S_IFREG || stat.st_uid != self.uid {
            return Err(NOT_ITS_OWN.to_owned());
        }
        if mode.intersects(Mode::S_IRWXG | Mode::S_IRWXO) {
            return Err(NOT_PRIVATE.to_owned());
        }
        let mut bytes = Zeroizing::new(Vec::new());
        let read = file.take(MAX_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| format!("cannot be read: {error}"))?;
        Ok(Some(bytes))
    }
}

fn unlisted(why: &str) -> Failure {
    Failure::File {
        path: GETENT.into(),
        problem: format!("cannot list the accounts: {why}"),
    }
}

const GETENT: &str = "/usr/bin/getent";
const FILE: &str = ".google_authenticator";
/// Bytes: no file of the module is nearly as long.
const MAX_BYTES: u64 = 64 * 1024;
/// Bytes: longer than any user name.
const MAX_NAME: u64 = 1024;
const SYMLINK: &str = "is a symbolic link, which is not followed";
const NOT_ITS_OWN: &str = "is not a regular file of the account: it is left alone";
const NOT_PRIVATE: &str =
    "other accounts may read or write it: its key is no secret; enrol a new device";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_names_an_account_and_its_home() {
        let alice = account("alice:x:1000:1001:Alice,,,:/home/alice:/bin/sh").unwrap();
        assert_eq!((alice.name.as_str(), alice.uid), ("alice", 1000));
        assert_eq!(alice.home, "/home/alice");
        for line in ["", "alice", "alice:x:-1:0::/:", "alice:x:1:2"] {
            assert!(account(line).is_none(), "{line}");
        }
    }
}
