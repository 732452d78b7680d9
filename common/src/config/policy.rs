//! The section `policy` of the settings: window, budget of guesses, strict mode, self-service,
//! binding to the uid.

use std::time::Duration;

use serde::Deserialize;

use super::fleet::WhenCutOff;
use super::problem::{Problem, bad, within};
use crate::config::roles::SelfService;
use crate::config::values::decimal::Decimal;
use crate::config::values::given::given;
use crate::config::values::span::Span;

/// How attempts are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Steps accepted on each side of now.
    pub window: u64,
    /// Single-code guesses of a user.
    pub budget: u32,
    /// The time after which the user gets one guess back.
    pub refill: Duration,
    /// Whether a hundred wrong answers in a row disable a device.
    pub strict: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub(super) struct RawPolicy {
    #[serde(deserialize_with = "given")]
    window: Option<Decimal<u64>>,
    #[serde(deserialize_with = "given")]
    budget: Option<Decimal<u32>>,
    #[serde(deserialize_with = "given")]
    refill: Option<Span>,
    #[serde(deserialize_with = "given")]
    strict: Option<bool>,
    #[serde(
        rename = "self-service",
        alias = "self_service",
        deserialize_with = "given"
    )]
    self_service: Option<SelfService>,
    #[serde(rename = "bind-uid", alias = "bind_uid", deserialize_with = "given")]
    bind_uid: Option<bool>,
    #[serde(
        rename = "when-cut-off",
        alias = "when_cut_off",
        deserialize_with = "given"
    )]
    when_cut_off: Option<WhenCutOff>,
}

impl RawPolicy {
    pub(super) fn self_service(&self) -> SelfService {
        self.self_service.unwrap_or_default()
    }

    pub(super) fn when_cut_off(&self) -> WhenCutOff {
        self.when_cut_off.unwrap_or_default()
    }

    /// A key that means nothing to a relay, which judges codes only while it is cut off.
    pub(super) fn unused_by_a_relay(&self) -> Option<&'static str> {
        let keys = [
            ("policy.window", self.window.is_some()),
            ("policy.budget", self.budget.is_some()),
            ("policy.refill", self.refill.is_some()),
            ("policy.strict", self.strict.is_some()),
            ("policy.self-service", self.self_service.is_some()),
            ("policy.bind-uid", self.bind_uid.is_some()),
        ];
        let mut given = keys.into_iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(name, _)| name)
    }

    /// On a shared store a binding would shut out users whose accounts have other uids on other
    /// machines, and a daemon does not hear at once of the bindings that another one makes.
    pub(super) fn bind_uid(&self, is_shared: bool) -> Result<bool, Problem> {
        match self.bind_uid {
            Some(true) if is_shared => Err(bad("policy.bind-uid", NOT_ON_ETCD)),
            given => Ok(given.unwrap_or(!is_shared)),
        }
    }

    pub(super) fn check(self) -> Result<Policy, Problem> {
        if self.when_cut_off.is_some() {
            return Err(bad("policy.when-cut-off", OF_A_RELAY));
        }
        let refill = self.refill.map_or(DEFAULT_REFILL, |span| span.0);
        if !(MIN_REFILL..=MAX_REFILL).contains(&refill) {
            return Err(bad(
                "policy.refill",
                "must be between 1 minute and 366 days",
            ));
        }
        Ok(Policy {
            window: within(
                "policy.window",
                self.window.map_or(1, |Decimal(window)| window),
                0,
                MAX_WINDOW,
            )?,
            budget: within(
                "policy.budget",
                self.budget.map_or(5, |Decimal(budget)| budget),
                0,
                MAX_BUDGET,
            )?,
            refill,
            strict: self.strict.unwrap_or(false),
        })
    }
}

const DEFAULT_REFILL: Duration = Duration::from_secs(86400);
const MIN_REFILL: Duration = Duration::from_secs(60);
const MAX_REFILL: Duration = Duration::from_secs(366 * 86400);
/// A pair of codes is searched for within ten steps; a single code never further.
const MAX_WINDOW: u64 = 10;
/// At six digits, a thousand guesses of three positions are 0.3 %: more is no protection.
const MAX_BUDGET: u32 = 1000;
const OF_A_RELAY: &str =
    "is for login hosts that ask verifiers ('provisiond.upstream'): set it there";
const NOT_ON_ETCD: &str =
    "cannot be true with a store on etcd, which several machines share: leave the key out";
