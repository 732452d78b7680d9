//! The section `policy` of the settings: window, budget of guesses, strict mode, self-service,
//! binding to the uid.

use std::time::Duration;

use serde::Deserialize;

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
    #[serde(rename = "self-service", alias = "self_service")]
    self_service: SelfService,
    #[serde(rename = "bind-uid", alias = "bind_uid", deserialize_with = "given")]
    bind_uid: Option<bool>,
}

impl RawPolicy {
    pub(super) fn self_service(&self) -> SelfService {
        self.self_service
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
const NOT_ON_ETCD: &str =
    "cannot be true with a store on etcd, which several machines share: leave the key out";
