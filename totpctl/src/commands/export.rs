//! `export passlib`: the devices of some users or all, a record a line, as `import passlib` takes them.

use common::wire::protocol::{Export, List};
use common::wire::text::printable;

use super::show::users;
use super::{Context, concerns_all, names};
use crate::exit::{Exit, Failure};
use crate::render::passlib::{ExportedLine, LineFailure};

/// Exports the users that are named, or everybody. A user that cannot be exported stops no other.
pub(super) fn passlib(context: &Context<'_>, users: &[String]) -> Result<Exit, Failure> {
    let users = if users.is_empty() { all_users(context)? } else { checked(users)? };
    let (mut exit, mut records, mut failed) = (Exit::Done, 0_usize, 0_usize);
    for user in &users {
        match export(context, user) {
            Ok(count) => records = records.saturating_add(count),
            Err(failure) if concerns_all(&failure) => return Err(failure),
            Err(failure) => {
                context.report(&LineFailure::new(None, Some(user.clone()), &failure))?;
                failed = failed.saturating_add(1);
                exit = if exit == Exit::Done { failure.code().1 } else { exit };
            }
        }
    }
    context.output.note(&format!("{records} exported, {failed} failed; the records hold keys: keep them private"));
    Ok(exit)
}

/// Every name, before anything is printed: a list that is cut off must not look whole.
fn all_users(context: &Context<'_>) -> Result<Vec<String>, Failure> {
    Ok(users(context, &List::default())?.into_iter().map(|user| user.user).collect())
}

fn checked(users: &[String]) -> Result<Vec<String>, Failure> {
    users.iter().map(|user| names::user(user)).collect()
}

/// Prints a user's records. Returns how many there are.
fn export(context: &Context<'_>, user: &str) -> Result<usize, Failure> {
    let reply = context.daemon.call_slowly(&Export { user: user.to_owned() })?;
    for exported in &reply.records {
        context.output.line(&ExportedLine::new(&reply.user, exported))?;
    }
    for device in &reply.left_out {
        let (user, device) = (printable(&reply.user), printable(device));
        context.output.note(&format!("{user}: device '{device}' was not exported: passlib has no HOTP devices"));
    }
    Ok(reply.records.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_before_anything_is_printed() {
        assert_eq!(checked(&["alice".into(), "bob".into()]).unwrap(), ["alice", "bob"]);
        assert_eq!(checked(&["alice".into(), "a/b".into()]).unwrap_err().code().1, Exit::BadInput);
    }
}
