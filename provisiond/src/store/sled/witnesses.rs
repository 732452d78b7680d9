//! The witnesses of the store's age at a start: marker, mirror, and the last frame of the journal.

use super::Place;
use super::opening::{OpenError, at};
use super::summary::{Summary, believed};
use crate::store::journal::Earlier;
use crate::store::marker::{Age, Marker, Mirror, beside};

/// What they say, and the two that are written again.
pub(super) struct Witnesses {
    pub(super) marker: Marker,
    pub(super) mirror: Mirror,
    pub(super) mirrored: Option<Age>,
    /// The latest generation that a frame of the journal led to.
    pub(super) journal: u64,
}

impl Witnesses {
    pub(super) fn read(place: &Place, earlier: &Earlier) -> Result<Self, OpenError> {
        let path = place.path.as_path();
        let marker = Marker::read(path).map_err(at(&beside(path, ".marker")))?;
        let mirror_path = place.mirror.as_deref();
        let (mirror, mirrored) =
            Mirror::open(mirror_path).map_err(at(mirror_path.unwrap_or(path)))?;
        let mut journal = 0;
        let read = earlier.each_frame(&mut |frame| {
            journal = believed(frame.after.generation).max(journal);
            Ok(())
        });
        read.map_err(at(path))?;
        Ok(Self {
            marker,
            mirror,
            mirrored,
            journal,
        })
    }

    /// The latest generation that any of them knows.
    pub(super) fn newest(&self) -> u64 {
        let ages = self.marker.age().into_iter().chain(self.mirrored);
        ages.map(|age| believed(age.generation))
            .fold(self.journal, u64::max)
    }

    /// Whether the marker or the mirror can be read.
    pub(super) fn are_there(&self) -> bool {
        self.marker.age().or(self.mirrored).is_some()
    }

    /// Takes sled and its copy, which agree, for a witness where there is no other.
    pub(super) fn agree(&mut self, summary: &Summary) {
        if !self.are_there() {
            self.mirrored = Some(summary.age(0));
        }
    }
}
