//! What a caller reports of a login (service, remote host, terminal, module options): how much of
//! it is trusted, and how the log line names it. Worked out once, before anything is judged by it.

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

/// What the caller reports, not yet trusted.
#[derive(Clone, Copy)]
pub(super) struct Reported<'a> {
    service: &'a str,
    rhost: Option<&'a str>,
    tty: Option<&'a str>,
    options: Option<&'a LoginOptions>,
}

impl<'a> From<&'a Challenge> for Reported<'a> {
    fn from(
        Challenge {
            user: _,
            service,
            rhost,
            tty,
            options,
        }: &'a Challenge,
    ) -> Self {
        Self {
            service,
            rhost: rhost.as_deref(),
            tty: tty.as_deref(),
            options: options.as_ref(),
        }
    }
}

impl<'a> From<&'a Verify> for Reported<'a> {
    fn from(
        Verify {
            service,
            rhost,
            tty,
            options,
            ..
        }: &'a Verify,
    ) -> Self {
        Self {
            service,
            rhost: rhost.as_deref(),
            tty: tty.as_deref(),
            options: options.as_ref(),
        }
    }
}

/// A login, with the trusted part of the report: all of it from root's processes, and the service
/// from a verifier or a relay. The caller's role decides whether the reported source is trusted.
pub(super) struct Trusted<'a> {
    pub(super) call: &'a Call<'a>,
    /// The PAM service as reported. It chooses the usable devices, and can only make them fewer.
    pub(super) service: &'a str,
    /// The trusted PAM service, for rules and graces, which let users in without a code.
    pub(super) trusted_service: Option<&'a str>,
    /// The address or name of the remote host.
    pub(super) rhost: Option<&'a str>,
    /// The terminal.
    pub(super) tty: Option<&'a str>,
    /// The pool that the login draws on.
    pub(super) source: Source,
    /// The exact source: an address or a console.
    pub(super) origin: Option<Origin>,
    options: Option<&'a LoginOptions>,
}

impl<'a> Trusted<'a> {
    pub(super) fn of(call: &'a Call<'a>, reported: Reported<'a>) -> Self {
        let Reported {
            service,
            rhost,
            tty,
            options,
        } = reported;
        let (rhost, tty) = call.caller.trusted_origin(rhost, tty);
        let rhost = rhost.filter(|rhost| !rhost.is_empty());
        let tty = tty.filter(|tty| !tty.is_empty());
        let role = call.caller.role;
        let is_service_trusted = matches!(role, Role::Root | Role::Verifier | Role::Relay);
        // The consoles of another host are not those that rules mean by `local`.
        let console = tty.filter(|_| role != Role::Relay);
        Self {
            call,
            service,
            trusted_service: is_service_trusted.then_some(service),
            rhost,
            tty,
            source: Source::told(rhost, tty),
            origin: Origin::told(rhost, console),
            options: options.filter(|_| role == Role::Root),
        }
    }

    /// What the attempt is judged by, besides the record and the typed text.
    pub(super) fn circumstances(&self, service: &Service) -> Circumstances<'_> {
        let source = self.source;
        let policy = &self.call.settings.policy;
        let limits = &self.call.settings.limits;
        let reporter = self.call.caller.peer.uid;
        let is_reached = || {
            let limited = &service.source_limits;
            limited.is_reached(reporter, source, limits.per_source)
        };
        let suspect = self.is_limited(limits) && is_reached();
        let mut moment = self.call.moment;
        // With the option `noskewadj` the login teaches nothing about the device's drift.
        moment.synchronised &= !self.keeps_drift();
        Circumstances {
            policy,
            moment,
            source,
            service: self.service,
            suspect,
        }
    }

    /// Whether the source limit counts wrong codes from this source: not from
    /// `limits.trusted-sources`.
    pub(super) fn is_limited(&self, limits: &Limits) -> bool {
        let address = self.rhost.and_then(|rhost| rhost.parse().ok());
        !address.is_some_and(|address| limits.trust(address))
    }

    /// Whether the service file (option `enroll`) lets users enrol at the prompt.
    pub(super) fn wants_enrolment(&self) -> bool {
        self.options
            .is_some_and(|options| options.enroll == Some(true))
    }

    /// Whether the service file also says that the user has passed a first factor
    /// (`enroll=first_factor`).
    pub(super) fn has_first_factor(&self) -> bool {
        self.options
            .is_some_and(|options| options.first_factor == Some(true))
    }

    /// The grace that the service file gives (option `grace_period`).
    pub(super) fn grace_period(&self) -> Option<Duration> {
        let seconds = self.options?.grace_period?;
        Some(Duration::from_secs(seconds.into()).min(LONGEST))
    }

    /// Adds the service, the source and the terminal to a log line.
    pub(super) fn located(&self, line: Line) -> Line {
        line.with("service", self.service)
            .with_some("source", self.rhost)
            .with_some("tty", self.tty)
    }

    fn keeps_drift(&self) -> bool {
        self.options
            .is_some_and(|options| options.noskewadj == Some(true))
    }
}
