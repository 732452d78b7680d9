//! Every line that a call leaves in the log, and how many of them a caller may cause.

use common::names::device::DeviceName;
use common::wire::protocol::Error;

use super::Service;
use super::call::Call;
use crate::audit::{Line, Unwritten};
use crate::identity::caller::Peer;
use crate::in_memory::quota::Allowance;
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
        self.require(call.caller.peer, self.signed(call, line))
    }

    /// The line with who called.
    #[must_use]
    pub fn signed(&self, call: &Call<'_>, line: Line) -> Line {
        let (role, peer) = (call.caller.role, call.caller.peer);
        line.with("role", role.word()).with("uid", peer.uid).with("pid", peer.pid)
    }

    /// Writes a line that `peer` has caused, within its quota.
    pub fn log_for(&self, peer: Peer, line: Line) {
        let _ = self.require(peer, line);
    }

    fn require(&self, peer: Peer, line: Line) -> Result<(), Unwritten> {
        if peer.is_root() {
            return self.audit.require(line);
        }
        let allowance = self.quotas.count(peer.uid);
        self.log_forgotten(self.quotas.settle_forgotten());
        match allowance {
            Allowance::Write { left_out: 0 } => self.audit.require(line),
            Allowance::Write { left_out } => {
                self.audit.write(Line::new("lines_left_out").with("uid", peer.uid).with("lines", left_out).warning());
                self.audit.require(line)
            }
            Allowance::LeaveOut => self.audit.left_out(),
        }
    }

    /// Tells that lines were left out about many of whom nobody knows any more who they were.
    pub(crate) fn log_forgotten(&self, lines: u32) {
        if lines > 0 {
            self.audit.write(Line::new("lines_left_out").with("lines", lines).warning());
        }
    }

    /// Logs that a call was refused before anything was looked at.
    pub fn log_not_permitted(&self, peer: Peer, method: &str, user: Option<&str>, reason: Option<&'static str>) {
        let line = Line::new("not_permitted").with("method", method).with_some("user", user);
        let line = line.with("uid", peer.uid).with("pid", peer.pid).with_some("reason", reason);
        self.log_for(peer, line.warning());
    }

    /// Logs that a change was refused, and why.
    pub fn log_refused(&self, event: &'static str, call: &Call<'_>, error: &Error) {
        let (name, _) = error.to_wire();
        let line = call.line(event).with("refused", name.rsplit('.').next().unwrap_or_default());
        self.log(call, line.warning());
    }

    /// Logs why a record could not be read or changed, and returns what the caller is told of it.
    pub fn failure(&self, failure: &Failure, call: &Call<'_>) -> Error {
        if matches!(failure, Failure::Unknown) {
            // A change that may be durable may have taken a device away.
            self.graces.end(call.user);
        }
        self.log(call, call.line("failed").with("reason", failure).error());
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
            Some(Finding::BypassGone) => call.line("bypass_gone"),
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

const MANY_WAIT: &str = "too many attempts of this user wait to be judged: try again in a moment";
