//! One update as one transaction: what it requires, what it writes, and how it is known what became
//! of it, even if the answer was lost.
//!
//! A transaction may reach etcd twice, and the second time long after its answer: the same one is sent
//! again until there is an answer, and a member that stood still passes on what it had kept. It
//! requires the revision that it builds on, so it is made once at most. A first record builds on
//! none: it requires that no record was removed since. If a transaction is not made because something
//! has changed, the write ids tell whether the change was this update itself.

use etcd_client::{
    Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse,
};

use super::keys::{Keys, WriteId, is_made_by};
use super::state::FleetClock;
use crate::store::Outcome;

/// What an update does to one row.
pub(super) enum Change {
    /// Writes a row that is not there yet.
    Insert(Vec<u8>, Vec<u8>),
    /// Writes the row of that revision anew.
    Replace(Vec<u8>, i64, Vec<u8>),
    /// Removes the row of that revision.
    Remove(Vec<u8>, i64),
}

/// An update of records.
pub(super) struct Update<'a> {
    pub(super) keys: &'a Keys,
    pub(super) id: WriteId,
    /// The revision of the state that the daemon knows.
    pub(super) state: i64,
    /// The revision in which a record was last removed, as the daemon knows it.
    pub(super) removed: i64,
    pub(super) changes: Vec<Change>,
    /// The row by which the update is known to have been made. `None`: it leaves none.
    pub(super) trace: Option<Vec<u8>>,
    pub(super) clock: FleetClock,
}

/// What an answer says of an update.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It was made, or not.
    Outcome(Outcome),
    /// It was not made: the state of the store is another one than the daemon knows.
    StateChanged,
    /// It was not made: a record was removed in that revision, of which the daemon did not know.
    RemovedSince(i64),
}

impl Update<'_> {
    /// The transaction.
    pub(super) fn txn(&self) -> Txn {
        let state = Compare::mod_revision(self.keys.state(), CompareOp::Equal, self.state);
        let removed = Compare::mod_revision(self.keys.removed(), CompareOp::Equal, self.removed);
        let removed = Some(removed).filter(|_| self.inserts());
        let required = self.changes.iter().map(Change::required);
        let compares = std::iter::once(state).chain(removed).chain(required);
        let compares: Vec<Compare> = compares.collect();
        let id = |key| TxnOp::put(key, self.id.to_bytes(), None);
        let removes = self.removes().then(|| id(self.keys.removed()));
        let writes = self.changes.iter().map(Change::written).chain(removes);
        let writes: Vec<TxnOp> = writes.chain([id(self.keys.last()), self.clock()]).collect();
        let trace = self.trace.clone().unwrap_or_else(|| self.keys.last());
        let (state, last) = (self.keys.state(), self.keys.last());
        let looks = [state, last, trace, self.keys.removed()];
        Txn::new()
            .when(compares)
            .and_then(writes)
            .or_else(looks.map(|key| TxnOp::get(key, None)))
    }

    /// What the answer says. `revision`: etcd's at the answer. `was_doubtful`: the transaction may
    /// have been made before it.
    pub(super) fn judge(
        &self,
        response: &TxnResponse,
        revision: i64,
        was_doubtful: bool,
    ) -> Judged {
        if response.succeeded() {
            return Judged::Outcome(Outcome::Done(super::keys::version(revision)));
        }
        let rows: Vec<Option<KeyValue>> = rows(response);
        let row = |index: usize| rows.get(index).and_then(Option::as_ref);
        if was_doubtful && let Some(made) = self.made_before(row(1), row(2)) {
            return Judged::Outcome(Outcome::Done(super::keys::version(made)));
        }
        if row(0).map(KeyValue::mod_revision) != Some(self.state) {
            return Judged::StateChanged;
        }
        // It may have been made, and the row changed once more since.
        if was_doubtful {
            return Judged::Outcome(Outcome::Unknown);
        }
        let removed = row(3).map_or(0, KeyValue::mod_revision);
        match self.inserts() && removed != self.removed {
            true => Judged::RemovedSince(removed),
            false => Judged::Outcome(Outcome::Conflict),
        }
    }

    fn inserts(&self) -> bool {
        let mut changes = self.changes.iter();
        changes.any(|change| matches!(change, Change::Insert(..)))
    }

    /// Whether a record goes, so that a first record of that user could be made again.
    pub(super) fn removes(&self) -> bool {
        let mut changes = self.changes.iter();
        changes.any(|change| matches!(change, Change::Remove(..)))
    }

    /// The revision in which this update was made, by the row that it has left.
    fn made_before(&self, last: Option<&KeyValue>, trace: Option<&KeyValue>) -> Option<i64> {
        let found = match self.trace {
            Some(_) => trace.filter(|row| is_made_by(row.value(), self.id)),
            None => last.filter(|row| row.value() == self.id.to_bytes()),
        };
        found.map(KeyValue::mod_revision)
    }

    /// Writes the clock of the fleet, if it is behind.
    fn clock(&self) -> TxnOp {
        let (key, fresh) = (self.keys.clock(), FleetClock::fresh(self.clock.tick));
        let is_behind = Compare::value(key.clone(), CompareOp::Less, fresh);
        let write = TxnOp::put(key, self.clock.to_bytes(), None);
        TxnOp::txn(Txn::new().when([is_behind]).and_then([write]))
    }
}

impl Change {
    fn required(&self) -> Compare {
        match self {
            Self::Insert(key, _) => Compare::create_revision(key.clone(), CompareOp::Equal, 0),
            Self::Replace(key, revision, _) | Self::Remove(key, revision) => {
                Compare::mod_revision(key.clone(), CompareOp::Equal, *revision)
            }
        }
    }

    fn written(&self) -> TxnOp {
        match self {
            Self::Insert(key, row) | Self::Replace(key, _, row) => {
                TxnOp::put(key.clone(), row.clone(), None)
            }
            Self::Remove(key, _) => TxnOp::delete(key.clone(), None),
        }
    }
}

/// The transaction that reads these rows.
pub(super) fn reading(keys: impl IntoIterator<Item = Vec<u8>>) -> Txn {
    let reads = keys.into_iter().map(|key| TxnOp::get(key, None));
    Txn::new().and_then(reads.collect::<Vec<_>>())
}

/// The read of at most `limit` rows of a range; 0 counts them alone.
pub(super) fn range((from, to): (Vec<u8>, Vec<u8>), limit: i64) -> TxnOp {
    let options = GetOptions::new().with_range(to);
    let options = match limit {
        0 => options.with_count_only(),
        limit => options.with_limit(limit),
    };
    TxnOp::get(from, Some(options))
}

/// The first row of each read, in their order.
pub(super) fn rows(response: &TxnResponse) -> Vec<Option<KeyValue>> {
    let row = |answer| match answer {
        TxnOpResponse::Get(mut rows) => rows.take_kvs().into_iter().next(),
        _ => None,
    };
    response.op_responses().into_iter().map(row).collect()
}

/// The rows of one read, and how many there are.
pub(super) fn rows_of_range(response: &TxnResponse, index: usize) -> (Vec<KeyValue>, u64) {
    match response.op_responses().into_iter().nth(index) {
        Some(TxnOpResponse::Get(mut rows)) => {
            let count = u64::try_from(rows.count()).unwrap_or(0);
            (rows.take_kvs(), count)
        }
        _ => (Vec::new(), 0),
    }
}
