//! `Status`, `ClockAccept` and `StoreAcceptLoss`: health of the daemon, its store and its clock;
//! the end of a quarantine by an administrator, and of the doubt whether users are missing.

use common::totp::Parameters;
use common::wire::protocol::{
    ClockAcceptReply, ClockState, Error, StatusReply, StoreAcceptLossReply,
};

use crate::audit::Line;
use crate::clock;
use crate::clock::moment::Moment;
use crate::policy::quarantine::last_lost;
use crate::service::Service;
use crate::service::call::Call;

/// `Status`: the state of the daemon, its store and its clock.
///
/// # Errors
/// [`Error::StoreUnavailable`].
pub(crate) fn status(service: &Service, call: &Call<'_>) -> Result<StatusReply, Error> {
    let health = service
        .records
        .health()
        .map_err(|_| Error::StoreUnavailable)?;
    let (settings, moment) = (&*call.settings, call.moment);
    let quarantine_until = quarantine_until(
        &moment,
        settings.new_device.parameters,
        settings.policy.window,
    );
    Ok(StatusReply {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: service.started,
        store: health.kind.to_owned(),
        users: health.users,
        generation: health.generation,
        incomplete: call.incomplete,
        users_known: service.records.incomplete().map(|missing| missing.users),
        default_tag: settings.secrets.default_tag().to_string(),
        connections: service.open_connections(),
        audit_lost: service.audit.lost(),
        events_lost: service.audit.events_lost(),
        clock: clock_state(&moment, quarantine_until),
        quarantine_until,
    })
}

/// `ClockAccept`: the administrator says that the clock event was right, which ends the quarantine.
/// No spent code and no guess comes back, and what a rolled-back store has lost stays in doubt.
/// When this returns, a restart keeps the decision.
///
/// # Errors
/// [`Error::StoreUnavailable`]: the decision holds until a restart only.
pub(crate) fn clock_accept(service: &Service, call: &Call<'_>) -> Result<ClockAcceptReply, Error> {
    let accepted = service.clock.accept();
    service.log(
        call,
        Line::new("clock_accept")
            .with("accepted", accepted)
            .warning(),
    );
    service
        .records
        .keep_mark(call.deadline)
        .map_err(|failure| service.failure(&failure, call))?;
    Ok(ClockAcceptReply { accepted })
}

/// `StoreAcceptLoss`: root says that users which the store does not hold were never enrolled. It
/// brings no user back, and what a rolled-back store has lost of codes and guesses stays in doubt.
///
/// # Errors
/// [`Error::StoreUnavailable`].
pub(crate) fn store_accept_loss(
    service: &Service,
    call: &Call<'_>,
) -> Result<StoreAcceptLossReply, Error> {
    let missing = service.records.incomplete();
    let accepted = missing.is_some();
    if accepted {
        service
            .records
            .accept_loss(call.deadline)
            .map_err(|failure| service.failure(&failure, call))?;
    }
    let line = Line::new("store_accept_loss")
        .with("accepted", accepted)
        .with_some("known", missing.map(|missing| missing.users));
    service.log(call, line.warning());
    Ok(StoreAcceptLossReply { accepted })
}

fn clock_state(moment: &Moment, quarantine_until: Option<u64>) -> ClockState {
    if !clock::can_be(moment.now) {
        ClockState::BeforeBuild
    } else if quarantine_until.is_some() {
        ClockState::Quarantine
    } else if !moment.synchronised {
        ClockState::Unsynchronised
    } else {
        ClockState::Ok
    }
}

/// The time at which the quarantine ends for a device with the default parameters and a right
/// clock. `None`: it is over.
fn quarantine_until(moment: &Moment, parameters: Parameters, window: u64) -> Option<u64> {
    let doubt = moment.doubt?;
    let last = parameters
        .step_at(doubt.at)
        .saturating_add(window)
        .max(last_lost(parameters, doubt));
    Some(parameters.start_of(last.saturating_add(1))).filter(|until| moment.now < *until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::mark::{Doubt, Doubted};

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn of_what_can_be_wrong_with_a_clock_the_worst_is_told() {
        let moment = Moment::ordinary(NOW);
        assert_eq!(clock_state(&moment, None), ClockState::Ok);
        let moment = Moment {
            synchronised: false,
            ..moment
        };
        assert_eq!(clock_state(&moment, None), ClockState::Unsynchronised);
        assert_eq!(clock_state(&moment, Some(NOW + 60)), ClockState::Quarantine);
        assert_eq!(
            clock_state(&Moment { now: 0, ..moment }, Some(60)),
            ClockState::BeforeBuild
        );
    }

    #[test]
    fn a_quarantine_is_over_when_a_device_shows_a_code_that_it_had_not_shown() {
        let doubt = Some(Doubt {
            at: NOW + 10,
            of: Doubted::Clock,
            lost: 0,
        });
        let until = |now| {
            quarantine_until(
                &Moment {
                    doubt,
                    ..Moment::ordinary(now)
                },
                Parameters::default(),
                1,
            )
        };
        assert_eq!(
            (until(NOW + 10), until(NOW + 59), until(NOW + 60)),
            (Some(NOW + 60), Some(NOW + 60), None)
        );
        let doubt = doubt.map(|doubt| Doubt {
            lost: NOW + 120,
            ..doubt
        });
        let until = quarantine_until(
            &Moment {
                doubt,
                ..Moment::ordinary(NOW)
            },
            Parameters::default(),
            1,
        );
        assert_eq!(
            until,
            Some(NOW + 150),
            "a code was used ahead of its time, and the store has forgotten it"
        );
        assert_eq!(
            quarantine_until(&Moment::ordinary(NOW), Parameters::default(), 1),
            None
        );
    }
}
