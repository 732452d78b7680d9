//! Enrolment at the prompt with the first factor alone: which never-enrolled users need no ticket, by
//! the settings (`enroll-at-login: {without-ticket-until: …}`).
//!
//! Such a device proves no more than the first factor. So the service file must say that there was
//! one, and root, administrators and the helpdesk are never among these users. What cannot be proven
//! (a group, the date, the account) permits nothing.

use super::exemption::{is_member, local_time};
use super::reported::Trusted;
use crate::identity::target;
use crate::record::Record;
use crate::service::uid_binding::has_other_uid;

/// The permission to enrol without a ticket.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    /// The group whose day it is, or `everybody`, for the log.
    pub(super) group: String,
}

/// The user's permission, if there is one. `record` must be the user's own.
pub(super) fn permit(login: &Trusted<'_>, record: Option<&Record>) -> Option<Permit> {
    let call = login.call;
    let is_barred =
        |record: &Record| record.is_somebodys() || record.disabled || has_other_uid(record, call);
    if !login.has_first_factor()
        || record.is_some_and(is_barred)
        || call.may_be_enrolled(record).is_some()
    {
        return None;
    }
    let days = &call.settings.enroll_at_login.without_ticket_until;
    let today = local_time(&call.moment)?.date();
    // After the last of all days, no group is looked up.
    if !days.any(|last| today <= last) {
        return None;
    }
    let (scope, last) = days.of_account(|group| is_member(call, group))?;
    let own_uid = call.caller.peer.uid;
    target::ordinary(call.named, own_uid, &call.settings.roles, call.names).ok()?;
    (today <= last).then(|| Permit {
        group: scope.as_str().to_owned(),
    })
}
