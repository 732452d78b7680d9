//! The limit of concurrent streams: calls with many replies (lists, `totpctl log`). Each holds a
//! connection and its thread for as long as its caller reads, so few are allowed at once. Some are
//! reserved for root, and users that read about their own account have a lane of their own.

use std::sync::Mutex;

use common::wire::protocol::Error;

use super::lock;
use super::slots::Slots;

/// The streams that are open.
#[derive(Default)]
pub(crate) struct Streams {
    of_roles: Mutex<Slots>,
    of_users: Mutex<Slots>,
}

/// Why a caller may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// It is root, an administrator or the helpdesk.
    Role,
    /// The account is its own. Every local user may come here, and must not keep out those with a
    /// role.
    OwnAccount,
}

/// An open stream, until it is dropped.
pub(crate) struct Stream<'a> {
    slots: &'a Mutex<Slots>,
    uid: u32,
}

impl Streams {
    /// Opens a stream.
    ///
    /// # Errors
    /// [`Error::Busy`]: the caller's limit, or the common limit of all callers but root, is
    /// reached.
    pub(crate) fn open(&self, uid: u32, lane: Lane) -> Result<Stream<'_>, Error> {
        let (slots, own, others) = match lane {
            Lane::Role if uid == 0 => (&self.of_roles, MAX_OF_ROOT, MAX_OF_OTHERS),
            Lane::Role => (&self.of_roles, MAX_PER_UID, MAX_OF_OTHERS),
            Lane::OwnAccount => (&self.of_users, 1, MAX_OF_USERS),
        };
        let mut held = lock(slots);
        if held.of(uid) >= own {
            return Err(Error::busy(OWN));
        }
        if uid != 0 && held.of_others() >= others {
            return Err(Error::busy(OTHERS));
        }
        held.take(uid);
        Ok(Stream { slots, uid })
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        lock(self.slots).give_back(self.uid);
    }
}

/// Streams of one uid: a log that is followed, and a list.
const MAX_PER_UID: usize = 2;
/// Streams of all uids but root together.
const MAX_OF_OTHERS: usize = 8;
/// Streams of all users that read about their own account.
const MAX_OF_USERS: usize = 2;
/// Streams reserved for root.
const MAX_OF_ROOT: usize = 8;
const OWN: &str = "you are reading as many lists and logs at once as you may: end one, such as 'totpctl log --follow' with \
                   Ctrl-C, and try again";
const OTHERS: &str = "other users are reading as many lists and logs at once as they may: try again in a moment, or as \
                      root, which has its own limit";

#[cfg(test)]
mod tests {
    use super::*;

    fn held(streams: &Streams, uids: impl IntoIterator<Item = u32>) -> Vec<Stream<'_>> {
        uids.into_iter()
            .map(|number| streams.open(number, Lane::Role).unwrap())
            .collect()
    }

    fn refused(streams: &Streams, number: u32) -> Option<String> {
        refused_in(streams, number, Lane::Role)
    }

    fn refused_in(streams: &Streams, number: u32, lane: Lane) -> Option<String> {
        let opened = streams.open(number, lane);
        opened.err().map(|error| error.to_string())
    }

    #[test]
    fn one_uid_has_two_and_whoever_ends_one_may_begin_another() {
        let streams = Streams::default();
        let mut own = held(&streams, [1000, 1000]);
        assert_eq!(refused(&streams, 1000).as_deref(), Some(OWN));
        assert_eq!(refused(&streams, 1001), None);
        own.pop();
        assert_eq!(refused(&streams, 1000), None);
    }

    #[test]
    fn users_that_read_about_themselves_keep_out_each_other_only() {
        let streams = Streams::default();
        let open = |uid| streams.open(uid, Lane::OwnAccount).unwrap();
        let _users = [open(2000), open(2001)];
        for (uid, told) in [(2000, OWN), (2002, OTHERS)] {
            let refused = refused_in(&streams, uid, Lane::OwnAccount);
            assert_eq!(refused.as_deref(), Some(told));
        }
        let _roles = held(
            &streams,
            (1000..1004).chain(1000..1004).chain([0; MAX_OF_ROOT]),
        );
    }

    #[test]
    fn all_others_together_leave_root_its_own() {
        let streams = Streams::default();
        let _others = held(&streams, (1000..1004).chain(1000..1004));
        assert_eq!(refused(&streams, 1004).as_deref(), Some(OTHERS));
        let roots = held(&streams, [0; MAX_OF_ROOT]);
        assert_eq!(refused(&streams, 0).as_deref(), Some(OWN));
        drop(roots);
        assert_eq!(
            refused(&streams, 1004).as_deref(),
            Some(OTHERS),
            "root's slots are reserved"
        );
    }
}
