//! `~/.google_authenticator`, the file of the module pam_google_authenticator: one user's key, its
//! options, what is spent, and scratch codes. Reads and writes it.
//!
//! The first line is the key; then come options, `" NAME value`; then scratch codes of eight digits.
//! Steps in it are steps of the device: the learned skew is in them already.

use std::fmt::Write;

use common::names::device::Kind;
use common::secret::{Key, SecretText};
use common::totp::{Algorithm, Parameters};
use zeroize::Zeroizing;

use crate::entry::number;
use crate::{BadFile, Entry, Item, MAX_LINE, Problem, text};

/// Reads the file of one user, whose name it does not say.
///
/// # Errors
/// [`BadFile`]. A bad line is the one item.
pub fn read(bytes: &[u8]) -> Result<Vec<Item>, BadFile> {
    let mut lines = (1..).zip(text(bytes)?.lines());
    let Some((_, key)) = lines.next().filter(|(_, line)| !line.trim().is_empty()) else {
        return Err(BadFile::Empty);
    };
    let key = match Key::from_base32(key.trim()) {
        Ok(key) => key,
        Err(why) => return Ok(vec![Item::at_line(1, Err(why.into()))]),
    };
    let mut state = State::default();
    for (line, text) in lines {
        if let Err(problem) = state.take(text.trim_end()) {
            return Ok(vec![Item::at_line(line, Err(problem))]);
        }
    }
    Ok(vec![Item::at_line(1, state.with(key))])
}

/// What the lines after the key say.
#[derive(Default)]
struct State {
    counter: Option<u64>,
    period: Option<u64>,
    /// `None`: the module accepts a code again and again.
    spent: Option<Vec<u64>>,
    skew: i64,
    scratch_codes: Vec<SecretText>,
}

impl State {
    fn take(&mut self, line: &str) -> Result<(), Problem> {
        if line.len() > MAX_LINE {
            return Err(Problem::TooLong);
        }
        if let Some(option) = line.strip_prefix("\" ") {
            return self.option(option);
        }
        let is_scratch_code = line.len() == SCRATCH && line.bytes().all(|b| b.is_ascii_digit());
        match line {
            "" => Ok(()),
            _ if !is_scratch_code => Err(Problem::Form("a line is no option and no scratch code")),
            _ if self.scratch_codes.len() >= MAX_SCRATCH => {
                Err(Problem::Form("it has more than ten scratch codes"))
            }
            code => {
                self.scratch_codes.push(SecretText::new(code.to_owned()));
                Ok(())
            }
        }
    }

    fn option(&mut self, option: &str) -> Result<(), Problem> {
        let mut words = option.split_ascii_whitespace();
        match words.next().unwrap_or_default() {
            "HOTP_COUNTER" => self.counter = Some(one(words, "HOTP_COUNTER")?),
            "STEP_SIZE" => self.period = Some(one(words, "STEP_SIZE")?),
            "TIME_SKEW" => {
                let skew = words.next().and_then(|word| word.parse::<i32>().ok());
                self.skew = skew.ok_or(Problem::Number("TIME_SKEW"))?.into();
            }
            "DISALLOW_REUSE" => {
                let steps = words.map(|word| number(word, "DISALLOW_REUSE"));
                self.spent = Some(steps.collect::<Result<_, _>>()?);
            }
            // The daemon has a rate limit and a window of its own, and learns a skew by itself.
            _ => {}
        }
        Ok(())
    }

    fn with(self, key: Key) -> Result<Entry, Problem> {
        let parameters = crate::entry::parameters(None, None, self.period)?;
        // The module takes a counter of 0 for none.
        let entry = match self.counter.filter(|counter| *counter > 0) {
            Some(counter) => Entry::hotp(key, parameters, counter),
            None => Entry::totp(key, parameters),
        };
        Ok(Entry {
            lists_spent: self.spent.is_some(),
            spent: self.spent.unwrap_or_default(),
            skew: self.skew,
            scratch_codes: Some(self.scratch_codes),
            ..entry
        })
    }
}

fn one<'a>(mut words: impl Iterator<Item = &'a str>, name: &'static str) -> Result<u64, Problem> {
    match (words.next(), words.next()) {
        (Some(word), None) => number(word, name),
        _ => Err(Problem::Number(name)),
    }
}

/// Writes the file for a key. `None`: the module cannot compute such codes. The file has no scratch
/// codes, and refuses the codes up to `spent`, the latest spent step.
#[must_use]
pub fn write(
    key: &Key,
    (kind, parameters): (Kind, Parameters),
    counter: u64,
    spent: &[u64],
) -> Option<SecretText> {
    let fits = parameters.alg == Algorithm::Sha1
        && parameters.digits == Parameters::default().digits
        && (1..=60).contains(&parameters.period)
        // A counter of 0 would make the key a TOTP key.
        && (kind == Kind::Totp || counter > 0);
    if !fits {
        return None;
    }
    let mut file = Zeroizing::new(String::with_capacity(MAX_LINE));
    file.push_str(key.to_base32().expose());
    file.push_str("\n\" RATE_LIMIT 3 30\n");
    // Writing to a String cannot fail.
    match kind {
        Kind::Hotp => {
            let _ = writeln!(file, "\" HOTP_COUNTER {counter}");
        }
        Kind::Totp => {
            file.push_str("\" WINDOW_SIZE 3\n\" DISALLOW_REUSE");
            for step in spent {
                let _ = write!(file, " {step}");
            }
            file.push('\n');
            if parameters.period != Parameters::default().period {
                let _ = writeln!(file, "\" STEP_SIZE {}", parameters.period);
            }
            file.push_str("\" TOTP_AUTH\n");
        }
    }
    Some(SecretText::new(std::mem::take(&mut *file)))
}

const SCRATCH: usize = 8;
const MAX_SCRATCH: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "KJGNNK7A3FCUGC753AU5BKGY74";

    fn item(text: &str) -> Item {
        read(text.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn a_file_says_its_key_what_is_spent_and_its_scratch_codes() {
        let entry = item(&format!(
            "{KEY}\n\" RATE_LIMIT 3 30 1796009301\n\" WINDOW_SIZE 5\n\" DISALLOW_REUSE 59866975 59866977\n\
             \" TIME_SKEW -2\n\" LAST0 1\n\" TOTP_AUTH\n81954280\n49116916\n"
        ))
        .entry
        .unwrap();
        assert_eq!((entry.kind, entry.skew), (Kind::Totp, -2));
        assert!(entry.lists_spent);
        assert!(entry.user.is_none());
        assert_eq!(entry.key.to_base32().expose(), KEY);
        assert_eq!(entry.scratch_codes.as_ref().map(Vec::len), Some(2));
        assert_eq!(entry.spent_since(59_866_976 * 30), [59_866_977]);
    }

    #[test]
    fn a_file_with_a_counter_is_of_an_hotp_key() {
        let entry = item(&format!("{KEY}\n\" HOTP_COUNTER 17\n")).entry.unwrap();
        assert_eq!((entry.kind, entry.counter), (Kind::Hotp, Some(17)));
        let entry = item(&format!("{KEY}\n\" HOTP_COUNTER 0\n")).entry.unwrap();
        assert_eq!(entry.kind, Kind::Totp, "as the module reads it");
        assert!(!entry.lists_spent, "the module accepts a code again");
    }

    #[test]
    fn a_bad_line_is_named_and_nothing_of_the_file_is_taken() {
        for (text, line) in [
            ("no key\n", 1),
            (&*format!("{KEY}\n\" HOTP_COUNTER x\n"), 2),
            (&*format!("{KEY}\n\" TOTP_AUTH\n1234\n"), 3),
            (&*format!("{KEY}\n\" DISALLOW_REUSE 1 -2\n"), 2),
            (&*format!("{KEY}\n{}", "12345678\n".repeat(11)), 12),
        ] {
            let item = item(text);
            assert_eq!(item.place, crate::Place::Line(line), "{text:?}");
            let why = item.entry.unwrap_err().to_string();
            assert!(!why.contains("1234") && !why.contains(KEY), "{why}");
        }
        assert_eq!(read(b"\n").unwrap_err(), BadFile::Empty);
        assert_eq!(read(b"\xff\xfe").unwrap_err(), BadFile::NotText);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let key = Key::from_base32(KEY).unwrap();
        let totp = (Kind::Totp, Parameters::default());
        let written = write(&key, totp, 0, &[5, 7]).unwrap();
        let entry = item(written.expose()).entry.unwrap();
        assert_eq!((entry.kind, entry.spent), (Kind::Totp, vec![5, 7]));
        let hotp = (Kind::Hotp, Parameters::default());
        let written = write(&key, hotp, 4, &[]).unwrap();
        assert_eq!(item(written.expose()).entry.unwrap().counter, Some(4));
        assert!(write(&key, hotp, 0, &[]).is_none());
        let longer = Parameters {
            digits: 8,
            ..Parameters::default()
        };
        assert!(write(&key, (Kind::Totp, longer), 0, &[]).is_none());
    }
}
