//! `try`: plays logins through a service's real stack, and prints whether the module was asked.

use std::path::Path;

use common::wire::protocol::{Ask, Challenge};
use common::wire::text::printable;
use pam_stack::{Circumstances, Disk, Folders, check, read};

use super::doctor::expect_service;
use super::{Context, expect_root, names};
use crate::cli::TryArgs;
use crate::exit::{Exit, Failure};
use crate::render::Tried;
use crate::stack_try::{Asked, Ground, Login, Outcome, Played, Step, judge};
use crate::table::wrapped;

/// Plays the login without a code, then with one. The first play that shows something ends it.
pub(super) fn run(context: &Context<'_>, wanted: &TryArgs) -> Result<Exit, Failure> {
    expect_root("try")?;
    names::user(&wanted.user)?;
    expect_service(&wanted.service)?;
    context.warn_without_account(&wanted.user);
    // Without the daemon nothing could tell whether the module was asked.
    let ground = ground(context, wanted)?;
    let login = Login::new(wanted)?;
    for step in [Step::WithoutCode, Step::WithCode] {
        context.output.page(&told_before(step, wanted))?;
        let played = play(context, wanted, &login, step)?;
        if let Some(outcome) = judge(step, &played, &ground) {
            return finish(context, wanted, outcome);
        }
    }
    // The play with a code always shows something.
    Err(Failure::Usage(UNDECIDED))
}

fn ground(context: &Context<'_>, wanted: &TryArgs) -> Result<Ground, Failure> {
    let asked = context.daemon.call(&Challenge {
        user: wanted.user.clone(),
        service: wanted.service.clone(),
        rhost: wanted.rhost.clone(),
        tty: wanted.tty.clone(),
        options: None,
    })?;
    let stack = read(&wanted.service, &Disk, &Folders::of_machine(Path::new("/")));
    let findings = check(&stack, Circumstances::default());
    let is_unenrolled = asked.enrolled == Some(false) && asked.ask != Ask::Nothing;
    Ok(Ground::new(&stack, &findings, is_unenrolled))
}

fn play(
    context: &Context<'_>,
    wanted: &TryArgs,
    login: &Login<'_>,
    step: Step,
) -> Result<Played, Failure> {
    let before = context.last_event()?;
    let ended = login.play(step, &context.prompt, context.output)?;
    let pid = std::process::id();
    let events = context.events_about(&wanted.user)?;
    let new = events.iter().filter(|event| event.number > before);
    let asked: Vec<Asked> = new.filter_map(|event| Asked::by(pid, event)).collect();
    // The module asks again after a wrong code: that one has been judged.
    if ended.ran_dry && asked.is_empty() {
        return Err(Failure::NoInput("an answer to the stack's question"));
    }
    Ok(Played {
        codes: ended.codes,
        asked,
    })
}

fn finish(context: &Context<'_>, wanted: &TryArgs, outcome: Outcome) -> Result<Exit, Failure> {
    let tried = Tried::new(&wanted.user, &wanted.service, outcome);
    context.output.result(&tried)?;
    Ok(tried.exit())
}

fn told_before(step: Step, wanted: &TryArgs) -> String {
    let (user, service) = (printable(&wanted.user), printable(&wanted.service));
    let told = match step {
        Step::WithoutCode => format!(
            "1. {service} without a code, which must be refused. Answer as {user} would; where a code is asked for, \
             type nothing and press Enter."
        ),
        Step::WithCode => {
            "2. Without a code it was refused, and the daemon had been asked. Now with a code."
                .to_owned()
        }
    };
    wrapped(&told, "")
}

const UNDECIDED: &str = "the plays show nothing: run 'totpctl doctor'";
