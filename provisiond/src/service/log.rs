//! Writes the lines of all calls to the log, within the rate limit on the lines that a caller or a
//! user can cause.

use common::names::device::DeviceName;
use common::names::user::UserName;
use common::wire::protocol::Error;

use super::Service;
use super::call::Call;
use crate::audit::{Line, Share, Unwritten};
use crate::identity::caller::{HOST_UIDS, Peer, RemoteHost, Role};
use crate::identity::permission::Visitor;
use crate::in_memory::quota::{Cause, LeftOut};
use crate::record::codes::Finding;
use crate::record::strict::{MOST_FAILURES, STRICT_DISABLED};
use crate::records::Failure;

impl Service {
    /// Writes a line about a call, with its caller. The logged event stands, also if the line
    /// cannot be written.
    pub fn log(&self, call: &Call<'_>, line: Line) {
        let _ = self.log_before(call, line);
    }

    /// Writes a line that must be logged before the caller gets what it tells: an accepted login.
    ///
    /// # Errors
    /// [`Unwritten`], if the settings require the line (`audit: required`).
    pub fn log_before(&self, call: &Call<'_>, line: Line) -> Result<(), Unwritten> {
        let line = self.signed(call, line);
        self.log_within_quota(
            cause(call.caller.peer, Some(call.caller.role), Kind::Call),
            line,
        )
    }

    /// Adds the caller to the line: role, uid and pid, and whose share of the log it takes.
    #[must_use]
    pub fn signed(&self, call: &Call<'_>, line: Line) -> Line {
        let role = call.caller.role;
        let line = line.of(share_of(role)).with("role", role.word());
        called_by(line, call.caller.peer, call.caller.host.as_ref())
    }

    fn log_within_quota(&self, cause: Option<Cause>, line: Line) -> Result<(), Unwritten> {
        self.log_left_out();
        let may_be_written = cause.is_none_or(|cause| self.log_quota.may_write(cause));
        if may_be_written {
            self.audit.require(line)
        } else {
            self.audit.left_out()
        }
    }

    /// Writes the line of a refused attempt, within the user's quota: under brute force only some
    /// attempts get their own line.
    pub(crate) fn log_refusal(&self, call: &Call<'_>, line: Line) {
        self.log_left_out();
        if !refusal(call).is_none_or(|cause| self.log_quota.may_write(cause)) {
            return;
        }
        let is_nobodys = call.named.account().is_none() && !call.named.is_unknown();
        self.log(
            call,
            match call.caller.role {
                Role::Root if is_nobodys => line.of(Share::Stranger),
                Role::Root => line.of(Share::Refused),
                Role::Verifier | Role::Relay => line.of(Share::RefusedByVerifier),
                Role::Own | Role::Helpdesk | Role::Admin => line,
            },
        );
    }

    /// Logs how many refusals of the user were suppressed. Called when the user's login is
    /// accepted.
    pub(crate) fn log_left_out_of_user(&self, call: &Call<'_>) {
        let left_out = refusal(call).and_then(|cause| self.log_quota.settle(&cause));
        left_out
            .into_iter()
            .for_each(|left_out| self.tell_left_out(left_out));
    }

    /// Logs how many lines were suppressed in the past minute.
    fn log_left_out(&self) {
        self.log_quota
            .settle_minute()
            .into_iter()
            .for_each(|left_out| self.tell_left_out(left_out));
    }

    fn tell_left_out(&self, lines: LeftOut) {
        let line = left_out(lines, |line, uid| self.about(line, uid));
        self.audit.write(line);
    }

    /// Writes a line about a connection from the network that was refused, within the quota of the
    /// host, or of all strangers together.
    #[cfg(feature = "fleet")]
    pub(crate) fn log_refused_connection(&self, host: Option<&str>, line: Line) {
        let number = host.and_then(|host| self.hosts.number(host, None));
        let number = number.map_or(NO_UID, |number| HOST_UIDS.saturating_add(number));
        let line = line.of(Share::Stranger);
        let _ = self.log_within_quota(Some(Cause::RefusedCall(number)), line);
    }

    /// Names the caller that has that uid, or the host that has that number.
    fn about(&self, line: Line, uid: u32) -> Line {
        let host = uid.checked_sub(HOST_UIDS);
        match host.and_then(|number| self.hosts.name(number)) {
            Some(host) => line.with("host", host),
            None => line.with("uid", uid),
        }
    }

    /// Logs and counts that the permission table refused a call.
    pub(crate) fn log_not_permitted(
        &self,
        visitor: &Visitor<'_>,
        method: &str,
        user: Option<&str>,
        reason: Option<&'static str>,
    ) {
        let (peer, role) = (
            visitor.peer,
            visitor.caller.as_ref().map(|caller| caller.role),
        );
        self.counters.not_permitted(role.map(Role::word));
        let line = not_permitted(method, user, role);
        let host = visitor
            .caller
            .as_ref()
            .and_then(|caller| caller.host.as_ref());
        let line = called_by(line, peer, host);
        let line = line.with_some("reason", reason);
        let _ = self.log_within_quota(cause_of_refused(peer, role), line.warning());
    }

    /// Logs a refused change and its error.
    pub fn log_refused_change(&self, event: &'static str, call: &Call<'_>, error: &Error) {
        let (name, _) = error.to_wire();
        let line = call
            .line(event)
            .with("error", name.rsplit('.').next().unwrap_or_default());
        let (peer, role) = (call.caller.peer, call.caller.role);
        let line = self.signed(call, line.warning());
        let _ = self.log_within_quota(cause(peer, Some(role), Kind::RefusedChange), line);
    }

    /// Logs why a record could not be read or changed, and returns the error for the caller.
    pub fn failure(&self, failure: &Failure, call: &Call<'_>) -> Error {
        if matches!(failure, Failure::Unknown) {
            // The commit may be durable, and may have removed a device.
            self.graces.end(call.user);
        }
        self.log(
            call,
            call.line("call_failed").with("reason", failure).error(),
        );
        match failure {
            Failure::Busy => Error::busy(MANY_WAIT),
            Failure::Unavailable | Failure::Unknown | Failure::CannotWrite(_) => {
                Error::StoreUnavailable
            }
            Failure::Incomplete => Error::StoreIncomplete,
            Failure::WrongSecret => Error::bad("secrets", WRONG_SECRET),
            Failure::Damaged(_) => Error::RecordDamaged,
        }
    }

    /// Logs the use of an issued code: the user may not know of it, if it was stolen. `what_for` is
    /// the PAM service, or the change that needed the proof.
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

    /// Logs the devices that a wrong answer disabled (`policy.strict`), and ends the grace of their
    /// codes.
    pub(crate) fn log_disabled(&self, call: &Call<'_>, disabled: &[DeviceName]) {
        for device in disabled {
            self.graces.end(call.user);
            let line = call
                .line(STRICT_DISABLED)
                .with("device", device)
                .with("failures", MOST_FAILURES);
            self.log(call, line.warning());
        }
    }
}

/// The line about suppressed lines. `about` names the caller that has a uid.
pub(crate) fn left_out(
    LeftOut { cause, lines }: LeftOut,
    about: impl Fn(Line, u32) -> Line,
) -> Line {
    let line = Line::new("lines_suppressed");
    let line = match cause {
        Some(
            Cause::NotPermitted(uid)
            | Cause::Own(uid)
            | Cause::WithRole(uid)
            | Cause::RefusedCall(uid),
        ) => about(line, uid),
        Some(Cause::Refusal(user)) => line.with("user", user.as_str()),
        Some(Cause::RefusalFor(uid, user)) => about(line, uid).with("user", user.as_str()),
        None => line,
    };
    line.with("lines", lines).warning()
}

/// Begins the line about a call that the permission table refused.
pub(crate) fn not_permitted(method: &str, user: Option<&str>, role: Option<Role>) -> Line {
    let line = Line::new("not_permitted").with("method", method);
    line.with_some("user", user.map(shown))
        .of(share_of_refused(role))
}

/// The quota that such a line counts against.
pub(crate) fn cause_of_refused(peer: Peer, role: Option<Role>) -> Option<Cause> {
    cause(peer, role, Kind::NotPermitted)
}

/// What a line tells of a call.
#[derive(Clone, Copy)]
enum Kind {
    Call,
    RefusedChange,
    NotPermitted,
}

/// The quota that a line of a process counts against. `None`: root's lines are always written.
fn cause(peer: Peer, role: Option<Role>, kind: Kind) -> Option<Cause> {
    if peer.is_root() {
        return None;
    }
    let has_role = !matches!(role, None | Some(Role::Own));
    let cause = match (kind, has_role) {
        (Kind::Call, true) => Cause::WithRole,
        (Kind::RefusedChange | Kind::NotPermitted, true) => Cause::RefusedCall,
        (Kind::Call | Kind::RefusedChange, false) => Cause::Own,
        (Kind::NotPermitted, false) => Cause::NotPermitted,
    };
    Some(cause(peer.uid))
}

/// The quota of the user that a refused attempt counts against, besides the caller's own. Root's
/// processes share one, and each uid with a role has another: no lines of theirs suppress those
/// about guesses at sshd or sudo. `None`: a process that acts on its own account has its own quota
/// only.
fn refusal(call: &Call<'_>) -> Option<Cause> {
    let user = call.user.clone();
    match call.caller.role {
        Role::Own => None,
        Role::Root => Some(Cause::Refusal(user)),
        Role::Verifier | Role::Relay | Role::Helpdesk | Role::Admin => {
            Some(Cause::RefusalFor(call.caller.peer.uid, user))
        }
    }
}

/// The share of the log that lines about a role's calls take.
fn share_of(role: Role) -> Share {
    match role {
        Role::Root => Share::Root,
        Role::Own => Share::Own,
        Role::Helpdesk | Role::Admin => Share::Staff,
        Role::Verifier | Role::Relay => Share::Verifier,
    }
}

/// Adds the calling process, or the host that has passed its call on.
fn called_by(line: Line, peer: Peer, host: Option<&RemoteHost>) -> Line {
    match host {
        Some(host) => line.with("host", &host.name),
        None => line.with("uid", peer.uid).with("pid", peer.pid),
    }
}

/// The share of the log that a call takes which its caller may not make.
fn share_of_refused(role: Option<Role>) -> Share {
    match role {
        None | Some(Role::Own) => Share::Stranger,
        Some(role) => share_of(role),
    }
}

/// The user that a refused call names, for its line. A text that no account can be called, such as
/// hundreds of control characters, is any text that the caller likes: its beginning is enough.
fn shown(user: &str) -> String {
    if UserName::new(user).is_ok() || user.chars().count() <= MOST_OF_NO_NAME {
        return user.to_owned();
    }
    let beginning: String = user.chars().take(MOST_OF_NO_NAME).collect();
    format!("{beginning}…")
}

/// The kernel's value for "no uid".
#[cfg(feature = "fleet")]
const NO_UID: u32 = u32::MAX;
const MOST_OF_NO_NAME: usize = 32;
const WRONG_SECRET: &str = "the default application secret is another than before, so nothing is sealed under it: put \
                            the former one back, and a new one beside it under a tag of its own ('totpctl status' names \
                            the tags)";
const MANY_WAIT: &str = "too many attempts for this user are waiting: try again in a moment";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_name_is_shortened_and_a_name_is_whole() {
        let name = "n".repeat(256);
        assert_eq!(shown(&name), name);
        assert_eq!(shown("a/b"), "a/b");
        let long = shown(&"\u{1}".repeat(65_536));
        assert_eq!(long, format!("{}…", "\u{1}".repeat(MOST_OF_NO_NAME)));
    }
}
