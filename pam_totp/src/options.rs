//! The options of the module in the service file: `retry=`, `nullok`, `lang=` and the others. A new
//! option is added here.
//!
//! All options are parsed before the first prompt. An unknown, repeated or malformed one is an
//! error that names it: a misspelt line must not protect less than the administrator believes.

#![forbid(unsafe_code)]

mod foreign_options;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use common::answer::CODE_DIGITS;
use common::wire::text::printable;

/// What the administrator chose in the service file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `socket=`: the socket of provisiond; by default that of the caller's uid.
    pub socket: Option<PathBuf>,
    /// `server_uid=`: the uid that provisiond must have.
    pub server_uid: u32,
    /// `timeout=`: how long one call to provisiond may take, in whole seconds.
    pub timeout: Duration,
    /// `prompt=` or `authtok_prompt=`: the prompt for one code; by default the module's own words.
    pub prompt: Option<String>,
    /// `lang=`: the language of prompts and messages.
    pub lang: Language,
    /// `retry=`: how many times the user may try.
    pub retry: u32,
    /// `nullok` or `nouserok`: a never-enrolled user needs no code.
    pub nullok: bool,
    /// `always_prompt`: a user that needs no code is asked all the same.
    pub always_prompt: bool,
    /// `user_unknown`: a never-enrolled user gets `PAM_USER_UNKNOWN` instead of `PAM_AUTH_ERR`.
    pub user_unknown: bool,
    /// `try_first_pass`: a code at the end of an earlier module's password is tried before the
    /// first prompt.
    pub try_first_pass: bool,
    /// `use_first_pass`: the same, and there is never a prompt.
    pub use_first_pass: bool,
    /// `forward_pass`: the user types the password together with the code, and it is left for the
    /// modules after this one.
    pub forward_pass: bool,
    /// `digits=`: the length of the code at the end of a password; by default the daemon tells it.
    pub digits: Option<usize>,
    /// `grace_period=`: seconds after an accepted code in which no code is needed from exactly the
    /// same source.
    pub grace_period: Option<u32>,
    /// `noskewadj`: the daemon does not learn how far the device's clock is off.
    pub noskewadj: bool,
    /// `no_increment_hotp`: a failed attempt does not move the counter of an HOTP device. It never
    /// does anyway.
    pub no_increment_hotp: bool,
    /// `enroll`: a never-enrolled user with a ticket can enrol at the prompt.
    pub enroll: bool,
    /// `enroll=first_factor`: the same, and a login that comes as far as this line has passed a
    /// first factor, so that the daemon's settings can let the user enrol without a ticket.
    pub first_factor: bool,
    /// `echo_verification_code` or `echo-verification-code`: the code is shown while it is typed.
    pub echo_verification_code: bool,
    /// `quiet` or `no_warn`: the user sees prompts and no messages.
    pub quiet: bool,
    /// `debug`: the module logs refusals, too; provisiond logs them anyway.
    pub debug: bool,
}

impl Options {
    /// Parses the arguments that libpam hands over; libpam has already stripped square brackets.
    ///
    /// # Errors
    /// The first option that is not valid, and the reason.
    pub fn parse(arguments: &[&[u8]]) -> Result<Self, BadOption> {
        let mut options = Self::default();
        let mut seen = Vec::new();
        for argument in arguments {
            let (name, value) = split(argument)?;
            let bad = |why| BadOption::new(name, why);
            if let Some(why) = foreign_options::why_not(name) {
                return Err(bad(why));
            }
            let own_name = own_name(name);
            if seen.contains(&own_name) {
                return Err(bad("is given twice"));
            }
            options.set(own_name, value).map_err(bad)?;
            seen.push(own_name);
        }
        options.contradiction().map_or(Ok(options), Err)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), &'static str> {
        if let Some(flag) = self.flag(name) {
            *flag = true;
            return if value.is_none() {
                Ok(())
            } else {
                Err("takes no value")
            };
        }
        if name == "enroll" {
            self.first_factor = first_factor(value)?;
            self.enroll = true;
            return Ok(());
        }
        let value = || value.ok_or("needs a value after '='");
        match name {
            "socket" => self.socket = Some(socket(value()?)?),
            "server_uid" => {
                self.server_uid = number(value()?, 0..=u32::MAX).ok_or("takes a user id")?
            }
            "timeout" => self.timeout = timeout(value()?)?,
            "prompt" => self.prompt = Some(prompt(value()?)?),
            "digits" => self.digits = Some(digits(value()?)?),
            "grace_period" => {
                self.grace_period =
                    Some(number(value()?, GRACE).ok_or("takes 0 to 2592000 seconds")?)
            }
            "lang" => self.lang = language(value()?)?,
            "retry" => self.retry = number(value()?, RETRY).ok_or("takes a number from 1 to 10")?,
            _ => return Err("is not known"),
        }
        Ok(())
    }

    /// Options that cannot be combined: `use_first_pass` never asks, so options about a prompt
    /// contradict it. `enroll` needs a prompt of its own and must be able to show the key.
    fn contradiction(&self) -> Option<BadOption> {
        let (name, why) = match self {
            Self {
                enroll: true,
                nullok: true,
                ..
            } => ("enroll", "cannot be combined with 'nullok'"),
            Self {
                enroll: true,
                use_first_pass: true,
                ..
            } => ("enroll", "cannot be combined with 'use_first_pass'"),
            Self {
                enroll: true,
                forward_pass: true,
                ..
            } => ("enroll", "cannot be combined with 'forward_pass'"),
            Self {
                enroll: true,
                quiet: true,
                ..
            } => ("enroll", "cannot be combined with 'quiet'"),
            Self {
                use_first_pass: true,
                try_first_pass: true,
                ..
            } => ("use_first_pass", "cannot be combined with 'try_first_pass'"),
            Self {
                use_first_pass: true,
                always_prompt: true,
                ..
            } => ("use_first_pass", "cannot be combined with 'always_prompt'"),
            _ => return None,
        };
        Some(BadOption::new(name, why))
    }

    /// The options without a value.
    fn flag(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "nullok" => &mut self.nullok,
            "always_prompt" => &mut self.always_prompt,
            "user_unknown" => &mut self.user_unknown,
            "try_first_pass" => &mut self.try_first_pass,
            "use_first_pass" => &mut self.use_first_pass,
            "forward_pass" => &mut self.forward_pass,
            "noskewadj" => &mut self.noskewadj,
            "no_increment_hotp" => &mut self.no_increment_hotp,
            "echo_verification_code" => &mut self.echo_verification_code,
            "quiet" => &mut self.quiet,
            "debug" => &mut self.debug,
            _ => return None,
        })
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            socket: None,
            server_uid: 0,
            timeout: Duration::from_secs(3),
            prompt: None,
            lang: Language::English,
            retry: 3,
            nullok: false,
            always_prompt: false,
            user_unknown: false,
            try_first_pass: false,
            use_first_pass: false,
            forward_pass: false,
            digits: None,
            grace_period: None,
            noskewadj: false,
            no_increment_hotp: false,
            enroll: false,
            first_factor: false,
            echo_verification_code: false,
            quiet: false,
            debug: false,
        }
    }
}

/// A language that the module speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the name of a language says it")]
pub enum Language {
    English,
    German,
}

/// An option that is not valid. The error does not show its value: administrators paste secrets
/// into the wrong place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOption {
    name: String,
    why: &'static str,
}

impl BadOption {
    fn new(name: &str, why: &'static str) -> Self {
        Self {
            name: printable(name),
            why,
        }
    }
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the option '{}' {}: correct the service file, which denies every login until then",
            self.name, self.why
        )
    }
}

impl std::error::Error for BadOption {}

fn split(argument: &[u8]) -> Result<(&str, Option<&str>), BadOption> {
    let name = argument
        .split(|byte| *byte == b'=')
        .next()
        .unwrap_or_default();
    let bad = |why| BadOption::new(&String::from_utf8_lossy(name), why);
    if argument.len() > MAX_BYTES {
        return Err(bad("is longer than 4096 bytes"));
    }
    let text = std::str::from_utf8(argument).map_err(|_| bad("is not UTF-8"))?;
    Ok(text
        .split_once('=')
        .map_or((text, None), |(name, value)| (name, Some(value))))
}

/// The module's own name of an option that other modules call otherwise. An option may be given
/// once under any of its names.
fn own_name(name: &str) -> &str {
    match name {
        "nouserok" => "nullok",
        "echo-verification-code" => "echo_verification_code",
        "authtok_prompt" => "prompt",
        "no_warn" => "quiet",
        own => own,
    }
}

fn socket(path: &str) -> Result<PathBuf, &'static str> {
    let fits = path.starts_with('/') && path.len() <= MAX_SOCKET_BYTES;
    fits.then(|| PathBuf::from(path))
        .ok_or("takes an absolute path of at most 107 bytes")
}

fn timeout(seconds: &str) -> Result<Duration, &'static str> {
    let seconds = number(seconds, TIMEOUT).ok_or("takes 1 to 30 seconds")?;
    Ok(Duration::from_secs(seconds.into()))
}

fn prompt(text: &str) -> Result<String, &'static str> {
    PROMPT_BYTES
        .contains(&text.len())
        .then(|| text.to_owned())
        .ok_or("takes 1 to 256 bytes")
}

fn first_factor(value: Option<&str>) -> Result<bool, &'static str> {
    match value {
        None => Ok(false),
        Some("first_factor") => Ok(true),
        Some(_) => Err("takes no value, or 'first_factor'"),
    }
}

fn language(name: &str) -> Result<Language, &'static str> {
    match name {
        "en" => Ok(Language::English),
        "de" => Ok(Language::German),
        _ => Err("takes 'en' or 'de'"),
    }
}

fn digits(text: &str) -> Result<usize, &'static str> {
    let length = number(text, 0..=u32::MAX).and_then(|number| usize::try_from(number).ok());
    length
        .filter(|length| CODE_DIGITS.contains(length))
        .ok_or("takes a number from 6 to 10")
}

/// A number in digits and nothing else: `parse` alone would take a sign.
fn number(text: &str, range: RangeInclusive<u32>) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| digits && range.contains(number))
}

const MAX_BYTES: usize = 4096;
/// The longest path that fits into `sockaddr_un` with its NUL: unix(7).
const MAX_SOCKET_BYTES: usize = 107;
const PROMPT_BYTES: RangeInclusive<usize> = 1..=256;
const RETRY: RangeInclusive<u32> = 1..=10;
/// Thirty days at most.
const GRACE: RangeInclusive<u32> = 0..=2_592_000;
/// A login program gives up by itself after a minute or two.
const TIMEOUT: RangeInclusive<u32> = 1..=30;
