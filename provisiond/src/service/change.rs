//! Changes a record for a handler: load, check whose it is, decide, replace, and log a refusal.

use common::wire::protocol::Error;

use super::Service;
use super::call::Call;
use super::uid_binding::{Act, admitted, log_rebound, rebound};
use crate::record::Record;
use crate::records::Decision;

/// Stores the record that `next` makes of the record of the call's user, durably, and returns the
/// second value of `next`. If `next` returns no record, nothing changes. Logs a refusal under the
/// event of `act`.
///
/// # Errors
/// What `next` returns; the refusal of a record that is bound to another uid;
/// [`Error::StoreUnavailable`], [`Error::RecordDamaged`], [`Error::Busy`].
pub(crate) fn change<T>(
    service: &Service,
    call: &Call<'_>,
    act: Act,
    mut next: impl FnMut(Option<&Record>) -> Result<(Option<Record>, T), Error>,
) -> Result<T, Error> {
    let mut former = None;
    let changed = service.records.change(call.access(), |record| {
        let decided =
            admitted(service, record, call, act).and_then(|record| next(record.as_deref()));
        match decided {
            Ok((next, outcome)) => {
                former = rebound(record, next.as_ref(), call);
                Decision {
                    next,
                    outcome: Ok(outcome),
                }
            }
            Err(error) => Decision {
                next: None,
                outcome: Err(error),
            },
        }
    });
    let changed = changed.map_err(|failure| service.failure(&failure, call))?;
    log_rebound(service, call, former);
    changed.inspect_err(|error| service.log_refused_change(act.event, call, error))
}
