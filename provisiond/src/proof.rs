//! The proof that self-service asks for: an attempt like a login's, in front of a change.

use common::answer::Answer;
use common::config::Settings;
use common::device::DeviceName;
use common::protocol::{Error, Verdict};
use common::secret::SecretText;
use common::user::UserName;

use crate::bound::is_anothers_own;
use crate::codes::Finding;
use crate::judging::{Case, judge};
use crate::policy::{self, Circumstances, Judged};
use crate::record::Record;
use crate::records::Decision;
use crate::service::{Call, Service};
use crate::source::Source;
use crate::spare;
use crate::throttle::Moment;

/// What came of a change behind a proof.
#[must_use]
pub(crate) struct Proven<T> {
    /// What the proof was; `None`: none was looked at, and the caller is asked for what is missing.
    proof: Option<Proof>,
    outcome: Result<T, Error>,
}

/// What a proof turned out to be. By default what none was needed for.
#[derive(Default)]
struct Proof {
    /// A code that no device shows.
    finding: Option<Finding>,
    /// The devices that it has disabled, because it was wrong.
    disabled: Vec<DeviceName>,
    /// It was wrong, and the account was not charged for it.
    wrong_for_free: bool,
}

impl<T> Proven<T> {
    /// Refused, without a look at the proof.
    pub(crate) fn refused(error: Error) -> Self {
        Self { proof: Some(Proof::default()), outcome: Err(error) }
    }

    /// Something is needed first, as the error says.
    pub(crate) fn asked_for(what: Error) -> Self {
        Self { proof: None, outcome: Err(what) }
    }
}

impl From<&Judged> for Proof {
    fn from(judged: &Judged) -> Self {
        let wrong_for_free = judged.verdict == Verdict::Rejected && judged.charged.are_none();
        Self { finding: judged.finding, disabled: judged.disabled.clone(), wrong_for_free }
    }
}

impl Service {
    /// Logs what the proof was and did, and that the change was refused if it was. Who only asks what is needed has done
    /// nothing that is worth a line.
    pub(crate) fn proven<T>(&self, event: &'static str, call: &Call<'_>, proven: Proven<T>) -> Result<T, Error> {
        let Some(proof) = proven.proof else { return proven.outcome };
        if proof.wrong_for_free {
            self.was_wrong_for_free(call);
        }
        self.log_finding(call, proof.finding, event);
        self.log_disabled(call, &proof.disabled);
        proven.outcome.inspect_err(|error| self.log_refused(event, call, error))
    }
}

/// Lets `change` change the record, after a proof where the caller needs one. The proof is an attempt like any other: it
/// is spent or charged whatever becomes of the change. Without one, nothing is. `change` hears which device proved it.
pub(crate) fn prove<T>(
    record: Record,
    call: &Call<'_>,
    proof: Option<&SecretText>,
    settings: &Settings,
    moment: &Moment,
    change: impl FnOnce(&mut Record, Option<&DeviceName>) -> Result<T, Error>,
) -> Decision<Proven<T>> {
    if is_anothers_own(&record, call, settings) {
        return Decision { next: None, outcome: Proven::refused(Error::PermissionDenied) };
    }
    if !call.proof {
        return changed(record, Proof::default(), None, |record| change(record, None));
    }
    let now = circumstances(settings, moment);
    let Some(proof) = proof else {
        let ask = policy::ask(Some(&record), &now);
        return Decision { next: None, outcome: Proven::asked_for(Error::ProofRequired { ask }) };
    };
    let judged = judge_proof(&record, call.user, proof, settings, &now);
    let proof = Proof::from(&judged);
    match (judged.verdict, judged.next) {
        (Verdict::Accepted, Some(next)) => {
            changed(next.clone(), proof, Some(next), |record| change(record, judged.device.as_ref()))
        }
        (_, next) => {
            let ask = policy::ask(next.as_ref().or(Some(&record)), &now);
            let outcome = Proven { proof: Some(proof), outcome: Err(Error::ProofRequired { ask }) };
            // Who was never enrolled leaves no trace.
            Decision { next: next.filter(|next| next.enrolled), outcome }
        }
    }
}

/// What `change` makes of the record; `otherwise` is the record if it makes nothing of it.
fn changed<T>(
    mut record: Record,
    proof: Proof,
    otherwise: Option<Record>,
    change: impl FnOnce(&mut Record) -> Result<T, Error>,
) -> Decision<Proven<T>> {
    let outcome = change(&mut record);
    let next = if outcome.is_ok() { Some(record) } else { otherwise };
    Decision { next, outcome: Proven { proof: Some(proof), outcome } }
}

/// What a proof is judged by: only what opens every service proves who somebody is, and where they are nobody knows.
fn circumstances<'a>(settings: &'a Settings, moment: &Moment) -> Circumstances<'a> {
    let (policy, moment, source) = (&settings.policy, *moment, Source::Untold);
    Circumstances { policy, moment, source, service: "", suspect: false }
}

/// A code of a device, a recovery code, or before the first device a ticket. A bypass proves nothing: it lets in, and
/// whoever gave it has not given away the account.
fn judge_proof(
    record: &Record,
    user: &UserName,
    proof: &SecretText,
    settings: &Settings,
    now: &Circumstances<'_>,
) -> Judged {
    let answer = Answer::parse(std::slice::from_ref(proof));
    let case = &Case { user, repeats: None, answer: answer.as_ref(), refund: 0, settings, now };
    let (judged, _) = match case.answer.and_then(Answer::spare) {
        Some(code) => spare::judge(record, (code, spare::of_a_proof(record, now)), case),
        None => judge(record, case, false),
    };
    judged
}
