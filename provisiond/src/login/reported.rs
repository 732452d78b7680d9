//! What a caller reports of a login, and how much of it is trusted. Worked out once, before anything is judged by it.

use std::time::Duration;

use common::config::exemptions::grace::LONGEST;
use common::config::limits::Limits;
use common::wire::protocol::{Challenge, LoginOptions, Verify};

use crate::audit::Line;
use crate::identity::caller::Role;
use crate::policy::Circumstances;
use crate::record::source::{Origin, Source};
use crate::service::Service;
use crate::service::call::Call;

/// What the caller reports.
#[derive(Clone, Copy)]
pub(super) struct Reported<'a> {
    service: &'a str,
    rhost: Option<&'a str>,
    tty: Option<&'a str>,
    options: Option<&'a LoginOptions>,
}

impl<'a> From<&'a Challenge> for Reported<'a> {
    fn from(Challenge { user: _, service, rhost, tty, options }: &'a Challenge) -> Self {
        Self { service, rhost: rhost.as_deref(), tty: tty.as_deref(), options: options.as_ref() }
    }
}

impl<'a> From<&'a Verify> for Reported<'a> {
    fn from(Verify { service, rhost, tty, options, .. }: &'a Verify) -> Self {
        Self { service, rhost: rhost.as_deref(), tty: tty.as_deref(), options: options.as_ref() }
    }
}

/// A login, with what is trusted of it: what root's processes report, and of a verifier its own services. The caller's role
/// says whether it is trusted with where the login comes from.
pub(super) struct Trusted<'a> {
    pub(super) call: &'a Call<'a>,
    /// The PAM service as reported. It chooses devices, which only ever makes them fewer.
    pub(super) service: &'a str,
    /// The PAM service for what lets in without a code.
    pub(super) trusted_service: Option<&'a str>,
    /// The address or name of the remote host.
    pub(super) rhost: Option<&'a str>,
    /// The terminal.
    pub(super) tty: Option<&'a str>,
    /// The pool that the login draws on.
    pub(super) source: Source,
    /// Where it comes from, exactly.
    pub(super) origin: Option<Origin>,
    options: Option<&'a LoginOptions>,
}

impl<'a> Trusted<'a> {
    pub(super) fn of(call: &'a Call<'a>, reported: Reported<'a>) -> Self {
        let Reported { service, rhost, tty, options } = reported;
        let (rhost, tty) = call.caller.trusted_origin(rhost, tty);
        let [rhost, tty] = [rhost, tty].map(|item| item.filter(|item| !item.is_empty()));
        let role = call.caller.role;
        Self {
            call,
            service,
            trusted_service: Some(service).filter(|_| matches!(role, Role::Root | Role::Verifier)),
            rhost,
            tty,
            source: Source::told(rhost, tty),
            origin: Origin::told(rhost, tty),
            options: options.filter(|_| role == Role::Root),
        }
    }

    /// What the attempt is judged by, besides the record and what was typed.
    pub(super) fn circumstances(&self, service: &Service) -> Circumstances<'_> {
        let (settings, source) = (&self.call.settings, self.source);
        let suspect =
            self.is_limited(&settings.limits) && service.source_limits.is_reached(source, settings.limits.per_source);
        let mut moment = self.call.moment;
        // A clock that the service file calls no measure of the device's teaches nothing of it.
        moment.synchronised &= !self.keeps_drift();
        Circumstances { policy: &settings.policy, moment, source, service: self.service, suspect }
    }

    /// Whether wrong codes from there are counted.
    pub(super) fn is_limited(&self, limits: &Limits) -> bool {
        let address = self.rhost.and_then(|rhost| rhost.parse().ok());
        !address.is_some_and(|address| limits.trust(address))
    }

    /// Whether the service file wants users to enrol at the prompt.
    pub(super) fn wants_enrolment(&self) -> bool {
        self.options.is_some_and(|options| options.enroll == Some(true))
    }

    /// How long the service file lets a code of this service count.
    pub(super) fn grace_period(&self) -> Option<Duration> {
        let seconds = self.options?.grace_period?;
        Some(Duration::from_secs(seconds.into()).min(LONGEST))
    }

    /// The line with the service, and where the login comes from.
    pub(super) fn located(&self, line: Line) -> Line {
        line.with("service", self.service).with_some("source", self.rhost).with_some("tty", self.tty)
    }

    fn keeps_drift(&self) -> bool {
        self.options.is_some_and(|options| options.noskewadj == Some(true))
    }
}
