//! The daemons that share a store, by the notes that they leave for each other: which of them are at
//! work, with which version and secrets, and how far their clocks are apart from this one's.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::wire::protocol::Verifier;
use serde::{Deserialize, Serialize};

use super::lock;

/// The note of a daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// The name of its machine.
    pub(crate) host: String,
    /// Its version.
    pub(crate) version: String,
    /// The tag that new keys are sealed under.
    pub(crate) default_tag: String,
    /// The tags whose application secret it has.
    pub(crate) tags: Vec<String>,
    /// The time of its clock, in Unix seconds.
    pub(crate) now: u64,
}

/// The daemons whose notes were read.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<BTreeMap<String, Peer>>);

#[derive(Debug)]
struct Peer {
    told: Told,
    is_own: bool,
    revision: u64,
    /// When its note was last found to be a new one.
    heard: Option<Instant>,
    /// Seconds by which its clock was ahead in its last notes.
    ahead: Vec<i64>,
}

/// A note as it was read.
pub(crate) struct Heard<'a> {
    pub(crate) name: &'a str,
    pub(crate) is_own: bool,
    /// Another one for each note.
    pub(crate) revision: u64,
    pub(crate) text: &'a [u8],
}

impl Peers {
    /// Takes the notes that were read at that second of this machine's clock. One of a later version
    /// that cannot be understood is left out.
    pub(crate) fn hear<'a>(&self, notes: impl Iterator<Item = Heard<'a>>, now: u64, at: Instant) {
        let mut peers = lock(&self.0);
        let mut before = std::mem::take(&mut *peers);
        for note in notes {
            let Ok(told) = serde_json::from_slice::<Told>(note.text) else {
                continue;
            };
            let mut peer = before.remove(note.name).unwrap_or(Peer {
                told: told.clone(),
                is_own: note.is_own,
                revision: note.revision,
                heard: None,
                ahead: Vec::new(),
            });
            if peer.revision != note.revision || note.is_own {
                peer.heard = Some(at);
                let ahead = told.now.cast_signed().saturating_sub(now.cast_signed());
                peer.ahead.push(ahead);
                let many = peer.ahead.len().saturating_sub(MOST_SKEWS);
                peer.ahead.drain(..many);
            }
            (peer.told, peer.revision) = (told, note.revision);
            peers.insert(note.name.to_owned(), peer);
        }
    }

    /// The names of those whose last note is a week old.
    pub(crate) fn gone(&self, now: u64) -> Vec<String> {
        let peers = lock(&self.0);
        let is_gone = |peer: &Peer| peer.told.now.saturating_add(GONE) < now;
        let gone = peers.iter().filter(|(_, peer)| is_gone(peer));
        gone.map(|(name, _)| name.clone()).collect()
    }

    /// What `Status` tells of them, in the order of their machines' names.
    pub(crate) fn told(&self, at: Instant) -> Vec<Verifier> {
        let peers = lock(&self.0);
        let mut told: Vec<Verifier> = peers.values().map(|peer| peer.as_told(at)).collect();
        told.sort_by(|one, other| one.host.cmp(&other.host));
        told
    }
}

impl Peer {
    fn as_told(&self, at: Instant) -> Verifier {
        let heard = self.heard;
        let is_fresh = |heard: Instant| at.saturating_duration_since(heard) < SILENT;
        Verifier {
            host: self.told.host.clone(),
            own: self.is_own,
            version: self.told.version.clone(),
            default_tag: self.told.default_tag.clone(),
            tags: self.told.tags.clone(),
            works: heard.is_some_and(is_fresh),
            seen: self.told.now,
            // A note is read some seconds after it was written, and seems to be behind by them.
            ahead: self.ahead.iter().max().copied(),
        }
    }
}

const MOST_SKEWS: usize = 30;
/// A daemon at work leaves a note every ten seconds at least.
const SILENT: Duration = Duration::from_secs(45);
/// Seconds.
const GONE: u64 = 7 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn text(now: u64) -> Vec<u8> {
        let told = Told {
            host: "v2".into(),
            version: "1".into(),
            default_tag: "1".into(),
            tags: vec!["1".into()],
            now,
        };
        serde_json::to_vec(&told).unwrap()
    }

    fn hear(peers: &Peers, revision: u64, text: &[u8], (now, at): (u64, Instant)) {
        let note = Heard {
            name: "a",
            is_own: false,
            revision,
            text,
        };
        peers.hear([note].into_iter(), now, at);
    }

    #[test]
    fn a_daemon_works_while_its_notes_are_new_ones_whatever_its_clock_says() {
        let (peers, at) = (Peers::default(), Instant::now());
        let works = |at| peers.told(at).first().map(|peer| peer.works);
        assert_eq!(works(at), None);
        hear(&peers, 1, &text(NOW), (NOW, at));
        assert_eq!(works(at), Some(false), "it may have been left long ago");
        hear(&peers, 2, &text(NOW - 3600), (NOW, at));
        assert_eq!(works(at), Some(true));
        let later = at + SILENT;
        hear(&peers, 2, &text(NOW - 3600), (NOW, later));
        assert_eq!(works(later), Some(false));
        peers.hear(std::iter::empty(), NOW, later);
        assert_eq!(works(later), None, "its note was removed");
    }

    #[test]
    fn a_clock_is_off_by_what_the_quickest_of_the_last_notes_shows() {
        let (peers, at) = (Peers::default(), Instant::now());
        let ahead = || peers.told(at)[0].ahead;
        hear(&peers, 1, &text(NOW - 600), (NOW, at));
        assert_eq!(ahead(), None);
        for (revision, delay) in [(2, 7), (3, 1), (4, 9)] {
            hear(&peers, revision, &text(NOW - 20), (NOW + delay, at));
        }
        assert_eq!(ahead(), Some(-21));
        for revision in 5..40 {
            hear(&peers, revision, &text(NOW + 5), (NOW, at));
        }
        assert_eq!(ahead(), Some(5));
    }

    #[test]
    fn a_daemon_that_has_left_no_note_for_a_week_is_gone() {
        let (peers, at) = (Peers::default(), Instant::now());
        hear(&peers, 1, &text(NOW), (NOW, at));
        assert!(peers.gone(NOW + GONE).is_empty());
        assert_eq!(peers.gone(NOW + GONE + 1), ["a"]);
        hear(&peers, 2, b"{}", (NOW, at));
        assert!(peers.told(at).is_empty());
    }
}
