//! `key seal`: seals a key again, as v2 or in passlib's format; sealing for `key new` too.

use common::config::Settings;
use common::enckey::{Binding, CannotSeal, Enckey};
use common::lineage::enckey::EnckeyV1;
use common::lineage::record::{KeyRecord, StoredKey};
use common::names::device::Kind;
use common::names::user::UserName;
use common::otpauth::Label;
use common::secret::Key;
use common::totp::Parameters;
use nix::unistd::{User, getuid};

use super::opened::{SettingsFile, read_record};
use crate::cli::{self, Format};
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::render::key::Lone;

/// Seals the key on standard input again.
pub(super) fn run(
    context: &Context<'_>,
    file: &SettingsFile,
    wanted: &cli::SealArgs,
) -> Result<Exit, Failure> {
    if wanted.format == Format::V2 && wanted.cost.is_some() {
        return Err(Failure::Usage(
            "--cost works only with '--format passlib': v2 has no cost",
        ));
    }
    let record = read_record(context)?;
    let sealed = sealed_again(record, &file.load()?, wanted)?;
    context.output.reveal(&Lone {
        name: "record",
        text: sealed.to_json(),
    })?;
    Ok(Exit::Done)
}

fn sealed_again(
    record: KeyRecord,
    settings: &Settings,
    wanted: &cli::SealArgs,
) -> Result<KeyRecord, Failure> {
    let key = record.open(&settings.secrets)?;
    let key = match wanted.format {
        Format::Passlib => v1(&key, settings, wanted.cost.unwrap_or(settings.encrypt_cost))?,
        Format::V2 => {
            let place = Place::given(
                wanted.user.as_deref(),
                wanted.device.as_deref(),
                &record.key,
            )?;
            place.v2(&key, settings, record.parameters)?
        }
    };
    let issuer = stored_issuer(record.issuer, wanted.format, settings);
    Ok(KeyRecord {
        key,
        issuer,
        ..record
    })
}

/// The user and device that v2 binds a key to.
pub(super) struct Place {
    pub(super) user: UserName,
    pub(super) device: [u8; 16],
}

impl Place {
    /// From the options, else from the record, else the caller's account and a new device.
    fn given(
        user: Option<&str>,
        wanted: Option<&str>,
        stored: &StoredKey,
    ) -> Result<Self, Failure> {
        let (known_user, known_device) = match stored {
            StoredKey::V2 { user, device, .. } => (Some(user), Some(device)),
            StoredKey::V1(_) | StoredKey::Plain(_) => (None, None),
        };
        let user = match (user, known_user) {
            (Some(given), _) => UserName::new(given)?,
            (None, Some(known)) => known.clone(),
            (None, None) => own_account().ok_or(Failure::Usage(NO_ACCOUNT))?,
        };
        let device = match (wanted, known_device) {
            (None, Some(known)) => *known,
            (wanted, _) => device(wanted)?,
        };
        Ok(Self { user, device })
    }

    /// Seals the key as v2, bound to this user and device.
    pub(super) fn v2(
        self,
        key: &Key,
        settings: &Settings,
        parameters: Parameters,
    ) -> Result<StoredKey, Failure> {
        let binding = Binding {
            user: &self.user,
            device: &self.device,
            kind: Kind::Totp.word(),
            parameters,
        };
        let enckey = Enckey::seal(key, &settings.secrets, &binding)?;
        Ok(StoredKey::V2 {
            enckey,
            user: self.user,
            device: self.device,
        })
    }
}

/// Seals the key in passlib's format.
pub(super) fn v1(key: &Key, settings: &Settings, cost: u32) -> Result<StoredKey, Failure> {
    Ok(StoredKey::V1(EnckeyV1::seal(key, &settings.secrets, cost)?))
}

/// The issuer in the record: passlib leaves out the issuer of its settings, and reads it from there
/// again.
pub(super) fn stored_issuer(
    issuer: Option<Label>,
    format: Format,
    settings: &Settings,
) -> Option<Label> {
    issuer.filter(|issuer| {
        format == Format::V2 || settings.new_device.issuer.as_ref() != Some(issuer)
    })
}

/// The caller's account.
pub(super) fn own_account() -> Option<UserName> {
    let account = User::from_uid(getuid()).ok().flatten()?;
    UserName::new(&account.name).ok()
}

/// The device id of --device, else a random one.
pub(super) fn device(given: Option<&str>) -> Result<[u8; 16], Failure> {
    let Some(text) = given else {
        return new_device();
    };
    let whole = text.len() == DEVICE_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| whole)
        .ok_or(Failure::Usage(NO_DEVICE))?;
    Ok(number.to_be_bytes())
}

fn new_device() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| CannotSeal::NoRandomness)?;
    Ok(bytes)
}

const DEVICE_DIGITS: usize = 32;
const NO_DEVICE: &str =
    "a device id has 32 hexadecimal digits; leave --device out for a random one";
/// The caller's uid has no account name, and --user is missing.
pub(super) const NO_ACCOUNT: &str = "your uid has no account name: give --user";

#[cfg(test)]
mod tests {
    use super::super::opened::Opened;
    use super::super::opened::tests::settings;
    use super::*;

    fn opened(record: &str, settings: Settings) -> Opened {
        Opened::with_settings(KeyRecord::parse(record).unwrap(), settings).unwrap()
    }

    fn resealed(record: &str, format: &str, cost: Option<u32>, user: Option<&str>) -> KeyRecord {
        let format = if format == "v2" {
            Format::V2
        } else {
            Format::Passlib
        };
        let wanted = cli::SealArgs {
            format,
            cost,
            user: user.map(Into::into),
            device: None,
        };
        sealed_again(KeyRecord::parse(record).unwrap(), &settings(""), &wanted).unwrap()
    }

    const URI: &str = "otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn a_key_is_sealed_again_in_either_form() {
        let mut record = format!("{URI}&issuer=demo&digits=8");
        for (format, cost) in [
            ("passlib", Some(3)),
            ("v2", None),
            ("v2", None),
            ("passlib", None),
        ] {
            record = resealed(&record, format, cost, None)
                .to_json()
                .expose()
                .to_owned();
            let back = opened(&record, settings(""));
            assert_eq!(back.key.expose(), b"12345678901234567890");
            assert_eq!(
                (
                    back.record.parameters.digits,
                    back.issuer().unwrap().as_str()
                ),
                (8, "demo")
            );
            assert_eq!(back.changed(), cost == Some(3), "the settings say cost 0");
        }
    }

    #[test]
    fn version_2_stays_where_it_belongs_unless_told_otherwise() {
        let place = |record: &KeyRecord| match &record.key {
            StoredKey::V2 { user, device, .. } => (user.as_str().to_owned(), *device),
            other => panic!("{other:?}"),
        };
        let first = resealed(URI, "v2", None, Some("alice"));
        let (second, third) = (
            resealed(first.to_json().expose(), "v2", None, None),
            resealed(first.to_json().expose(), "v2", None, Some("bob")),
        );
        assert_eq!(place(&second), place(&first));
        assert_eq!(place(&third), ("bob".to_owned(), place(&first).1));
        let own = place(&resealed(URI, "v2", None, None));
        assert_eq!(own.0, own_account().unwrap().as_str());
    }

    #[test]
    fn a_cost_out_of_bounds_is_refused() {
        let wanted = cli::SealArgs {
            format: Format::Passlib,
            cost: Some(23),
            user: None,
            device: None,
        };
        let failure =
            sealed_again(KeyRecord::parse(URI).unwrap(), &settings(""), &wanted).unwrap_err();
        assert_eq!(failure.code(), ("bad_parameter", Exit::BadInput));
    }
}
