//! Decoy records: they judge and charge the attempts on unenrolled names, against user enumeration
//! and timing side channels.
//!
//! A user without a usable device, and a name without an account, is asked, judged and charged by a
//! decoy. Prompts, replies and response times therefore do not tell an attacker which names are
//! enrolled.
//!
//! ```text
//! number   HMAC-SHA256(HKDF-SHA256(application secret, info = "pam-totp decoy v1"), name), its first bits
//! ```
//! There are few decoys, so that an attacker's list of names fills no disk. Their numbers are
//! keyed, so that no attacker can tell which names share one. A decoy has a key like any user's,
//! and its codes open nothing.

use common::config::Settings;
use common::names::device::{DeviceName, Kind};
use common::names::user::UserName;
use common::secret::Key;
use common::secrets::Secrets;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::moment::Moment;
use crate::record::{CannotMake, Device, Record};
use crate::records::DECOYS;

/// The name that the decoy of `user` is stored under. `None`: the default application secret is not
/// fit for it.
#[must_use]
pub(super) fn name_for(user: &UserName, secrets: &Secrets) -> Option<UserName> {
    let key = secrets.derive::<32>(secrets.default_tag().as_str(), None, b"pam-totp decoy v1")?;
    let mac = Hmac::<Sha256>::new_from_slice(key.as_ref()).ok()?;
    let hash = mac
        .chain_update(user.as_str().as_bytes())
        .finalize()
        .into_bytes();
    let bits = u16::from_be_bytes(*hash.first_chunk()?);
    Some(UserName::reserved(bits & (DECOYS - 1)))
}

/// A new decoy, as if it were enrolled with the settings' parameters.
///
/// # Errors
/// [`CannotMake`].
pub(super) fn make(
    name: &UserName,
    settings: &Settings,
    moment: &Moment,
) -> Result<Record, CannotMake> {
    let parameters = settings.new_device.parameters;
    let key = Key::random(parameters.alg.key_bytes()).ok_or(CannotMake)?;
    let key = (&key, Kind::Totp, parameters);
    let device = Device::active(name, DeviceName::nth(1), key, &settings.secrets, moment)?;
    Ok(Record {
        enrolled: true,
        devices: vec![device],
        ..Record::new(moment)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use common::secrets::TaggedSecrets;

    use super::*;
    use crate::record::tests::{secrets, user};

    #[test]
    fn every_name_has_the_same_decoy_for_ever_and_all_names_share_a_thousand() {
        let names: Vec<UserName> = (0..10_000).map(|n| user(&format!("user-{n}"))).collect();
        let decoys: Vec<UserName> = names
            .iter()
            .map(|name| name_for(name, &secrets()).unwrap())
            .collect();
        assert!(decoys.iter().all(UserName::is_reserved));
        assert_eq!(decoys.iter().collect::<BTreeSet<_>>().len(), 1024);
        assert!(
            names
                .iter()
                .zip(&decoys)
                .all(|(name, decoy)| name_for(name, &secrets()).as_ref() == Some(decoy))
        );
        let other = Secrets::new(
            TaggedSecrets::from_text("9: another secret of more bytes").unwrap(),
            None,
        )
        .unwrap();
        let same = names
            .iter()
            .zip(&decoys)
            .filter(|(name, decoy)| name_for(name, &other).as_ref() == Some(decoy));
        assert!(
            same.count() < 100,
            "without the secret an attacker cannot tell which names share one"
        );
    }
}
