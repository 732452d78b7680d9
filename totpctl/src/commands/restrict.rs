//! `restrict`: days and PAM services for which a device is usable; reads the days of --from and
//! --until.

use common::config::values::calendar;
use common::wire::protocol::Restrict;

use super::Context;
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::render::Restricted;

/// Sets or removes a device's restrictions.
pub(super) fn run(context: &Context<'_>, wanted: &cli::RestrictArgs) -> Result<Exit, Failure> {
    let (user, device) = wanted.target.names()?;
    let (valid_from, valid_until, services) = times_and_services(&wanted.bounds)?;
    if !wanted.lift && (valid_from, valid_until, services.is_empty()) == (None, None, true) {
        return Err(Failure::Usage(NO_BOUNDS));
    }
    let call = Restrict {
        user,
        device,
        valid_from,
        valid_until,
        services: services.clone(),
    };
    let reply = context.daemon.call(&call)?;
    let (user, device) = (reply.user, reply.device);
    context.output.result(&Restricted {
        user,
        device,
        valid_from,
        valid_until,
        services,
    })?;
    Ok(Exit::Done)
}

/// From the first second of one day, until the first second after another, for these services.
pub(super) fn times_and_services(bounds: &cli::RestrictionArgs) -> Result<Restrictions, Failure> {
    let from = bounds.from.as_deref().map(first_second).transpose()?;
    let until = bounds
        .until
        .as_deref()
        .map(first_second)
        .transpose()?
        .map(|start| start.saturating_add(DAY));
    Ok((from, until, bounds.services.clone()))
}

/// The first second, the second after the last one, and the services.
type Restrictions = (Option<u64>, Option<u64>, Vec<String>);

fn first_second(day: &str) -> Result<u64, Failure> {
    calendar::date(day)
        .and_then(calendar::start)
        .ok_or_else(|| Failure::BadParameter(NO_DAY.into()))
}

const DAY: u64 = 86400;
const NO_DAY: &str = "not a day: write it as 2026-12-01";
const NO_BOUNDS: &str =
    "restrictions are missing: give --from, --until or --services; or --lift to remove all";

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(from: Option<&str>, until: Option<&str>) -> Result<Restrictions, Failure> {
        let own = |day: Option<&str>| day.map(str::to_owned);
        times_and_services(&cli::RestrictionArgs {
            from: own(from),
            until: own(until),
            services: vec!["sudo".into()],
        })
    }

    #[test]
    fn the_last_day_counts_to_its_end() {
        let whole_day = bounds(Some("2026-12-01"), Some("2026-12-01")).unwrap();
        assert_eq!(
            whole_day,
            (
                Some(1_796_083_200),
                Some(1_796_169_600),
                vec!["sudo".to_owned()]
            )
        );
        assert_eq!(bounds(None, None).unwrap().0, None);
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for day in ["2026-02-30", "tomorrow", "1.12.2026", "1969-12-31", ""] {
            assert_eq!(
                bounds(Some(day), None).unwrap_err().code(),
                ("bad_parameter", Exit::BadInput),
                "{day}"
            );
        }
    }
}
