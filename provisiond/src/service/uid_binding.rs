//! The uid that a record is bound to. An account that is made anew under an old name is another person's, and gets another
//! uid as a rule: the devices of whoever had the name before must not open it, nor must it inherit their recovery codes.

use crate::identity::caller::Role;
use crate::record::Record;
use crate::service::call::Call;

/// Whether the account has another uid now than when its device was confirmed. Only what the name service says counts:
/// who is unknown to it, or while it does not answer, is taken for the same.
pub(crate) fn is_anothers(record: &Record, call: &Call<'_>) -> bool {
    let uids = record.uid.zip(call.named.account());
    call.settings.bind_uid && uids.is_some_and(|(bound, account)| bound != account.uid)
}

/// The same, of a call that people make for their own sake. Administrators may do what mends it.
pub(crate) fn is_anothers_own(record: &Record, call: &Call<'_>) -> bool {
    call.caller.role == Role::Own && is_anothers(record, call)
}

/// Binds the record to the uid of today, when a device of its becomes active.
pub(crate) fn bind(record: &mut Record, call: &Call<'_>) {
    record.uid = call.named.account().map(|account| account.uid).or(record.uid);
}

/// Why a login is refused that is another's.
pub(crate) const UID_CHANGED: &str = "uid_changed";
