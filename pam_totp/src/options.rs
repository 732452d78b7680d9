//! The module's arguments, as they stand in the service file.
//!
//! Parsed whole before anybody is asked anything. What is unknown, repeated or malformed is an error that names the
//! option: a misspelt line must not protect less than its author believes.

#![forbid(unsafe_code)]

mod elsewhere;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use common::text::printable;

/// What the administrator chose in the service file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `socket=`: where provisiond listens; the usual place of the caller if absent.
    pub socket: Option<PathBuf>,
    /// `server_uid=`: the uid that provisiond must have.
    pub server_uid: u32,
    /// `timeout=`: how long one call to provisiond may take, in whole seconds.
    pub timeout: Duration,
    /// `prompt=` or `authtok_prompt=`: what asks for one code; our own words if absent.
    pub prompt: Option<String>,
    /// `lang=`: the language of what is asked and said.
    pub lang: Language,
    /// `retry=`: how many times the person may try.
    pub retry: u32,
    /// `nullok` or `nouserok`: who was never enrolled needs no code.
    pub nullok: bool,
    /// `always_prompt`: who needs no code is asked all the same.
    pub always_prompt: bool,
    /// `user_unknown`: who was never enrolled is unknown to us, rather than refused.
    pub user_unknown: bool,
    /// `echo_verification_code` or `echo-verification-code`: the code is seen while it is typed.
    pub echo_verification_code: bool,
    /// `quiet` or `no_warn`: the person is asked, and told nothing besides.
    pub quiet: bool,
    /// `debug`: refusals are logged here too, and not by provisiond alone.
    pub debug: bool,
}

impl Options {
    /// Takes the arguments as libpam hands them over, square brackets already stripped.
    ///
    /// # Errors
    /// The first option that cannot be taken, and why.
    pub fn parse(arguments: &[&[u8]]) -> Result<Self, BadOption> {
        let mut options = Self::default();
        let mut seen = Vec::new();
        for argument in arguments {
            let (name, value) = split(argument)?;
            let bad = |why| BadOption::new(name, why);
            if let Some(why) = elsewhere::why_not(name) {
                return Err(bad(why));
            }
            let own_name = own_name(name);
            if seen.contains(&own_name) {
                return Err(bad("is given twice"));
            }
            options.set(own_name, value).map_err(bad)?;
            seen.push(own_name);
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), &'static str> {
        if let Some(flag) = self.flag(name) {
            *flag = true;
            return if value.is_none() { Ok(()) } else { Err("takes no value") };
        }
        let value = || value.ok_or("needs a value after '='");
        match name {
            "socket" => self.socket = Some(socket(value()?)?),
            "server_uid" => self.server_uid = number(value()?, 0..=u32::MAX).ok_or("takes a user id")?,
            "timeout" => self.timeout = timeout(value()?)?,
            "prompt" => self.prompt = Some(prompt(value()?)?),
            "lang" => self.lang = language(value()?)?,
            "retry" => self.retry = number(value()?, RETRY).ok_or("takes a number from 1 to 10")?,
            _ => return Err("is not known"),
        }
        Ok(())
    }

    /// The options that are there or not.
    fn flag(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "nullok" => &mut self.nullok,
            "always_prompt" => &mut self.always_prompt,
            "user_unknown" => &mut self.user_unknown,
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

/// An option that cannot be taken. Its value is not told: people paste secrets into the wrong place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOption {
    name: String,
    why: &'static str,
}

impl BadOption {
    fn new(name: &str, why: &'static str) -> Self {
        Self { name: printable(name), why }
    }
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the option '{}' {}: correct it in the service file, nobody is let in before", self.name, self.why)
    }
}

impl std::error::Error for BadOption {}

fn split(argument: &[u8]) -> Result<(&str, Option<&str>), BadOption> {
    let name = argument.split(|byte| *byte == b'=').next().unwrap_or_default();
    let bad = |why| BadOption::new(&String::from_utf8_lossy(name), why);
    if argument.len() > MAX_BYTES {
        return Err(bad("is longer than 4096 bytes"));
    }
    let text = std::str::from_utf8(argument).map_err(|_| bad("is not UTF-8"))?;
    Ok(text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value))))
}

/// Our name of an option that has another one elsewhere. One option is given once, whatever it is called.
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
    fits.then(|| PathBuf::from(path)).ok_or("takes an absolute path of at most 107 bytes")
}

fn timeout(seconds: &str) -> Result<Duration, &'static str> {
    let seconds = number(seconds, TIMEOUT).ok_or("takes 1 to 30 seconds")?;
    Ok(Duration::from_secs(seconds.into()))
}

fn prompt(text: &str) -> Result<String, &'static str> {
    PROMPT_BYTES.contains(&text.len()).then(|| text.to_owned()).ok_or("takes 1 to 256 bytes")
}

fn language(name: &str) -> Result<Language, &'static str> {
    match name {
        "en" => Ok(Language::English),
        "de" => Ok(Language::German),
        _ => Err("takes 'en' or 'de'"),
    }
}

/// Digits and nothing else: `parse` alone would take a sign.
fn number(text: &str, range: RangeInclusive<u32>) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && range.contains(number))
}

const MAX_BYTES: usize = 4096;
/// What fits into `sockaddr_un` with its NUL: unix(7).
const MAX_SOCKET_BYTES: usize = 107;
const PROMPT_BYTES: RangeInclusive<usize> = 1..=256;
const RETRY: RangeInclusive<u32> = 1..=10;
/// A login program gives up by itself after a minute or two.
const TIMEOUT: RangeInclusive<u32> = 1..=30;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let bytes: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
        Options::parse(&bytes).map_err(|bad| bad.to_string())
    }

    fn refused(argument: &str) -> String {
        parse(&[argument]).unwrap_err()
    }

    #[test]
    fn no_arguments_are_the_defaults() {
        assert_eq!(parse(&[]).unwrap(), Options::default());
    }

    #[test]
    fn every_option_is_taken() {
        let all = [
            "socket=/run/x/login.sock",
            "server_uid=4294967295",
            "timeout=30",
            "prompt=Code = ? ",
            "lang=de",
            "retry=10",
            "nullok",
            "always_prompt",
            "user_unknown",
            "echo_verification_code",
            "quiet",
            "debug",
        ];
        let expected = Options {
            socket: Some("/run/x/login.sock".into()),
            server_uid: u32::MAX,
            timeout: Duration::from_secs(30),
            prompt: Some("Code = ? ".into()),
            lang: Language::German,
            retry: 10,
            nullok: true,
            always_prompt: true,
            user_unknown: true,
            echo_verification_code: true,
            quiet: true,
            debug: true,
        };
        assert_eq!(parse(&all).unwrap(), expected);
    }

    #[test]
    fn the_names_of_other_modules_mean_the_same() {
        for (other, own) in [
            ("nouserok", "nullok"),
            ("echo-verification-code", "echo_verification_code"),
            ("authtok_prompt=Token: ", "prompt=Token: "),
            ("no_warn", "quiet"),
        ] {
            assert_eq!(parse(&[other]).unwrap(), parse(&[own]).unwrap());
            let name = other.split('=').next().unwrap();
            assert!(parse(&[own, other]).unwrap_err().contains(&format!("'{name}' is given twice")), "{other}");
        }
    }

    #[test]
    fn an_unknown_option_is_refused_by_its_name_and_without_its_value() {
        for argument in ["nullOK", "no", "", "=", "Debug", " debug", "secrets=hunter2", "no-warn", "code:"] {
            let name = argument.split('=').next().unwrap();
            let said = refused(argument);
            assert!(said.contains(&format!("'{name}' is not known")) && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn an_option_given_twice_is_refused() {
        for twice in [["debug", "debug"], ["retry=1", "retry=1"], ["prompt=a", "prompt=b"], ["nullok", "nullok"]] {
            assert!(parse(&twice).unwrap_err().contains("is given twice"), "{twice:?}");
        }
    }

    #[test]
    fn a_value_is_given_where_one_belongs_and_nowhere_else() {
        for argument in ["socket", "server_uid", "timeout", "prompt", "lang", "retry"] {
            assert!(refused(argument).contains(&format!("'{argument}' needs a value")));
        }
        for name in ["nullok", "always_prompt", "user_unknown", "echo_verification_code", "no_warn", "debug"] {
            for argument in [format!("{name}="), format!("{name}=1"), format!("{name}=no")] {
                assert!(refused(&argument).contains(&format!("'{name}' takes no value")));
            }
        }
    }

    #[test]
    fn numbers_are_digits_within_their_limits() {
        for value in ["", "0", "31", "-1", "+3", " 3", "3s", "3.0", "0x3", "٣", "99999999999999999999"] {
            assert!(refused(&format!("timeout={value}")).contains("'timeout' takes 1 to 30 seconds"), "{value:?}");
        }
        for value in ["", "0", "11", "-1", "+3", "three"] {
            assert!(refused(&format!("retry={value}")).contains("'retry' takes a number from 1 to 10"), "{value:?}");
        }
        for value in ["", "-1", "+0", "4294967296", "root"] {
            assert!(refused(&format!("server_uid={value}")).contains("'server_uid' takes a user id"), "{value:?}");
        }
        for value in ["", "EN", "fr", "de_DE.UTF-8"] {
            assert!(refused(&format!("lang={value}")).contains("'lang' takes 'en' or 'de'"), "{value:?}");
        }
        assert_eq!(parse(&["retry=1", "timeout=1"]).unwrap().retry, 1);
    }

    #[test]
    fn texts_are_within_their_limits() {
        let path = |bytes: usize| format!("socket=/{}", "x".repeat(bytes - 1));
        assert!(parse(&[&path(107)]).is_ok());
        for argument in [&path(108), "socket=", "socket=run/x", "socket=~/x"] {
            assert!(refused(argument).contains("'socket' takes an absolute path"), "{argument}");
        }
        assert!(parse(&[&format!("prompt={}", "x".repeat(256))]).is_ok());
        for text in ["", &"x".repeat(257)] {
            assert!(refused(&format!("prompt={text}")).contains("'prompt' takes 1 to 256 bytes"));
        }
    }

    #[test]
    fn what_is_too_long_or_no_text_is_refused_by_its_name() {
        assert!(refused(&format!("prompt={}", "x".repeat(4096))).contains("'prompt' is longer than 4096 bytes"));
        assert!(refused(&"x".repeat(1 << 20)).len() < 400);
        let said = Options::parse(&[b"prompt=\xff"]).unwrap_err().to_string();
        assert!(said.contains("'prompt' is not UTF-8"));
        assert!(Options::parse(&[b"\xff\n"]).unwrap_err().to_string().contains("'\u{fffd}\\n' is not UTF-8"));
    }

    proptest! {
        #[test]
        fn whatever_the_arguments_are_only_what_is_within_the_limits_is_taken(
            arguments in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "(socket|server_uid|timeout|prompt|retry|nullok|debug)(=/?[0-9a-z]{0,12})?".prop_map(String::into_bytes),
            ], 0..6)
        ) {
            let bytes: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            match Options::parse(&bytes) {
                Ok(options) => {
                    prop_assert!((1..=10).contains(&options.retry) && (1..=30).contains(&options.timeout.as_secs()));
                    prop_assert!(options.socket.is_none_or(|path| path.is_absolute()));
                    prop_assert!(options.prompt.is_none_or(|text| !text.is_empty()));
                }
                Err(bad) => prop_assert!(!bad.to_string().chars().any(char::is_control)),
            }
        }
    }
}
