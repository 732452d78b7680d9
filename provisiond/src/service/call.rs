//! One call that is being answered: who calls, whose record it is about, and what it is judged by. Settings and time are
//! read once, when the call is made, and hold to its end.

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
use crate::records::Access;

/// A permitted call.
pub struct Call<'a> {
    /// The caller, in the role that permits the call.
    pub caller: &'a Caller,
    /// The name of the record that it is about, as resolved at the door.
    pub user: &'a UserName,
    /// What the name service says of that user.
    pub named: &'a Named,
    /// The questions that the call may put to the name service besides. They share its second.
    pub names: Asking<'a>,
    /// The caller must prove to have a device of that user.
    pub proof: bool,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// The settings in force when the call was made.
    pub settings: Arc<Settings>,
    /// The one reading of the clock that the call is judged by.
    pub moment: Moment,
}

impl Call<'_> {
    /// The way to the user's record.
    #[must_use]
    pub fn access(&self) -> Access<'_> {
        self.access_to(self.user)
    }

    /// The way to another record, for the same caller and until the same deadline.
    #[must_use]
    pub fn access_to<'a>(&'a self, user: &'a UserName) -> Access<'a> {
        Access { user, root: self.caller.peer.is_root(), secrets: &self.settings.secrets, deadline: self.deadline }
    }

    /// Begins a log line about the user.
    #[must_use]
    pub fn line(&self, event: &'static str) -> Line {
        let said = self.named.said();
        let alias = (said != self.user).then(|| said.as_str());
        Line::new(event).with("user", self.user.as_str()).with_some("alias", alias)
    }

    /// Whose free attempts the call draws on. Root's and administrators' processes do not run out of them.
    #[must_use]
    pub(crate) fn tries(&self) -> Option<Tries> {
        let uid = self.caller.peer.uid;
        match self.caller.role {
            Role::Own => Some(Tries::Own(uid)),
            Role::Verifier => Some(Tries::For(uid, self.user.clone())),
            Role::Helpdesk | Role::Admin | Role::Root => None,
        }
    }
}

/// The name of the device that a call says, if it says one.
///
/// # Errors
/// [`Error::BadParameter`].
pub(crate) fn device_name(said: Option<&str>) -> Result<Option<DeviceName>, Error> {
    said.map(DeviceName::new).transpose().map_err(|why| Error::bad("device", why))
}
