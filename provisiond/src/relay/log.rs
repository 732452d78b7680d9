//! The lines that a relay writes, within the rate limit on lines that a caller or a user can cause.

use common::wire::protocol::Verdict;

use super::Relay;
use super::forward::PassedOn;
use crate::audit::Line;
use crate::identity::caller::{Peer, Role};
use crate::identity::permission::{Permitted, Visitor};
use crate::in_memory::quota::Cause;
use crate::service::log::{cause_of_refused, left_out, not_permitted};

impl Relay {
    /// Logs an attempt: its verdict and its verifier, or why there is none. Returns whether the line is
    /// written, where the settings require it.
    pub(super) fn log_attempt(
        &self,
        permitted: &Permitted,
        attempt: &PassedOn<'_>,
        (verdict, reason, server): (&str, Option<&str>, Option<&str>),
    ) -> bool {
        let line = about(attempt, verdict, reason).with_some("server", server);
        self.log_login(permitted, verdict, line)
    }

    /// The same of an attempt that was judged here, because no verifier can be reached.
    pub(super) fn log_alone(
        &self,
        permitted: &Permitted,
        attempt: &PassedOn<'_>,
        (verdict, reason): (&str, Option<&str>),
    ) -> bool {
        let line = about(attempt, verdict, reason).with("alone", true);
        self.log_login(permitted, verdict, line)
    }

    fn log_login(&self, permitted: &Permitted, verdict: &str, line: Line) -> bool {
        let caller = &permitted.caller;
        let lets_in = verdict == Verdict::Accepted.word() || verdict == Verdict::Exempt.word();
        let line = line
            .with("role", caller.role.word())
            .with("uid", caller.peer.uid)
            .with("pid", caller.peer.pid);
        let line = if lets_in { line } else { line.warning() };
        let cause = match caller.role {
            Role::Root if lets_in => None,
            Role::Root => Some(Cause::Refusal(permitted.named.said().clone())),
            Role::Own => Some(Cause::Own(caller.peer.uid)),
            _ => Some(Cause::WithRole(caller.peer.uid)),
        };
        self.log_within_quota(cause, line)
    }

    /// Logs that the permission table refused a call.
    pub(super) fn log_not_permitted(
        &self,
        visitor: &Visitor<'_>,
        method: &str,
        user: Option<&str>,
        reason: Option<&'static str>,
    ) {
        let role = visitor.caller.as_ref().map(|caller| caller.role);
        let Peer { uid, pid } = visitor.peer;
        let line = not_permitted(method, user, role).with("uid", uid);
        let line = line.with("pid", pid).with_some("reason", reason).warning();
        self.log_within_quota(cause_of_refused(visitor.peer, role), line);
    }

    fn log_within_quota(&self, cause: Option<Cause>, line: Line) -> bool {
        for lines in self.log_quota.settle_minute() {
            let line = left_out(lines, |line, uid| line.with("uid", uid));
            self.audit.write(line);
        }
        let may_be_written = cause.is_none_or(|cause| self.log_quota.may_write(cause));
        let written = match may_be_written {
            true => self.audit.require(line),
            false => self.audit.left_out(),
        };
        written.is_ok()
    }
}

fn about(attempt: &PassedOn<'_>, verdict: &str, reason: Option<&str>) -> Line {
    Line::new("relayed")
        .with("user", attempt.user)
        .with("service", attempt.service)
        .with_some("source", attempt.rhost)
        .with_some("tty", attempt.tty)
        .with("verdict", verdict)
        .with_some("reason", reason)
}
