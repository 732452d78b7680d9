//! `Status`, `ClockAccept` and `StoreAcceptLoss`: health of the daemon, its store and its clock;
//! the end of a quarantine by an administrator, and of the doubt whether users are missing.

use common::config::Settings;
use common::totp::Parameters;
use common::wire::protocol::{
    ClockAcceptReply, ClockState, CopyReply, Error, StatusReply, StoreAcceptLossReply,
};

use crate::audit::Line;
use crate::clock;
use crate::clock::moment::Moment;
use crate::policy::quarantine::over_at;
use crate::service::Service;
use crate::service::call::Call;
use crate::store::CopyHealth;

/// `Status`: the state of the daemon, its store and its clock.
///
/// # Errors
/// [`Error::StoreUnavailable`].
pub(crate) fn status(service: &Service, call: &Call<'_>) -> Result<StatusReply, Error> {
    let health = service
        .records
        .health()
        .map_err(|_| Error::StoreUnavailable)?;
    let Acceptance { before, after } = acceptance(call);
    let (clock, quarantine_until) = before;
    Ok(StatusReply {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: service.started,
        store: health.kind.to_owned(),
        users: health.users,
        generation: health.generation,
        incomplete: call.incomplete,
        users_known: service.records.incomplete().map(|missing| missing.users),
        default_tag: call.settings.secrets.default_tag().to_string(),
        wrong_secrets: service.records.wrong_secrets(),
        sealed: service.sealed(&call.settings.secrets),
        connections: service.open_connections(),
        audit_lost: service.audit.lost(),
        events_lost: service.audit.events_lost(),
        clock,
        quarantine_until,
        acceptable: Some(before != after),
        copy: health.copy.map(copy_as_told),
        upstream: None,
        fleet: service.fleet(&call.settings),
        offline: None,
    })
}

fn copy_as_told(copy: CopyHealth) -> CopyReply {
    CopyReply {
        whole: copy.is_whole,
        seen_whole: copy.seen_whole,
        snapshot: copy.snapshot,
        healed: copy.healed,
        not_healed: copy.not_healed,
    }
}

/// `ClockAccept`: the administrator says that the clock is right, which ends or shortens the
/// quarantine that `Status` shows, unless the store or a time before the build is its cause. No
/// spent code and no guess comes back. When this returns, a restart keeps the decision.
///
/// # Errors
/// [`Error::StoreUnavailable`]: the decision holds until a restart only.
pub(crate) fn clock_accept(service: &Service, call: &Call<'_>) -> Result<ClockAcceptReply, Error> {
    let Acceptance { before, after } = acceptance(call);
    let accepted = before != after;
    if accepted {
        service.clock.accept();
    }
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
    let (clock, quarantine_until) = after;
    Ok(ClockAcceptReply {
        accepted,
        clock: Some(clock),
        quarantine_until,
    })
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

/// The state of the clock, and in a quarantine its end.
type Told = (ClockState, Option<u64>);

/// The state of the clock now, and when an administrator vouches for it.
struct Acceptance {
    before: Told,
    after: Told,
}

fn acceptance(call: &Call<'_>) -> Acceptance {
    let device = like_a_new_one(&call.settings);
    Acceptance {
        before: clock_as_told(&call.moment, device),
        after: clock_as_told(&vouched_for(call.moment), device),
    }
}

/// The moment as it is when an administrator vouches for the clock.
fn vouched_for(moment: Moment) -> Moment {
    Moment {
        doubts: moment.doubts.accepted(),
        ..moment
    }
}

/// The device that the end of a quarantine is told for, and the window of its codes.
fn like_a_new_one(settings: &Settings) -> (Parameters, u64) {
    (settings.new_device.parameters, settings.policy.window)
}

/// The state of the clock, the worst first.
fn clock_as_told(moment: &Moment, (parameters, window): (Parameters, u64)) -> Told {
    if !clock::can_be(moment.now) {
        (ClockState::BeforeBuild, None)
    } else if let Some(until) = over_at(parameters, window, moment) {
        (ClockState::Quarantine, Some(until))
    } else if !moment.synchronised {
        (ClockState::Unsynchronised, None)
    } else {
        (ClockState::Ok, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::doubt::Doubts;

    const NOW: u64 = 1_800_000_000;

    fn doubts_of(moved: Option<u64>, rolled_back: Option<u64>) -> Doubts {
        Doubts {
            moved,
            rolled_back,
            ..Doubts::default()
        }
    }

    /// What is told of the clock, and what is told when it was accepted.
    fn both(moment: Moment) -> [Told; 2] {
        [moment, vouched_for(moment)]
            .map(|moment| clock_as_told(&moment, (Parameters::default(), 1)))
    }

    fn with(doubts: Doubts) -> Moment {
        Moment {
            doubts,
            ..Moment::ordinary(NOW)
        }
    }

    fn unsynchronised(moment: Moment) -> Moment {
        Moment {
            synchronised: false,
            ..moment
        }
    }

    #[test]
    fn of_what_can_be_wrong_with_a_clock_the_worst_is_told() {
        let ordinary = Moment::ordinary(NOW);
        assert_eq!(both(ordinary), [OK; 2]);
        assert_eq!(both(unsynchronised(ordinary)), [UNSYNCHRONISED; 2]);
        let lost = Moment {
            now: 0,
            ..unsynchronised(with(doubts_of(Some(NOW), None)))
        };
        assert_eq!(both(lost), [(ClockState::BeforeBuild, None); 2]);
    }

    #[test]
    fn what_is_told_as_a_quarantine_can_be_accepted_unless_the_store_is_its_cause() {
        let now = Some(NOW);
        let set = with(doubts_of(now, None));
        assert_eq!(both(set), [QUARANTINE, OK]);
        assert_eq!(both(unsynchronised(set)), [QUARANTINE, UNSYNCHRONISED]);
        let over = with(doubts_of(Some(NOW - 60), None));
        assert_eq!(both(over), [OK; 2], "nothing is left to accept");
        let booted = Doubts {
            booted: now,
            ..Doubts::default()
        };
        assert_eq!(both(with(booted)), [QUARANTINE, OK]);
        let later = (ClockState::Quarantine, Some(NOW + 3660));
        let behind = Doubts {
            behind: Some(NOW + 3600),
            ..booted
        };
        assert_eq!(both(with(behind)), [later, OK]);
        assert_eq!(both(with(doubts_of(None, now))), [QUARANTINE; 2]);
        let shortened = with(doubts_of(Some(NOW + 3600), now));
        assert_eq!(both(shortened), [later, QUARANTINE]);
    }

    const OK: Told = (ClockState::Ok, None);
    const UNSYNCHRONISED: Told = (ClockState::Unsynchronised, None);
    const QUARANTINE: Told = (ClockState::Quarantine, Some(NOW + 60));
}
