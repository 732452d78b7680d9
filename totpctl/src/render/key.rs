//! Prints the results of `key new`, `open`, `seal`, `uri`, `pretty`, `code` and `match`.
//!
//! Most of them hold a secret, so their text is wiped as well.

use common::lineage::matching::NoMatch;
use common::secret::SecretText;
use common::totp::Parameters;
use common::wire::protocol::Verdict;
use common::wire::text::printable;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::enrolment::advice;
use super::{ENROLMENT_BYTES, Reveal, code_parameters};
use crate::qr::Drawing;

/// A new key. The order of the fields is the order in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct NewKey {
    pub(crate) record: SecretText,
    pub(crate) key: SecretText,
    pub(crate) pretty_key: SecretText,
    pub(crate) uri: SecretText,
    /// In the text only; a program finds them in the record.
    #[serde(skip)]
    pub(crate) parameters: Parameters,
}

impl NewKey {
    /// The page of `key new`: key, URI, record and QR code. The QR code comes last, so that a small
    /// window still shows all of it.
    pub(crate) fn sheet(&self, qr: Option<&Drawing>) -> Zeroizing<String> {
        let drawn = qr.map_or("", |drawing| &drawing.text);
        let mut sheet = blank(drawn.len());
        let Parameters {
            alg,
            digits,
            period,
        } = self.parameters;
        sheet.push_str(&format!(
            "New key: {}.\n{}\n\n",
            code_parameters(alg.word(), digits, Some(period)),
            advice(qr)
        ));
        for (name, text) in [
            ("Key", &self.pretty_key),
            ("URI", &self.uri),
            ("Record", &self.record),
        ] {
            push_all(&mut sheet, &[name, ": ", text.expose(), "\n"]);
        }
        if qr.is_some() {
            push_all(&mut sheet, &["\n", drawn]);
        }
        sheet
    }
}

impl Reveal for NewKey {
    fn page(&self) -> Zeroizing<String> {
        self.sheet(None)
    }
}

/// The result of `key open`: the content of a record. The order of the fields is the order in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct OpenedKey {
    pub(crate) key: SecretText,
    pub(crate) alg: &'static str,
    pub(crate) digits: u8,
    pub(crate) period: u32,
    pub(crate) label: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) changed: bool,
}

impl Reveal for OpenedKey {
    fn page(&self) -> Zeroizing<String> {
        let mut page = blank(0);
        let text = |label: &Option<String>| {
            label
                .as_deref()
                .map_or_else(|| "none".to_owned(), printable)
        };
        let state = if self.changed {
            "should be sealed again: totpctl key seal"
        } else {
            "sealed as the settings say"
        };
        push_all(&mut page, &["key     ", self.key.expose(), "\n"]);
        push_all(
            &mut page,
            &[
                "codes   ",
                &code_parameters(self.alg, self.digits, Some(self.period)),
                "\n",
            ],
        );
        push_all(&mut page, &["label   ", &text(&self.label), "\n"]);
        push_all(&mut page, &["issuer  ", &text(&self.issuer), "\n"]);
        push_all(&mut page, &["state   ", state, "\n"]);
        page
    }
}

/// The result of `key seal`, `uri` and `pretty`: one line of text, or a JSON object with one
/// member.
#[derive(Debug)]
pub(crate) struct Lone {
    pub(crate) name: &'static str,
    pub(crate) text: SecretText,
}

impl Serialize for Lone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.name, &self.text)])
    }
}

impl Reveal for Lone {
    fn page(&self) -> Zeroizing<String> {
        line(&self.text)
    }
}

/// The result of `key code`.
#[derive(Debug, Serialize)]
pub(crate) struct CurrentCode {
    pub(crate) code: SecretText,
    pub(crate) counter: u64,
    pub(crate) expire_time: u64,
}

impl Reveal for CurrentCode {
    fn page(&self) -> Zeroizing<String> {
        line(&self.code)
    }
}

/// The result of `key match`.
#[derive(Debug, Serialize)]
pub(crate) struct Matched {
    pub(crate) verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counter: Option<u64>,
    /// In the text only.
    #[serde(skip)]
    pub(crate) why: Option<NoMatch>,
}

impl Reveal for Matched {
    fn page(&self) -> Zeroizing<String> {
        let meaning = match (self.counter, self.why) {
            (Some(counter), _) => {
                format!("the code is right; give its step as --last-counter next time: {counter}")
            }
            (None, Some(why)) => why.to_string(),
            (None, None) => "the code is wrong".to_owned(),
        };
        Zeroizing::new(format!("{}: {meaning}\n", self.verdict.word()))
    }
}

fn line(text: &SecretText) -> Zeroizing<String> {
    let mut line = blank(text.expose().len());
    push_all(&mut line, &[text.expose(), "\n"]);
    line
}

/// An empty page with room for a result and `more`: a text that grows leaves a copy of the key in
/// memory.
fn blank(more: usize) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(ENROLMENT_BYTES.saturating_add(more)))
}

fn push_all(page: &mut Zeroizing<String>, parts: &[&str]) {
    parts.iter().for_each(|part| page.push_str(part));
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn secret(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    fn object(result: &impl Serialize) -> String {
        String::from_utf8(json(result).unwrap().to_vec()).unwrap()
    }

    fn new_key() -> NewKey {
        let uri = secret("otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQ");
        let record = secret("{\"enckey\":{},\"type\":\"totp\",\"v\":1}");
        let (key, pretty_key) = (secret("GEZDGNBVGY3TQOJQ"), secret("GEZD-GNBV-GY3T-QOJQ"));
        NewKey {
            record,
            key,
            pretty_key,
            uri,
            parameters: Parameters::default(),
        }
    }

    #[test]
    fn programs_read_a_new_key_as_one_object() {
        assert_eq!(
            object(&new_key()),
            "{\"record\":\"{\\\"enckey\\\":{},\\\"type\\\":\\\"totp\\\",\\\"v\\\":1}\",\"key\":\"GEZDGNBVGY3TQOJQ\",\
             \"pretty_key\":\"GEZD-GNBV-GY3T-QOJQ\",\"uri\":\"otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQ\"}\n"
        );
    }

    #[test]
    fn people_get_a_sheet_with_the_code_at_its_end() {
        let drawing = Drawing {
            text: Zeroizing::new("QR\n".to_owned()),
            columns: 45,
            lines: 1,
        };
        assert_eq!(
            new_key().sheet(Some(&drawing)).as_str(),
            "\
New key: 6 digits, 30 s, sha1.
Scan the QR code (in a window of at least 45 columns and 2 lines) or type the
key. Both are shown only once.

Key: GEZD-GNBV-GY3T-QOJQ
URI: otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQ
Record: {\"enckey\":{},\"type\":\"totp\",\"v\":1}

QR
"
        );
        assert!(new_key().page().ends_with("\"v\":1}\n"));
    }

    #[test]
    fn an_opened_key_says_what_is_absent() {
        let mut opened = OpenedKey {
            key: secret("GEZDGNBVGY3TQOJQ"),
            alg: "sha1",
            digits: 6,
            period: 30,
            label: Some("ali\u{202e}ce".to_owned()),
            issuer: None,
            changed: true,
        };
        assert_eq!(
            object(&opened),
            "{\"key\":\"GEZDGNBVGY3TQOJQ\",\"alg\":\"sha1\",\"digits\":6,\"period\":30,\"label\":\"ali\\u202ece\",\
             \"issuer\":null,\"changed\":true}\n"
        );
        opened.changed = false;
        assert_eq!(
            opened.page().as_str(),
            "\
key     GEZDGNBVGY3TQOJQ
codes   6 digits, 30 s, sha1
label   ali\\u{202e}ce
issuer  none
state   sealed as the settings say
"
        );
    }

    #[test]
    fn a_lone_text_is_a_line_or_an_object() {
        let uri = Lone {
            name: "uri",
            text: secret("otpauth://totp/a"),
        };
        assert_eq!(
            (uri.page().as_str(), &*object(&uri)),
            ("otpauth://totp/a\n", "{\"uri\":\"otpauth://totp/a\"}\n")
        );
        let code = CurrentCode {
            code: secret("012345"),
            counter: 1,
            expire_time: 60,
        };
        assert_eq!(
            object(&code),
            "{\"code\":\"012345\",\"counter\":1,\"expire_time\":60}\n"
        );
        assert_eq!(code.page().as_str(), "012345\n");
    }

    #[test]
    fn a_match_is_a_verdict_and_a_counter() {
        let accepted = Matched {
            verdict: Verdict::Accepted,
            counter: Some(1),
            why: None,
        };
        assert_eq!(
            object(&accepted),
            "{\"verdict\":\"accepted\",\"counter\":1}\n"
        );
        assert_eq!(
            accepted.page().as_str(),
            "accepted: the code is right; give its step as --last-counter next time: 1\n"
        );
        let rejected = Matched {
            verdict: Verdict::Rejected,
            counter: None,
            why: Some(NoMatch::Rejected),
        };
        assert_eq!(object(&rejected), "{\"verdict\":\"rejected\"}\n");
        assert!(
            rejected
                .page()
                .starts_with("rejected: the code does not fit")
        );
    }
}
