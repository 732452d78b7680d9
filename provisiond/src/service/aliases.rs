//! What is stored of an account by another spelling of its name. Records go by the spelling of the name service, which may
//! change: who was enrolled by the one before is not somebody who never was, and who was shut out is not let in.

use common::names::user::UserName;

use crate::record::Record;
use crate::records::Failure;
use crate::service::Service;
use crate::service::call::Call;

/// What the records of other spellings say of an account that is nobody's by its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// The user was enrolled, or shut out.
    pub(crate) somebodys: bool,
    /// The user was shut out.
    pub(crate) shut: bool,
}

impl Service {
    /// Looks at them. `record` is that of the account's own name, beside which they count for nothing. What cannot be read
    /// may be anything. Of a name that the name service did not answer for nobody is let by anyway.
    pub(crate) fn elsewhere(&self, call: &Call<'_>, record: Option<&Record>) -> Elsewhere {
        if call.named.is_unknown() || record.is_some_and(Record::is_somebodys) {
            return Elsewhere::default();
        }
        // The name service is asked first, and always: the time must not tell whether there is a record.
        let names = call.named.other_names().into_iter().filter(|name| may_be_the_same(call, name));
        names.fold(Elsewhere::default(), |all, name| all.and(&self.records.look(&name, &call.settings.secrets)))
    }

    /// By which of its names the account has a record, if it has one: so that root reaches that of an earlier spelling.
    pub(crate) fn stored_name<'a>(&self, call: &Call<'a>) -> &'a UserName {
        let has_none = |name| matches!(self.records.look(name, &call.settings.secrets), Ok(None));
        let said = call.named.said();
        if has_none(call.user) && !has_none(said) { said } else { call.user }
    }
}

impl Elsewhere {
    fn and(self, found: &Result<Option<Record>, Failure>) -> Self {
        let (somebodys, shut) = match found {
            Ok(record) => {
                (record.as_ref().is_some_and(Record::is_somebodys), record.as_ref().is_some_and(|r| r.disabled))
            }
            Err(_) => (true, true),
        };
        Self { somebodys: self.somebodys || somebodys, shut: self.shut || shut }
    }
}

/// Whether a name may be the account's: not if the name service knows another by it.
fn may_be_the_same(call: &Call<'_>, name: &UserName) -> bool {
    let (own, other) = (call.named.account(), call.names.by_name_at_login(name).ok().flatten());
    own.zip(other).is_none_or(|(own, other)| own.uid == other.uid)
}
