//! The faults of a site, one at a time: each is caused, and mended until the site is whole again.

use std::time::Instant;

use tests::lines::PATIENCE;
use tests::random::Random;

use crate::history::now;
use crate::site::Site;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The leader of etcd is killed, and started again.
    LeaderKilled,
    /// A member of etcd stands still, and goes on.
    MemberPaused,
    /// A verifier is killed, and started again.
    VerifierKilled,
    /// A member of etcd is cut off from the network.
    MemberCutOff,
    /// The leader of etcd is cut off from the network.
    LeaderCutOff,
    /// A verifier is cut off from the network.
    VerifierCutOff,
    /// The disk of a member of etcd is full.
    DiskFull,
}

/// The time in which a fault explains a refusal: from before it was caused until the site was seen to
/// be whole.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) fault: Fault,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
}

impl Fault {
    const ALL: [Self; 7] = [
        Self::LeaderKilled,
        Self::MemberPaused,
        Self::VerifierKilled,
        Self::MemberCutOff,
        Self::LeaderCutOff,
        Self::VerifierCutOff,
        Self::DiskFull,
    ];

    /// All of them, in a random order.
    pub(crate) fn shuffled(random: &mut Random) -> Vec<Self> {
        let mut left = Self::ALL.to_vec();
        let mut order = Vec::new();
        while !left.is_empty() {
            order.push(left.swap_remove(random.below(left.len())));
        }
        order
    }

    /// Causes it, lets it last until `meanwhile` returns, mends it, and waits until the site is whole.
    pub(crate) fn strike(
        self,
        site: &mut Site,
        random: &mut Random,
        meanwhile: impl FnOnce(),
    ) -> Window {
        let whom = match self {
            Self::LeaderKilled | Self::LeaderCutOff => leader(site),
            _ => random.below(3),
        };
        let begun = now();
        self.cause(site, whom);
        meanwhile();
        self.mend(site, whom);
        wait_until_whole(site);
        Window {
            fault: self,
            begun,
            ended: now(),
        }
    }

    fn cause(self, site: &mut Site, whom: usize) {
        match self {
            Self::LeaderKilled => site.cluster.kill(whom),
            Self::MemberPaused => site.cluster.pause(whom),
            Self::VerifierKilled => site.verifiers[whom].kill(),
            Self::MemberCutOff | Self::LeaderCutOff => site.members[whom].cut_off(),
            Self::VerifierCutOff => site.judges[whom].cut_off(),
            Self::DiskFull => site.cluster.fill_the_disk(whom),
        }
    }

    fn mend(self, site: &mut Site, whom: usize) {
        match self {
            Self::LeaderKilled => site.cluster.start_again(&[whom]),
            Self::MemberPaused => site.cluster.go_on(whom),
            Self::VerifierKilled => site.verifiers[whom].start_again(),
            Self::MemberCutOff | Self::LeaderCutOff => site.members[whom].join(),
            Self::VerifierCutOff => site.judges[whom].join(),
            Self::DiskFull => site.cluster.make_room(whom),
        }
    }
}

impl Window {
    /// Whether the fault was on at any moment of that time.
    pub(crate) fn meets(&self, (begun, ended): (u64, u64)) -> bool {
        self.begun <= ended && begun <= self.ended
    }
}

fn leader(site: &Site) -> usize {
    let begun = Instant::now();
    loop {
        if let Some(leader) = site.cluster.find_leader() {
            return leader;
        }
        assert!(begun.elapsed() < PATIENCE, "etcd has no leader");
    }
}

/// Each look asks every member and daemon, and takes its time.
pub(crate) fn wait_until_whole(site: &Site) {
    let begun = Instant::now();
    while let Some(what) = site.find_broken() {
        assert!(begun.elapsed() < PATIENCE, "the site is not whole: {what}");
    }
}
