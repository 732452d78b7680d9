//! `enroll`: asks the daemon for a new device, shows its key, and asks for the first code; the
//! prompts for both.

use common::names::device::Kind;
use common::names::user::UserName;
use common::secret::{Key, SecretText};
use common::wire::protocol::{Confirm, DeviceState, Enroll, Verdict};
use common::wire::text::printable;

use super::Context;
use super::drawing::{PictureFiles, for_terminal};
use super::names::{self, Names};
use super::restrict::times_and_services;
use crate::age;
use crate::cli::{self, NO_SECRETS_HERE};
use crate::exit::{Exit, Failure};
use crate::render::{Enrolled, Render, recovery_codes, restrictions};
use crate::verdicts::{argument, confirmation};

/// Enrols a new device.
pub(super) fn run(context: &Context<'_>, wanted: &cli::EnrollArgs) -> Result<Exit, Failure> {
    let user = UserName::new(&wanted.user)?;
    let names = (
        Some(user.as_str().to_owned()),
        names::device(wanted.device.as_deref())?,
    );
    let key = wanted
        .key
        .as_deref()
        .map(|from| read_key(context, from))
        .transpose()?;
    context.warn_without_account(user.as_str());
    // Before the daemon makes the device: a file that cannot be created is an error in time.
    let pictures = PictureFiles::prepare(&wanted.pictures)?;
    let mut enrolled = ask_for_it(context, wanted, &names, key.as_ref())?;
    show_and_confirm(context, wanted, pictures, &mut enrolled)
        .inspect_err(|failure| tell_of_a_lost_key(context, &enrolled, failure))
}

/// Shows the key and asks for the first code. The device exists from here on, also after an error.
fn show_and_confirm(
    context: &Context<'_>,
    wanted: &cli::EnrollArgs,
    pictures: PictureFiles,
    enrolled: &mut Enrolled,
) -> Result<Exit, Failure> {
    // A program gets its answer at once and confirms later; a person at a terminal is asked even
    // with --json.
    let asks = !wanted.yes && (context.prompt.is_terminal() || !context.output.is_for_programs());
    let drawn = show(context, wanted, pictures, enrolled, asks)?;
    let confirmed = if asks {
        have_confirmed(context, enrolled, wanted.key.is_some())?
    } else {
        Exit::Done
    };
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

/// Reads the key of `--key -`, and checks it before totpctl sends it.
fn read_key(context: &Context<'_>, from: &str) -> Result<Key, Failure> {
    if from != "-" {
        return Err(Failure::Usage(NO_SECRETS_HERE));
    }
    let text = context
        .prompt
        .ask_hidden(KEY_PROMPT)?
        .ok_or(Failure::NoInput("a key"))?;
    Ok(Key::from_base32(text.expose())?)
}

/// Makes the call, and a second one with a proof if the daemon wants one.
fn ask_for_it(
    context: &Context<'_>,
    wanted: &cli::EnrollArgs,
    names: &Names,
    key: Option<&Key>,
) -> Result<Enrolled, Failure> {
    let (valid_from, valid_until, services) = times_and_services(&wanted.bounds)?;
    let reply = context.with_proof(|proof| {
        let services = Some(services.clone()).filter(|services| !services.is_empty());
        let call = request(wanted, names.clone(), key, proof);
        context.daemon.call(&Enroll {
            valid_from,
            valid_until,
            services,
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
    key: Option<&Key>,
    proof: Option<SecretText>,
) -> Enroll {
    Enroll {
        user,
        device,
        kind: wanted.kind.map(|kind| kind.word().to_owned()),
        alg: wanted.new_key.alg.map(|alg| alg.word().to_owned()),
        digits: wanted.new_key.digits,
        period: wanted.new_key.period,
        counter: wanted.counter,
        label: wanted.new_key.label.clone(),
        issuer: wanted.new_key.issuer.clone(),
        key: key.map(Key::to_base32),
        // Left out rather than false: only administrators may send it at all.
        active: wanted.yes.then_some(true),
        proof,
        age: age::in_milliseconds(),
        allow_weak: wanted.allow_weak.then_some(true),
        same_person: wanted.same_person.said(),
        ..Enroll::default()
    }
}

/// Shows the key on the terminal and in the files of --png and --svg. Returns whether all files are
/// drawn. A file that fails stops nothing: the device exists, and its key is shown only once.
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
    if let Err(failure) = &drawn {
        context.output.note(&failure.to_string());
    }
    Ok(drawn.is_ok())
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

const KEY_PROMPT: &str = "Key in base32 (typing is not shown): ";
const CODE_PROMPT: &str = "Code that the new device shows now: ";
/// For a key of --key: its current code may have been used elsewhere, so the daemon refuses it.
const NEXT_CODE_PROMPT: &str = "Code that the device shows next (not the current one): ";
const TRIES: u32 = 3;
