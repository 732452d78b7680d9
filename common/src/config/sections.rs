//! The sections of the settings file: their names, and where each may stand.
//!
//! Every key is optional. An unknown key in one of these sections is an error that names the line;
//! other sections are ignored. Keys may be spelt with `_` or `-`. Bounds and defaults of the values
//! are in the file of each section.

use serde::Deserialize;

use super::enroll_at_login::RawEnrollAtLogin;
use super::fleet::{RawFleet, RawUpstream};
use super::import_at_login::RawImport;
use super::policy::RawPolicy;
use super::problem::Problem;
use super::store::RawStore;
use super::totp::{RawContext, RawTotp};
use crate::config::audit::RawAudit;
use crate::config::exemptions::RawExemptions;
use crate::config::exemptions::grace::RawGrace;
use crate::config::exemptions::roll_out::{RawRollOut, UnknownUsers};
use crate::config::exemptions::rules::RawRule;
use crate::config::limits::RawLimits;
use crate::config::recovery::RawRecovery;
use crate::config::roles::{RawRoles, RawVerifiers};
use crate::config::values::given::{Text, given};
use crate::config::values::read_over::{Refused, read_over};
use crate::wire::text::printable;

/// The settings as they are written; each section checks its own.
pub(super) struct RawSettings {
    pub(super) context: RawContext,
    pub(super) allow_weak_secrets: bool,
    pub(super) store: RawStore,
    pub(super) roles: RawRoles,
    pub(super) fleet: Option<RawFleet>,
    pub(super) upstream: Option<RawUpstream>,
    /// With `upstream`: a section or a key of the file that means nothing to a relay.
    pub(super) unused_by_a_relay: Option<&'static str>,
    pub(super) policy: RawPolicy,
    pub(super) limits: RawLimits,
    pub(super) recovery: RawRecovery,
    pub(super) audit: RawAudit,
    pub(super) exemptions: RawExemptions,
    pub(super) enroll_at_login: RawEnrollAtLogin,
    pub(super) import: RawImport,
    pub(super) left_alone: Vec<String>,
}

impl RawSettings {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let left_alone = left_alone(text)?;
        let file: Option<RawFile> =
            serde_yaml::from_str(text).map_err(|e| Problem::Yaml(e.to_string()))?;
        let mut file = file.unwrap_or_default();
        let unused_by_a_relay = file.unused_by_a_relay();
        let (totp, exemptions) = (file.totp()?, file.exemptions());
        let provisiond = file.provisiond.unwrap_or_default();
        let roles = RawRoles {
            admin_group: provisiond.admin_group,
            helpdesk_group: provisiond.helpdesk_group,
            verifiers: provisiond.verifiers,
        };
        Ok(Self {
            fleet: provisiond.fleet,
            upstream: provisiond.upstream,
            unused_by_a_relay,
            context: totp.context.unwrap_or_default(),
            allow_weak_secrets: totp.allow_weak_secrets.unwrap_or(false),
            store: provisiond.store.unwrap_or_default(),
            roles,
            policy: file.policy.unwrap_or_default(),
            limits: file.limits.unwrap_or_default(),
            recovery: file.recovery.unwrap_or_default(),
            audit: file.audit.unwrap_or_default(),
            exemptions,
            enroll_at_login: file.enroll_at_login.unwrap_or_default(),
            import: file.import.unwrap_or_default(),
            left_alone,
        })
    }
}

/// The names of the sections that are ignored, in the order of the file.
pub(super) fn left_alone(text: &str) -> Result<Vec<String>, Problem> {
    read_over(text, &SECTIONS).map_err(|refused| match refused {
        Refused::Yaml(error) => Problem::Yaml(error.to_string()),
        Refused::Repeated { key, line, first } => match key {
            Some(key) => Problem::Repeated {
                key: printable(&key),
                line,
                first,
            },
            None => Problem::RepeatedTag { line, first },
        },
    })
}

/// The file as it is written. Other top-level sections belong to other programs.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "sections of settings")]
struct RawFile {
    totp: Option<RawTotp>,
    /// The section of Yosai's settings that contains its `totp`.
    #[serde(rename = "AUTHC_CONFIG")]
    authc_config: Option<RawAuthcConfig>,
    /// The part of it that Yosai's manual shows on its own.
    context: Option<RawContext>,
    provisiond: Option<RawProvisiond>,
    policy: Option<RawPolicy>,
    limits: Option<RawLimits>,
    recovery: Option<RawRecovery>,
    audit: Option<RawAudit>,
    rules: Option<Vec<RawRule>>,
    #[serde(rename = "roll-out", alias = "roll_out")]
    roll_out: Option<RawRollOut>,
    #[serde(
        rename = "unknown-users",
        alias = "unknown_users",
        deserialize_with = "given"
    )]
    unknown_users: Option<UnknownUsers>,
    grace: Option<RawGrace>,
    #[serde(
        rename = "enroll-at-login",
        alias = "enroll_at_login",
        deserialize_with = "given"
    )]
    enroll_at_login: Option<RawEnrollAtLogin>,
    import: Option<RawImport>,
}

impl RawFile {
    /// What stands in the file and means nothing to a relay, which judges no code and keeps no record.
    /// An administrator could believe that it is in force.
    fn unused_by_a_relay(&self) -> Option<&'static str> {
        let provisiond = self.provisiond.as_ref();
        let of_totp = self.totp.is_some() || self.context.is_some() || self.authc_config.is_some();
        let sections = [
            ("totp", of_totp),
            (
                "provisiond.store",
                provisiond.is_some_and(|section| section.store.is_some()),
            ),
            (
                "provisiond.fleet",
                provisiond.is_some_and(|section| section.fleet.is_some()),
            ),
            ("limits", self.limits.is_some()),
            ("recovery", self.recovery.is_some()),
            ("rules", self.rules.is_some()),
            ("roll-out", self.roll_out.is_some()),
            ("unknown-users", self.unknown_users.is_some()),
            ("grace", self.grace.is_some()),
            ("enroll-at-login", self.enroll_at_login.is_some()),
            ("import", self.import.is_some()),
        ];
        let mut given = sections.into_iter().filter(|(_, is_given)| *is_given);
        let section = given.next().map(|(name, _)| name);
        let of_policy = || self.policy.as_ref().and_then(RawPolicy::unused_by_a_relay);
        section.or_else(of_policy)
    }

    fn exemptions(&mut self) -> RawExemptions {
        RawExemptions {
            rules: self.rules.take().unwrap_or_default(),
            roll_out: self.roll_out.take().unwrap_or_default(),
            unknown_users: self.unknown_users.take().unwrap_or_default(),
            grace: self.grace.take().unwrap_or_default(),
        }
    }

    fn totp(&mut self) -> Result<RawTotp, Problem> {
        let theirs = self.authc_config.take().and_then(|section| section.totp);
        let excerpt = self.context.take().map(RawTotp::of_context);
        let mut found = [self.totp.take(), theirs, excerpt].into_iter().flatten();
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(Problem::TotpTwice),
            (totp, None) => Ok(totp.unwrap_or_default()),
        }
    }
}

/// The rest of the section belongs to Yosai.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "a section of settings")]
struct RawAuthcConfig {
    totp: Option<RawTotp>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
struct RawProvisiond {
    #[serde(deserialize_with = "given")]
    store: Option<RawStore>,
    #[serde(
        rename = "admin-group",
        alias = "admin_group",
        deserialize_with = "given"
    )]
    admin_group: Option<Text>,
    #[serde(
        rename = "helpdesk-group",
        alias = "helpdesk_group",
        deserialize_with = "given"
    )]
    helpdesk_group: Option<Text>,
    verifiers: RawVerifiers,
    #[serde(deserialize_with = "given")]
    fleet: Option<RawFleet>,
    #[serde(deserialize_with = "given")]
    upstream: Option<RawUpstream>,
}

/// All spellings of the sections of [`RawFile`].
pub(super) const SECTIONS: [&str; 17] = [
    "totp",
    "AUTHC_CONFIG",
    "context",
    "provisiond",
    "policy",
    "limits",
    "recovery",
    "audit",
    "rules",
    "roll-out",
    "roll_out",
    "unknown-users",
    "unknown_users",
    "grace",
    "enroll-at-login",
    "enroll_at_login",
    "import",
];
