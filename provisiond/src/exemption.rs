//! Who is let by without a code: gathers what is proven about a login for [`crate::rules`], and answers and logs what
//! comes of it.

use common::calendar::LocalTime;
use common::config::Settings;
use common::protocol::{Ask, Challenge, Verdict, Verify, VerifyReply};
use common::rules::OBSERVE;

use crate::audit::Line;
use crate::caller::Role;
use crate::clock;
use crate::record::Record;
use crate::rules::{self, Demand, Facts, Origin};
use crate::service::{Call, Service};
use crate::throttle::Moment;
use crate::verify::attempt_line;

/// What the caller says of a login.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    service: &'a str,
    rhost: Option<&'a str>,
    tty: Option<&'a str>,
}

impl<'a> From<&'a Challenge> for Told<'a> {
    fn from(about: &'a Challenge) -> Self {
        Self { service: &about.service, rhost: about.rhost.as_deref(), tty: about.tty.as_deref() }
    }
}

impl<'a> From<&'a Verify> for Told<'a> {
    fn from(attempt: &'a Verify) -> Self {
        Self { service: &attempt.service, rhost: attempt.rhost.as_deref(), tty: attempt.tty.as_deref() }
    }
}

impl Service {
    /// What is demanded of a login to the account with `record`. What the caller says counts as far as it is
    /// believed, and nobody is let by while the name service does not answer: the record may be under another spelling.
    pub(crate) fn demand<'s>(
        &self,
        call: &Call<'_>,
        told: Told<'_>,
        record: Option<&Record>,
        settings: &'s Settings,
    ) -> Demand<'s> {
        // Who was shut out is not let by as somebody who needs no code here.
        if call.named.is_unknown() || record.is_some_and(|record| record.disabled) {
            return Demand::Code;
        }
        let (rhost, tty) = call.caller.believed(told.rhost, told.tty);
        let origin = Origin::told(rhost, tty);
        // A verifier may name its own services only.
        let by_a_service = matches!(call.caller.role, Role::Root | Role::Verifier);
        let moment = self.moment();
        let facts = Facts {
            user: call.user,
            is_member: &|group| is_member(call, group),
            origin: origin.as_ref(),
            service: Some(told.service).filter(|_| by_a_service),
            time: &|| local_time(&moment),
            ever_enrolled: record.is_some_and(|record| record.enrolled),
        };
        rules::demand(&settings.exemptions, &facts)
    }

    /// The answer to an attempt without a code, if none is demanded now. Otherwise it is one that holds no code.
    pub(crate) fn exempted(&self, call: &Call<'_>, attempt: &Verify, settings: &Settings) -> Option<VerifyReply> {
        // Where the record cannot be read, nobody knows whose login it is.
        let record = self.records.look(call.user, &settings.secrets).ok()?;
        let Demand::Nothing(rule) = self.demand(call, attempt.into(), record.as_ref(), settings) else { return None };
        let line = attempt_line(call, attempt, Verdict::Exempt.word(), None, None).with("rule", rule);
        Some(self.let_by(call, attempt, line, rule))
    }

    /// The answer to an attempt that would have been refused, while nobody is denied.
    pub(crate) fn observed(
        &self,
        call: &Call<'_>,
        attempt: &Verify,
        would: Verdict,
        reason: Option<&str>,
    ) -> VerifyReply {
        let line = attempt_line(call, attempt, Verdict::Exempt.word(), None, reason);
        self.let_by(call, attempt, line.with("rule", OBSERVE).with("would", would.word()).warning(), OBSERVE)
    }

    /// Who gets in without a line is what the settings may rule out.
    fn let_by(&self, call: &Call<'_>, attempt: &Verify, line: Line, rule: &str) -> VerifyReply {
        if self.log_before(call, line).is_err() {
            let refused = Verdict::Refused;
            self.log(call, attempt_line(call, attempt, refused.word(), None, Some("log_is_stuck")));
            return VerifyReply::bare(refused, Ask::Nothing);
        }
        VerifyReply { rule: Some(rule.to_owned()), ..VerifyReply::bare(Verdict::Exempt, Ask::Nothing) }
    }
}

/// Whether the account is in the group, as the name service has said in time.
fn is_member(call: &Call<'_>, group: &str) -> bool {
    call.named.account().is_some_and(|account| call.names.is_member(account, group).unwrap_or(false))
}

/// What time it is here, if the clock can be believed.
fn local_time(moment: &Moment) -> Option<LocalTime> {
    let settling = moment.doubt.is_some_and(|doubt| moment.now < doubt.at.saturating_add(SETTLING));
    if clock::can_be(moment.now) && !settling { LocalTime::of(moment.now) } else { None }
}

/// Seconds in which a clock that was set is not yet believed: as long as the slowest of new devices needs for two codes.
const SETTLING: u64 = 240;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::mark::{Doubt, Doubted};

    #[test]
    fn a_clock_in_doubt_tells_no_time() {
        let (at, of) = (clock::now(), Doubted::Clock);
        let told = |now, doubt| local_time(&Moment { doubt, ..Moment::ordinary(now) });
        assert!(told(at, None).is_some() && told(0, None).is_none());
        assert!(told(at + 239, Some(Doubt { at, of })).is_none() && told(at + 240, Some(Doubt { at, of })).is_some());
        assert!(told(at, Some(Doubt { at: u64::MAX, of })).is_none());
    }
}
