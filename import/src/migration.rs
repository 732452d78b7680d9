//! `otpauth-migration://` URIs: what the QR codes hold by which Google's app moves accounts to
//! another phone. One URI a line, one QR code each.
//!
//! `otpauth-migration://offline?data=` and a Protocol Buffers message in base64, percent-encoded.
//! Google documents the message nowhere: it is read as other programs have found it.

use common::secret::Key;
use data_encoding::{BASE64, BASE64_NOPAD};
use prost::Message;
use zeroize::Zeroizing;

use crate::{BadFile, Entry, Item, Problem, lines};

/// Reads the lines.
///
/// # Errors
/// [`BadFile`]; a bad line is an item of its own. A line with one bad account is bad as a whole.
pub fn read(bytes: &[u8]) -> Result<Vec<Item>, BadFile> {
    lines::entries(bytes, |line| {
        let data = line.strip_prefix(PREFIX).ok_or(NO_URI)?;
        let payload = Payload::decode(decoded(data)?.as_slice()).map_err(|_| NO_MESSAGE)?;
        let entries = payload.accounts.into_iter().map(Account::entry);
        entries.collect::<Result<_, _>>().map(Some)
    })
}

/// The base64 in a URI, where some programs leave `+` and `/` as they are.
fn decoded(data: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let mut text = Zeroizing::new(String::with_capacity(data.len()));
    let mut rest = data;
    while let Some(c) = rest.chars().next() {
        let escape = rest.get(..3).and_then(|escape| {
            ESCAPES
                .iter()
                .find(|(escaped, _)| escaped.eq_ignore_ascii_case(escape))
        });
        let (read, length) = escape.map_or((c, c.len_utf8()), |(_, plain)| (*plain, 3));
        text.push(read);
        rest = rest.get(length..).unwrap_or_default();
    }
    let encoding = if text.ends_with('=') {
        BASE64
    } else {
        BASE64_NOPAD
    };
    let bytes = encoding.decode(text.as_bytes());
    bytes.map(Zeroizing::new).map_err(|_| NO_MESSAGE)
}

/// The message.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct Payload {
    #[prost(message, repeated, tag = "1")]
    accounts: Vec<Account>,
}

/// One account of the app.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct Account {
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    issuer: String,
    #[prost(int32, tag = "4")]
    algorithm: i32,
    #[prost(int32, tag = "5")]
    digits: i32,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(int64, tag = "7")]
    counter: i64,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Payload(…)")
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account(…)")
    }
}

impl Account {
    fn entry(self) -> Result<Entry, Problem> {
        let key = Key::new(self.secret)?;
        let alg = match self.algorithm {
            0 | 1 => "sha1",
            2 => "sha256",
            3 => "sha512",
            _ => "another",
        };
        let digits = match self.digits {
            0 | 1 => 6,
            2 => 8,
            3 => 7,
            _ => 0,
        };
        let parameters = crate::entry::parameters(Some(alg), Some(digits), None)?;
        let entry = match self.kind {
            0 | 2 => Entry::totp(key, parameters),
            1 => {
                let counter = u64::try_from(self.counter);
                let counter = counter.map_err(|_| Problem::Number("the counter"))?;
                Entry::hotp(key, parameters, counter)
            }
            _ => return Err(Problem::Kind),
        };
        // The issuer may stand before the name, too.
        let name = self
            .name
            .rsplit_once(':')
            .map_or(&*self.name, |(_, name)| name);
        entry.shown_as(Some(name), Some(&self.issuer))
    }
}

const PREFIX: &str = "otpauth-migration://offline?data=";
const ESCAPES: [(&str, char); 3] = [("%2B", '+'), ("%2F", '/'), ("%3D", '=')];
const NO_URI: Problem = Problem::Form("a line begins with 'otpauth-migration://offline?data='");
const NO_MESSAGE: Problem = Problem::Form("the data of the URI were cut or mistyped");

#[cfg(test)]
mod tests {
    use common::names::device::Kind;

    use super::*;

    fn account() -> Account {
        Account {
            secret: b"12345678901234567890".to_vec(),
            name: "Example:alice".into(),
            issuer: "Example".into(),
            algorithm: 1,
            digits: 1,
            kind: 2,
            counter: 0,
        }
    }

    fn uri(accounts: Vec<Account>) -> String {
        let data = BASE64.encode(&Payload { accounts }.encode_to_vec());
        let data = data.replace('+', "%2B").replace('/', "%2F");
        format!("{PREFIX}{}", data.replace('=', "%3D"))
    }

    #[test]
    fn the_code_that_other_programs_show_as_their_example_is_read() {
        let text =
            format!("{PREFIX}CjEKCkhlbGxvId6tvu8SGEV4YW1wbGU6YWxpY2VAZ29vZ2xlLmNvbRoHRXhhbXBsZTAC");
        let entry = read(text.as_bytes()).unwrap().remove(0).entry.unwrap();
        assert_eq!(entry.key.to_base32().expose(), "JBSWY3DPEHPK3PXP");
        assert_eq!(entry.user.as_deref(), Some("alice@google.com"));
        assert_eq!(entry.issuer.unwrap().as_str(), "Example");
    }

    #[test]
    fn one_code_holds_several_accounts() {
        let button = Account {
            kind: 1,
            counter: 7,
            digits: 2,
            algorithm: 3,
            ..account()
        };
        let items = read(uri(vec![account(), button]).as_bytes()).unwrap();
        let [phone, button] = <[Item; 2]>::try_from(items).unwrap();
        assert_eq!(phone.entry.unwrap().kind, Kind::Totp);
        let button = button.entry.unwrap();
        assert_eq!((button.counter, button.parameters.digits), (Some(7), 8));
        assert_eq!(button.parameters.alg.word(), "sha512");
    }

    #[test]
    fn bad_lines_have_a_reason() {
        let bad = |change: fn(&mut Account)| {
            let mut account = account();
            change(&mut account);
            uri(vec![account])
        };
        let whole = uri(vec![account()]);
        for line in [
            bad(|account| account.secret.truncate(5)),
            bad(|account| account.algorithm = 4),
            bad(|account| account.digits = 9),
            bad(|account| account.kind = 3),
            bad(|account| (account.kind, account.counter) = (1, -1)),
            whole[..whole.len() - 12].to_owned(),
            format!("{PREFIX}%00"),
            "otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ".into(),
        ] {
            let item = read(line.as_bytes()).unwrap().remove(0);
            assert!(item.entry.is_err(), "{line}");
        }
    }
}
