//! Notices an account that was renamed (`usermod -l`): its new name has no record, and the record of
//! the old name is bound to its uid. Such an account must not count as never enrolled, or `nullok`
//! and the roll-out would let it in without a code. A record that cannot be read, of a name without
//! an account, may be that of any renamed account.

use common::names::user::UserName;
use common::wire::protocol::Error;
use common::wire::text::printable;

use super::Service;
use super::call::Call;
use crate::identity::names::{Account, NoAnswer};
use crate::record::Record;

/// What is known of an account without an enrolled record of its own.
pub(crate) enum Former {
    /// No record of another name is bound to its uid.
    None,
    /// The record of this name is.
    Name(UserName),
    /// The record of this name cannot be read, and may be.
    Unread(UserName),
    /// The store does not say.
    Unknown,
}

impl Service {
    /// Whether the account, which has this record, has an enrolled or shut record under another
    /// name, or may have one.
    pub(crate) fn is_renamed(&self, record: Option<&Record>, call: &Call<'_>) -> bool {
        !matches!(self.former_name(record, call), Former::None)
    }

    /// The same, with the other name. The search takes as long for users that are enrolled, because
    /// it is a part of the answer to a challenge.
    pub(crate) fn former_name(&self, record: Option<&Record>, call: &Call<'_>) -> Former {
        let former = self.search(call);
        match record.is_some_and(Record::is_somebodys) {
            true => Former::None,
            false => former,
        }
    }

    fn search(&self, call: &Call<'_>) -> Former {
        let Some(account) = call.named.account().filter(|_| call.settings.bind_uid) else {
            return Former::None;
        };
        let secrets = &call.settings.secrets;
        let Ok(names) = self
            .records
            .others_bound_to(account.uid, call.user, secrets)
        else {
            return Former::Unknown;
        };
        let former = names
            .into_iter()
            .find(|name| !is_anothers(name, account, call));
        former.map_or_else(|| self.unread_former(call), Former::Name)
    }

    /// A record that cannot be read and may be the account's. The name service is asked about so many
    /// names; the next one counts as a former name, because a wrong secret makes every record one of
    /// these.
    fn unread_former(&self, call: &Call<'_>) -> Former {
        const ASKED: usize = 16;
        let is_unread = |name: &UserName| {
            let record = self.records.look(name, &call.settings.secrets);
            name != call.user && record.is_err()
        };
        let unread = self.records.unread().into_iter().filter(is_unread);
        let mut unread = unread.enumerate();
        let former = unread.find(|(asked, name)| *asked >= ASKED || !has_account(name, call));
        former.map_or(Former::None, |(_, name)| Former::Unread(name))
    }
}

/// Whether an account has that name now, as the name service says. Its record is its own.
fn has_account(name: &UserName, call: &Call<'_>) -> bool {
    matches!(call.names.by_name_now(name), Ok(Some(_)))
}

/// Whether another account has that name and shares the uid, such as `root` and `toor`. The name
/// service is asked anew: an answer from before the renaming would let the account in. If it does
/// not answer, the name counts as the account's own former one.
fn is_anothers(name: &UserName, account: &Account, call: &Call<'_>) -> bool {
    match call.names.by_name_now(name) {
        Ok(Some(other)) => other.uid == account.uid && other.name != account.name,
        Ok(None) | Err(NoAnswer) => false,
    }
}

/// The refusal to begin a second record for the account. A record that only may be the account's
/// refuses no command.
///
/// # Errors
/// The sentence with both next steps.
pub(super) fn refuse_renamed(
    service: &Service,
    record: Option<&Record>,
    call: &Call<'_>,
) -> Result<(), Error> {
    match service.former_name(record, call) {
        Former::None | Former::Unread(_) => Ok(()),
        Former::Unknown => Err(Error::StoreUnavailable),
        Former::Name(former) => Err(has_former_name(&former, call)),
    }
}

/// The refusal as a sentence with both next steps.
pub(crate) fn has_former_name(former: &UserName, call: &Call<'_>) -> Error {
    let (former, user) = (printable(former.as_str()), printable(call.user.as_str()));
    Error::bad(
        "user",
        format!(
            "the record of '{former}' belongs to the uid of '{user}', and no other account has that name: if the account was \
             renamed, run 'totpctl rename-user {former} {user}' as root; if '{former}' is gone for good, 'totpctl forget \
             {former}'"
        ),
    )
}

/// The answer about an account without a record, while another record cannot be read.
pub(crate) fn may_have_former_name(former: &UserName, call: &Call<'_>) -> Error {
    let (former, user) = (printable(former.as_str()), printable(call.user.as_str()));
    Error::bad(
        "user",
        format!(
            "'{user}' has no record, and the record of '{former}', a name without an account, cannot be read: it may be the \
             record of '{user}' from before a renaming; 'totpctl show {former}' tells what is wrong with it; if '{former}' is \
             gone for good, run 'totpctl forget {former}' as root"
        ),
    )
}

/// The reason in the log for a login under the new name, if there is, or may be, a former one.
pub(crate) fn reason(former: &Former) -> Option<&'static str> {
    match former {
        Former::None => None,
        Former::Name(_) | Former::Unknown => Some("uid_of_another_name"),
        Former::Unread(_) => Some("former_record_unreadable"),
    }
}
