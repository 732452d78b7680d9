//! `export passlib`: the devices of some users or all, a record a line, as `import passlib` takes them.

use common::client::ClientError;
use common::protocol::{Error, Export, List};
use common::text::printable;
use common::user::UserName;

use super::Context;
use crate::exit::{Exit, Failure};
use crate::render::lineage::{ExportedLine, LineFailure};

/// Exports the users that are named, or everybody. A user that cannot be exported stops no other.
pub(super) fn passlib(context: &Context<'_>, users: &[String]) -> Result<Exit, Failure> {
    let users = if users.is_empty() { everybody(context)? } else { checked(users)? };
    let (mut exit, mut records, mut failed) = (Exit::Done, 0_usize, 0_usize);
    for user in &users {
        match export(context, user) {
            Ok(count) => records = records.saturating_add(count),
            Err(failure) if !concerns_this_user(&failure) => return Err(failure),
            Err(failure) => {
                report(context, user, &failure)?;
                failed = failed.saturating_add(1);
                exit = if exit == Exit::Done { failure.code().1 } else { exit };
            }
        }
    }
    context.screen.note(&format!("{records} exported, {failed} failed; these are keys: keep them to yourself"));
    Ok(exit)
}

/// Every name, before anything is printed: a list that is cut off must not look whole.
fn everybody(context: &Context<'_>) -> Result<Vec<String>, Failure> {
    let replies = match context.daemon.call_more(&List::default()) {
        // A call has at least one reply, so a list of nobody can only come as an error.
        Err(ClientError::Refused(Error::NoSuchUser)) => Vec::new(),
        answer => answer?,
    };
    Ok(replies.into_iter().map(|reply| reply.user.user).collect())
}

fn checked(users: &[String]) -> Result<Vec<String>, Failure> {
    users.iter().map(|user| Ok(UserName::new(user)?.as_str().to_owned())).collect()
}

/// Prints a user's records. Returns how many there are.
fn export(context: &Context<'_>, user: &str) -> Result<usize, Failure> {
    let reply = context.daemon.call_slowly(&Export { user: user.to_owned() })?;
    for exported in &reply.records {
        context.screen.line(&ExportedLine::new(&reply.user, exported))?;
    }
    for device in &reply.left_out {
        let (user, device) = (printable(&reply.user), printable(device));
        context.screen.note(&format!("{user}: '{device}' is left out: passlib knows no device of the kind hotp"));
    }
    Ok(reply.records.len())
}

fn concerns_this_user(failure: &Failure) -> bool {
    let Failure::Daemon(ClientError::Refused(error)) = failure else { return false };
    !matches!(error, Error::PermissionDenied | Error::StoreUnavailable | Error::Varlink(_))
}

fn report(context: &Context<'_>, user: &str, failure: &Failure) -> Result<(), Failure> {
    let failed = LineFailure::new(None, Some(user.to_owned()), failure);
    context.screen.note(&failed.sentence());
    if context.screen.is_for_programs() { context.screen.line(&failed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_cannot_be_exported_stops_no_other() {
        for error in [Error::NoSuchUser, Error::RecordDamaged, Error::Busy] {
            assert!(concerns_this_user(&ClientError::from(error).into()));
        }
        assert!(!concerns_this_user(&ClientError::from(Error::PermissionDenied).into()));
        assert!(!concerns_this_user(&ClientError::Deadline.into()));
    }

    #[test]
    fn names_are_judged_before_anything_is_printed() {
        assert_eq!(checked(&["alice".into(), "bob".into()]).unwrap(), ["alice", "bob"]);
        assert_eq!(checked(&["alice".into(), "a/b".into()]).unwrap_err().code().1, Exit::BadInput);
    }
}
