//! What an attempt leaves behind besides its record: lines of the log, what its source is up to, patience, a skew that is to
//! be measured.

use std::sync::Arc;

use common::answer::Answer;
use common::config::Settings;
use common::limits::Limits;
use common::protocol::{Verdict, Verify};

use crate::audit::Line;
use crate::judging::{Outcome, Wrong};
use crate::policy::Circumstances;
use crate::quota::Cause;
use crate::service::{Call, Service};
use crate::skew::{self, Missed};

impl Service {
    /// Counts it wherever it counts, and tells what it has used up or disabled.
    pub(crate) fn keep_account(
        &self,
        call: &Call<'_>,
        attempt: &Verify,
        outcome: &Outcome,
        now: &Circumstances<'_>,
        limits: &Limits,
    ) {
        let Outcome { judged, wrong, .. } = outcome;
        if judged.verdict == Verdict::Accepted {
            let left_out = self.log_quota.settle(&Cause::Refusal(call.user.clone()));
            left_out.into_iter().for_each(|left_out| self.tell_left_out(left_out));
        }
        if *wrong == Some(Wrong::ForFree) {
            self.was_wrong_for_free(call);
        }
        // Who types nothing guesses nothing: it may be a whole network of people who are not even asked.
        if wrong.is_some() && !attempt.codes.is_empty() {
            let (rhost, _) = call.caller.believed(attempt.rhost.as_deref(), attempt.tty.as_deref());
            self.count_for_the_source(now, rhost, limits);
        }
        self.log_finding(call, judged.finding, &attempt.service);
        self.log_disabled(call, &judged.disabled);
    }

    /// Writes the line of a refused attempt. Of a user who is refused all the time only some are told one by one.
    pub(crate) fn log_refusal(&self, call: &Call<'_>, line: Line) {
        if self.may_log_refusal(call.user) {
            self.log(call, line);
        }
    }

    /// Tells once that a pool of guesses is used up.
    pub(crate) fn log_emptied(&self, call: &Call<'_>, attempt: &Verify, pool: Option<&'static str>) {
        if let Some(pool) = pool {
            let (source, _) = call.caller.believed(attempt.rhost.as_deref(), None);
            self.log(
                call,
                call.line("budget_empty")
                    .with("pool", pool)
                    .with_some("source", source.filter(|source| !source.is_empty()))
                    .warning(),
            );
        }
    }

    /// Lets it be found out whether the answer was right for another time, when everything else is done.
    pub(crate) fn measure_skew(
        &self,
        call: &Call<'_>,
        missed: Option<Missed>,
        answer: Option<Answer>,
        settings: &Arc<Settings>,
        now: u64,
    ) {
        if let (Some(missed), Some(answer)) = (missed, answer) {
            let (settings, line) = (Arc::clone(settings), self.signed(call, call.line("skew")));
            self.skews.measure(skew::Attempt { missed, answer, settings, now, line });
        }
    }

    /// A wrong code counts for where it came from, also if there is no account that it could cost anything.
    fn count_for_the_source(&self, now: &Circumstances<'_>, rhost: Option<&str>, limits: &Limits) {
        if !trusted(rhost, limits) && self.sprays.count(now.source, limits.per_source) {
            let line = Line::new("spray").with_some("source", rhost).with("wrong_codes", limits.per_source);
            self.audit.write(line.warning());
        }
    }
}

/// The line about an attempt.
pub(crate) fn attempt_line(
    call: &Call<'_>,
    attempt: &Verify,
    verdict: &str,
    device: Option<&str>,
    reason: Option<&str>,
) -> Line {
    let line = with_origin(call.line("verify"), call, attempt)
        .with("verdict", verdict)
        .with_some("device", device)
        .with_some("reason", reason);
    let as_it_should_be = [Verdict::Accepted, Verdict::Exempt].map(Verdict::word).contains(&verdict);
    if as_it_should_be { line } else { line.warning() }
}

/// The line with the service of an attempt, and where it comes from.
pub(crate) fn with_origin(line: Line, call: &Call<'_>, attempt: &Verify) -> Line {
    let (rhost, tty) = call.caller.believed(attempt.rhost.as_deref(), attempt.tty.as_deref());
    line.with("service", &attempt.service)
        .with_some("source", rhost.filter(|rhost| !rhost.is_empty()))
        .with_some("tty", tty.filter(|tty| !tty.is_empty()))
}

/// A line about who was refused before anything was looked at.
pub(crate) fn not_permitted(method: &str, user: Option<&str>, caller: &crate::caller::Peer) -> Line {
    Line::new("not_permitted")
        .with("method", method)
        .with_some("user", user)
        .with("uid", caller.uid)
        .with("pid", caller.pid)
        .warning()
}

/// Whether the wrong codes from there are not counted.
pub(crate) fn trusted(rhost: Option<&str>, limits: &Limits) -> bool {
    rhost.and_then(|rhost| rhost.parse().ok()).is_some_and(|address| limits.trust(address))
}
