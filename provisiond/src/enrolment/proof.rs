//! The proof of self-service: users prove their identity with a code before they change their
//! record. The proof is judged and charged like a login attempt.

use common::answer::Answer;
use common::names::device::DeviceName;
use common::secret::SecretText;
use common::wire::protocol::{Error, Verdict};

use crate::policy::attempt::{self, Case};
use crate::policy::{self, Circumstances, Judged, issued};
use crate::record::Record;
use crate::record::codes::Finding;
use crate::record::source::Source;
use crate::records::Decision;
use crate::service::Service;
use crate::service::call::Call;
use crate::service::uid_binding::{Act, admitted, log_rebound, rebound};

/// The reason that a change does not begin.
pub(crate) enum Unproven {
    /// The change is refused, and the refusal is logged.
    Refused(Error),
    /// The caller must send something first, as the error says. The question has changed nothing,
    /// so nothing is logged.
    AskedFor(Error),
}

impl From<Error> for Unproven {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Changes the record of the call's user with `change`, after a proof if the caller needs one, and
/// makes it durable.
///
/// `begin` returns the record to be changed, or the reason why it cannot be, before the proof is
/// judged. The proof is an attempt like any other: it is spent or charged also if the change fails.
/// `change` gets the device that proved the user.
///
/// # Errors
/// What `begin` and `change` return; [`Error::ProofRequired`]; the refusal of a record that is bound
/// to another uid; [`Error::Busy`]; [`Error::StoreUnavailable`], [`Error::RecordDamaged`].
pub(crate) fn change<T, E: Into<Unproven>>(
    service: &Service,
    call: &Call<'_>,
    (act, proof): (Act, Option<&SecretText>),
    begin: impl Fn(Option<&Record>) -> Result<Record, E>,
    change: impl Fn(&mut Record, Option<&DeviceName>) -> Result<T, Error>,
) -> Result<T, Error> {
    let attempt = service.may_try(call)?;
    let access = call.access();
    let mut former = None;
    let changed = service.records.change(access, |record| {
        let begun = admitted(service, record, call, act)
            .map_err(Unproven::Refused)
            .and_then(|record| begin(record.as_deref()).map_err(Into::into));
        let decision = match begun {
            Ok(record) => prove(record, call, proof, |record, by| change(record, by)),
            Err(why) => Decision {
                next: None,
                outcome: Changed::not(why),
            },
        };
        former = rebound(record, decision.next.as_ref(), call);
        decision
    });
    let Changed { proof, outcome } = changed.map_err(|failure| service.failure(&failure, call))?;
    let Some(proof) = proof else { return outcome };
    if proof.wrong_for_free {
        attempt.was_wrong();
    }
    service.log_finding(call, proof.finding, act.event);
    service.log_disabled(call, &proof.disabled);
    log_rebound(service, call, former);
    outcome.inspect_err(|error| service.log_refused_change(act.event, call, error))
}

/// The outcome of a change, and of the proof before it.
struct Changed<T> {
    /// The judged proof. `None`: no proof was judged, and the caller is asked for what is missing.
    proof: Option<Proof>,
    outcome: Result<T, Error>,
}

impl<T> Changed<T> {
    fn not(why: Unproven) -> Self {
        match why {
            Unproven::Refused(error) => Self {
                proof: Some(Proof::default()),
                outcome: Err(error),
            },
            Unproven::AskedFor(what) => Self {
                proof: None,
                outcome: Err(what),
            },
        }
    }
}

/// A judged proof. The default: no proof was needed.
#[derive(Default)]
struct Proof {
    /// What an issued code turned out to be.
    finding: Option<Finding>,
    /// The devices that a wrong proof disabled (`policy.strict`).
    disabled: Vec<DeviceName>,
    /// The proof was wrong, and the account was not charged for it.
    wrong_for_free: bool,
}

impl From<&Judged> for Proof {
    fn from(judged: &Judged) -> Self {
        let wrong_for_free = judged.verdict == Verdict::Rejected && judged.charged.are_none();
        Self {
            finding: judged.finding,
            disabled: judged.disabled.clone(),
            wrong_for_free,
        }
    }
}

fn prove<T>(
    record: Record,
    call: &Call<'_>,
    proof: Option<&SecretText>,
    change: impl FnOnce(&mut Record, Option<&DeviceName>) -> Result<T, Error>,
) -> Decision<Changed<T>> {
    if !call.proof {
        return changed(record, Proof::default(), None, |record| {
            change(record, None)
        });
    }
    let now = circumstances(call);
    let required = |record: &Record| Error::ProofRequired {
        ask: policy::ask(Some(record), &now),
    };
    let Some(proof) = proof else {
        return Decision {
            next: None,
            outcome: Changed::not(Unproven::AskedFor(required(&record))),
        };
    };
    let judged = judge_proof(&record, proof, call, &now);
    let proof = Proof::from(&judged);
    match (judged.verdict, judged.next) {
        (Verdict::Accepted, Some(next)) => changed(next.clone(), proof, Some(next), |record| {
            change(record, judged.device.as_ref())
        }),
        (_, next) => {
            let outcome = Changed {
                proof: Some(proof),
                outcome: Err(required(next.as_ref().unwrap_or(&record))),
            };
            // The attempt on a never enrolled user leaves no trace.
            Decision {
                next: next.filter(|next| next.enrolled),
                outcome,
            }
        }
    }
}

/// Applies `change` to the record. If it fails, `otherwise` is stored instead, so that the proof
/// stays spent.
fn changed<T>(
    mut record: Record,
    proof: Proof,
    otherwise: Option<Record>,
    change: impl FnOnce(&mut Record) -> Result<T, Error>,
) -> Decision<Changed<T>> {
    let outcome = change(&mut record);
    let next = if outcome.is_ok() {
        Some(record)
    } else {
        otherwise
    };
    Decision {
        next,
        outcome: Changed {
            proof: Some(proof),
            outcome,
        },
    }
}

/// What a proof is judged by. Only a device that opens every service proves the user. The source is
/// unknown, because the daemon does not trust the user's own processes to report it.
pub(super) fn circumstances<'a>(call: &'a Call<'_>) -> Circumstances<'a> {
    Circumstances {
        policy: &call.settings.policy,
        moment: call.moment,
        source: Source::Untold,
        service: "",
        suspect: false,
    }
}

/// Judges a proof: a code of a device, a recovery code, or, before the first device, a ticket. A
/// bypass is no proof: it opens logins, but must not let the helpdesk (or a thief of the bypass)
/// change the account.
fn judge_proof(
    record: &Record,
    proof: &SecretText,
    call: &Call<'_>,
    now: &Circumstances<'_>,
) -> Judged {
    let answer = Answer::parse(std::slice::from_ref(proof));
    let answer = answer.as_ref();
    let case = &Case {
        user: call.user,
        answer,
        refund: 0,
        settings: &call.settings,
        now,
    };
    let (judged, _) = match answer.and_then(Answer::issued) {
        Some(code) => issued::judge(record, (code, issued::of_a_proof(record, now)), case),
        None => attempt::judge(record, case, false),
    };
    judged
}
