//! What is opened in place of a record that a user does not have, so that a look at a name takes as
//! long whether there is a record or not (timing side channel).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::config::recovery::{MAX_CODES, Recovery};
use common::names::device::{DeviceName, Kind};
use common::names::user::UserName;
use common::secret::Key;
use common::secrets::Secrets;
use common::totp::Parameters;

use crate::clock::moment::Moment;
use crate::record::codes::Codes;
use crate::record::{Device, Record};

/// The bytes of a record that no user has and no store holds.
pub(super) struct StandIn {
    recovery: Option<Recovery>,
    bytes: Mutex<Option<Arc<[u8]>>>,
}

impl StandIn {
    /// In place of a user's record: one device, and as many recovery codes as usual.
    pub(super) fn of_a_user() -> Self {
        Self::with(Some(Recovery {
            codes: MAX_CODES,
            expire: None,
        }))
    }

    /// In place of a decoy, which has one device.
    pub(super) fn of_a_decoy() -> Self {
        Self::with(None)
    }

    /// Opens it like a stored record. It is made anew if these secrets do not open it.
    pub(super) fn open(&self, secrets: &Secrets) -> Option<Record> {
        let kept = self.lock().clone();
        let opened = kept.and_then(|bytes| open(&bytes, secrets));
        opened.or_else(|| {
            let bytes = self.made(secrets)?;
            *self.lock() = Some(Arc::clone(&bytes));
            open(&bytes, secrets)
        })
    }

    fn with(recovery: Option<Recovery>) -> Self {
        Self {
            recovery,
            bytes: Mutex::default(),
        }
    }

    /// `None`: the default secret seals nothing.
    fn made(&self, secrets: &Secrets) -> Option<Arc<[u8]>> {
        let (name, moment, parameters) = (name(), Moment::ordinary(0), Parameters::default());
        let key = Key::random(parameters.alg.key_bytes())?;
        let key = (&key, Kind::Totp, parameters);
        let device = Device::active(&name, DeviceName::nth(1), key, secrets, &moment).ok()?;
        let mut record = Record {
            enrolled: true,
            devices: vec![device],
            ..Record::new(&moment)
        };
        if let Some(recovery) = &self.recovery {
            let (mut codes, key) = Codes::to_extend(None, &name, secrets).ok()?;
            codes.renew(&key, recovery, &moment).ok()?;
            record.codes = Some(codes);
        }
        let bytes = record.to_bytes(&name, secrets).ok()?;
        Some(bytes.as_slice().into())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<[u8]>>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(bytes: &[u8], secrets: &Secrets) -> Option<Record> {
    Record::from_bytes(bytes, &name(), secrets).ok()
}

fn name() -> UserName {
    UserName::reserved(0)
}

#[cfg(test)]
mod tests {
    use common::secrets::TaggedSecrets;

    use super::*;
    use crate::record::tests::secrets;

    #[test]
    fn it_is_kept_as_long_as_the_secrets_open_it() {
        let stand_in = StandIn::of_a_user();
        let opened = |secrets: &Secrets| stand_in.open(secrets).unwrap().devices[0].id;
        let first = opened(&secrets());
        assert_eq!(opened(&secrets()), first);
        let others = TaggedSecrets::from_text("9: another secret of more bytes").unwrap();
        let others = Secrets::new(others, None).unwrap();
        assert_ne!(opened(&others), first);
    }
}
