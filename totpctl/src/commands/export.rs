//! `export passlib`: prints the devices of some or all users, one record per line, in the format of
//! `import passlib`.

use common::wire::protocol::{Export, List};
use common::wire::text::printable;

use super::show::users;
use super::{Context, concerns_all, names};
use crate::exit::{Exit, Failure};
use crate::render::moving::{ExportedLine, LineFailure};

/// Exports the named users, or all. A user that cannot be exported does not stop the others.
pub(super) fn passlib(context: &Context<'_>, users: &[String]) -> Result<Exit, Failure> {
    let users = if users.is_empty() {
        all_users(context)?
    } else {
        checked(users)?
    };
    let (mut exit, mut records, mut failed) = (Exit::Done, 0_usize, 0_usize);
    for user in &users {
        match export(context, user) {
            Ok(count) => records = records.saturating_add(count),
            Err(failure) if concerns_all(&failure) => return Err(failure),
            Err(failure) => {
                context.report(&LineFailure::new(None, Some(user.clone()), &failure))?;
                failed = failed.saturating_add(1);
                exit = if exit == Exit::Done {
                    failure.code().1
                } else {
                    exit
                };
            }
        }
    }
    context.output.note(&format!(
        "{records} exported, {failed} failed; the records hold keys: keep them private"
    ));
    Ok(exit)
}

/// The names of all users, before anything is printed: an incomplete export must not look complete.
fn all_users(context: &Context<'_>) -> Result<Vec<String>, Failure> {
    Ok(users(context, &List::default())?
        .into_iter()
        .map(|user| user.user)
        .collect())
}

fn checked(users: &[String]) -> Result<Vec<String>, Failure> {
    users.iter().map(|user| names::user(user)).collect()
}

/// Prints a user's records. Returns their number.
fn export(context: &Context<'_>, user: &str) -> Result<usize, Failure> {
    let reply = context.daemon.call_slowly(&Export {
        user: user.to_owned(),
    })?;
    if !reply.records.is_empty() {
        context.output.will_hold_secrets();
    }
    for exported in &reply.records {
        context
            .output
            .line(&ExportedLine::new(&reply.user, exported))?;
    }
    for device in &reply.left_out {
        let (user, device) = (printable(&reply.user), printable(device));
        context.output.note(&format!(
            "{user}: device '{device}' was not exported: passlib has no HOTP devices"
        ));
    }
    Ok(reply.records.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_before_anything_is_printed() {
        assert_eq!(
            checked(&["alice".into(), "bob".into()]).unwrap(),
            ["alice", "bob"]
        );
        assert_eq!(
            checked(&["alice".into(), "a/b".into()])
                .unwrap_err()
                .code()
                .1,
            Exit::BadInput
        );
    }
}
