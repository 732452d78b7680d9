//! Every line that a call leaves in the log, and how many of them a caller may cause.

use common::names::device::DeviceName;
use common::names::user::UserName;
use common::wire::protocol::Error;

use super::Service;
use super::call::Call;
use crate::audit::{Line, Unwritten};
use crate::identity::caller::{Peer, Role};
use crate::identity::permission::Visitor;
use crate::in_memory::quota::{Cause, LeftOut};
use crate::record::codes::Finding;
use crate::record::strict::{MOST_FAILURES, STRICT_DISABLED};
use crate::records::Failure;

impl Service {
    /// Writes a line about a call, with who called. What the line is about has happened, whatever becomes of the line.
    pub fn log(&self, call: &Call<'_>, line: Line) {
        let _ = self.log_before(call, line);
    }

    /// Writes a line without which the caller does not get what it says.
    ///
    /// # Errors
    /// [`Unwritten`], where the settings require the line.
    pub fn log_before(&self, call: &Call<'_>, line: Line) -> Result<(), Unwritten> {
        let line = self.signed(call, line);
        self.log_within_quota(cause(call.caller.peer, Some(call.caller.role), Cause::Own), line)
    }

    /// The line with who called.
    #[must_use]
    pub fn signed(&self, call: &Call<'_>, line: Line) -> Line {
        let (role, peer) = (call.caller.role, call.caller.peer);
        line.with("role", role.word()).with("uid", peer.uid).with("pid", peer.pid)
    }

    fn log_within_quota(&self, cause: Option<Cause>, line: Line) -> Result<(), Unwritten> {
        self.log_left_out();
        let may_be_written = cause.is_none_or(|cause| self.log_quota.may_write(cause));
        if may_be_written { self.audit.require(line) } else { self.audit.left_out() }
    }

    /// Writes the line of a refused attempt. Of a user who is refused all the time only some attempts are told one by one.
    pub(crate) fn log_refusal(&self, call: &Call<'_>, line: Line) {
        self.log_left_out();
        if self.log_quota.may_write(Cause::Refusal(call.user.clone())) {
            self.log(call, line);
        }
    }

    /// Tells how many refusals of a user who is in now were left out.
    pub(crate) fn log_left_out_of(&self, user: &UserName) {
        let left_out = self.log_quota.settle(&Cause::Refusal(user.clone()));
        left_out.into_iter().for_each(|left_out| self.tell_left_out(left_out));
    }

    /// Tells what was left out in a minute that is over.
    fn log_left_out(&self) {
        self.log_quota.settle_minute().into_iter().for_each(|left_out| self.tell_left_out(left_out));
    }

    fn tell_left_out(&self, LeftOut { cause, lines }: LeftOut) {
        let line = Line::new("lines_suppressed");
        let line = match cause {
            Some(Cause::NotPermitted(uid) | Cause::Own(uid) | Cause::WithRole(uid)) => line.with("uid", uid),
            Some(Cause::Refusal(user)) => line.with("user", user.as_str()),
            None => line,
        };
        self.audit.write(line.with("lines", lines).warning());
    }

    /// Logs that a call was refused before anything was looked at.
    pub(crate) fn log_not_permitted(
        &self,
        visitor: &Visitor<'_>,
        method: &str,
        user: Option<&str>,
        reason: Option<&'static str>,
    ) {
        let (peer, role) = (visitor.peer, visitor.caller.as_ref().map(|caller| caller.role));
        let line = Line::new("not_permitted").with("method", method).with_some("user", user);
        let line = line.with("uid", peer.uid).with("pid", peer.pid).with_some("reason", reason);
        let _ = self.log_within_quota(cause(peer, role, Cause::NotPermitted), line.warning());
    }

    /// Logs that a change was refused, and why.
    pub fn log_refused(&self, event: &'static str, call: &Call<'_>, error: &Error) {
        let (name, _) = error.to_wire();
        let line = call.line(event).with("error", name.rsplit('.').next().unwrap_or_default());
        self.log(call, line.warning());
    }

    /// Logs why a record could not be read or changed, and returns what the caller is told of it.
    pub fn failure(&self, failure: &Failure, call: &Call<'_>) -> Error {
        if matches!(failure, Failure::Unknown) {
            // A change that may be durable may have taken a device away.
            self.graces.end(call.user);
        }
        self.log(call, call.line("call_failed").with("reason", failure).error());
        match failure {
            Failure::Busy => Error::busy(MANY_WAIT),
            Failure::Unavailable | Failure::Unknown | Failure::CannotWrite(_) => Error::StoreUnavailable,
            Failure::Damaged(_) => Error::RecordDamaged,
        }
    }

    /// Logs that a code was used that no device shows, because its owner may not know of it. `what_for` is a service, or what
    /// had to be proven for.
    pub(crate) fn log_finding(&self, call: &Call<'_>, finding: Option<Finding>, what_for: &str) {
        let line = match finding {
            Some(Finding::RecoveryCode(left)) => call.line("recovery_code_used").with("left", left),
            Some(Finding::Bypass(left)) => call.line("bypass_used").with("left", left),
            Some(Finding::Ticket) => call.line("ticket_used"),
            Some(Finding::BypassGone) => call.line("bypass_revoked"),
            Some(Finding::Expired | Finding::Doubtful) | None => return,
        };
        self.log(call, line.with("for", what_for).warning());
    }

    /// Logs which devices a wrong answer has disabled, and ends the grace that their codes had begun.
    pub(crate) fn log_disabled(&self, call: &Call<'_>, disabled: &[DeviceName]) {
        for device in disabled {
            self.graces.end(call.user);
            let line = call.line(STRICT_DISABLED).with("device", device).with("failures", MOST_FAILURES);
            self.log(call, line.warning());
        }
    }
}

/// What counts for a line that a process brings about; `own` if the process has no role. `None`: root's is written in any
/// case.
fn cause(peer: Peer, role: Option<Role>, own: fn(u32) -> Cause) -> Option<Cause> {
    if peer.is_root() {
        return None;
    }
    let has_role = !matches!(role, None | Some(Role::Own));
    Some(if has_role { Cause::WithRole(peer.uid) } else { own(peer.uid) })
}

const MANY_WAIT: &str = "too many attempts of this user wait to be judged: try again in a moment";
