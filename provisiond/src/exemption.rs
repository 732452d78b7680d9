//! Who is let by without a code: gathers what is proven about a login for [`crate::rules`], and answers and logs what
//! comes of it.

use std::time::Duration;

use common::calendar::LocalTime;
use common::config::Settings;
use common::grace::LONGEST;
use common::protocol::{Ask, Challenge, LoginOptions, RevokeGraceReply, Verdict, Verify, VerifyReply};
use common::rules::OBSERVE;

use crate::aftermath::attempt_line;
use crate::audit::Line;
use crate::bound::is_anothers;
use crate::caller::{Caller, Role};
use crate::clock;
use crate::grace::{Ends, Holder};
use crate::record::Record;
use crate::rules::{self, Demand, Facts, Origin};
use crate::service::{Call, Service};
use crate::throttle::Moment;

/// What the caller says of a login.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) service: &'a str,
    pub(crate) rhost: Option<&'a str>,
    pub(crate) tty: Option<&'a str>,
    options: Option<&'a LoginOptions>,
}

impl<'a> From<&'a Challenge> for Told<'a> {
    fn from(Challenge { user: _, service, rhost, tty, options }: &'a Challenge) -> Self {
        Self { service, rhost: rhost.as_deref(), tty: tty.as_deref(), options: options.as_ref() }
    }
}

impl<'a> From<&'a Verify> for Told<'a> {
    fn from(Verify { service, rhost, tty, options, .. }: &'a Verify) -> Self {
        Self { service, rhost: rhost.as_deref(), tty: tty.as_deref(), options: options.as_ref() }
    }
}

impl<'a> Told<'a> {
    /// What of it counts: what root's processes say, and a verifier of its own services. Where the login comes from is the
    /// caller's role to say.
    fn believed(self, caller: &Caller) -> Believed<'a> {
        let (rhost, tty) = caller.believed(self.rhost, self.tty);
        Believed {
            service: Some(self.service).filter(|_| matches!(caller.role, Role::Root | Role::Verifier)),
            origin: Origin::told(rhost, tty),
            options: self.options.filter(|_| caller.role == Role::Root),
        }
    }

    /// Whether nothing is to be learned of the device's clock.
    pub(crate) fn keeps_drift(self, caller: &Caller) -> bool {
        self.believed(caller).options.is_some_and(|options| options.noskewadj == Some(true))
    }

    /// Whether the service file wants people to enrol at the prompt.
    pub(crate) fn wants_enrolment(self, caller: &Caller) -> bool {
        self.believed(caller).options.is_some_and(|options| options.enroll == Some(true))
    }
}

/// What counts of what the caller says.
struct Believed<'a> {
    service: Option<&'a str>,
    origin: Option<Origin>,
    options: Option<&'a LoginOptions>,
}

impl Believed<'_> {
    fn grace_period(&self) -> Option<Duration> {
        let seconds = self.options?.grace_period?;
        Some(Duration::from_secs(seconds.into()).min(LONGEST))
    }
}

impl Service {
    /// What is demanded of a login to the account with `record`. Nobody is let by while the name service does not answer: the
    /// record may be under another spelling.
    pub(crate) fn demand<'s>(
        &self,
        call: &Call<'_>,
        told: Told<'_>,
        record: Option<&Record>,
        settings: &'s Settings,
    ) -> Demand<'s> {
        // Who was shut out, or has a name that was somebody else's, is not let by as somebody who needs no code here.
        let no_longer = |record: &Record| record.disabled || is_anothers(record, call, settings);
        if call.named.is_unknown() || record.is_some_and(no_longer) {
            return Demand::Code;
        }
        let (moment, believed) = (self.moment(), told.believed(call.caller));
        let (service, origin) = (believed.service, believed.origin.as_ref());
        let since = self.graces.since(&holder(call), service.unwrap_or_default(), origin, clock::since_boot());
        let facts = Facts {
            user: call.named.user(),
            is_member: &|group| is_member(call, group),
            origin,
            service,
            time: &|| local_time(&moment),
            ever_enrolled: record.is_some_and(Record::is_somebodys),
            has_device: record.is_some_and(|record| record.has_usable(moment.now, told.service)),
            since,
            grace_period: believed.grace_period(),
        };
        rules::demand(&settings.exemptions, &facts)
    }

    /// Remembers an accepted code, for those who have set a time in which no other is asked for. A verifier's counts where
    /// it is believed to come from and not on the whole machine: what an unprivileged daemon says must not open sudo.
    /// `before` was read before the code was judged.
    pub(crate) fn begin_grace(&self, call: &Call<'_>, attempt: &Verify, before: Ends) {
        let Believed { service, origin, .. } = Told::from(attempt).believed(call.caller);
        let here = call.caller.role == Role::Root;
        if let Some(service) = service {
            self.graces.begin(&holder(call), service, (origin, here), clock::since_boot(), before);
        }
    }

    /// `RevokeGrace`: lets no code that was accepted before count any more.
    pub fn revoke_grace(&self, call: &Call<'_>) -> RevokeGraceReply {
        let revoked = self.graces.end(call.user);
        self.log(call, call.line("revoke_grace").with("revoked", revoked));
        RevokeGraceReply { user: call.user.as_str().to_owned(), revoked }
    }

    /// The answer to an attempt without a code, if none is demanded now. Otherwise it is one that holds no code.
    pub(crate) fn exempted(&self, call: &Call<'_>, attempt: &Verify, settings: &Settings) -> Option<VerifyReply> {
        // Where the record cannot be read, nobody knows whose login it is.
        let record = self.records.look(call.user, &settings.secrets).ok()?;
        let Demand::Nothing(rule) = self.demand(call, attempt.into(), record.as_ref(), settings) else { return None };
        let line = attempt_line(call, attempt, Verdict::Exempt.word(), None, None).with("rule", rule);
        Some(self.let_by(call, attempt, line, exempt(rule)))
    }

    /// Whether a verdict only goes on record, while nobody is denied.
    pub(crate) fn is_only_observed(&self, call: &Call<'_>, verdict: Verdict, settings: &Settings) -> bool {
        let observed = settings.exemptions.roll_out.observe && verdict != Verdict::Accepted;
        observed && !self.may_be_shut(call, settings)
    }

    /// Whether the account is shut, or nobody can tell. What an attempt was refused for says nothing of it: there may have been
    /// another reason to come before.
    fn may_be_shut(&self, call: &Call<'_>, settings: &Settings) -> bool {
        let Ok(record) = self.records.look(call.user, &settings.secrets) else { return true };
        call.named.is_unknown() || record.is_some_and(|record| record.disabled)
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
        let line = line.with("rule", OBSERVE).with("would", would.word()).warning();
        let would = call.caller.peer.is_root().then_some(would);
        self.let_by(call, attempt, line, VerifyReply { would, ..exempt(OBSERVE) })
    }

    /// Who gets in without a line is what the settings may rule out.
    fn let_by(&self, call: &Call<'_>, attempt: &Verify, line: Line, reply: VerifyReply) -> VerifyReply {
        if self.log_before(call, line).is_err() {
            let refused = Verdict::Refused;
            self.log(call, attempt_line(call, attempt, refused.word(), None, Some("log_is_stuck")));
            return VerifyReply::bare(refused, Ask::Nothing);
        }
        reply
    }
}

fn exempt(rule: &str) -> VerifyReply {
    VerifyReply { rule: Some(rule.to_owned()), ..VerifyReply::bare(Verdict::Exempt, Ask::Nothing) }
}

/// Whose codes they are. Where the name service knows no account, records go by the name alone.
fn holder(call: &Call<'_>) -> Holder {
    Holder { user: call.user.clone(), uid: call.named.account().map(|account| account.uid) }
}

/// Whether the account is in the group, as far as the name service has said in time. Whom it does not know is in none.
fn is_member(call: &Call<'_>, group: &str) -> Option<bool> {
    call.named.account().map_or(Some(false), |account| call.names.is_member(account, group).ok())
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
        assert!(
            told(at + 239, Some(Doubt { at, of, lost: 0 })).is_none()
                && told(at + 240, Some(Doubt { at, of, lost: 0 })).is_some()
        );
        assert!(told(at, Some(Doubt { at: u64::MAX, of, lost: 0 })).is_none());
    }
}
