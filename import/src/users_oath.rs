//! `users.oath`, the file of the module pam_oath: one device a line. Reads and writes it.
//!
//! `type user pin hexkey [counter [last-code [time]]]`, separated by white space. A line with a last
//! code has the counter of that code; one without, that of the next code.

use common::names::device::Kind;
use common::secret::{Key, SecretText};
use common::totp::{Algorithm, Parameters};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::entry::number;
use crate::{BadFile, Entry, Item, Problem, lines};

/// Reads the lines. With `drop_pins`, an entry is taken although its PIN cannot be.
///
/// # Errors
/// [`BadFile`]; a bad line is an item of its own.
pub fn read(bytes: &[u8], drop_pins: bool) -> Result<Vec<Item>, BadFile> {
    lines::entries(bytes, |line| Ok(Some(vec![entry(line, drop_pins)?])))
}

fn entry(line: &str, drop_pins: bool) -> Result<Entry, Problem> {
    let mut words = line.split_ascii_whitespace();
    let [Some(kind), Some(user), Some(pin), Some(key)] = [(); 4].map(|()| words.next()) else {
        return Err(Problem::Form("a line is 'TYPE USER PIN KEY'"));
    };
    let (counter, last_code) = (words.next(), words.next());
    let (kind, parameters) = kind_of(kind)?;
    let key = HEXLOWER_PERMISSIVE.decode(key.as_bytes());
    let key = Key::new(key.map_err(|_| Problem::Form("the key is not hexadecimal"))?)?;
    // '+': another module of the stack checks it. '-': there is none.
    if !(drop_pins || matches!(pin, "-" | "+")) {
        return Err(Problem::Pin);
    }
    let counter = counter.map_or(Ok(0), |counter| number(counter, "the counter"))?;
    let entry = match kind {
        Kind::Totp => Entry::totp(key, parameters),
        Kind::Hotp => {
            let next = counter.saturating_add(u64::from(last_code.is_some()));
            Entry::hotp(key, parameters, next)
        }
    };
    Ok(Entry {
        user: Some(user.to_owned()),
        last_code: last_code.map(|code| SecretText::new(code.to_owned())),
        ..entry
    })
}

/// `HOTP`, `HOTP/E`, `HOTP/T30` or `HOTP/T60`, and after another slash the number of digits.
fn kind_of(word: &str) -> Result<(Kind, Parameters), Problem> {
    let mut parts = word.split('/');
    if parts.next() != Some("HOTP") {
        return Err(Problem::Kind);
    }
    let mut parts = parts.peekable();
    let (kind, period) = match parts.next_if(|part| part.starts_with(['E', 'T'])) {
        None | Some("E") => (Kind::Hotp, None),
        Some("T30") => (Kind::Totp, Some(30)),
        Some("T60") => (Kind::Totp, Some(60)),
        Some(_) => return Err(Problem::Kind),
    };
    let digits = parts
        .next()
        .map(|digits| number(digits, "the number of digits"));
    if parts.next().is_some() {
        return Err(Problem::Kind);
    }
    Ok((
        kind,
        crate::entry::parameters(None, digits.transpose()?, period)?,
    ))
}

/// Writes a user's line. `None`: the module cannot compute such codes, or read such a name.
/// `counter` is that of the next code of an HOTP key.
#[must_use]
pub fn write(
    user: &str,
    key: &Key,
    (kind, parameters): (Kind, Parameters),
    counter: u64,
) -> Option<SecretText> {
    let kind = match (kind, parameters.period) {
        (Kind::Hotp, _) => "HOTP/E",
        (Kind::Totp, 30) => "HOTP/T30",
        (Kind::Totp, 60) => "HOTP/T60",
        (Kind::Totp, _) => return None,
    };
    let fits = parameters.alg == Algorithm::Sha1
        && (6..=8).contains(&parameters.digits)
        && !user.contains(char::is_whitespace)
        && !user.starts_with('#');
    let hex = SecretText::new(HEXLOWER.encode(key.expose()));
    let counter = if counter > 0 {
        format!(" {counter}")
    } else {
        String::new()
    };
    fits.then(|| {
        SecretText::new(format!(
            "{kind}/{} {user} - {}{counter}",
            parameters.digits,
            hex.expose()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "3132333435363738393031323334353637383930";

    fn of(line: &str) -> Result<Entry, Problem> {
        read(line.replace("KEY", KEY).as_bytes(), false)
            .unwrap()
            .remove(0)
            .entry
    }

    #[test]
    fn each_type_is_read_with_its_counter() {
        let period = |line| {
            let entry = of(line).unwrap();
            (entry.kind, entry.parameters.period, entry.parameters.digits)
        };
        assert_eq!(period("HOTP/T30 bob - KEY"), (Kind::Totp, 30, 6));
        assert_eq!(period("HOTP/T60/8 bob + KEY"), (Kind::Totp, 60, 8));
        let used = "HOTP\talice\t-\tKEY\t2\t359152\t2026-11-30T03:28:27L";
        assert_eq!(of(used).unwrap().counter, Some(3), "the last used one is 2");
        assert_eq!(of("HOTP/E/8 dave - KEY 5").unwrap().counter, Some(5));
        assert_eq!(of("HOTP/7 dave - KEY").unwrap().counter, Some(0));
    }

    #[test]
    fn the_last_code_of_a_totp_key_stays_spent_while_it_is_shown() {
        // RFC 6238, Appendix B, in six digits: 1111111111 s is step 37037037.
        let entry = of("HOTP/T30 bob - KEY 0 050471 2005-03-18T01:58:31L").unwrap();
        assert_eq!(entry.spent_since(1_111_111_111 - 30), [37_037_037]);
        assert!(entry.spent_since(1_111_111_111 + 30).is_empty());
    }

    #[test]
    fn a_pin_is_refused_unless_it_may_be_dropped() {
        assert_eq!(of("HOTP bob 1234 KEY").unwrap_err(), Problem::Pin);
        let line = format!("HOTP bob 1234 {KEY}");
        assert!(read(line.as_bytes(), true).unwrap().remove(0).entry.is_ok());
    }

    #[test]
    fn bad_lines_have_a_reason() {
        for line in [
            "HOTP bob -",
            "TOTP bob - KEY",
            "HOTP/T45 bob - KEY",
            "HOTP/T30/6/1 bob - KEY",
            "HOTP/T30/5 bob - KEY",
            "HOTP bob - 31g2",
            "HOTP bob - 3132",
            "HOTP bob - KEY -1",
            "HOTP bob - KEY 99999999999999999999",
        ] {
            let why = of(line).unwrap_err().to_string();
            assert!(!why.contains("31"), "{line}: {why}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let key = Key::new(b"12345678901234567890".to_vec()).unwrap();
        let hotp = (Kind::Hotp, Parameters::default());
        let line = write("alice", &key, hotp, 3).unwrap();
        assert_eq!(line.expose(), format!("HOTP/E/6 alice - {KEY} 3"));
        assert_eq!(of(line.expose()).unwrap().counter, Some(3));
        assert!(write("al ice", &key, hotp, 3).is_none());
        let odd = Parameters {
            period: 45,
            ..Parameters::default()
        };
        assert!(write("alice", &key, (Kind::Totp, odd), 0).is_none());
    }
}
