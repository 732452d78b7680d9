//! `gc`: users that have a record and no account any more. Disables them, and in a later run deletes
//! the records of those that are disabled.
//!
//! A directory that does not answer looks like a directory without users. So nothing is done while
//! the name service reports an error, or if more users are gone than usually leave.

use common::wire::protocol::{DeviceState, Forget, List, SetState, User};
use common::wire::text::printable;
use nix::unistd::{self, Uid};

use super::{Context, concerns_all, show};
use crate::cli::{GcArgs, Subject};
use crate::exit::{Exit, Failure};
use crate::render::moving::LineFailure;
use crate::render::{Gone, Step};

/// Finds the users, and with `--yes` disables or forgets them.
pub(super) fn run(context: &Context<'_>, wanted: &GcArgs) -> Result<Exit, Failure> {
    let users = show::users(context, &List::default())?;
    let all = users.len();
    let gone = without_account(users)?;
    let step = if wanted.forget {
        Step::Forget
    } else {
        Step::Disable
    };
    let (mut meant, others): (Vec<User>, Vec<User>) = gone
        .into_iter()
        .partition(|user| user.disabled == (step == Step::Forget));
    refuse_too_many(meant.len(), all, wanted.expect)?;
    let mut exit = Exit::Done;
    if wanted.yes {
        let asked = meant.len();
        meant = done(context, meant, step)?;
        if meant.len() < asked {
            exit = Exit::Refused;
        }
    }
    context.output.result(&Gone {
        users: meant.into_iter().map(|user| user.user).collect(),
        step,
        done: wanted.yes,
        others: others.len(),
    })?;
    Ok(exit)
}

/// The users without an account.
///
/// # Errors
/// The name service fails, of root or of any user.
fn without_account(users: Vec<User>) -> Result<Vec<User>, Failure> {
    match unistd::User::from_uid(Uid::from_raw(0)) {
        Ok(Some(_)) => {}
        Ok(None) => return Err(unknown("root", "it knows no uid 0")),
        Err(errno) => return Err(unknown("root", errno.desc())),
    }
    let mut gone = Vec::new();
    for user in users {
        match unistd::User::from_name(&user.user) {
            Ok(Some(_)) => {}
            Ok(None) => gone.push(user),
            Err(errno) => return Err(unknown(&user.user, errno.desc())),
        }
    }
    Ok(gone)
}

fn unknown(user: &str, why: &str) -> Failure {
    Failure::BadParameter(format!(
        "the name service does not say whether '{}' has an account ({why}), so nothing was changed: check with 'getent \
         passwd'",
        printable(user)
    ))
}

/// A machine whose directory is away lacks most of its users, or all of those.
fn refuse_too_many(gone: usize, all: usize, expected: Option<usize>) -> Result<(), Failure> {
    if let Some(expected) = expected.filter(|expected| *expected != gone) {
        return Err(Failure::BadParameter(format!(
            "--expect says {expected}, and {gone} users have no account, so nothing was changed: look at the list again"
        )));
    }
    let is_too_many = gone > A_FEW && gone.saturating_mul(100) > all.saturating_mul(MOST_PERCENT);
    if expected.is_none() && is_too_many {
        return Err(Failure::BadParameter(format!(
            "{gone} of {all} users have no account, which is more than {MOST_PERCENT} %, so nothing was changed: check that \
             the directory answers ('getent passwd USER'); if they really are gone, say so with --expect {gone}"
        )));
    }
    Ok(())
}

/// Disables or forgets the users. Returns those with whom it was done; the others are reported.
fn done(context: &Context<'_>, users: Vec<User>, step: Step) -> Result<Vec<User>, Failure> {
    let mut done = Vec::new();
    for user in users {
        match act(context, &user.user, step) {
            Ok(()) => done.push(user),
            Err(failure) if concerns_all(&failure) => return Err(failure),
            Err(failure) => {
                let subject = Subject {
                    user: Some(&user.user),
                    ..Subject::default()
                };
                let failure = failure.about(subject);
                let failed = LineFailure::new(None, Some(user.user.clone()), &failure);
                context.output.note(&failed.sentence());
            }
        }
    }
    Ok(done)
}

fn act(context: &Context<'_>, user: &str, step: Step) -> Result<(), Failure> {
    let user = user.to_owned();
    match step {
        Step::Disable => context
            .daemon
            .call(&SetState {
                user: Some(user),
                device: None,
                all: Some(true),
                state: DeviceState::Disabled,
                proof: None,
                same_person: None,
            })
            .map(drop)?,
        Step::Forget => context.daemon.call(&Forget { user }).map(drop)?,
    }
    Ok(())
}

/// So many users may be gone, whatever their share.
const A_FEW: usize = 5;
/// More of the users do not leave between two runs.
const MOST_PERCENT: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_five_percent_and_more_than_five_are_gone_only_if_that_is_said() {
        for (gone, all, expected, taken) in [
            (5, 5, None, true),
            (6, 6, None, false),
            (6, 119, None, false),
            (6, 120, None, true),
            (500, 10_000, None, true),
            (501, 10_000, None, false),
            (501, 10_000, Some(501), true),
            (501, 10_000, Some(500), false),
            (2, 10_000, Some(3), false),
        ] {
            let told = refuse_too_many(gone, all, expected);
            assert_eq!(told.is_ok(), taken, "{gone} of {all}: {told:?}");
        }
    }
}
