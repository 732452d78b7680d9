//! Binds a record to the uid of its account (`policy.bind-uid`), against reuse of a user name.
//!
//! An account created again under an old name belongs to another user, and usually has another uid.
//! The devices of the former user must not open it, and it must not inherit the former user's
//! recovery codes. The uid also tells apart accounts whose names differ only in upper and lower
//! case.

use common::wire::protocol::Error;

use crate::identity::caller::Role;
use crate::record::Record;
use crate::service::call::Call;

/// Whether the record is bound to another uid than the account has now. Without an account, or
/// while the name service does not answer, the uid is taken as unchanged.
pub(crate) fn has_other_uid(record: &Record, call: &Call<'_>) -> bool {
    let uids = record.uid.zip(call.named.account());
    call.settings.bind_uid && uids.is_some_and(|(bound, account)| bound != account.uid)
}

/// The same for self-service calls. Administrators may act on such a record, to mend it.
pub(crate) fn bars_self_service(record: &Record, call: &Call<'_>) -> bool {
    call.caller.role == Role::Own && has_other_uid(record, call)
}

/// Refuses to issue a code on a record that is bound to another uid: the code would belong to the
/// former account.
pub(crate) fn refuse_other_uid(record: &Record, call: &Call<'_>) -> Result<(), Error> {
    if has_other_uid(record, call) {
        Err(Error::bad("user", OTHER_UID))
    } else {
        Ok(())
    }
}

/// A new record, bound from its first write and not only when a device becomes active: a pending
/// device, a ticket and a disabled account belong to one account, too.
pub(crate) fn new_record(call: &Call<'_>) -> Record {
    let mut record = Record::new(&call.moment);
    bind(&mut record, call);
    record
}

/// Binds the record to the account's present uid, when a device becomes active.
pub(crate) fn bind(record: &mut Record, call: &Call<'_>) {
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
        bind(record, call);
    }
}

/// The reason in the log for a login to a record bound to another uid.
pub(crate) const UID_CHANGED: &str = "uid_changed";
const OTHER_UID: &str = "the account has another uid than its record: run 'totpctl forget' if another person has it now, \
                        or enrol a device as an administrator";
