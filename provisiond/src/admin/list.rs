//! `List`: every user, or those of a group, or those who have no active device yet.

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

/// `List`: hands every user that is asked for to `take`, in the order of their names; behind them the members of the
/// group who have no record.
///
/// # Errors
/// [`Error::StoreUnavailable`], that the name service does not tell who is in the group, or what `take` returns.
pub(crate) fn list<E: From<Error>>(
    service: &Service,
    call: &Call<'_>,
    wish: &List,
    mut take: impl FnMut(ShowReply) -> Result<(), E>,
) -> Result<(), E> {
    let not_enrolled = wish.not_enrolled.unwrap_or(false);
    let mut left = members(service, wish.group.as_deref())?;
    let mut after = None;
    loop {
        let page = service.records.page(after.as_ref(), &call.settings.secrets).map_err(|_| Error::StoreUnavailable)?;
        let Some(last) = page.last() else { break };
        after = Some(last.user.clone());
        for listed in page {
            let counts = left.remove(listed.user.as_str()) || is_in(service, &listed.user, wish.group.as_deref())?;
            if counts && !(not_enrolled && has_active(&listed)) {
                let user = match &listed.record {
                    Ok(record) => shown(&listed.user, record, call),
                    Err(_) => shown_damaged(&listed.user),
                };
                take(ShowReply { user })?;
            }
        }
    }
    // Nobody can log in by what is no name.
    for user in left.iter().filter_map(|user| UserName::new(user).ok()) {
        if is_listed_in_lower_case(service, call, &user) {
            continue;
        }
        take(ShowReply { user: shown(&user, &Record::new(&call.moment), call) })?;
    }
    Ok(())
}

/// Whether the member has a record by the lower-case form of their name.
fn is_listed_in_lower_case(service: &Service, call: &Call<'_>, user: &UserName) -> bool {
    let has_lower_case = user.as_str().to_lowercase() != user.as_str();
    let named = || Named::of(user.clone(), service.names.asking());
    has_lower_case && service.record_name(&named(), &call.settings) != *user
}

/// Its members, as far as the name service lists them. Who has it as their own group, in a directory that does not list
/// its accounts, is found by their record alone.
fn members(service: &Service, group: Option<&str>) -> Result<BTreeSet<String>, Error> {
    let Some(group) = group else { return Ok(BTreeSet::new()) };
    let until = Instant::now().checked_add(PATIENCE).unwrap_or_else(Instant::now);
    let members = service.names.asking_until(until).members(group).map_err(|NoAnswer| silent())?;
    members.ok_or_else(|| Error::bad("group", "there is no such group: 'getent group' lists them"))
}

fn is_in(service: &Service, user: &UserName, group: Option<&str>) -> Result<bool, Error> {
    let Some(group) = group else { return Ok(true) };
    let names = service.names.asking();
    let account = names.by_name(user).map_err(|NoAnswer| silent())?;
    account.map_or(Ok(false), |account| names.is_member(&account, group)).map_err(|NoAnswer| silent())
}

/// A record that does not open has some, as far as anybody can tell.
fn has_active(listed: &Listed) -> bool {
    listed.record.as_ref().map_or(true, |record| record.active().next().is_some())
}

fn silent() -> Error {
    Error::bad("group", "the name service does not say who is in it: try again, or see what 'getent group' says")
}

/// All accounts have to be looked through, and whoever asks for a list waits longer than a login.
const PATIENCE: Duration = Duration::from_secs(5);
