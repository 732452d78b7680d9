//! `policy.strict`: a hundred wrong answers in a row disable a device (SP 800-63B-4, section 3.2.2).
//!
//! It is an administrator's choice, and costs what the rest of the policy is careful to keep: with it, whoever gets as far
//! as the prompt can take a device from its owner.

use common::config::Policy;
use common::names::device::DeviceName;
use serde::{Deserialize, Serialize};

use crate::record::{Device, Record, State};

/// Wrong answers that were compared with a device since it last opened anything. What they cost may come back with a login,
/// but they are failures all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures(u8);

impl Failures {
    /// Without `strict` nothing is counted, so that nobody is the hundredth when it is switched on.
    fn one_more(self, policy: &Policy) -> Self {
        if policy.strict { Self(self.0.saturating_add(1).min(MOST_FAILURES)) } else { Self::default() }
    }

    /// Whether they have disabled the device.
    #[must_use]
    pub fn are_too_many(self) -> bool {
        self.0 >= MOST_FAILURES
    }
}

/// Counts a wrong answer for the devices that it was compared with. Returns those that it disabled.
pub fn count(record: &mut Record, compared: &[DeviceName], policy: &Policy) -> Vec<DeviceName> {
    let devices = record.devices.iter_mut().filter(|device| compared.contains(&device.name));
    devices.filter_map(|device| count_for(device, policy).then(|| device.name.clone())).collect()
}

fn count_for(device: &mut Device, policy: &Policy) -> bool {
    device.failures = device.failures.one_more(policy);
    let too_many = device.failures.are_too_many();
    if too_many {
        device.state = State::Disabled;
    }
    too_many
}

/// The log's word, also for why nothing of an account counts.
pub const STRICT_DISABLED: &str = "strict_disabled";
/// What SP 800-63B-4 allows at most.
pub const MOST_FAILURES: u8 = 100;
