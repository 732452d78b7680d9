//! Codes that no device shows, as an attempt and as a proof: their key is opened here, and what they turned out to be is
//! logged.

use common::answer::Answer;
use common::spare::SpareCode;
use common::wire::protocol::Verdict;

use crate::clock;
use crate::login::judge::{CLOCK_BEFORE_BUILD, Case, Reasoned};
use crate::policy::{self, Circumstances, Judged};
use crate::record::Record;
use crate::record::codes::{Codes, Finding, Purpose};
use crate::records::Decision;
use crate::service::{Call, Service};

/// Judges a code that no device shows. Who has none is judged by none, in the same time.
pub(crate) fn judge(
    record: &Record,
    (code, purpose): (&SpareCode, Purpose),
    &Case { user, refund, settings, now, .. }: &Case<'_>,
) -> Reasoned {
    if !clock::can_be(now.moment.now) {
        return (Judged::unlooked(Verdict::Refused), Some(CLOCK_BEFORE_BUILD));
    }
    let Ok(codes) = Codes::opened(record.codes.as_ref(), user, &settings.secrets) else {
        return (Judged::unlooked(Verdict::Refused), Some("key_does_not_open"));
    };
    let purpose = if record.disabled { Purpose::Nothing } else { purpose };
    let judged = policy::issued::judge(record, codes, code, purpose, refund, now);
    let unknown = (judged.verdict == Verdict::Rejected).then_some("no_such_code");
    let reason = judged.finding.and_then(reason).or(unknown);
    (judged, reason)
}

/// An attempt of somebody who has no device for this login: only such a code opens anything, if there is one. `None`:
/// there is nothing to judge it by, and the decoy, which judges in that case, takes as long.
pub(crate) fn judge_alone(record: Option<&Record>, case: &Case<'_>) -> Decision<Option<Judged>> {
    let record = record.filter(|record| record.codes.is_some());
    let (Some(record), Some(code)) = (record, case.answer.and_then(Answer::spare)) else {
        return Decision { next: None, outcome: None };
    };
    let purpose = if record.active().next().is_some() { Purpose::LoginOutOfBounds } else { Purpose::Login };
    let (mut judged, _) = judge(record, (code, purpose), case);
    let next = judged.next.take();
    // Wrong ones are counted by the decoy, except those that a bypass has borne.
    let next = next.filter(|next| judged.verdict == Verdict::Accepted || next.codes != record.codes);
    Decision { next, outcome: Some(judged) }
}

/// What a code can be a proof of. Devices that do not count for everything, or not now, prove nothing, and so does what stands
/// in for them.
pub(crate) fn of_a_proof(record: &Record, now: &Circumstances<'_>) -> Purpose {
    let out_of_bounds = record.active().next().is_some() && !record.has_usable(now.moment.now, now.service);
    match record.enrolled {
        false => Purpose::FirstDevice,
        true if out_of_bounds => Purpose::Nothing,
        true => Purpose::Proof,
    }
}

/// What the log says where the verdict does not.
pub(crate) fn reason(finding: Finding) -> Option<&'static str> {
    match finding {
        Finding::RecoveryCode(_) | Finding::Bypass(_) | Finding::Ticket => None,
        Finding::BypassGone => Some("bypass_gone"),
        Finding::Expired => Some("code_expired"),
        Finding::Doubtful => Some("given_before_roll_back"),
    }
}

impl Service {
    /// Logs that a code was used that no device shows: whoever did not do it themselves has to hear of it. `what_for` is a
    /// service, or what had to be proven for.
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
}
