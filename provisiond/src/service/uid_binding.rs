//! The uid that a record is bound to. An account that is made anew under an old name is another person's, and gets another
//! uid as a rule: the devices of whoever had the name before must not open it, nor must it inherit their recovery codes. Two
//! accounts whose names differ in upper and lower case alone are told apart by it, too.

use common::wire::protocol::Error;

use crate::identity::caller::Role;
use crate::record::Record;
use crate::service::call::Call;

/// Whether the account has another uid now than its record is bound to. Only what the name service says counts:
/// who is unknown to it, or while it does not answer, is taken for the same.
pub(crate) fn is_anothers(record: &Record, call: &Call<'_>) -> bool {
    let uids = record.uid.zip(call.named.account());
    call.settings.bind_uid && uids.is_some_and(|(bound, account)| bound != account.uid)
}

/// The same, of a call that people make for their own sake. Administrators may do what mends it.
pub(crate) fn is_anothers_own(record: &Record, call: &Call<'_>) -> bool {
    call.caller.role == Role::Own && is_anothers(record, call)
}

/// Refuses to give an account a way in by a record that is bound to another uid: it would be that account's.
pub(crate) fn not_anothers(record: &Record, call: &Call<'_>) -> Result<(), Error> {
    if is_anothers(record, call) { Err(Error::bad("user", ANOTHERS)) } else { Ok(()) }
}

/// A record for a user seen for the first time, bound from the first write on, and not only when a device becomes active: what is
/// pending, promised or shut is one account's, too.
pub(crate) fn new_record(call: &Call<'_>) -> Record {
    let mut record = Record::new(&call.moment);
    bind(&mut record, call);
    record
}

/// Binds the record to the uid of today, when a device of its becomes active.
pub(crate) fn bind(record: &mut Record, call: &Call<'_>) {
    record.uid = call.named.account().map(|account| account.uid).or(record.uid);
}

/// Binds a record that was written before the account existed, or while the name service was silent.
pub(crate) fn bind_unbound(record: &mut Record, call: &Call<'_>) {
    if record.uid.is_none() {
        bind(record, call);
    }
}

/// Why a login is refused that is another's.
pub(crate) const UID_CHANGED: &str = "uid_changed";
const ANOTHERS: &str = "the account has another uid than its record: 'totpctl forget' if it is another person's now, else enrol a \
                        device as an administrator";
