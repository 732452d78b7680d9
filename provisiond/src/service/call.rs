//! One call being answered: its caller, the user whose record it is about, the settings and the
//! time. Settings and clock are read once, when the call begins, and hold to its end.

use std::sync::Arc;
use std::time::Instant;

use common::config::Settings;
use common::names::device::DeviceName;
use common::names::user::UserName;
use common::wire::protocol::Error;

use crate::audit::Line;
use crate::clock::moment::Moment;
use crate::identity::caller::{Caller, Role};
use crate::identity::names::Asking;
use crate::identity::resolved::Named;
use crate::in_memory::free_attempts::Tries;
use crate::record::Record;
use crate::records::Access;

/// A permitted call.
pub struct Call<'a> {
    /// The caller, in the role that permits the call.
    pub caller: &'a Caller,
    /// The name of the record that the call is about, as dispatch has resolved it.
    pub user: &'a UserName,
    /// The user name that the caller gave, and the account behind it.
    pub named: &'a Named,
    /// Further questions to the name service. All questions of a call share one second.
    pub names: Asking<'a>,
    /// Whether the caller must send a proof (a current code of the user).
    pub proof: bool,
    /// The time at which the caller stops waiting.
    pub deadline: Instant,
    /// The settings in force when the call began.
    pub settings: Arc<Settings>,
    /// The one reading of the clock that the call is judged by.
    pub moment: Moment,
    /// Whether users may be missing from the store.
    pub(crate) incomplete: bool,
}

impl Call<'_> {
    /// Access to the user's record.
    #[must_use]
    pub fn access(&self) -> Access<'_> {
        self.access_to(self.user)
    }

    /// Access to another record, for the same caller and until the same deadline.
    #[must_use]
    pub fn access_to<'a>(&'a self, user: &'a UserName) -> Access<'a> {
        Access {
            user,
            root: self.caller.peer.is_root(),
            secrets: &self.settings.secrets,
            deadline: self.deadline,
        }
    }

    /// Why the daemon cannot tell that the user was never enrolled, although the record does not
    /// say that the user was. Such a user is refused: no setting for users without a device is
    /// about them.
    #[must_use]
    pub(crate) fn may_be_enrolled(&self, record: Option<&Record>) -> Option<&'static str> {
        if record.is_some_and(Record::is_somebodys) {
            None
        } else if self.named.is_unknown() {
            // The record may be under another spelling.
            Some("no_answer_from_name_service")
        } else {
            self.incomplete.then_some(STORE_INCOMPLETE)
        }
    }

    /// Begins a log line about the user, with the spelling that the caller gave if it differs.
    #[must_use]
    pub fn line(&self, event: &'static str) -> Line {
        let said = self.named.said();
        let alias = (said != self.user).then(|| said.as_str());
        Line::new(event)
            .with("user", self.user.as_str())
            .with_some("alias", alias)
    }

    /// The counter of free attempts that the call draws on. Processes of root, administrators and
    /// the helpdesk have no limit.
    #[must_use]
    pub(crate) fn tries(&self) -> Option<Tries> {
        let uid = self.caller.peer.uid;
        match self.caller.role {
            Role::Own => Some(Tries::Own(uid)),
            Role::Verifier | Role::Relay => Some(Tries::For(uid, self.user.clone())),
            Role::Helpdesk | Role::Admin | Role::Root => None,
        }
    }
}

/// The reason in the log where users may be missing from the store.
pub(crate) const STORE_INCOMPLETE: &str = "store_incomplete";

/// The device name that a call gives, if it gives one.
///
/// # Errors
/// [`Error::BadParameter`].
pub(crate) fn device_name(said: Option<&str>) -> Result<Option<DeviceName>, Error> {
    said.map(DeviceName::new)
        .transpose()
        .map_err(|why| Error::bad("device", why))
}
