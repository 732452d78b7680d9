//! The section `totp` of the settings: defaults of new devices, and the application secrets. Its
//! names are passlib's.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::problem::{Problem, bad, within};
use crate::config::values::decimal::Decimal;
use crate::lineage::enckey::MAX_COST;
use crate::otpauth::Label;
use crate::secrets::TaggedSecrets;
use crate::totp::{Algorithm, Parameters};

/// The defaults of a new device.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Hash, digits, period.
    pub parameters: Parameters,
    /// `{user}` and `{host}` stand for the account and this host.
    pub label: String,
    /// The issuer that the authenticator shows. `None`: the host's name.
    pub issuer: Option<Label>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub(super) struct RawTotp {
    pub(super) context: Option<RawContext>,
    #[serde(rename = "allow-weak-secrets", alias = "allow_weak_secrets")]
    pub(super) allow_weak_secrets: Option<bool>,
    /// Yosai's: the program that sends codes to users. It is ignored: here codes come from an
    /// authenticator.
    #[serde(rename = "mfa-dispatcher", alias = "mfa_dispatcher")]
    _mfa_dispatcher: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub(super) struct RawContext {
    digits: Option<Decimal<u8>>,
    alg: Option<String>,
    period: Option<Decimal<u32>>,
    label: Option<String>,
    issuer: Option<String>,
    secrets: Option<TaggedSecrets>,
    #[serde(rename = "secrets-path", alias = "secrets_path")]
    secrets_path: Option<PathBuf>,
    #[serde(rename = "default-tag", alias = "default_tag")]
    default_tag: Option<String>,
    #[serde(rename = "encrypt-cost", alias = "encrypt_cost")]
    encrypt_cost: Option<Decimal<u32>>,
}

impl RawTotp {
    pub(super) fn of_context(context: RawContext) -> Self {
        Self {
            context: Some(context),
            ..Self::default()
        }
    }
}

impl RawContext {
    pub(super) fn secrets_source(&mut self) -> Result<Source, Problem> {
        match (self.secrets.take(), self.secrets_path.take()) {
            (Some(_), Some(_)) => Err(Problem::SecretsTwice),
            (Some(inline), None) => Ok(Source::Inline(inline)),
            (None, Some(file)) if !file.is_absolute() => Err(bad(
                "totp.context.secrets-path",
                "give the secrets file by its absolute path",
            )),
            (None, Some(file)) => Ok(Source::Named(file)),
            (None, None) => Ok(Source::Default),
        }
    }

    pub(super) fn default_tag(&self) -> Option<&str> {
        self.default_tag.as_deref()
    }

    pub(super) fn encrypt_cost(&self) -> Result<u32, Problem> {
        within(
            "totp.context.encrypt-cost",
            self.encrypt_cost.map_or(DEFAULT_COST, |Decimal(cost)| cost),
            0,
            MAX_COST,
        )
    }

    pub(super) fn new_device(self) -> Result<NewDevice, Problem> {
        let defaults = Parameters::default();
        let alg = self
            .alg
            .map_or(Ok(defaults.alg), |word| word.parse::<Algorithm>());
        let alg = alg.map_err(|why| bad("totp.context.alg", why))?;
        let (digits, period) = (
            self.digits
                .map_or(defaults.digits, |Decimal(digits)| digits),
            self.period
                .map_or(defaults.period, |Decimal(period)| period),
        );
        let parameters = Parameters::for_new_device(alg, digits, period)
            .map_err(|why| bad("totp.context", why))?;
        let label = template(self.label)?;
        let issuer = self.issuer.map(|text| Label::new(&text)).transpose();
        Ok(NewDevice {
            parameters,
            label,
            issuer: issuer.map_err(|why| bad("totp.context.issuer", why))?,
        })
    }
}

fn template(label: Option<String>) -> Result<String, Problem> {
    let label = label.unwrap_or_else(|| DEFAULT_LABEL.to_owned());
    Label::new(&label).map_err(|why| bad("totp.context.label", why))?;
    // Other braces would be shown on every phone as they stand.
    if label
        .replace("{user}", "")
        .replace("{host}", "")
        .replace("{device}", "")
        .contains(['{', '}'])
    {
        return Err(bad(
            "totp.context.label",
            "only {user}, {host} and {device} are filled in: a label has no other braces",
        ));
    }
    Ok(label)
}

/// The place of the application secrets.
pub(super) enum Source {
    /// In the settings themselves.
    Inline(TaggedSecrets),
    /// In a file of their own, which the daemon's user reads.
    Named(PathBuf),
    /// The settings do not say: in the default file, which root reads.
    Default,
}

/// The label of a new device. Without an issuer in the settings, the host stands in its place.
pub const DEFAULT_LABEL: &str = "{user}@{host}";
/// passlib's default.
const DEFAULT_COST: u32 = 14;
