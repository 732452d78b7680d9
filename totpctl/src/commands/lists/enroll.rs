//! `enroll --users`: a device for each user of a list. A device is pending until its key is written,
//! and then made active with a code of that key: no active device has a key that was never shown,
//! wherever the command or the machine stops.

use std::path::Path;

use ::import::users::Named;
use common::names::device::DeviceName;
use common::secret::{Key, SecretText};
use common::totp::Parameters;
use common::wire::client::ClientError;
use common::wire::protocol::{Confirm, Enroll, Error, Verdict};

use super::{
    BATCH, List, Tried, at_once, batches, device_of, has_account, names, rows, warn_without_account,
};
use crate::cli::EnrollArgs;
use crate::commands::Context;
use crate::commands::restrict::times_and_services;
use crate::daemon::Session;
use crate::exit::{Exit, Failure};
use crate::new_file::NewFile;
use crate::output::Output;
use crate::render::Enrolled;
use crate::render::lists::{CodesLine, Did, KeyLine};
use crate::sheet::{Language, Sheet, Sheets};
use crate::table::now;

/// Enrols the users of a list.
pub(in crate::commands) fn enroll(
    context: &Context<'_>,
    list: &Path,
    wanted: &EnrollArgs,
) -> Result<Exit, Failure> {
    let rows = rows(list)?;
    let (bounds, sheets) = (times_and_services(&wanted.bounds)?, new_folder(wanted)?);
    let mut keys = Keys::new(context.output, wanted)?;
    let (daemon, words) = (&context.daemon, ["enrolled", "enrolled before"]);
    let mut list = List::new(context, words, rows.len());
    let most = if sheets.is_some() { SHEETS } else { BATCH };
    for batch in batches(rows, most) {
        let make = |session: &_, row| Tried::of(row, |named| made(session, wanted, &bounds, named));
        let begin = || daemon.session();
        let made = at_once(batch, begin, make, Tried::ends_all);
        list.progress.aside(|| {
            warn_without_accounts(context.output, &made);
            keys.write_keys(&made)
        })?;
        let made = made
            .into_iter()
            .map(|tried| with_sheet(sheets.as_ref(), tried));
        let activate = |session: &_, (made, sheet)| activated(session, made, sheet);
        let ends = |(tried, _): &(Tried<Did>, _)| tried.ends_all();
        let activated = at_once(made.collect(), begin, activate, ends);
        let (tried, codes): (Vec<_>, Vec<_>) = activated.into_iter().unzip();
        let codes = codes.into_iter().flatten();
        let written = list.progress.aside(|| keys.write_codes(codes));
        list.report(tried)?;
        written?;
    }
    list.end()
}

/// The device of a row.
enum Made {
    There(Did),
    /// It waits until its key is written.
    Pending(Box<Enrolled>, bool),
}

type Bounds = (Option<u64>, Option<u64>, Vec<String>);

/// A pending device with a new key, in the place of one that an earlier run has left pending.
fn made(
    session: &Session<'_>,
    wanted: &EnrollArgs,
    (valid_from, valid_until, services): &Bounds,
    named: &Named,
) -> Result<Made, Failure> {
    let user = names::user(&named.user)?;
    let device = device_of(named, wanted.device.as_deref())?;
    let device = device.unwrap_or_else(|| DeviceName::nth(1).to_string());
    let new = &wanted.new_key;
    let call = Enroll {
        user: Some(user.clone()),
        device: Some(device.clone()),
        alg: new.alg.map(|alg| alg.word().to_owned()),
        digits: new.digits,
        period: new.period,
        label: new.label.clone(),
        issuer: new.issuer.clone(),
        valid_from: *valid_from,
        valid_until: *valid_until,
        services: Some(services.clone()).filter(|services| !services.is_empty()),
        ..Enroll::default()
    };
    let has_account = has_account(&user);
    match session.call(&call) {
        Err(ClientError::Refused(Error::DeviceExists)) => {
            Ok(Made::There(Did::before(user, Some(device))))
        }
        answer => Ok(Made::Pending(
            Box::new(Enrolled::try_from(answer?)?),
            has_account,
        )),
    }
}

/// Writes the first part of the sheet of a pending device: it is on the disk before the device is
/// active.
fn with_sheet(sheets: Option<&Sheets>, mut tried: Tried<Made>) -> (Tried<Made>, Option<Sheet>) {
    let (Some(sheets), Ok(Made::Pending(new, _))) = (sheets, &tried.outcome) else {
        return (tried, None);
    };
    match sheets.begin(new) {
        Ok(sheet) => (tried, Some(sheet)),
        Err(failure) => {
            tried.outcome = Err(Failure::BadParameter(failure.to_string()));
            (tried, None)
        }
    }
}

/// Makes a pending device active. With the first device come recovery codes.
fn activated(
    session: &Session<'_>,
    made: Tried<Made>,
    sheet: Option<Sheet>,
) -> (Tried<Did>, Option<CodesLine>) {
    let Tried {
        line,
        user,
        outcome,
    } = made;
    let outcome = outcome.and_then(|made| match made {
        Made::There(did) => Ok((did, None)),
        Made::Pending(enrolled, _) => confirmed(session, &enrolled, sheet),
    });
    let (outcome, codes) = match outcome {
        Ok((did, codes)) => (Ok(did), codes),
        Err(failure) => (Err(failure), None),
    };
    let tried = Tried {
        line,
        user,
        outcome,
    };
    (tried, codes)
}

/// Sends a code of the new key; another one, if the time step has ended meanwhile.
fn confirmed(
    session: &Session<'_>,
    new: &Enrolled,
    sheet: Option<Sheet>,
) -> Result<(Did, Option<CodesLine>), Failure> {
    for _ in 0..TRIES {
        let reply = session.call(&Confirm {
            user: Some(new.user.clone()),
            device: Some(new.device.clone()),
            code: present_code(new)?,
            same_person: None,
        })?;
        if reply.verdict == Verdict::Accepted {
            if let Some(sheet) = sheet {
                sheet.end(new, (true, &reply.recovery_codes))?;
            }
            let codes = CodesLine::of(reply.user.clone(), reply.recovery_codes);
            return Ok((Did::now(reply.user, Some(reply.device)), codes));
        }
    }
    Err(Failure::BadParameter(NOT_ACTIVE.to_owned()))
}

fn present_code(new: &Enrolled) -> Result<SecretText, Failure> {
    let foreign = |why: String| Failure::Daemon(ClientError::Protocol(why));
    let key = Key::from_base32(new.key.expose())?;
    let alg = new.alg.parse().map_err(|_| foreign(new.alg.clone()))?;
    let period = new.period.unwrap_or(Parameters::default().period);
    let parameters = Parameters::for_new_device(alg, new.digits, period);
    let parameters = parameters.map_err(|bad| foreign(bad.to_string()))?;
    let code = parameters.code_at(&key, parameters.step_at(now()));
    Ok(SecretText::typed(code.as_bytes()))
}

fn warn_without_accounts(output: &Output, made: &[Tried<Made>]) {
    for tried in made {
        if let Ok(Made::Pending(new, false)) = &tried.outcome {
            warn_without_account(output, tried.line, &new.user);
        }
    }
}

/// The folder of --sheets.
fn new_folder(wanted: &EnrollArgs) -> Result<Option<Sheets>, Failure> {
    let language = language_of_sheets(wanted);
    let folder = wanted.sheets.as_deref();
    folder
        .map(|folder| Sheets::create(folder, language))
        .transpose()
}

/// The language of --lang, or of the locale.
pub(in crate::commands) fn language_of_sheets(wanted: &EnrollArgs) -> Language {
    Language::of(wanted.lang, |name| std::env::var(name).ok())
}

/// Where keys and recovery codes go, one object a line.
enum Keys<'a> {
    File(NewFile),
    Output(&'a Output),
    /// The sheets alone have them.
    Nowhere,
}

impl<'a> Keys<'a> {
    fn new(output: &'a Output, wanted: &EnrollArgs) -> Result<Self, Failure> {
        match (wanted.keys.as_deref(), &wanted.sheets) {
            (Some(path), _) => Ok(Self::File(NewFile::create(path)?)),
            (None, Some(_)) => Ok(Self::Nowhere),
            (None, None) => {
                output.will_hold_secrets();
                Ok(Self::Output(output))
            }
        }
    }

    /// Writes the keys of a batch, and returns only when a file has them on the disk.
    fn write_keys(&mut self, made: &[Tried<Made>]) -> Result<(), Failure> {
        let pending = made.iter().filter_map(|tried| match &tried.outcome {
            Ok(Made::Pending(new, _)) => Some(&**new),
            _ => None,
        });
        self.write(pending.map(KeyLine::of))
    }

    fn write_codes(&mut self, codes: impl Iterator<Item = CodesLine>) -> Result<(), Failure> {
        self.write(codes)
    }

    fn write(&mut self, lines: impl Iterator<Item = impl serde::Serialize>) -> Result<(), Failure> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Output(output) => lines.into_iter().try_for_each(|line| output.line(&line)),
            Self::File(file) => {
                let mut is_new = false;
                for line in lines {
                    file.append(&crate::render::json(&line)?)?;
                    is_new = true;
                }
                if is_new { file.keep() } else { Ok(()) }
            }
        }
    }
}

/// Devices with sheets that are made together: each has two open files.
const SHEETS: usize = 64;
const TRIES: u32 = 2;
const NOT_ACTIVE: &str = "the daemon did not accept the first code, so the device stays pending: see 'totpctl status' for its clock, and \
    run the same list again";
