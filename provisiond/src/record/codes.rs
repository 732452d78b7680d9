//! Issued codes of a user: recovery codes, bypass and ticket, how long each is, how it is made,
//! tried, spent and expires. Pure: time is an argument.
//!
//! The record keeps hashes only, under a key of its own: see `hashed`.

mod hashed;
mod kept;

use std::time::Duration;

use common::config::recovery::{MAX_CODES, Recovery};
use common::enckey::{Binding, CannotOpen, Enckey};
use common::issued::IssuedCode;
use common::names::user::UserName;
use common::secret::{Key, SecretText};
use common::secrets::Secrets;
use common::totp::{Algorithm, Parameters};
use serde::{Deserialize, Serialize};

use self::hashed::{BYPASS, RECOVERY, TICKET, draw, hash, random};
use self::kept::{Bypass, RecoveryCodes, Timed, after};
use crate::clock::moment::Moment;
use crate::record::CannotMake;

/// The issued codes of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Codes {
    key: Enckey,
    recovery: RecoveryCodes,
    bypass: Option<Bypass>,
    ticket: Option<Timed>,
}

/// The purpose that a code is tried for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To log in: a recovery code or a bypass.
    Login,
    /// To log in while none of the user's active devices is usable: a bypass. The devices'
    /// restrictions hold for recovery codes.
    LoginOutOfBounds,
    /// To change one's own devices: a recovery code. A bypass opens logins for a while, and nothing
    /// else.
    Proof,
    /// To enrol the first device: a ticket.
    FirstDevice,
    /// No purpose: every code is wrong.
    Nothing,
}

/// The result for a code that is known, or that ended a bypass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A recovery code, spent now; so many are left.
    RecoveryCode(usize),
    /// A bypass, which opens so many more logins.
    Bypass(u8),
    /// A ticket, spent now.
    Ticket,
    /// A wrong code, the last that the bypass tolerated: the bypass is gone.
    BypassGone,
    /// The code has expired.
    Expired,
    /// The code may have been spent in the time that a rolled-back store has lost.
    Doubtful,
}

impl Codes {
    /// The record's codes and their key, or an empty set under a new key. Either takes the same
    /// time.
    ///
    /// # Errors
    /// [`CannotOpen`]; also where a new key cannot be made.
    pub fn opened(
        codes: Option<&Self>,
        user: &UserName,
        secrets: &Secrets,
    ) -> Result<(Self, Key), CannotOpen> {
        match codes {
            Some(codes) => Ok((codes.clone(), codes.key.open(secrets, &binding(user))?)),
            None => Self::none(user, secrets).map_err(|CannotMake| CannotOpen),
        }
    }

    /// The same, to issue new codes. If the key no longer opens, all codes are lost already, and a
    /// new key replaces it.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn to_extend(
        codes: Option<&Self>,
        user: &UserName,
        secrets: &Secrets,
    ) -> Result<(Self, Key), CannotMake> {
        Self::opened(codes, user, secrets).or_else(|CannotOpen| Self::none(user, secrets))
    }

    fn none(user: &UserName, secrets: &Secrets) -> Result<(Self, Key), CannotMake> {
        let key = Key::new(random::<CODE_KEY>()?.to_vec()).map_err(|_| CannotMake)?;
        let sealed = Enckey::seal(&key, secrets, &binding(user)).map_err(|_| CannotMake)?;
        Ok((
            Self {
                key: sealed,
                recovery: RecoveryCodes::default(),
                bypass: None,
                ticket: None,
            },
            key,
        ))
    }

    /// The tag of the application secret that their key is sealed under.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.key.tag()
    }

    /// The same codes after the user was renamed to `to`.
    ///
    /// # Errors
    /// [`CannotMake`]: the key does not open, or cannot be sealed.
    pub fn renamed(
        &self,
        from: &UserName,
        to: &UserName,
        secrets: &Secrets,
    ) -> Result<Self, CannotMake> {
        let key = self
            .key
            .open(secrets, &binding(from))
            .map_err(|CannotOpen| CannotMake)?;
        let key = Enckey::seal(&key, secrets, &binding(to)).map_err(|_| CannotMake)?;
        Ok(Self {
            key,
            ..self.clone()
        })
    }

    /// The same codes with their key sealed under the default tag of `to`. No code dies. A key that
    /// does not open stays.
    ///
    /// # Errors
    /// [`CannotMake`]: the key cannot be sealed.
    pub fn resealed(
        self,
        user: &UserName,
        from: &Secrets,
        to: &Secrets,
    ) -> Result<Self, CannotMake> {
        if self.tag() == to.default_tag().as_str() {
            return Ok(self);
        }
        let Ok(key) = self.key.open(from, &binding(user)) else {
            return Ok(self);
        };
        let key = Enckey::seal(&key, to, &binding(user)).map_err(|_| CannotMake)?;
        Ok(Self { key, ..self })
    }

    /// Replaces all recovery codes by new ones.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn renew(
        &mut self,
        key: &Key,
        settings: &Recovery,
        moment: &Moment,
    ) -> Result<Vec<SecretText>, CannotMake> {
        let codes = (0..settings.codes.min(MAX_CODES))
            .map(|_| draw::<LONG>())
            .collect::<Result<Vec<_>, _>>()?;
        let hashes = codes
            .iter()
            .map(|code| hash(key, RECOVERY, code))
            .collect::<Option<Vec<_>>>();
        let until = settings.expire.map(|span| after(moment.now, span));
        self.recovery = RecoveryCodes {
            hashes: hashes.ok_or(CannotMake)?,
            known_since: moment.stamp(),
            until,
        };
        Ok(codes.iter().map(IssuedCode::shown).collect())
    }

    /// Replaces all recovery codes by scratch codes of another system.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn take_over(
        &mut self,
        key: &Key,
        codes: &[IssuedCode],
        settings: &Recovery,
        moment: &Moment,
    ) -> Result<(), CannotMake> {
        let most = usize::from(MAX_CODES);
        let hashes = codes
            .iter()
            .take(most)
            .map(|code| hash(key, RECOVERY, code));
        self.recovery = RecoveryCodes {
            hashes: hashes.collect::<Option<Vec<_>>>().ok_or(CannotMake)?,
            known_since: moment.stamp(),
            until: settings.expire.map(|span| after(moment.now, span)),
        };
        Ok(())
    }

    /// Forgets the recovery codes that are none of `codes`: the other system has seen them used.
    pub fn keep_only(&mut self, key: &Key, codes: &[IssuedCode]) {
        let kept: Vec<_> = codes
            .iter()
            .filter_map(|code| hash(key, RECOVERY, code))
            .collect();
        self.recovery.hashes.retain(|hash| kept.contains(hash));
    }

    /// Tries a scratch code, and spends it if it is right. Constant time, as [`Self::try_code`].
    #[must_use]
    pub fn try_scratch(
        &mut self,
        key: &Key,
        code: &IssuedCode,
        moment: &Moment,
    ) -> Option<Finding> {
        let found = self.recovery.find(&hash(key, RECOVERY, code)?);
        self.recovery.take(found?, moment)
    }

    /// Issues a bypass, which replaces the present one.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn give_bypass(
        &mut self,
        key: &Key,
        uses: u8,
        valid_for: Duration,
        moment: &Moment,
    ) -> Result<SecretText, CannotMake> {
        let code = draw::<SHORT>()?;
        let timed = Timed::new(hash(key, BYPASS, &code), valid_for, moment)?;
        self.bypass = Some(Bypass {
            code: timed,
            uses,
            tries: BYPASS_TRIES,
        });
        Ok(code.shown())
    }

    /// Issues a ticket, which replaces the present one.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn give_ticket(
        &mut self,
        key: &Key,
        valid_for: Duration,
        moment: &Moment,
    ) -> Result<SecretText, CannotMake> {
        let code = draw::<LONG>()?;
        self.ticket = Some(Timed::new(hash(key, TICKET, &code), valid_for, moment)?);
        Ok(code.shown())
    }

    /// Tries a code, and spends it if it is right. `None`: it is wrong. Constant time: the code is
    /// always compared with the maximum number of hashes, so that the time reveals neither how many
    /// codes there are nor which one matched.
    #[must_use]
    pub fn try_code(
        &mut self,
        key: &Key,
        code: &IssuedCode,
        purpose: Purpose,
        moment: &Moment,
    ) -> Option<Finding> {
        let [recovery, bypass, ticket] =
            [RECOVERY, BYPASS, TICKET].map(|purpose| hash(key, purpose, code));
        let recovery = self.recovery.find(&recovery?);
        let bypass = Timed::is(self.bypass.as_ref().map(|bypass| &bypass.code), &bypass?);
        let ticket = Timed::is(self.ticket.as_ref(), &ticket?);
        match purpose {
            Purpose::Login | Purpose::LoginOutOfBounds if bypass => self.use_bypass(moment),
            Purpose::Login | Purpose::Proof if recovery.is_some() => {
                self.recovery.take(recovery?, moment)
            }
            Purpose::Login | Purpose::LoginOutOfBounds if code.is_short() => self.wrong_bypass(),
            Purpose::FirstDevice if ticket => self.use_ticket(moment),
            _ => None,
        }
    }

    fn use_bypass(&mut self, moment: &Moment) -> Option<Finding> {
        let bypass = self.bypass.as_mut()?;
        if let Some(why_not) = bypass.code.why_not(moment) {
            return Some(why_not);
        }
        bypass.uses = bypass.uses.saturating_sub(1);
        let left = bypass.uses;
        self.bypass.take_if(|bypass| bypass.uses == 0);
        Some(Finding::Bypass(left))
    }

    fn wrong_bypass(&mut self) -> Option<Finding> {
        let bypass = self.bypass.as_mut()?;
        bypass.tries = bypass.tries.saturating_sub(1);
        self.bypass
            .take_if(|bypass| bypass.tries == 0)
            .map(|_| Finding::BypassGone)
    }

    fn use_ticket(&mut self, moment: &Moment) -> Option<Finding> {
        let why_not = self.ticket.as_ref()?.why_not(moment);
        Some(why_not.unwrap_or_else(|| {
            self.ticket = None;
            Finding::Ticket
        }))
    }

    /// Recovery codes that would be accepted now.
    #[must_use]
    pub fn recovery_codes_left(&self, moment: &Moment) -> usize {
        if self.recovery.why_not(moment).is_some() {
            0
        } else {
            self.recovery.hashes.len()
        }
    }

    /// The end of the bypass in Unix seconds, and how many logins it still opens.
    #[must_use]
    pub fn bypass_left(&self, moment: &Moment) -> Option<(u64, u8)> {
        self.bypass
            .as_ref()
            .and_then(|bypass| Some((bypass.code.good_until(moment)?, bypass.uses)))
    }

    /// The end of the ticket in Unix seconds.
    #[must_use]
    pub fn ticket_until(&self, moment: &Moment) -> Option<u64> {
        self.ticket
            .as_ref()
            .and_then(|ticket| ticket.good_until(moment))
    }

    /// Removes an expired bypass or ticket.
    pub fn expire(&mut self, now: u64) {
        self.bypass.take_if(|bypass| bypass.code.until <= now);
        self.ticket.take_if(|ticket| ticket.until <= now);
    }
}

/// The binding of the code key: it belongs to the user, not to a device.
fn binding(user: &UserName) -> Binding<'_> {
    let parameters = Parameters {
        alg: Algorithm::Sha256,
        digits: 0,
        period: 0,
    };
    Binding {
        user,
        device: &[0; 16],
        kind: "codes",
        parameters,
    }
}

/// Bytes of the code key.
const CODE_KEY: usize = 32;
/// Random bytes of a recovery code and of a ticket: eighty bits, too many for brute force.
const LONG: usize = 10;
/// Random bytes of a bypass: forty bits, with a limit of wrong tries.
const SHORT: usize = 5;
/// Wrong codes after which a bypass is gone.
const BYPASS_TRIES: u8 = 5;

#[cfg(test)]
mod tests;
