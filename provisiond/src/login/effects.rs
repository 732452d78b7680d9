//! The effects of a judged login attempt: its log line with all fields, counters of the source
//! limit and of the metrics, a grace, a measurement of clock skew, and the reply to the caller. They happen in one
//! order, after the verdict is durable.

use std::sync::Arc;

use common::answer::Answer;
use common::config::roles::SelfService;
use common::names::device::DeviceName;
use common::wire::protocol::{Ask, Verdict, VerifyReply};

use super::exemption;
use super::first_login::{self, FirstDevice};
use super::judge::Judgement;
use super::outcome::{AttemptOutcome, Counted, Told, Wrong};
use super::reported::Trusted;
use crate::audit::Line;
use crate::audit::skew::{self, Missed};
use crate::identity::caller::Role;
use crate::record::codes::Finding;
use crate::service::Service;
use crate::service::call::Call;

/// Counts the attempt against its limits, logs it, and makes the reply.
pub(super) fn settle(
    service: &Service,
    login: &Trusted<'_>,
    Judgement {
        outcome,
        before,
        attempt,
    }: Judgement<'_>,
    (answer, was_typed): (Option<Answer>, bool),
) -> VerifyReply {
    let call = login.call;
    let AttemptOutcome { told, counted } = outcome;
    if counted.wrong == Some(Wrong::ForFree) {
        match attempt {
            Some(attempt) => attempt.was_wrong(),
            None => service.was_wrong_for_free(call),
        }
    }
    if told.verdict == Verdict::Accepted
        && let Some(answer) = &answer
    {
        // Behind a password, it may come again where none is needed.
        service.accepted.remember_text(call.user, answer);
    }
    count(service, login, (&told, &counted), was_typed);
    if let Some(first) = &told.first_device {
        first_login::log(service, login, first);
    }
    if matches!(told.first_device, Some(FirstDevice::Made(..))) {
        return reply(service, call, told, &counted);
    }
    let observed = counted.is_verdict && exemption::is_only_observed(service, call, told.verdict);
    let reply = if observed {
        exemption::observed(service, login, told.verdict, counted.reason)
    } else if told.verdict == Verdict::Accepted {
        let line = line(
            login,
            told.verdict.word(),
            told.device.as_ref(),
            counted.reason,
        );
        if service.log_before(call, line).is_err() {
            // The code is spent, but the settings require a log line for every login.
            return log_is_stuck(service, login, told.device.as_ref(), told.ask);
        }
        // A bypass opens as many logins as it was issued for. A grace would let in more.
        let grants = !matches!(counted.finding, Some(Finding::Bypass(_)));
        if let Some(before) = before.filter(|_| grants) {
            exemption::begin_grace(service, login, before);
        }
        reply(service, call, told, &counted)
    } else {
        log_refusal_of(service, login, &told, &counted);
        reply(service, call, told, &counted)
    };
    measure_skew(service, call, counted.missed, answer);
    reply
}

/// Counts the attempt against its user and its source, and logs the codes it used up
/// and the devices it disabled. Counts the pool it emptied.
fn count(
    service: &Service,
    login: &Trusted<'_>,
    (told, counted): (&Told, &Counted),
    was_typed: bool,
) {
    let call = login.call;
    if told.verdict == Verdict::Accepted {
        service.log_left_out_of_user(call);
    }
    // A caller that sends no code guesses nothing: its address may be that of a whole network of
    // exempt users.
    if counted.wrong.is_some() && was_typed {
        count_for_the_source(service, login);
    }
    if let Some(pool) = counted.exhausted {
        service.counters.pool_exhausted(pool);
    }
    service.log_finding(call, counted.finding, login.service);
    service.log_disabled(call, &counted.disabled);
}

/// Counts a wrong code against its source (rate limit of brute force), also if no account was
/// charged for it. Logs the wrong code that reaches the limit.
fn count_for_the_source(service: &Service, login: &Trusted<'_>) {
    let (limits, reporter) = (&login.call.settings.limits, login.call.caller.peer.uid);
    if !login.is_limited(limits) {
        return;
    }
    let limited = &service.source_limits;
    if limited.count(reporter, login.source, limits.per_source) {
        let line = Line::new("source_limited")
            .with_some("source", login.rhost)
            .with("wrong_codes", limits.per_source);
        // A verifier can report one address after the other: the line counts for its quota.
        service.log(login.call, line.warning());
    }
}

/// The reply to the verdict, which is counted as a verifier hears it.
fn reply(service: &Service, call: &Call<'_>, told: Told, counted: &Counted) -> VerifyReply {
    service.counters.verdict(told.masked);
    let verdict = match call.caller.role {
        Role::Verifier | Role::Relay => told.masked,
        _ => told.verdict,
    };
    let bare = VerifyReply::bare(verdict, told.ask);
    let enrolled = match told.first_device {
        Some(FirstDevice::Made(enrolment, _)) => {
            return VerifyReply {
                enrolment: Some(enrolment),
                ..bare
            };
        }
        Some(FirstDevice::Confirmed(_)) => Some(true),
        None => None,
    };
    let recovery_codes_left = match counted.finding {
        Some(Finding::RecoveryCode(left)) if call.caller.peer.is_root() => Some(left),
        _ if enrolled.is_some() && can_renew(call) => Some(0),
        _ => None,
    };
    let device = told.device.map(|device| device.to_string());
    VerifyReply {
        retry_after: told.retry_after,
        device,
        recovery_codes_left,
        enrolled,
        ..bare
    }
}

/// Whether users can make recovery codes for themselves.
fn can_renew(call: &Call<'_>) -> bool {
    call.settings.recovery.codes > 0 && call.settings.self_service != SelfService::Off
}

fn log_refusal_of(service: &Service, login: &Trusted<'_>, told: &Told, counted: &Counted) {
    let line = line(
        login,
        told.verdict.word(),
        told.device.as_ref(),
        counted.reason,
    );
    // With a reason, the wait is one that the user does not expect.
    let until = told.retry_after.filter(|_| counted.reason.is_some());
    let until = until.map(|seconds| login.call.moment.now.saturating_add(seconds));
    service.log_refusal(login.call, line.with_some("until", until));
    // Logged once each time that an attempt takes the last guess of a pool.
    if let Some(pool) = counted.emptied {
        let line = login
            .call
            .line("budget_empty")
            .with("pool", pool)
            .with_some("source", login.rhost);
        service.log(login.call, line.warning());
    }
}

/// Logs and counts an attempt that gets an error in place of a verdict.
pub(super) fn unavailable(service: &Service, login: &Trusted<'_>, reason: &'static str) {
    service.counters.unavailable();
    service.log_refusal(login.call, line(login, "unavailable", None, Some(reason)));
}

/// Lets a user in without a code, unless the settings require a log line and the log takes none.
pub(super) fn let_in(
    service: &Service,
    login: &Trusted<'_>,
    line: Line,
    reply: VerifyReply,
) -> VerifyReply {
    match service.log_before(login.call, line) {
        Ok(()) => {
            service.counters.verdict(reply.verdict);
            reply
        }
        Err(_) => log_is_stuck(service, login, None, reply.ask),
    }
}

/// Refuses a login because its line cannot be logged.
fn log_is_stuck(
    service: &Service,
    login: &Trusted<'_>,
    device: Option<&DeviceName>,
    ask: Ask,
) -> VerifyReply {
    let refused = Verdict::Refused;
    service.counters.verdict(refused);
    service.log(
        login.call,
        line(login, refused.word(), device, Some("log_is_stuck")),
    );
    VerifyReply::bare(refused, ask)
}

/// The log line of an attempt, with all its fields. A line that refuses is a warning.
pub(super) fn line(
    login: &Trusted<'_>,
    verdict: &str,
    device: Option<&DeviceName>,
    reason: Option<&str>,
) -> Line {
    let line = login
        .located(login.call.line("verify"))
        .with("verdict", verdict);
    let line = line.with_some("device", device).with_some("reason", reason);
    // All codes are wrong on a machine whose clock is.
    let is_doubtful = verdict != Verdict::Accepted.word() && !login.call.moment.synchronised;
    let line = line.with_some("machine_clock", is_doubtful.then_some("unsynchronised"));
    let lets_in = verdict == Verdict::Accepted.word() || verdict == Verdict::Exempt.word();
    if lets_in { line } else { line.warning() }
}

/// Starts the measurement of clock skew: whether the wrong answer would have been right at another
/// time.
fn measure_skew(
    service: &Service,
    call: &Call<'_>,
    missed: Option<Missed>,
    answer: Option<Answer>,
) {
    let (Some(missed), Some(answer)) = (missed, answer) else {
        return;
    };
    let settings = Arc::clone(&call.settings);
    let line = service.signed(call, call.line("device_clock_skew"));
    service.skews.measure(skew::MissedAttempt {
        missed,
        answer,
        settings,
        now: call.moment.now,
        line,
    });
}
