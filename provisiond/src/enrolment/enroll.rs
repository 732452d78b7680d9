//! `Enroll`: makes a new key (or takes a given one), seals it as a device of the user, and shows it
//! once.

use std::time::Duration;

use common::wire::protocol::{Enroll, EnrollReply, Error};

use crate::enrolment::new_device::NewDevice;
use crate::enrolment::proof;
use crate::enrolment::recovery::first_codes;
use crate::record::{Record, State};
use crate::service::Service;
use crate::service::call::Call;
use crate::service::uid_binding::{Act, bind, new_record};

/// `Enroll`: adds a device, pending unless an administrator asks for an active one. The reply shows
/// the key only after the record is durable.
///
/// # Errors
/// [`Error`].
pub(crate) fn enroll(
    service: &Service,
    call: &Call<'_>,
    wish: &Enroll,
) -> Result<EnrollReply, Error> {
    let new = NewDevice::plan(call, wish)?;
    let age = Duration::from_millis(wish.age.unwrap_or(0));
    let enrolment = service.enrolments.begin(call.user, age);
    let is_active = new.state == State::Active;
    let begin = |record: Option<&Record>| record.cloned().map_or_else(|| new_record(call), Ok);
    let (added, recovery_codes) = proof::change(
        service,
        call,
        (
            Act::giving_to("enroll", wish.same_person),
            wish.proof.as_ref(),
        ),
        begin,
        |record, _| {
            record.expire(call.moment.now);
            // A device is made once, however many ask for it at once: one that replaced another's
            // pending device would leave that caller with a key that opens nothing.
            if !enrolment.makes() && new.is_made_by_another(record) {
                return Err(Error::bad("device", AT_ONCE));
            }
            let added = new.add_to(record, call)?;
            if !is_active {
                return Ok((added, Vec::new()));
            }
            bind(record, call)?;
            let codes = first_codes(record, call)?;
            Ok((added, codes))
        },
    )?;
    let line = call
        .line("enroll")
        .with("device", &added.name)
        .with("state", new.state.on_the_wire().word())
        .with_some("weak_key_bits", new.weak_key_bits());
    service.log(call, line);
    Ok(new.reply(call.user, &added, recovery_codes))
}

const AT_ONCE: &str = "another enrolment of this user ran at the same time and made this device: 'totpctl show' shows it; to \
                       add one more, name it with --device";
