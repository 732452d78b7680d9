//! A time of this boot of the machine, on a clock that nothing sets: an administrator or a time
//! service that sets the clock neither hastens nor delays the rollback.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// A time, in milliseconds since the machine was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instant {
    /// The kernel's name for this boot.
    pub(crate) boot: String,
    pub(crate) milliseconds: u64,
}

impl Instant {
    /// Now.
    pub(crate) fn now() -> Result<Self, Failure> {
        let boot = std::fs::read_to_string(BOOT_ID).map_err(|error| Failure::File {
            path: BOOT_ID.into(),
            problem: error.to_string(),
        })?;
        Ok(Self {
            boot: boot.trim().to_owned(),
            milliseconds: milliseconds_since_boot()?,
        })
    }

    /// So much later.
    pub(crate) fn later(&self, span: Duration) -> Self {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self {
            boot: self.boot.clone(),
            milliseconds: self.milliseconds.saturating_add(span),
        }
    }

    /// Whether it has passed. A time of an earlier boot has: no session of then is left.
    pub(crate) fn has_passed(&self, now: &Self) -> bool {
        self.boot != now.boot || now.milliseconds >= self.milliseconds
    }
}

fn milliseconds_since_boot() -> Result<u64, Failure> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_err(|errno| {
        Failure::SetUp(format!(
            "the kernel does not say how long the machine runs: {}",
            errno.desc()
        ))
    })?;
    Ok(u64::try_from(Duration::from(now).as_millis()).unwrap_or(u64::MAX))
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_passes_by_the_machines_running_or_with_its_boot() {
        let now = Instant::now().unwrap();
        let due = now.later(Duration::from_secs(600));
        assert!(!due.has_passed(&now));
        assert!(due.has_passed(&now.later(Duration::from_secs(600))));
        let rebooted = Instant {
            boot: "another".into(),
            milliseconds: 0,
        };
        assert!(due.has_passed(&rebooted));
    }
}
