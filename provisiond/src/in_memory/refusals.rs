//! The refused connections from the network that the log has told of lately: a relay that is refused tries
//! again every few seconds, and one line a minute is enough for each address and reason.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use super::{Bounded, Window, lock};

/// The refusals of the last minute.
#[derive(Debug)]
pub(crate) struct Refusals(Mutex<Bounded<(IpAddr, String), Window>>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(Bounded::new(MAX_KNOWN)))
    }
}

impl Refusals {
    /// Whether the log has not told of it within the last minute.
    pub(crate) fn is_new(&self, from: IpAddr, why: &str) -> bool {
        let mut all = lock(&self.0);
        let refused = all.entry(
            (from, why.to_owned()),
            Window::begin,
            |refused| refused.is_over(MINUTE),
            |refused| refused.since,
        );
        refused.count(MINUTE) == 1
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const MAX_KNOWN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_and_reason_is_told_once() {
        let refusals = Refusals::default();
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let told = [
            (here, "a"),
            (here, "a"),
            (there, "a"),
            (here, "b"),
            (here, "a"),
        ];
        let told = told.map(|(from, why)| refusals.is_new(from, why));
        assert_eq!(told, [true, false, true, true, false]);
    }
}
