//! Is a history linearizable? Calls overlap in time; there must be an order of them, one at a time,
//! that explains every outcome and in which no call comes before one that had ended when it began.
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993): of the
//! calls that may come next, each is tried. As in Lowe's "Testing for linearizability" (2017), what
//! was tried once is remembered by the set of calls and the state, and each key has a history of its
//! own. Knows no code, no daemon and no clock: what calls mean is [`logins`].

pub mod logins;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Debug};
use std::hash::Hash;

/// A call together with its outcome.
pub trait Call {
    /// What calls find and leave. The default is the state before every call.
    type State: Clone + Default + Eq + Hash;

    /// The state that the call leaves, if that outcome can come of `state`.
    fn after(&self, state: &Self::State) -> Option<Self::State>;

    /// Whether the call leaves every state as it is.
    fn only_reads(&self) -> bool;
}

/// A call in a history. The numbers are moments on one clock.
#[derive(Clone, Debug)]
pub struct Operation<C> {
    /// The call. If its outcome is unknown: with the outcome that it would have if it was made.
    pub call: C,
    /// Before this moment it was not made.
    pub begun: u64,
    /// After this moment it was not made. `None`: its outcome is unknown. It may be made at any later
    /// time, or never.
    pub ended: Option<u64>,
}

/// A history that no order explains.
#[derive(Debug)]
pub struct Violation<K, C> {
    /// Whose it is.
    pub key: K,
    /// The longest order that explains some of the calls.
    pub placed: Vec<Operation<C>>,
    /// Those for which there is no place then.
    pub left: Vec<Operation<C>>,
}

/// Checks each key's history, in the order of the keys.
///
/// # Errors
/// The first history that no order explains.
pub fn check<K: Clone + Ord, C: Call + Clone>(
    history: &[(K, Operation<C>)],
) -> Result<(), Violation<K, C>> {
    let mut by_key = BTreeMap::<&K, Vec<&Operation<C>>>::new();
    for (key, operation) in history {
        by_key.entry(key).or_default().push(operation);
    }
    for (key, operations) in by_key {
        let mut search = Search::of(operations);
        if !search.goes_on(&C::State::default()) {
            return Err(search.violation(key.clone()));
        }
    }
    Ok(())
}

/// The search for an order of the calls of one key.
struct Search<'a, C: Call> {
    operations: Vec<&'a Operation<C>>,
    /// Which of them have a place.
    placed: Vec<bool>,
    /// Their order.
    order: Vec<usize>,
    longest: Vec<usize>,
    tried: HashSet<(Vec<bool>, C::State)>,
}

impl<'a, C: Call + Clone> Search<'a, C> {
    fn of(operations: Vec<&'a Operation<C>>) -> Self {
        Self {
            placed: vec![false; operations.len()],
            operations,
            order: Vec::new(),
            longest: Vec::new(),
            tried: HashSet::new(),
        }
    }

    /// Whether the calls that have no place yet can follow in some order. Those of unknown outcome
    /// need none.
    fn goes_on(&mut self, state: &C::State) -> bool {
        if self.order.len() > self.longest.len() {
            self.longest.clone_from(&self.order);
        }
        if self.waiting().all(|(_, call)| call.ended.is_none()) {
            return true;
        }
        if !self.tried.insert((self.placed.clone(), state.clone())) {
            return false;
        }
        let next = self.next(state);
        // A call that only reads changes nothing for the others: the first place that it can have
        // is as good as any.
        match next.iter().find(|(index, _)| self.is_a_read(*index)) {
            Some((index, after)) => self.place(*index, after),
            None => next.iter().any(|(index, after)| self.place(*index, after)),
        }
    }

    /// The calls that may come next, and the states that they leave: those that began before every
    /// other one had ended, and whose outcome can come of `state`.
    fn next(&self, state: &C::State) -> Vec<(usize, C::State)> {
        let first_end = self.waiting().filter_map(|(_, call)| call.ended).min();
        let may_begin = |call: &Operation<C>| first_end.is_none_or(|end| call.begun <= end);
        self.waiting()
            .filter(|(_, operation)| may_begin(operation))
            .filter_map(|(index, operation)| Some((index, operation.call.after(state)?)))
            .collect()
    }

    fn place(&mut self, index: usize, after: &C::State) -> bool {
        self.placed[index] = true;
        self.order.push(index);
        let is_explained = self.goes_on(after);
        self.order.pop();
        self.placed[index] = false;
        is_explained
    }

    fn is_a_read(&self, index: usize) -> bool {
        self.operations[index].call.only_reads()
    }

    fn waiting(&self) -> impl Iterator<Item = (usize, &'a Operation<C>)> {
        let all = self.operations.iter().copied().enumerate();
        all.filter(|(index, _)| !self.placed[*index])
    }

    fn violation<K>(&self, key: K) -> Violation<K, C> {
        let of = |index: usize| self.operations[index].clone();
        let left = (0..self.operations.len()).filter(|index| !self.longest.contains(index));
        Violation {
            key,
            placed: self.longest.iter().copied().map(of).collect(),
            left: left.map(of).collect(),
        }
    }
}

impl<K: Debug, C: Debug> fmt::Display for Violation<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no order explains the history of {:?}:", self.key)?;
        for operation in &self.placed {
            writeln!(f, "  {operation:?}")?;
        }
        writeln!(f, "after these, there is no place for:")?;
        for operation in &self.left {
            writeln!(f, "  {operation:?}")?;
        }
        Ok(())
    }
}
