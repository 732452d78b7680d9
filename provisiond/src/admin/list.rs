//! `List`: all users, the users of a group, or the users without an active device.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::names::user::UserName;
use common::wire::protocol::{Error, List, ShowReply};

use crate::admin::show::{shown, shown_damaged};
use crate::identity::names::NoAnswer;
use crate::identity::resolved::Named;
use crate::record::Record;
use crate::records::Listed;
use crate::service::Service;
use crate::service::call::Call;

/// `List`: hands every matching user to `take`, ordered by name; after them the members of the
/// group without a record.
///
/// # Errors
/// [`Error::StoreUnavailable`]; [`Error::BadParameter`] if the name service does not list the
/// group; the errors of `take`.
pub(crate) fn list<E: From<Error>>(
    service: &Service,
    call: &Call<'_>,
    wish: &List,
    mut take: impl FnMut(ShowReply) -> Result<(), E>,
) -> Result<(), E> {
    let not_enrolled = wish.not_enrolled.unwrap_or(false);
    let mut left = members(call, wish.group.as_deref())?;
    let mut after = None;
    // A name service that answers late leaves out whose uid a record belongs to, and no user.
    let names = call.names.until(patience());
    loop {
        let page = service
            .records
            .page(after.as_ref(), &call.settings.secrets)
            .map_err(|_| Error::StoreUnavailable)?;
        let Some(last) = page.last() else { break };
        after = Some(last.user.clone());
        for listed in page {
            let counts = left.remove(listed.user.as_str())
                || is_in(service, call, &listed.user, wish.group.as_deref())?;
            if counts && !(not_enrolled && has_active(&listed)) {
                let user = match &listed.record {
                    Ok(record) => {
                        let account = names.by_name(&listed.user).ok().flatten();
                        shown(&listed.user, record, account.as_ref(), call)
                    }
                    Err(_) => shown_damaged(&listed.user),
                };
                take(ShowReply { user })?;
            }
        }
    }
    // A member whose name is no valid user name cannot log in, and is left out.
    for user in left.iter().filter_map(|user| UserName::new(user).ok()) {
        if is_listed_in_lower_case(service, call, &user) {
            continue;
        }
        take(ShowReply {
            user: shown(&user, &Record::new(&call.moment), None, call),
        })?;
    }
    Ok(())
}

/// Whether the member has a record under the lower-case form of the name.
fn is_listed_in_lower_case(service: &Service, call: &Call<'_>, user: &UserName) -> bool {
    let has_lower_case = user.as_str().to_lowercase() != user.as_str();
    let names = || service.names.asking_for(call.caller.peer);
    let named = || Named::of(user.clone(), names());
    has_lower_case && service.record_name(&named(), &call.settings) != *user
}

/// The members of the group, as far as the name service lists them. In a directory that does not
/// list its accounts, an account that has the group as its primary group is found by its record
/// only.
fn members(call: &Call<'_>, group: Option<&str>) -> Result<BTreeSet<String>, Error> {
    let Some(group) = group else {
        return Ok(BTreeSet::new());
    };
    let members = call
        .names
        .until(patience())
        .members(group)
        .map_err(|NoAnswer| silent())?;
    members.ok_or_else(|| Error::bad("group", "there is no such group: 'getent group' lists them"))
}

fn is_in(
    service: &Service,
    call: &Call<'_>,
    user: &UserName,
    group: Option<&str>,
) -> Result<bool, Error> {
    let Some(group) = group else { return Ok(true) };
    let names = service.names.asking_for(call.caller.peer);
    let account = names.by_name(user).map_err(|NoAnswer| silent())?;
    account
        .map_or(Ok(false), |account| names.is_member(&account, group))
        .map_err(|NoAnswer| silent())
}

/// Whether the user has an active device. A damaged record may have one.
fn has_active(listed: &Listed) -> bool {
    listed
        .record
        .as_ref()
        .map_or(true, |record| record.active().next().is_some())
}

fn silent() -> Error {
    Error::bad(
        "group",
        "the name service did not list the members: try again, or check with 'getent group'",
    )
}

/// Until when the name service may answer. The caller of a list waits longer than a login.
fn patience() -> Instant {
    let now = Instant::now();
    now.checked_add(ANSWER_TIME).unwrap_or(now)
}

/// The time for the name service to list all accounts.
const ANSWER_TIME: Duration = Duration::from_secs(5);
