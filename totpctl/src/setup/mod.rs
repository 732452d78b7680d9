//! `setup`: makes a service ask for codes, with a rollback that comes by itself unless a new login
//! with a code confirms it.
//!
//! The order: read and plan (`plan`, `recipe`, `pam_edit`, `stack`), show (`diff`), check (`checks`), then arm
//! the rollback (`timer`, `record`) and write (`write`, `file`, `sshd`); later confirm (`proof`,
//! `session`) or put back (`put_back`). It judges no code: the daemon does.

mod boot;
mod checks;
pub(crate) mod file;
mod outcome;
mod pam_edit;
mod plan;
mod programs;
mod proof;
mod put_back;
mod recipe;
mod record;
mod session;
mod sshd;
mod stack;
mod timer;
mod write;

use std::time::Duration;

use self::boot::Instant;
use self::outcome::{Outcome, State};
use self::proof::Evidence;
use self::recipe::Recipe;
use self::record::{Change, Record, Records};
use crate::cli::{SetupArgs, Target};
use crate::commands::{Context, expect_root};
use crate::diff;
use crate::exit::{Exit, Failure};
use crate::table::now;

/// Runs the command.
pub(crate) fn run(context: &Context<'_>, wanted: &SetupArgs) -> Result<Exit, Failure> {
    expect_root("setup")?;
    match wanted.service {
        _ if wanted.confirm => confirm(context),
        _ if wanted.if_due => undo_if_due(context),
        service if wanted.undo => undo(context, service),
        Some(target) => set_up(context, target, wanted),
        // The command line demands a service here.
        None => Err(Failure::Usage(NO_SERVICE)),
    }
}

fn set_up(context: &Context<'_>, target: Target, wanted: &SetupArgs) -> Result<Exit, Failure> {
    let group = wanted.exempt_group.clone();
    let recipe = Recipe::new(target, wanted.mode, group, wanted.nullok)?;
    let files = plan::of(&recipe)?;
    context.output.page(&shown(&files))?;
    if wanted.dry_run {
        return Ok(Exit::Done);
    }
    checks::has_rollback(wanted)?;
    checks::module_is_installed()?;
    stack::check(&recipe, &files)?;
    let user = checks::confirming_user(context, target, wanted)?;
    if target == Target::Sshd {
        sshd::check().map_err(Failure::SetUp)?;
    }
    is_free(&Records::open()?, target)?;
    if !wanted.yes && !is_meant(context)? {
        return Err(Failure::Usage(NOT_MEANT));
    }
    let records = Records::open()?;
    is_free(&records, target)?;
    let mut record = Record::new(target, user, recipe.include(), recipe.place())?;
    record.due = (!wanted.no_rollback).then(|| record.begun.later(TIME));
    record.last_event = context.last_event()?;
    record.files = files;
    write::carry_out(&records, &record, &recipe)?;
    let until = record
        .due
        .as_ref()
        .map(|_| now().saturating_add(TIME.as_secs()));
    let outcome = Outcome::new(&record, State::Armed).until(until);
    context.output.result(&outcome)?;
    Ok(Exit::Done)
}

/// The changes as a diff.
fn shown(files: &[Change]) -> String {
    let diff = |change: &Change| {
        let before = change.before.as_ref().map(|content| content.text.as_str());
        diff::diff(&change.path.to_string_lossy(), before, &change.after.text)
    };
    files.iter().map(diff).collect()
}

/// One set-up at a time waits for its confirmation, and a service has one at most.
fn is_free(records: &Records, target: Target) -> Result<(), Failure> {
    if let Some(other) = records.armed()? {
        let service = other.target;
        return Err(Failure::SetUp(format!(
            "the set-up of {service} is not confirmed yet: first run '{}' in a new login, or 'totpctl setup --undo'",
            outcome::confirm_command(service)
        )));
    }
    match records.confirmed(target)? {
        None => Ok(()),
        Some(_) => Err(Failure::SetUp(format!(
            "{target} is set up already: to change it, first run 'totpctl setup {target} --undo'"
        ))),
    }
}

fn is_meant(context: &Context<'_>) -> Result<bool, Failure> {
    let typed = context.prompt.ask("Write these changes? Type yes: ")?;
    Ok(typed.is_some_and(|typed| typed.expose() == "yes"))
}

/// Keeps the set-up, if this session came in through it with a code.
fn confirm(context: &Context<'_>) -> Result<Exit, Failure> {
    let records = Records::open()?;
    let Some(record) = records.armed()? else {
        return Err(Failure::SetUp(NOTHING_ARMED.to_owned()));
    };
    let at = Instant::now()?;
    if record.due.as_ref().is_some_and(|due| due.has_passed(&at)) {
        return Err(Failure::SetUp(TOO_LATE.to_owned()));
    }
    let evidence = Evidence {
        events: &context.events_about(&record.user)?,
        ancestors: &session::ancestors(),
        booted: now().saturating_sub(at.milliseconds / 1000),
    };
    proof::check(&record, &evidence).map_err(Failure::SetUp)?;
    records.confirm(record.target)?;
    for change in &record.files {
        file::Location::open(&change.path)?.clear()?;
    }
    timer::disarm()?;
    context
        .output
        .result(&Outcome::new(&record, State::Confirmed))?;
    Ok(Exit::Done)
}

/// What the timer runs, and the next boot.
fn undo_if_due(context: &Context<'_>) -> Result<Exit, Failure> {
    let records = Records::open()?;
    let Some(record) = records.armed()? else {
        timer::disarm()?;
        return Ok(Exit::Done);
    };
    let at = Instant::now()?;
    match &record.due {
        Some(due) if due.has_passed(&at) => take_back(context, &records, &record),
        _ => Ok(Exit::Done),
    }
}

fn undo(context: &Context<'_>, service: Option<Target>) -> Result<Exit, Failure> {
    let records = Records::open()?;
    let armed = records.armed()?;
    let record = match (service, armed) {
        (None, Some(armed)) => armed,
        (Some(target), Some(armed)) if armed.target == target => armed,
        (Some(target), _) => records.confirmed(target)?.ok_or_else(|| {
            Failure::SetUp(format!(
                "setup has not changed {target}: there is nothing to take back"
            ))
        })?,
        (None, None) => the_only(records.all_confirmed()?)?,
    };
    take_back(context, &records, &record)
}

fn the_only(mut confirmed: Vec<Record>) -> Result<Record, Failure> {
    match (confirmed.pop(), confirmed.is_empty()) {
        (None, _) => Err(Failure::SetUp(NOTHING_TO_UNDO.to_owned())),
        (Some(record), true) => Ok(record),
        (Some(_), false) => Err(Failure::SetUp(SEVERAL.to_owned())),
    }
}

fn take_back(context: &Context<'_>, records: &Records, record: &Record) -> Result<Exit, Failure> {
    let changed = put_back::all(record)?;
    records.forget(record.target)?;
    if records.armed()?.is_none() {
        timer::disarm()?;
    }
    let exit = if changed.is_empty() {
        Exit::Done
    } else {
        Exit::Refused
    };
    let outcome = Outcome::new(record, State::Undone).with_changed(changed);
    context.output.result(&outcome)?;
    Ok(exit)
}

/// How long a set-up waits for its confirmation: time for a login, and for a second try.
const TIME: Duration = Duration::from_secs(600);
const NO_SERVICE: &str = "name a service: sshd, sudo, su or login";
const NOT_MEANT: &str = "nothing was changed: type 'yes' to go on, or give --yes";
const NOTHING_ARMED: &str = "no set-up waits for a confirmation: it was taken back because its time had passed, or confirmed before; \
    'journalctl -u pam-totp-setup-undo' says which";
const TOO_LATE: &str = "its time has passed, and it is being taken back: set it up again, and log in within ten minutes";
const NOTHING_TO_UNDO: &str =
    "setup has changed nothing on this machine: there is nothing to take back";
const SEVERAL: &str = "several services are set up: name the one that is to be taken back, as in 'totpctl setup sudo --undo'";
