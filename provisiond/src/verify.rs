//! A login's two calls. They judge through [`crate::policy`].

use common::answer::Answer;
use common::config::Settings;
use common::protocol::{Ask, Challenge, ChallengeReply, Error, Verdict, Verify, VerifyReply};
use common::roles::SelfService;
use common::user::UserName;

use crate::aftermath::{attempt_line, trusted};
use crate::bound::is_anothers;
use crate::caller::Role;
use crate::codes::Finding;
use crate::decoy;
use crate::exemption::Told;
use crate::first_login::{self, FirstDevice};
use crate::judging::{Case, Outcome};
use crate::policy::{self, Circumstances};
use crate::record::{Damaged, Record};
use crate::records::Failure;
use crate::rules::Demand;
use crate::service::{Call, Service};
use crate::source::Source;

impl Service {
    /// `Challenge`: what to ask for.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`]. A damaged record is asked for a code like any other.
    pub fn challenge(&self, call: &Call<'_>, about: &Challenge) -> Result<ChallengeReply, Error> {
        let settings = self.settings();
        let record = match self.records.look(call.user, &settings.secrets) {
            Ok(record) => record,
            Err(Failure::Damaged(_)) => return Ok(asked(call, Ask::OneCode, true, Vec::new(), &settings)),
            Err(failure) => return Err(self.failure(&failure, call)),
        };
        let now = self.circumstances(call, about.into(), &settings);
        let elsewhere = self.elsewhere(call, record.as_ref(), &settings);
        let demand = self.demand(call, about.into(), (record.as_ref(), elsewhere), &settings);
        // Nothing is let by on the word of a name service that did not answer: the record may be under another spelling.
        let enrolled =
            call.named.is_unknown() || elsewhere.somebodys || record.as_ref().is_some_and(Record::is_somebodys);
        let usable =
            |record: &Record| record.has_usable(now.moment.now, now.service) && !is_anothers(record, call, &settings);
        let first = !enrolled && first_login::wanted(call, about.into(), &settings);
        let first = record.as_ref().filter(|_| first).and_then(|record| first_login::ask(record, &now));
        let judged_by = record.filter(usable).or_else(|| self.decoy_of(call.user, &settings));
        let ask = match (demand, first) {
            (Demand::Code | Demand::Refusal, Some(ask)) => ask,
            (Demand::Code, None) => policy::ask(judged_by.as_ref(), &now),
            (Demand::Nothing(_), _) | (Demand::Refusal, None) => Ask::Nothing,
        };
        let digits = judged_by.map(|record| record.lengths_of_codes(now.moment.now, now.service)).unwrap_or_default();
        Ok(asked(call, ask, enrolled, digits, &settings))
    }

    /// The decoy that stands for a name, if it was ever guessed at.
    fn decoy_of(&self, user: &UserName, settings: &Settings) -> Option<Record> {
        let name = decoy::name_for(user, &settings.secrets)?;
        self.records.look(&name, &settings.secrets).ok().flatten()
    }

    /// `Verify`: the attempt. When this returns, what it spent or charged is durable.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`].
    pub fn verify(&self, call: &Call<'_>, attempt: &Verify) -> Result<VerifyReply, Error> {
        let settings = self.settings();
        if attempt.codes.is_empty()
            && let Some(reply) = self.exempted(call, attempt, &settings)
        {
            return Ok(reply);
        }
        let now = self.circumstances(call, attempt.into(), &settings);
        let answer = Answer::parse(&attempt.codes);
        if answer.as_ref().is_some_and(is_free) && self.may_try(call).is_err() {
            let line = attempt_line(call, attempt, Verdict::Busy.word(), None, Some("too_many_wrong_pairs"));
            self.log_refusal(call, line);
            return Ok(VerifyReply::bare(Verdict::Busy, Ask::TwoCodes));
        }
        let ends = self.graces.ends(call.user);
        let outcome = self.judge_with_refund(call, attempt, answer.as_ref(), &settings, &now)?;
        self.keep_account(call, attempt, &outcome, &now, &settings.limits);
        let told = if call.caller.role == Role::Verifier { outcome.plain } else { outcome.judged.verdict };
        let Outcome { judged, reason, ask, missed, emptied, is_verdict, first_device, .. } = outcome;
        let device = judged.device.map(|device| device.to_string());
        first_device.iter().for_each(|first| self.log_first_device(call, attempt, first));
        let enrolled = matches!(first_device, Some(FirstDevice::Confirmed(_))).then_some(true);
        if let Some(FirstDevice::Made(enrolment)) = first_device {
            return Ok(VerifyReply { enrolment: Some(enrolment), ..VerifyReply::bare(told, ask) });
        }
        if is_verdict && self.is_only_observed(call, judged.verdict, &settings) {
            let reply = self.observed(call, attempt, judged.verdict, reason);
            self.measure_skew(call, missed, answer, &settings, now.moment.now);
            return Ok(reply);
        }
        let line = attempt_line(call, attempt, judged.verdict.word(), device.as_deref(), reason);
        if judged.verdict != Verdict::Accepted {
            self.log_refusal(call, line);
            self.log_emptied(call, attempt, emptied);
        } else if self.log_before(call, line).is_err() {
            // The code is spent. Who gets in without a line is what the settings rule out.
            self.log(
                call,
                attempt_line(call, attempt, Verdict::Refused.word(), device.as_deref(), Some("log_is_stuck")),
            );
            return Ok(VerifyReply::bare(Verdict::Refused, ask));
        }
        // A bypass opens as many logins as it was given for, and lets nobody in after them.
        if judged.verdict == Verdict::Accepted && !matches!(judged.finding, Some(Finding::Bypass(_))) {
            self.begin_grace(call, attempt, ends);
        }
        self.measure_skew(call, missed, answer, &settings, now.moment.now);
        let recovery_codes_left = match judged.finding {
            Some(Finding::RecoveryCode(left)) if call.caller.peer.is_root() => Some(left),
            _ if enrolled.is_some() && can_renew(&settings) => Some(0),
            _ => None,
        };
        let bare = VerifyReply::bare(told, ask);
        Ok(VerifyReply { retry_after: judged.retry_after, device, recovery_codes_left, enrolled, ..bare })
    }

    /// Judges the answer. A success gets back what wrong codes from the same source have cost; what this one costs is kept
    /// for the next.
    fn judge_with_refund(
        &self,
        call: &Call<'_>,
        attempt: &Verify,
        answer: Option<&Answer>,
        settings: &Settings,
        now: &Circumstances<'_>,
    ) -> Result<Outcome, Error> {
        let (source, tick) = (now.source, now.moment.tick);
        let charges = self.refunds.take(call.user, source, tick);
        let enrols = self.enrols(call, attempt.into(), settings);
        let repeats = Some((&self.repeats, call.user));
        let case = Case { user: call.user, repeats, answer, refund: charges.units(), settings, now };
        let outcome = match self.judge_durably(call, &case, enrols) {
            Ok(outcome) => outcome,
            Err(failure @ (Failure::Unavailable | Failure::CannotWrite(_))) => {
                let reason = if matches!(failure, Failure::Unavailable) { "store" } else { "record_not_written" };
                self.log_refusal(call, attempt_line(call, attempt, "unavailable", None, Some(reason)));
                return Err(Error::StoreUnavailable);
            }
            Err(Failure::Unknown) => {
                // It may have disabled a device, or given the units back.
                self.graces.end(call.user);
                return Ok(Outcome::unjudged(Verdict::Refused, Some("store_too_slow")));
            }
            Err(Failure::Busy) => Outcome::unjudged(Verdict::Busy, None),
            Err(Failure::Damaged(damaged)) => Outcome::unjudged(Verdict::Refused, Some(damage(&damaged))),
        };
        if outcome.judged.verdict != Verdict::Accepted {
            self.refunds.put_back(call.user, source, charges.and(outcome.judged.charged.known, tick));
        }
        if let Some(fingerprint) = outcome.fingerprint {
            self.repeats.remember(fingerprint);
        }
        Ok(outcome)
    }

    fn circumstances<'a>(&self, call: &Call<'_>, told: Told<'a>, settings: &'a Settings) -> Circumstances<'a> {
        let service = told.service;
        let (rhost, tty) = call.caller.believed(told.rhost, told.tty);
        let source = Source::told(rhost, tty);
        let suspect = !trusted(rhost, &settings.limits) && self.sprays.are_from(source, settings.limits.per_source);
        let mut moment = self.moment();
        // A clock that is no measure of the device's teaches nothing of it.
        moment.synchronised &= !told.keeps_drift(call.caller);
        Circumstances { policy: &settings.policy, moment, source, service, suspect }
    }
}

/// Root's processes are told what others could learn from: who is enrolled, and how long their codes are. Of who has no
/// device, as long as a new device's.
fn asked(call: &Call<'_>, ask: Ask, enrolled: bool, mut digits: Vec<u8>, settings: &Settings) -> ChallengeReply {
    let root = call.caller.peer.is_root();
    if digits.is_empty() {
        digits.push(settings.new_device.parameters.digits);
    }
    ChallengeReply { ask, enrolled: root.then_some(enrolled), digits: root.then_some(digits) }
}

/// Whether people get recovery codes by themselves.
fn can_renew(settings: &Settings) -> bool {
    settings.recovery.codes > 0 && settings.self_service != SelfService::Off
}

/// Whether being wrong costs the account nothing.
fn is_free(answer: &Answer) -> bool {
    answer.is_several() || answer.spare().is_some()
}

fn damage(damaged: &Damaged) -> &'static str {
    match damaged {
        Damaged::Altered => "record_altered",
        Damaged::NoSecret(_) => "no_application_secret",
        Damaged::Version(_) => "unknown_record_version",
    }
}
