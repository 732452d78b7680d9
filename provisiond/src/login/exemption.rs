//! Logins without a code, by a rule or a grace, and when a grace begins: collects the proven facts
//! of a login for [`super::rules`], then answers and logs the login.

use common::config::exemptions::rules::OBSERVE;
use common::config::values::calendar::{self, DateTime};
use common::wire::protocol::{Ask, Verdict, VerifyReply};

use super::effects;
use super::judge::Judgement;
use super::reported::Trusted;
use super::rules::{self, Demand, Facts};
use crate::clock;
use crate::clock::moment::Moment;
use crate::identity::caller::Role;
use crate::in_memory::grace::{Ends, Holder, Since};
use crate::record::Record;
use crate::service::Service;
use crate::service::call::Call;
use crate::service::renamed::Former;
use crate::service::uid_binding::has_other_uid;

/// What a login demands. A code is always demanded while the name service does not answer, of a
/// user whose record may be missing, of a disabled account, of an account whose record is bound to
/// another uid, and of a renamed account.
pub(super) fn demand<'a>(
    service: &Service,
    login: &Trusted<'a>,
    record: Option<&Record>,
) -> Demand<'a> {
    let call = login.call;
    let is_barred = |record: &Record| record.disabled || has_other_uid(record, call);
    if call.may_be_enrolled(record).is_some()
        || record.is_some_and(is_barred)
        || call.named.is_unknown()
        || service.is_renamed(record, call)
    {
        return Demand::Code;
    }
    let (moment, account) = (&call.moment, holder(call));
    let origin = login.origin.as_ref();
    let trusted_service = login.trusted_service;
    let accepted_for = trusted_service.unwrap_or_default();
    let facts = Facts {
        user: call.named.user(),
        is_member: &|group| is_member(call, group),
        origin,
        service: trusted_service,
        time: &|| local_time(moment),
        ever_enrolled: record.is_some_and(Record::is_somebodys),
        has_device: record.is_some_and(|record| record.has_usable(moment.now, login.service)),
        since: match call.caller.role {
            Role::Relay => Since::default(),
            _ => service
                .graces
                .since(&account, accepted_for, origin, moment.since_boot),
        },
        grace_period: login.grace_period(),
    };
    rules::demand(&call.settings.exemptions, &facts)
}

/// The rule by which no code is demanded now. `None`: the attempt is judged, also one that holds no
/// code. Not for an unreadable record, which proves nothing about the user.
pub(super) fn rule<'a>(
    service: &Service,
    login: &Trusted<'a>,
    record: Option<&Record>,
) -> Option<&'a str> {
    match demand(service, login, record) {
        Demand::Nothing(rule) => Some(rule),
        Demand::Code | Demand::Refusal => None,
    }
}

/// The reply to an attempt for which no code is demanded. If a code came all the same, and was
/// `used` or `known` before, the reply says so: the caller may have cut it off a password.
pub(super) fn let_by(
    service: &Service,
    login: &Trusted<'_>,
    rule: &str,
    (used, known): (Option<Judgement<'_>>, bool),
) -> VerifyReply {
    let device = used.and_then(|used| used.outcome.told.device);
    let line = effects::line(login, Verdict::Exempt.word(), device.as_ref(), None);
    let reply = VerifyReply {
        is_code: (known || device.is_some()).then_some(true),
        device: device.map(|device| device.to_string()),
        ..exempt(rule)
    };
    effects::let_in(service, login, line.with("rule", rule), reply)
}

/// Begins a grace: remembers an accepted code for the time in which the settings ask for no other.
/// A grace from a verifier holds only for the source that the verifier is trusted to report, and
/// never for the whole host: an unprivileged daemon must not open sudo. `before` was read before
/// the code was judged. A relay's login begins none and uses none: a host whose certificate was stolen
/// could extend one code that it has seen to all other hosts.
pub(super) fn begin_grace(service: &Service, login: &Trusted<'_>, before: Ends) {
    let Some(pam_service) = login.trusted_service else {
        return;
    };
    let call = login.call;
    if call.caller.role == Role::Relay {
        return;
    }
    let here = call.caller.role == Role::Root;
    service.graces.begin(
        &holder(call),
        pam_service,
        (login.origin.clone(), here),
        call.moment.since_boot,
        before,
    );
}

/// Whether the verdict is logged and not enforced, because the settings only observe
/// (`roll-out.observe`).
pub(super) fn is_only_observed(service: &Service, call: &Call<'_>, verdict: Verdict) -> bool {
    let observed = call.settings.exemptions.roll_out.observe && verdict != Verdict::Accepted;
    observed && !may_be_shut(service, call)
}

/// Whether the account is disabled, or may be. The reason of the refusal does not tell, because
/// another reason may have come first.
fn may_be_shut(service: &Service, call: &Call<'_>) -> bool {
    let Ok(record) = service.records.look(call.user, &call.settings.secrets) else {
        return true;
    };
    call.named.is_unknown()
        || call.may_be_enrolled(record.as_ref()).is_some()
        || former_may_be_shut(service, record.as_ref(), call)
        || record.is_some_and(|record| record.disabled)
}

/// The same for the record that a renamed account has under its former name.
fn former_may_be_shut(service: &Service, record: Option<&Record>, call: &Call<'_>) -> bool {
    match service.former_name(record, call) {
        Former::None => false,
        Former::Unread(_) | Former::Unknown => true,
        Former::Name(name) => service
            .records
            .look(&name, &call.settings.secrets)
            .map_or(true, |record| record.is_some_and(|record| record.disabled)),
    }
}

/// The reply to an attempt that would have been refused, while the settings only observe.
pub(super) fn observed(
    service: &Service,
    login: &Trusted<'_>,
    would: Verdict,
    reason: Option<&str>,
) -> VerifyReply {
    let line = effects::line(login, Verdict::Exempt.word(), None, reason);
    let line = line
        .with("rule", OBSERVE)
        .with("would", would.word())
        .warning();
    let would = login.call.caller.peer.is_root().then_some(would);
    let reply = VerifyReply {
        would,
        ..exempt(OBSERVE)
    };
    effects::let_in(service, login, line, reply)
}

fn exempt(rule: &str) -> VerifyReply {
    VerifyReply {
        rule: Some(rule.to_owned()),
        ..VerifyReply::bare(Verdict::Exempt, Ask::Nothing)
    }
}

/// The user that a grace is kept for. A name without an account is told apart by the name alone.
fn holder(call: &Call<'_>) -> Holder {
    Holder {
        user: call.user.clone(),
        uid: call.named.account().map(|account| account.uid),
    }
}

/// Whether the account is in the group. `None`: the name service did not answer in time. A name
/// without an account is in no group.
pub(super) fn is_member(call: &Call<'_>, group: &str) -> Option<bool> {
    match call.named.account() {
        Some(account) => call.names.is_member(account, group).ok(),
        None => Some(false),
    }
}

/// The local time, if the clock can be trusted.
pub(super) fn local_time(moment: &Moment) -> Option<DateTime> {
    let settling = moment
        .doubts
        .latest()
        .is_some_and(|event| moment.now < event.saturating_add(SETTLING));
    if clock::can_be(moment.now) && !settling {
        calendar::local(moment.now)
    } else {
        None
    }
}

/// Seconds after a clock event in which the clock is not trusted: two codes of a device with the
/// longest period.
const SETTLING: u64 = 240;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::doubt::Doubts;

    #[test]
    fn a_clock_in_doubt_tells_no_time() {
        let at = clock::now();
        let told = |now, moved| {
            local_time(&Moment {
                doubts: Doubts {
                    moved,
                    ..Doubts::default()
                },
                ..Moment::ordinary(now)
            })
        };
        assert!(told(at, None).is_some() && told(0, None).is_none());
        assert!(told(at + 239, Some(at)).is_none() && told(at + 240, Some(at)).is_some());
        assert!(told(at, Some(u64::MAX)).is_none());
        let behind = Doubts {
            behind: Some(at + 3600),
            ..Doubts::default()
        };
        let behind = Moment {
            doubts: behind,
            ..Moment::ordinary(at)
        };
        assert!(
            local_time(&behind).is_none(),
            "nor does one that is behind what was seen before a boot"
        );
    }
}
