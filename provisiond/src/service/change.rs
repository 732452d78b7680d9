//! Changes a record for a handler: load, decide, replace, and log a refusal.

use common::wire::protocol::Error;

use super::Service;
use super::call::Call;
use crate::record::Record;
use crate::records::Decision;

/// Stores the record that `next` makes of the record of the call's user, durably, and returns the
/// second value of `next`. If `next` returns no record, nothing changes. Logs a refusal under the
/// name of `event`.
///
/// # Errors
/// What `next` returns; [`Error::StoreUnavailable`], [`Error::RecordDamaged`], [`Error::Busy`].
pub(crate) fn change<T>(
    service: &Service,
    call: &Call<'_>,
    event: &'static str,
    mut next: impl FnMut(Option<&Record>) -> Result<(Option<Record>, T), Error>,
) -> Result<T, Error> {
    let changed = service
        .records
        .change(call.access(), |record| match next(record) {
            Ok((next, outcome)) => Decision {
                next,
                outcome: Ok(outcome),
            },
            Err(error) => Decision {
                next: None,
                outcome: Err(error),
            },
        });
    let changed = changed.map_err(|failure| service.failure(&failure, call))?;
    changed.inspect_err(|error| service.log_refused_change(event, call, error))
}
