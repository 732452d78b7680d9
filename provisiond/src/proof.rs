//! The proof that self-service asks for: an attempt like a login's, in front of a change.

use common::config::Settings;
use common::protocol::{Error, Verdict};
use common::secret::{Answer, SecretText};
use common::user::UserName;

use crate::policy::{Circumstances, Judged};
use crate::record::Record;
use crate::records::Decision;
use crate::service::Call;
use crate::source::Source;
use crate::throttle::Moment;
use crate::verify::judge;

/// Lets `change` change the record, after a proof where the caller needs one. The proof is an attempt like any other: it
/// is spent or charged whatever becomes of the change.
pub(crate) fn prove<T>(
    mut record: Record,
    call: &Call<'_>,
    proof: Option<&SecretText>,
    settings: &Settings,
    moment: &Moment,
    change: impl FnOnce(&mut Record) -> Result<T, Error>,
) -> Decision<Result<T, Error>> {
    let mut spent = None;
    if call.proof {
        let judged = judge_proof(&record, call.user, proof, settings, moment);
        match (judged.verdict, judged.next) {
            (Verdict::Accepted, Some(next)) => record = spent.insert(next).clone(),
            (_, next) => return Decision { next, outcome: Err(Error::ProofRequired) },
        }
    }
    match change(&mut record) {
        Ok(outcome) => Decision { next: Some(record), outcome: Ok(outcome) },
        Err(error) => Decision { next: spent, outcome: Err(error) },
    }
}

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
    judge(record, user, answer.as_ref(), 0, settings, &now).0
}
