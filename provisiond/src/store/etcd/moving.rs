//! Records leave a store on etcd, or come to one. The fence is in the row of the state, which every
//! update of a record requires to be as its daemon knows it: so all daemons are fenced at once.

use std::sync::Arc;

use common::config::{EtcdSettings, Trust};
use etcd_client::{Compare, CompareOp, Txn, TxnOp};

use super::keys::{Keys, WriteId};
use super::nodes::{Failure, Nodes};
use super::opening::{Found, look};
use super::state::{FleetClock, State};
use super::updates::{range, rows, rows_of_range};
use super::version::LEAST;
use super::{EtcdStore, Fatal, Known, OpenError, PAGE, Place, Tell, Told, after, keys};
use crate::clock::Clock;
use crate::store::Store;
use crate::store::moving::{Carried, Fence, New, NotMoved, Old, Rows};

/// A store that records leave.
pub struct Leaving {
    store: EtcdStore,
    name: String,
    fence: Option<Fence>,
}

impl Leaving {
    /// Opens it, whatever its fence says. `tell` and `fatal` as for [`EtcdStore::open`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        place: &Place<'_>,
        clock: Arc<Clock>,
        tell: impl Fn(Told) + Send + Sync + 'static,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let hearers: (Tell, Fatal) = (Arc::new(tell), Box::new(fatal));
        let (store, fence) = EtcdStore::open_with(LEAST, place, clock, hearers)?;
        Ok(Self {
            store,
            name: name_of(place.settings),
            fence,
        })
    }
}

impl Old for Leaving {
    fn name(&self) -> &str {
        &self.name
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    fn set_fence(&mut self, fence: Option<Fence>) -> Result<(), NotMoved> {
        let mut known = self.store.known();
        let row = known.state.to_row(fence.as_ref());
        let (nodes, keys) = (&self.store.nodes, &self.store.keys);
        let write = Txn::new()
            .when([state_is(keys, Some(known.revision))])
            .and_then([TxnOp::put(keys.state(), row.clone(), None)]);
        let revision = written(nodes, keys, (write, &row), self.store.timeout)?;
        known.revision = revision;
        drop(known);
        self.fence = fence;
        Ok(())
    }
}

/// A store that records come to.
pub struct Arriving {
    nodes: Nodes,
    keys: Keys,
    settings: EtcdSettings,
    name: String,
    found: Option<Found>,
    known: Option<Known>,
}

impl Arriving {
    /// Looks at the prefix. Nothing changes.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(settings: &EtcdSettings, trust: &Trust) -> Result<Self, OpenError> {
        let hearers: (Tell, Fatal) = (Arc::new(|_| ()), Box::new(|_| ()));
        let nodes = Nodes::new((settings, trust), LEAST, hearers).map_err(OpenError::Files)?;
        let keys = Keys::new(&settings.prefix);
        let found = look(&nodes, &keys, &settings.prefix, after(settings.timeout))?;
        Ok(Self {
            nodes,
            keys,
            settings: settings.clone(),
            name: name_of(settings),
            found,
            known: None,
        })
    }

    fn known(&self) -> Result<Known, NotMoved> {
        self.known.ok_or_else(|| changed(&self.name))
    }

    /// The records that are there, and the keys below which no user's record can be.
    fn present(&self) -> Result<(Rows, Vec<Vec<u8>>), NotMoved> {
        let (mut from, to) = self.keys.users();
        let (mut records, mut strange) = (Rows::new(), Vec::new());
        loop {
            let page = Txn::new().and_then([range((from.clone(), to.clone()), PAGE)]);
            let answer = self.nodes.ask(&page, after(self.settings.timeout));
            let (page, _) = rows_of_range(&answer.map_err(not_reached)?.response, 0);
            let Some(last) = page.last() else {
                return Ok((records, strange));
            };
            from = [last.key(), b"\0"].concat();
            for row in &page {
                match self.keys.user_of(row.key()) {
                    Some(user) => {
                        let stored = keys::stored(row.value(), row.mod_revision());
                        records.insert(user, stored.bytes);
                    }
                    None => strange.push(row.key().to_vec()),
                }
            }
        }
    }

    /// Makes these changes, unless the fence is another one by now.
    fn change(&self, changes: &[TxnOp]) -> Result<(), NotMoved> {
        let known = self.known()?;
        for some in changes.chunks(AT_ONCE) {
            let txn = Txn::new()
                .when([state_is(&self.keys, Some(known.revision))])
                .and_then(some);
            let answer = self.nodes.ask(&txn, after(self.settings.timeout));
            if !answer.map_err(not_reached)?.response.succeeded() {
                return Err(changed(&self.name));
            }
        }
        Ok(())
    }
}

impl New for Arriving {
    fn name(&self) -> &str {
        &self.name
    }

    fn fence(&self) -> Option<&Fence> {
        self.found.as_ref()?.fence.as_ref()
    }

    fn has_users(&self) -> bool {
        self.found.as_ref().is_some_and(|found| found.users > 0)
    }

    /// The row is written anew at each run, so a transaction of an earlier one that is still under way
    /// finds another revision.
    fn begin(&mut self, fence: Fence) -> Result<(), NotMoved> {
        let found = self.found.as_ref();
        let state = found.map(|found| found.state).or_else(State::new);
        let state = state.ok_or(NotMoved::Store(OpenError::NoRandomness.to_string()))?;
        let row = state.to_row(Some(&fence));
        let write = Txn::new()
            .when([state_is(
                &self.keys,
                found.map(|found| found.state_revision),
            )])
            .and_then([TxnOp::put(self.keys.state(), row.clone(), None)]);
        let timeout = self.settings.timeout;
        let revision = written(&self.nodes, &self.keys, (write, &row), timeout)?;
        self.known = Some(Known { state, revision });
        Ok(())
    }

    fn fill(&mut self, rows: &Rows, _: &Carried) -> Result<(), NotMoved> {
        let (present, strange) = self.present()?;
        let mut changes: Vec<TxnOp> = Vec::new();
        let gone = present.keys().filter(|user| !rows.contains_key(*user));
        let gone = gone.map(|user| self.keys.record(user)).chain(strange);
        changes.extend(gone.map(|key| TxnOp::delete(key, None)));
        for (user, record) in rows {
            if present.get(user) != Some(record) {
                let id = WriteId::random();
                let id = id.ok_or(NotMoved::Store(OpenError::NoRandomness.to_string()))?;
                let row = keys::row(id, record);
                changes.push(TxnOp::put(self.keys.record(user), row, None));
            }
        }
        self.change(&changes)
    }

    fn rows(&mut self) -> Result<Rows, NotMoved> {
        self.present().map(|(records, _)| records)
    }

    fn finish(&mut self, carried: &Carried) -> Result<(), NotMoved> {
        let Known { state, revision } = self.known()?;
        let state = State {
            rolled_back_tick: carried.rolled_back_tick,
            incomplete: carried.incomplete,
            ..state
        };
        let row = state.to_row(None);
        let before = self.found.as_ref().and_then(|found| found.clock);
        let clock = FleetClock {
            tick: carried.tick,
            mark: carried.mark,
        };
        let clock = match before {
            Some(before) if before.tick > clock.tick => before,
            _ => clock,
        };
        let write = Txn::new()
            .when([state_is(&self.keys, Some(revision))])
            .and_then([
                TxnOp::put(self.keys.state(), row.clone(), None),
                TxnOp::put(self.keys.clock(), clock.to_bytes(), None),
            ]);
        let timeout = self.settings.timeout;
        written(&self.nodes, &self.keys, (write, &row), timeout)?;
        self.nodes.close();
        Ok(())
    }
}

/// What a store on etcd is called in the fence of another one.
fn name_of(settings: &EtcdSettings) -> String {
    format!(
        "etcd at {} below {}",
        settings.endpoints.join(", "),
        settings.prefix
    )
}

/// The state is of that revision; `None`: there is none.
fn state_is(keys: &Keys, revision: Option<i64>) -> Compare {
    match revision {
        Some(revision) => Compare::mod_revision(keys.state(), CompareOp::Equal, revision),
        None => Compare::create_revision(keys.state(), CompareOp::Equal, 0),
    }
}

/// Writes the row of the state, and returns its revision. Sent twice, the second one finds what the
/// first one wrote.
fn written(
    nodes: &Nodes,
    keys: &Keys,
    (write, row): (Txn, &[u8]),
    timeout: std::time::Duration,
) -> Result<i64, NotMoved> {
    let txn = write.or_else([TxnOp::get(keys.state(), None)]);
    let answer = nodes.ask(&txn, after(timeout)).map_err(not_reached)?;
    if answer.response.succeeded() {
        return Ok(answer.revision);
    }
    let found = rows(&answer.response).into_iter().next().flatten();
    match found.filter(|found| answer.was_doubtful && found.value() == row) {
        Some(found) => Ok(found.mod_revision()),
        None => Err(changed("the store on etcd")),
    }
}

fn changed(name: &str) -> NotMoved {
    NotMoved::Store(format!(
        "{name} was changed meanwhile, by a daemon or by another 'totpctl migrate': try again"
    ))
}

fn not_reached(failure: Failure) -> NotMoved {
    NotMoved::Store(failure.sentence)
}

/// Changes in one transaction. Etcd takes 128, and 1.5 MiB.
const AT_ONCE: usize = 100;
