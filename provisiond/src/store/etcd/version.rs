//! Which versions of etcd serve. Older ones, and some between, lose or mix up what they have
//! acknowledged: faults that no client can see.

use std::fmt;

/// A version of etcd, such as 3.4.23.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EtcdVersion(pub(crate) [u32; 3]);

impl EtcdVersion {
    /// Reads what a member says of itself, such as `3.6.0-rc.1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let numbers = text.split(['-', '+']).next()?;
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let version = Self([numbers.next()??, numbers.next()??, numbers.next()??]);
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for EtcdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Why a member of that version does not serve, where `least` is the oldest one that may.
pub(super) fn objection(text: &str, least: EtcdVersion) -> Option<String> {
    let Some(version) = EtcdVersion::parse(text) else {
        return Some("does not tell its version: is it etcd?".to_owned());
    };
    if version < least {
        return Some(format!(
            "is etcd {version}, which is too old: install {least} or newer on all members"
        ));
    }
    let is_faulty = (EtcdVersion([3, 5, 0])..EtcdVersion([3, 5, 6])).contains(&version);
    is_faulty.then(|| {
        format!(
            "is etcd {version}, whose members can differ after a crash: install 3.5.6 or newer on all members"
        )
    })
}

/// Debian 12 has it. In earlier ones of 3.4 a member that got a snapshot applies writes by an older
/// state of the roles, so that members differ (mended in 3.4.22 and 3.5.6).
pub(crate) const LEAST: EtcdVersion = EtcdVersion([3, 4, 23]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_version_serves_and_so_does_every_sound_one_after_it() {
        for sound in [
            "3.4.23",
            "3.4.40",
            "3.5.6",
            "3.5.21",
            "3.6.0",
            "3.6.0-rc.1",
            "4.0.0",
        ] {
            assert_eq!(objection(sound, LEAST), None, "{sound}");
        }
    }

    #[test]
    fn versions_that_lose_writes_are_named_with_the_one_to_install() {
        for (faulty, install) in [
            ("3.3.25", "3.4.23"),
            ("3.4.22", "3.4.23"),
            ("2.3.8", "3.4.23"),
            ("3.5.0", "3.5.6"),
            ("3.5.5", "3.5.6"),
            ("3.5.0-alpha.0", "3.5.6"),
        ] {
            let why = objection(faulty, LEAST).unwrap();
            assert!(why.contains(install), "{faulty}: {why}");
        }
        for none in ["", "3.5", "3.5.x", "3.5.6.7", "v3.5.9"] {
            assert!(objection(none, LEAST).is_some(), "{none}");
        }
    }
}
