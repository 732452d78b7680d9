//! Binds a record to the uid of its account (`policy.bind-uid`), against reuse of a user name.
//!
//! An account created again under an old name belongs to another user, and usually has another uid.
//! The devices of the former user must not open it, and it must not inherit the former user's
//! recovery codes. The uid also tells apart accounts whose names differ only in upper and lower
//! case.

use std::borrow::Cow;

use common::wire::protocol::Error;
use common::wire::text::printable;

use crate::identity::caller::Role;
use crate::identity::names::{Account, NoAnswer};
use crate::identity::target::SILENT;
use crate::record::Record;
use crate::service::Service;
use crate::service::call::Call;
use crate::service::renamed::refuse_renamed;

/// The reason for the log why a bound record is not the account's, or may not be. While the name
/// service does not answer, the last known uid counts, and without one a bound record opens nothing:
/// the application has just resolved the name, so that silence is no ordinary state. Where there is
/// no account, no other person has the name.
pub(crate) fn why_not_its_own(record: &Record, call: &Call<'_>) -> Option<&'static str> {
    let bound = record.uid.filter(|_| call.settings.bind_uid)?;
    match call.named.last_uid() {
        Ok(uid) => uid.filter(|uid| *uid != bound).map(|_| UID_CHANGED),
        Err(NoAnswer) => Some(SILENT),
    }
}

/// Whether the record is bound, and not known to be the account's.
pub(crate) fn has_other_uid(record: &Record, call: &Call<'_>) -> bool {
    why_not_its_own(record, call).is_some()
}

/// The uid that the record is bound to, if the account has another one now.
pub(crate) fn other_uid(
    record: &Record,
    account: Option<&Account>,
    call: &Call<'_>,
) -> Option<u32> {
    let (bound, account) = record.uid.zip(account)?;
    (call.settings.bind_uid && bound != account.uid).then_some(bound)
}

/// The same for self-service calls. Administrators may act on such a record, to mend it.
pub(crate) fn bars_self_service(record: &Record, call: &Call<'_>) -> bool {
    call.caller.role == Role::Own && has_other_uid(record, call)
}

/// A change to a record, by its word in the log, and whether it may be made if the record is bound
/// to another uid than the account has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act {
    pub(crate) event: &'static str,
    allowed: Allowed,
}

/// Whether a change may be made to the record of another uid.
#[derive(Clone, Copy, Debug)]
enum Allowed {
    /// The change takes something away, which no former owner can use.
    Always,
    /// An administrator says that the account belongs to the same person: the record is bound to
    /// its present uid.
    SamePerson,
    /// The change would open the account to its former owner, or give the former owner's codes to
    /// the present one.
    Never,
}

impl Act {
    /// A change that opens or gives something.
    pub(crate) fn giving(event: &'static str) -> Self {
        let allowed = Allowed::Never;
        Self { event, allowed }
    }

    /// The same, by a caller that can say that the account belongs to the same person.
    pub(crate) fn giving_to(event: &'static str, same_person: Option<bool>) -> Self {
        let allowed = match same_person {
            Some(true) => Allowed::SamePerson,
            Some(false) | None => Allowed::Never,
        };
        Self { event, allowed }
    }

    /// A change that only takes something away.
    pub(crate) fn taking(event: &'static str) -> Self {
        let allowed = Allowed::Always;
        Self { event, allowed }
    }
}

/// The record that the change begins with: bound to the present uid of the account, if an
/// administrator says that it is the same person's.
///
/// # Errors
/// [`Error::PermissionDenied`] for the account's present owner; for others the sentence that says
/// what to do. The same sentence for an account whose record stands under its former name.
pub(crate) fn admitted<'r>(
    service: &Service,
    record: Option<&'r Record>,
    call: &Call<'_>,
    act: Act,
) -> Result<Option<Cow<'r, Record>>, Error> {
    let takes = matches!(act.allowed, Allowed::Always);
    if !takes {
        refuse_renamed(service, record, call)?;
    }
    let Some(record) = record else {
        return Ok(None);
    };
    if !takes && why_not_its_own(record, call) == Some(SILENT) {
        return Err(Error::busy(NAMES_SILENT));
    }
    admitted_for(record, call.named.account(), call, act).map(Some)
}

/// The same for a record that the account is about to get.
///
/// # Errors
/// Those of [`admitted`].
pub(crate) fn admitted_for<'r>(
    record: &'r Record,
    account: Option<&Account>,
    call: &Call<'_>,
    act: Act,
) -> Result<Cow<'r, Record>, Error> {
    let Some((bound, account)) = other_uid(record, account, call).zip(account) else {
        return Ok(Cow::Borrowed(record));
    };
    match act.allowed {
        _ if call.caller.role == Role::Own => Err(Error::PermissionDenied),
        Allowed::Always => Ok(Cow::Borrowed(record)),
        Allowed::SamePerson => Ok(Cow::Owned(Record {
            uid: Some(account.uid),
            ..record.clone()
        })),
        Allowed::Never => Err(Error::bad("user", belongs_to(bound, account))),
    }
}

/// A new record, bound from its first write and not only when a device becomes active: a pending
/// device, a ticket and a disabled account belong to one account, too.
///
/// # Errors
/// [`Error::Busy`] while the name service does not answer.
pub(crate) fn new_record(call: &Call<'_>) -> Result<Record, Error> {
    let mut record = Record::new(&call.moment);
    bind(&mut record, call)?;
    Ok(record)
}

/// Binds the record to the account's present uid, when a device becomes active. Without an answer
/// of the name service the record could stay unbound for ever, or be of another spelling.
///
/// # Errors
/// [`Error::Busy`] while the name service does not answer.
pub(crate) fn bind(record: &mut Record, call: &Call<'_>) -> Result<(), Error> {
    if call.named.is_unknown() {
        return Err(Error::busy(NAMES_SILENT));
    }
    bind_if_answered(record, call);
    Ok(())
}

/// The same where the name service may be silent: the record then stays as it is.
pub(crate) fn bind_if_answered(record: &mut Record, call: &Call<'_>) {
    record.uid = call
        .named
        .account()
        .map(|account| account.uid)
        .or(record.uid);
}

/// Binds a record that was written before the account existed, or while the name service did not
/// answer.
pub(crate) fn bind_unbound(record: &mut Record, call: &Call<'_>) {
    if record.uid.is_none() {
        bind_if_answered(record, call);
    }
}

/// The uid that the record was bound to, if the change binds it to the account's present one.
pub(crate) fn rebound(
    record: Option<&Record>,
    next: Option<&Record>,
    call: &Call<'_>,
) -> Option<u32> {
    let record = record.filter(|record| has_other_uid(record, call))?;
    record
        .uid
        .filter(|bound| next.is_some_and(|next| next.uid != Some(*bound)))
}

/// Logs that an administrator gave the record to the account's present uid.
pub(crate) fn log_rebound(service: &Service, call: &Call<'_>, former: Option<u32>) {
    if let Some(former) = former {
        let line = call.line("uid_rebound").with("former_uid", former);
        service.log(call, line.warning());
    }
}

/// The refusal, and both next steps: the administrator knows whether it is the same person.
fn belongs_to(bound: u32, account: &Account) -> String {
    let (user, uid) = (printable(account.name.as_str()), account.uid);
    format!(
        "the record belongs to uid {bound}, and the account '{user}' has uid {uid}: if another person has the name now, run \
         'totpctl forget {user}' first; if it is the same person, say so with --same-person (enable, enroll, confirm, \
         recovery-codes, import, rename-user)"
    )
}

/// The reason in the log for a login to a record bound to another uid.
pub(crate) const UID_CHANGED: &str = "uid_changed";
const NAMES_SILENT: &str = "the name service does not say which uid the account has: try again, or check with 'getent passwd'";
