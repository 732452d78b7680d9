//! The state of a store on etcd, which all daemons share: its identity, the last roll-back, and
//! whether users may be missing. Beside it the clock of the fleet.
//!
//! While the store's records move, the row has a fence as well, and no daemon takes it for a state.
//!
//! Every update of a record requires the state to be as the daemon knows it. So a daemon that finds a
//! roll-back fences all others off at once: none of them writes before it has heard of it.

use crate::clock::mark::Mark;
use crate::store::Incomplete;
use crate::store::moving::Fence;

/// The state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The random identity of the store.
    pub(super) id: u128,
    /// How many roll-backs were found.
    pub(super) epoch: u64,
    /// When the last one was found, in trusted seconds.
    pub(super) rolled_back_tick: Option<u64>,
    /// Users may be missing, and no administrator has accepted that yet.
    pub(super) incomplete: Option<Incomplete>,
}

/// Why a state cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadState {
    /// The records move, or have moved. The state holds again if the fence is taken down.
    Fenced(State, Fence),
    /// A later version has written it.
    Newer,
    /// Other bytes.
    Damaged,
}

impl State {
    /// The state of a store that begins. `None`: the system gives no random bytes.
    pub(super) fn new() -> Option<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        Some(Self {
            id: u128::from_be_bytes(id),
            epoch: 0,
            rolled_back_tick: None,
            incomplete: None,
        })
    }

    /// The state after a roll-back was found in that trusted second. `epoch`: the latest one that is
    /// known. `users`: as many are known to have been there.
    pub(super) fn rolled_back(self, epoch: u64, stamp: u64, users: u64) -> Self {
        let before = self.incomplete.map_or(0, |missing| missing.users);
        Self {
            epoch: epoch.saturating_add(1),
            rolled_back_tick: Some(stamp),
            incomplete: Some(Incomplete {
                users: users.max(before),
                whole: UNKNOWN,
            }),
            ..self
        }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let tick = self
            .rolled_back_tick
            .map_or(0, |tick| tick.saturating_add(1));
        let (users, is_missing) = match self.incomplete {
            Some(missing) => (missing.users, 1),
            None => (0, 0),
        };
        let numbers = [self.epoch, tick, users, is_missing].map(u64::to_be_bytes);
        [
            &[FORMAT],
            self.id.to_be_bytes().as_slice(),
            numbers.as_flattened(),
        ]
        .concat()
    }

    /// The row of a store with that fence, or without one.
    pub(super) fn to_row(self, fence: Option<&Fence>) -> Vec<u8> {
        let state = self.to_bytes();
        match fence {
            None => state,
            Some(fence) => [&[FENCED], state.as_slice(), fence.to_text().as_bytes()].concat(),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BadState> {
        match bytes {
            [FORMAT, rest @ ..] => Self::from_bytes(rest).ok_or(BadState::Damaged),
            [FENCED, rest @ ..] => Err(Self::behind_a_fence(rest).unwrap_or(BadState::Damaged)),
            [format, ..] if *format > FENCED => Err(BadState::Newer),
            _ => Err(BadState::Damaged),
        }
    }

    fn behind_a_fence(bytes: &[u8]) -> Option<BadState> {
        let (state, text) = bytes.split_at_checked(BYTES)?;
        let state = Self::parse(state).ok()?;
        let fence = Fence::parse(&String::from_utf8_lossy(text));
        Some(BadState::Fenced(state, fence))
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (numbers, []) = rest.as_chunks() else {
            return None;
        };
        let [epoch, tick, users, is_missing] = *<&[[u8; 8]; 4]>::try_from(numbers).ok()?;
        let missing = Incomplete {
            users: u64::from_be_bytes(users),
            whole: UNKNOWN,
        };
        Some(Self {
            id: u128::from_be_bytes(*id),
            epoch: u64::from_be_bytes(epoch),
            rolled_back_tick: u64::from_be_bytes(tick).checked_sub(1),
            incomplete: (u64::from_be_bytes(is_missing) != 0).then_some(missing),
        })
    }
}

/// The clock of the fleet: the mark of the daemon whose trusted time was ahead when it was written.
///
/// Records hold trusted seconds. A daemon that begins counts on from here, so that no record is from
/// its future, and guesses do not come back at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FleetClock {
    /// Trusted seconds. They come first, so that etcd can compare two rows.
    pub(super) tick: u64,
    /// The mark of the clock of the daemon that wrote it.
    pub(super) mark: Mark,
}

impl FleetClock {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let numbers = std::iter::once(self.tick).chain(self.mark.to_numbers());
        numbers.flat_map(u64::to_be_bytes).collect()
    }

    /// `None`: it is none, or of another version. Then this daemon's own clock is as good.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks() else {
            return None;
        };
        let numbers: Vec<u64> = numbers.iter().copied().map(u64::from_be_bytes).collect();
        let (tick, mark) = numbers.split_first()?;
        let mark = Mark::from_numbers(mark)?;
        Some(Self { tick: *tick, mark })
    }

    /// The least row that is not so far behind that it must be written anew.
    pub(super) fn fresh(tick: u64) -> Vec<u8> {
        tick.saturating_sub(MOST_BEHIND).to_be_bytes().to_vec()
    }
}

const FORMAT: u8 = 1;
/// A fence behind a state.
const FENCED: u8 = 2;
/// Of a state: its format, its identity, four numbers.
const BYTES: usize = 1 + 16 + 4 * 8;
/// No number on etcd tells how many updates a whole store has.
const UNKNOWN: u64 = u64::MAX;
/// Seconds by which the clock of the fleet may be behind: it is written about once a minute.
const MOST_BEHIND: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::mark::{BootId, Reading};

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let new = State::new().unwrap();
        let lost = new.rolled_back(4, 77, 3).rolled_back(5, 0, 2);
        assert_eq!((lost.epoch, lost.rolled_back_tick), (6, Some(0)));
        assert_eq!(lost.incomplete.map(|missing| missing.users), Some(3));
        for state in [new, lost] {
            assert_eq!(State::parse(&state.to_bytes()), Ok(state));
        }
    }

    #[test]
    fn a_fenced_state_is_none_until_the_fence_falls() {
        let state = State::new().unwrap();
        for fence in [
            Fence::MovedTo("there".into()),
            Fence::MovesFrom("elsewhere".into()),
        ] {
            let row = state.to_row(Some(&fence));
            assert_eq!(State::parse(&row), Err(BadState::Fenced(state, fence)));
        }
        assert_eq!(State::parse(&state.to_row(None)), Ok(state));
    }

    #[test]
    fn a_state_of_another_version_or_size_is_none() {
        let bytes = State::new().unwrap().to_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(State::parse(&bytes[..cut]), Err(BadState::Damaged), "{cut}");
        }
        assert_eq!(
            State::parse(&[bytes, vec![0]].concat()),
            Err(BadState::Damaged)
        );
        assert_eq!(State::parse(&[FENCED, 0]), Err(BadState::Damaged));
        assert_eq!(State::parse(&[3, 0]), Err(BadState::Newer));
    }

    #[test]
    fn the_clock_that_is_ahead_is_the_greater_row() {
        let seen = Reading {
            boot: BootId::from(9),
            wall: 1,
            running: 2,
        };
        let at = |tick| FleetClock {
            tick,
            mark: Mark::new(&seen),
        };
        assert_eq!(FleetClock::parse(&at(500).to_bytes()), Some(at(500)));
        assert!(at(439).to_bytes() < FleetClock::fresh(500));
        assert!(at(440).to_bytes() >= FleetClock::fresh(500));
        assert!(at(u64::MAX).to_bytes() >= FleetClock::fresh(500));
        assert_eq!(FleetClock::parse(&[0; 9]), None);
        assert_eq!(FleetClock::parse(&[]), None);
    }
}
