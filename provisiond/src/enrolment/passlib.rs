//! passlib's TOTP records: read for `import`, and written for `export`.

use common::config::Settings;
use common::lineage::enckey::EnckeyV1;
use common::lineage::record::{KeyRecord, StoredKey};
use common::names::user::UserName;
use common::otpauth::Label;
use common::secret::{Key, SecretText};
use common::wire::protocol::{Error, ExportedRecord};

use crate::record::Device;

/// Reads a record of passlib's, and opens its key.
///
/// # Errors
/// [`Error`].
pub(super) fn opened(record: &SecretText, settings: &Settings) -> Result<(Key, KeyRecord), Error> {
    let record = KeyRecord::parse(record.expose());
    let record = record.map_err(|why| Error::bad("record", why))?;
    if let StoredKey::V1(EnckeyV1 { cost, .. }) = record.key
        && cost > MAX_COST
    {
        return Err(Error::bad("record", too_dear(cost)));
    }
    let key = record.open(&settings.secrets);
    Ok((key.map_err(|why| Error::bad("record", why))?, record))
}

/// A device as passlib's record, sealed under the default application secret.
///
/// # Errors
/// [`Error`].
pub(super) fn exported(
    device: &Device,
    user: &UserName,
    settings: &Settings,
) -> Result<ExportedRecord, Error> {
    let key = device
        .key(user, &settings.secrets)
        .map_err(|_| Error::RecordDamaged)?;
    let enckey = EnckeyV1::seal(&key, &settings.secrets, settings.encrypt_cost)
        .map_err(|why| Error::bad("user", why))?;
    let label = match &device.label {
        Some(label) => label.clone(),
        None => Label::new(user.as_str()).map_err(|why| Error::bad("user", why))?,
    };
    // passlib leaves out an issuer that its settings name, and takes it from the settings again.
    let issuer = device
        .issuer
        .clone()
        .filter(|issuer| settings.new_device.issuer.as_ref() != Some(issuer));
    let record = KeyRecord {
        key: StoredKey::V1(enckey),
        parameters: device.parameters,
        label: Some(label),
        issuer,
    };
    Ok(ExportedRecord {
        device: device.name.to_string(),
        record: record.to_json(),
    })
}

fn too_dear(cost: u32) -> String {
    format!(
        "the sealed key's cost is {cost}, and the daemon opens keys of a cost of at most {MAX_COST}: seal it with a lower one \
         where it comes from, or open it with 'totpctl key open' and import the result"
    )
}

/// The highest cost of a sealed key that is imported: a million rounds, which a slow machine
/// computes within the time of a call.
const MAX_COST: u32 = 20;
