//! `policy.strict`: the lockout of a device after a hundred wrong answers in a row (SP 800-63B-4,
//! section 3.2.2).
//!
//! It is off by default, because it allows what the rest of the policy prevents: an attacker at the
//! prompt can lock a user out.

use common::config::Policy;
use common::names::device::DeviceName;
use serde::{Deserialize, Serialize};

use crate::record::{Device, Record, State};

/// Wrong answers that were compared with a device since its last accepted code. A login may refund
/// their cost, but they still count as failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures(u8);

impl Failures {
    /// Without `strict` no failure is counted, so that switching it on disables no device at once.
    fn one_more(self, policy: &Policy) -> Self {
        if policy.strict {
            Self(self.0.saturating_add(1).min(MOST_FAILURES))
        } else {
            Self::default()
        }
    }

    /// Whether the limit is reached, which disables the device.
    #[must_use]
    pub fn are_too_many(self) -> bool {
        self.0 >= MOST_FAILURES
    }
}

/// Counts a wrong answer for the devices that it was compared with. Returns those that it disabled.
pub fn count(record: &mut Record, compared: &[DeviceName], policy: &Policy) -> Vec<DeviceName> {
    let devices = record
        .devices
        .iter_mut()
        .filter(|device| compared.contains(&device.name));
    devices
        .filter_map(|device| count_for(device, policy).then(|| device.name.clone()))
        .collect()
}

fn count_for(device: &mut Device, policy: &Policy) -> bool {
    device.failures = device.failures.one_more(policy);
    let too_many = device.failures.are_too_many();
    if too_many {
        device.state = State::Disabled;
    }
    too_many
}

/// The reason for the log, also for an account without a usable device.
pub const STRICT_DISABLED: &str = "strict_disabled";
/// The most that SP 800-63B-4 allows.
pub const MOST_FAILURES: u8 = 100;
