//! `enroll`: asks the daemon for a new device, shows its key, and asks for the first code; the
//! prompts for both.

use common::lineage::record::{KeyRecord, StoredKey};
use common::lineage::uri::SCHEME;
use common::names::device::Kind;
use common::otpauth::Label;
use common::secret::{Key, SecretText};
use common::totp::Parameters;
use common::wire::protocol::{Confirm, DeviceState, Enroll, Verdict};
use common::wire::text::printable;

use super::drawing::{PictureFiles, for_terminal};
use super::names::{self, Names};
use super::restrict::times_and_services;
use super::{Context, lists};
use crate::age;
use crate::cli::{self, NO_SECRETS_HERE};
use crate::exit::{Exit, Failure};
use crate::render::{Enrolled, Render, recovery_codes, restrictions};
use crate::sheet::Sheet;
use crate::verdicts::{argument, confirmation};

/// Enrols a new device.
pub(super) fn run(context: &Context<'_>, wanted: &cli::EnrollArgs) -> Result<Exit, Failure> {
    if let Some(list) = &wanted.list.users {
        return lists::enroll(context, list, wanted);
    }
    let names = (
        wanted.user.name()?,
        names::device(wanted.device.as_deref())?,
    );
    let given = wanted
        .key
        .as_deref()
        .map(|from| read_key(context, wanted, from))
        .transpose()?;
    if let Some(user) = &names.0 {
        context.warn_without_account(user);
    }
    // Before the daemon makes the device: a file that cannot be created is an error in time.
    let pictures = PictureFiles::prepare(&wanted.pictures)?;
    let sheet = new_sheet(wanted)?;
    let mut enrolled = ask_for_it(context, wanted, &names, given.as_ref())?;
    show_and_confirm(context, wanted, (pictures, sheet), &mut enrolled)
        .inspect_err(|failure| tell_of_a_lost_key(context, &enrolled, failure))
}

/// Shows the key and asks for the first code. The device exists from here on, also after an error.
fn show_and_confirm(
    context: &Context<'_>,
    wanted: &cli::EnrollArgs,
    (pictures, mut sheet): (PictureFiles, Option<Sheet>),
    enrolled: &mut Enrolled,
) -> Result<Exit, Failure> {
    // A program gets its answer at once and confirms later; a person at a terminal is asked even
    // with --json.
    let asks = !wanted.yes && (context.prompt.is_terminal() || !context.output.is_for_programs());
    context.output.will_hold_secrets();
    let mut drawn = show(context, wanted, pictures, enrolled, asks)?;
    drawn &= noted(context, begin_sheet(&mut sheet, enrolled));
    let confirmed = if asks {
        have_confirmed(context, enrolled, wanted.key.is_some())
    } else {
        Ok(Exit::Done)
    };
    drawn &= noted(context, end_sheet(sheet, enrolled));
    let confirmed = confirmed?;
    context.output.result(enrolled)?;
    if !context.output.is_for_programs() {
        context
            .output
            .page(&recovery_codes(&enrolled.user, &enrolled.recovery_codes))?;
    }
    Ok(if confirmed == Exit::Done && !drawn {
        Exit::Refused
    } else {
        confirmed
    })
}

/// The file of --sheet.
fn new_sheet(wanted: &cli::EnrollArgs) -> Result<Option<Sheet>, Failure> {
    let language = lists::language_of_sheets(wanted);
    let path = wanted.sheet.as_deref();
    path.map(|path| Sheet::create(path, language)).transpose()
}

fn begin_sheet(sheet: &mut Option<Sheet>, enrolled: &Enrolled) -> Result<(), Failure> {
    match sheet {
        Some(sheet) => sheet.begin(enrolled),
        None => Ok(()),
    }
}

fn end_sheet(sheet: Option<Sheet>, enrolled: &Enrolled) -> Result<(), Failure> {
    let is_active = enrolled.state == DeviceState::Active;
    match sheet {
        Some(sheet) => sheet.end(enrolled, (is_active, &enrolled.recovery_codes)),
        None => Ok(()),
    }
}

/// Whether it was done. A file that fails stops nothing: the device exists, and its key is shown
/// only once.
fn noted(context: &Context<'_>, done: Result<(), Failure>) -> bool {
    if let Err(failure) = &done {
        context.output.note(&failure.to_string());
    }
    done.is_ok()
}

/// What `--key -` reads: a key, or a URI that says more about it.
struct Given {
    key: Key,
    said: Option<(Parameters, Option<Label>, Option<Label>)>,
}

/// Reads the key of `--key -`, and checks it before totpctl sends it.
fn read_key(context: &Context<'_>, wanted: &cli::EnrollArgs, from: &str) -> Result<Given, Failure> {
    if from != "-" {
        return Err(Failure::Usage(NO_SECRETS_HERE));
    }
    let text = context
        .prompt
        .ask_hidden(KEY_PROMPT)?
        .ok_or(Failure::NoInput("a key"))?;
    let text = text.expose().trim();
    if !text.starts_with(SCHEME) {
        let key = Key::from_base32(text)?;
        return Ok(Given { key, said: None });
    }
    let options = &wanted.new_key;
    let says_it_again = options.alg.is_some()
        || options.digits.is_some()
        || options.period.is_some()
        || wanted.kind == Some(Kind::Hotp)
        || wanted.counter.is_some();
    if says_it_again {
        return Err(Failure::Usage(THE_URI_SAYS_IT));
    }
    let record = KeyRecord::parse(text)?;
    let StoredKey::Plain(key) = record.key else {
        return Err(Failure::Usage(THE_URI_SAYS_IT));
    };
    Ok(Given {
        key,
        said: Some((record.parameters, record.label, record.issuer)),
    })
}

/// Makes the call, and a second one with a proof if the daemon wants one.
fn ask_for_it(
    context: &Context<'_>,
    wanted: &cli::EnrollArgs,
    names: &Names,
    given: Option<&Given>,
) -> Result<Enrolled, Failure> {
    let (valid_from, valid_until, services) = times_and_services(&wanted.bounds)?;
    // Not by a script that was started twice: a key is given, or a user answers at a terminal.
    let is_meant = given.is_some() || !wanted.yes && context.prompt.is_terminal();
    let reply = context.with_proof(|proof| {
        let services = Some(services.clone()).filter(|services| !services.is_empty());
        let call = request(wanted, names.clone(), given, proof);
        context.daemon.call(&Enroll {
            valid_from,
            valid_until,
            services,
            age: began_ago(is_meant),
            ..call
        })
    })?;
    let mut enrolled = Enrolled::try_from(reply)?;
    enrolled.restrictions = restrictions(valid_from, valid_until, &services);
    Ok(enrolled)
}

/// After an error of standard output: the key cannot be shown again, so the user should revoke the
/// device.
fn tell_of_a_lost_key(context: &Context<'_>, enrolled: &Enrolled, failure: &Failure) {
    if matches!(failure, Failure::Writing(_)) {
        let (device, command) = (printable(&enrolled.device), argument(&enrolled.user));
        let lost = format!(
            "the device exists, but its key may not have been shown; to revoke it: totpctl revoke {command}"
        );
        context.output.note(&format!("{lost} --device {device}"));
    }
}

/// The call. A second try with a proof needs a new one, because secrets are not copied.
fn request(
    wanted: &cli::EnrollArgs,
    (user, device): Names,
    given: Option<&Given>,
    proof: Option<SecretText>,
) -> Enroll {
    let (parameters, label, issuer) = match given.and_then(|given| given.said.as_ref()) {
        Some((parameters, label, issuer)) => (Some(*parameters), label.as_ref(), issuer.as_ref()),
        None => (None, None, None),
    };
    let options = &wanted.new_key;
    let said = |option: &Option<String>, by_uri: Option<&Label>| {
        let by_uri = || by_uri.map(|label| label.as_str().to_owned());
        option.clone().or_else(by_uri)
    };
    Enroll {
        user,
        device,
        kind: wanted.kind.map(|kind| kind.word().to_owned()),
        alg: parameters
            .map(|said| said.alg)
            .or(options.alg)
            .map(|alg| alg.word().to_owned()),
        digits: parameters.map(|said| said.digits).or(options.digits),
        period: parameters.map(|said| said.period).or(options.period),
        counter: wanted.counter,
        label: said(&options.label, label),
        issuer: said(&options.issuer, issuer),
        key: given.map(|given| given.key.to_base32()),
        // Left out rather than false: only administrators may send it at all.
        active: wanted.yes.then_some(true),
        proof,
        allow_weak: wanted.allow_weak.then_some(true),
        same_person: wanted.same_person.said(),
        ..Enroll::default()
    }
}

/// How long ago the enrolment began, in milliseconds: with this program, or, unless it is meant on
/// its own, five seconds before. Of programs that a script starts together, a busy machine starts
/// the last one when the first has ended.
fn began_ago(is_meant: bool) -> Option<u64> {
    let before = if is_meant { 0 } else { HELD_UP };
    Some(age::in_milliseconds()?.saturating_add(before))
}

const HELD_UP: u64 = 5000;

/// Shows the key on the terminal and in the files of --png and --svg. Returns whether all files are
/// drawn.
fn show(
    context: &Context<'_>,
    wanted: &cli::EnrollArgs,
    pictures: PictureFiles,
    enrolled: &Enrolled,
    asks: bool,
) -> Result<bool, Failure> {
    let drawn = pictures.draw(context.output, &enrolled.uri);
    if asks || !context.output.is_for_programs() {
        context.output.page(
            &enrolled.page(for_terminal(context, wanted.pictures.qr, &enrolled.uri).as_ref()),
        )?;
    }
    Ok(noted(context, drawn))
}

/// Asks for the first code. If the daemon does not answer, the result is still printed.
fn have_confirmed(
    context: &Context<'_>,
    enrolled: &mut Enrolled,
    taken_over: bool,
) -> Result<Exit, Failure> {
    let later = taken_over && enrolled.kind == Kind::Totp;
    let prompt = if later { NEXT_CODE_PROMPT } else { CODE_PROMPT };
    let first = confirm(context, enrolled, prompt)
        .inspect_err(|_| drop(context.output.page(&enrolled.people())))?;
    match first {
        First::Right(recovery_codes) => {
            (enrolled.state, enrolled.recovery_codes) = (DeviceState::Active, recovery_codes);
            Ok(Exit::Done)
        }
        First::Wrong => Ok(Exit::Refused),
        First::Missing => no_code_came(context, enrolled),
    }
}

/// Standard input ended before a code. A program still gets the result, because the key is shown
/// only once; a person has seen the key.
fn no_code_came(context: &Context<'_>, enrolled: &Enrolled) -> Result<Exit, Failure> {
    let failure = Failure::Unconfirmed {
        user: enrolled.user.clone(),
        device: enrolled.device.clone(),
    };
    if !context.output.is_for_programs() {
        return Err(failure);
    }
    context.output.note(&failure.to_string());
    Ok(failure.code().1)
}

/// The outcome of asking for the first code.
enum First {
    /// The code was right. The daemon may have sent recovery codes.
    Right(Vec<SecretText>),
    /// Every typed code was wrong.
    Wrong,
    /// The user typed nothing.
    Missing,
}

/// Asks for the first code until it is right, the tries are used up or standard input ends.
fn confirm(context: &Context<'_>, enrolled: &Enrolled, prompt: &str) -> Result<First, Failure> {
    let mut outcome = First::Missing;
    for _ in 0..TRIES {
        let Some(code) = context.prompt.ask(prompt)? else {
            break;
        };
        outcome = First::Wrong;
        let (user, device) = (Some(enrolled.user.clone()), Some(enrolled.device.clone()));
        let reply = context.daemon.call(&Confirm {
            user,
            device,
            code,
            same_person: None,
        })?;
        if reply.verdict == Verdict::Accepted {
            return Ok(First::Right(reply.recovery_codes));
        }
        context.output.note(&confirmation(
            &enrolled.user,
            &enrolled.device,
            reply.verdict,
        ));
    }
    Ok(outcome)
}

const KEY_PROMPT: &str = "Key in base32, or otpauth:// URI (typing is not shown): ";
const THE_URI_SAYS_IT: &str = "the otpauth:// URI says itself how its codes are made: leave out --kind, --alg, --digits, --period and \
    --counter";
const CODE_PROMPT: &str = "Code that the new device shows now: ";
/// For a key of --key: its current code may have been used elsewhere, so the daemon refuses it.
const NEXT_CODE_PROMPT: &str = "Code that the device shows next (not the current one): ";
const TRIES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enrolment_of_a_script_began_five_seconds_before_its_program() {
        let meant = began_ago(true).unwrap();
        assert!(began_ago(false).unwrap() >= meant + HELD_UP);
    }
}
