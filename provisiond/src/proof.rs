//! The proof that self-service asks for: an attempt like a login's, in front of a change.

use common::config::Settings;
use common::device::DeviceName;
use common::protocol::{Error, Verdict};
use common::secret::{Answer, SecretText};
use common::user::UserName;

use crate::bound::is_anothers_own;
use crate::codes::Finding;
use crate::judging::judge;
use crate::policy::{Circumstances, Judged};
use crate::record::Record;
use crate::records::Decision;
use crate::service::{Call, Service};
use crate::source::Source;
use crate::spare;
use crate::throttle::Moment;

/// What came of a change behind a proof.
#[must_use]
pub(crate) struct Proven<T> {
    /// What the proof was, if it was a code that no device shows.
    finding: Option<Finding>,
    /// The devices that a wrong proof has disabled.
    disabled: Vec<DeviceName>,
    outcome: Result<T, Error>,
}

impl<T> Proven<T> {
    /// Refused, without a look at the proof.
    pub(crate) fn refused(error: Error) -> Self {
        Self { finding: None, disabled: Vec::new(), outcome: Err(error) }
    }
}

impl Service {
    /// Logs what the proof was and did, and that the change was refused if it was.
    pub(crate) fn proven<T>(&self, event: &'static str, call: &Call<'_>, proven: Proven<T>) -> Result<T, Error> {
        self.log_finding(call, proven.finding, event);
        self.log_disabled(call, &proven.disabled);
        proven.outcome.map_err(|error| self.refused(event, call, error))
    }
}

/// Lets `change` change the record, after a proof where the caller needs one. The proof is an attempt like any other: it
/// is spent or charged whatever becomes of the change.
pub(crate) fn prove<T>(
    mut record: Record,
    call: &Call<'_>,
    proof: Option<&SecretText>,
    settings: &Settings,
    moment: &Moment,
    change: impl FnOnce(&mut Record) -> Result<T, Error>,
) -> Decision<Proven<T>> {
    let (mut spent, mut finding, mut disabled) = (None, None, Vec::new());
    if is_anothers_own(&record, call, settings) {
        return Decision { next: None, outcome: Proven::refused(Error::PermissionDenied) };
    }
    if call.proof {
        let judged = judge_proof(&record, call.user, proof, settings, moment);
        (finding, disabled) = (judged.finding, judged.disabled);
        match (judged.verdict, judged.next) {
            (Verdict::Accepted, Some(next)) => record = spent.insert(next).clone(),
            (_, next) => {
                let outcome = Err(Error::ProofRequired);
                // Who was never enrolled leaves no trace.
                let next = next.filter(|next| next.enrolled);
                return Decision { next, outcome: Proven { finding, disabled, outcome } };
            }
        }
    }
    match change(&mut record) {
        Ok(outcome) => Decision { next: Some(record), outcome: Proven { finding, disabled, outcome: Ok(outcome) } },
        Err(error) => Decision { next: spent, outcome: Proven { finding, disabled, outcome: Err(error) } },
    }
}

/// A code of a device, a recovery code, or before the first device a ticket. A bypass proves nothing: it lets in, and
/// whoever gave it has not given away the account.
fn judge_proof(
    record: &Record,
    user: &UserName,
    proof: Option<&SecretText>,
    settings: &Settings,
    moment: &Moment,
) -> Judged {
    let Some(proof) = proof else { return Judged::unlooked(Verdict::Malformed) };
    let answer = Answer::parse(std::slice::from_ref(proof));
    let (policy, moment, source) = (&settings.policy, *moment, Source::Untold);
    // Only what opens every service proves who somebody is.
    let now = Circumstances { policy, moment, source, service: "", suspect: false };
    let (judged, _) = match answer.as_ref().and_then(Answer::spare) {
        Some(code) => spare::judge(record, user, (code, spare::of_a_proof(record, &now)), 0, settings, &now),
        None => judge(record, user, answer.as_ref(), 0, settings, &now),
    };
    judged
}
