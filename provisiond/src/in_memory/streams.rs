//! The limit of concurrent streams: calls with many replies (lists, `totpctl log`). Each holds a
//! connection and its thread for as long as its caller reads, so few are allowed at once, and some
//! are reserved for root.

use std::sync::Mutex;

use common::wire::protocol::Error;

use super::lock;
use super::slots::Slots;

/// The streams that are open.
#[derive(Default)]
pub(crate) struct Streams(Mutex<Slots>);

/// An open stream, until it is dropped.
pub(crate) struct Stream<'a> {
    streams: &'a Streams,
    uid: u32,
}

impl Streams {
    /// Opens a stream.
    ///
    /// # Errors
    /// [`Error::Busy`]: the caller's limit, or the common limit of all callers but root, is
    /// reached.
    pub(crate) fn open(&self, uid: u32) -> Result<Stream<'_>, Error> {
        let mut held = lock(&self.0);
        let own = if uid == 0 { MAX_OF_ROOT } else { MAX_PER_UID };
        if held.of(uid) >= own {
            return Err(Error::busy(OWN));
        }
        if uid != 0 && held.of_others() >= MAX_OF_OTHERS {
            return Err(Error::busy(OTHERS));
        }
        held.take(uid);
        Ok(Stream { streams: self, uid })
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        lock(&self.streams.0).give_back(self.uid);
    }
}

/// Streams of one uid: a log that is followed, and a list.
const MAX_PER_UID: usize = 2;
/// Streams of all uids but root together.
const MAX_OF_OTHERS: usize = 8;
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
            .map(|number| streams.open(number).unwrap())
            .collect()
    }

    fn refused(streams: &Streams, number: u32) -> Option<String> {
        streams.open(number).err().map(|error| error.to_string())
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
