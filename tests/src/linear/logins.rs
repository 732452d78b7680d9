//! What logins and enrolments of one user mean: a device is there or not, and each of its time steps
//! can be won once.

use std::collections::BTreeSet;

use super::Call;

/// A call with its outcome. A device is known by a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The user has no device before, and that one after.
    Enrolled(u32),
    /// The user has no device any more.
    Forgotten,
    /// That user's devices were shown: this one, or none.
    Shown(Option<u32>),
    /// The code of the step opened a login.
    Accepted(u32, u64),
    /// The code of the step was judged, and opened none.
    Refused(u32, u64),
}

/// A user's record, as far as the calls tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    device: Option<u32>,
    spent: BTreeSet<u64>,
}

impl Known {
    /// Nothing but the device's steps that are not spent opens a login.
    fn opens(&self, device: u32, step: u64) -> bool {
        self.device == Some(device) && !self.spent.contains(&step)
    }

    /// A step earlier than a spent one may be refused, too: the daemon remembers a floor. Whether it
    /// is depends on the verifier's clock.
    fn may_refuse(&self, device: u32, step: u64) -> bool {
        let is_behind = self.spent.last().is_some_and(|last| step < *last);
        !self.opens(device, step) || is_behind
    }
}

impl Call for Told {
    type State = Known;

    fn after(&self, state: &Known) -> Option<Known> {
        let next = |device, spent| Known { device, spent };
        match *self {
            Self::Enrolled(device) if state.device.is_none() => {
                Some(next(Some(device), BTreeSet::new()))
            }
            Self::Forgotten if state.device.is_some() => Some(Known::default()),
            Self::Shown(device) if state.device == device => Some(state.clone()),
            Self::Accepted(device, step) if state.opens(device, step) => {
                let mut spent = state.spent.clone();
                spent.insert(step);
                Some(next(state.device, spent))
            }
            Self::Refused(device, step) if state.may_refuse(device, step) => Some(state.clone()),
            _ => None,
        }
    }

    fn only_reads(&self) -> bool {
        matches!(self, Self::Shown(_) | Self::Refused(..))
    }
}
