//! Prints the result of `enroll`: the page with key, URI and QR code, and the new device's state.

use common::names::device::Kind;
use common::otpauth::pretty_key;
use common::secret::{Key, SecretText};
use common::wire::client::ClientError;
use common::wire::protocol::{DeviceState, EnrollReply};
use common::wire::text::printable;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{ENROLMENT_BYTES, Render, code_parameters, confirm_command};
use crate::qr::Drawing;

/// A new device, with its key. The order of the fields is the order in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Enrolled {
    pub(crate) user: String,
    pub(crate) device: String,
    pub(crate) state: DeviceState,
    pub(crate) key: SecretText,
    pub(crate) pretty_key: SecretText,
    pub(crate) uri: SecretText,
    pub(crate) kind: Kind,
    pub(crate) alg: String,
    pub(crate) digits: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) period: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counter: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) recovery_codes: Vec<SecretText>,
    /// The device's restrictions in words. They are not in JSON: a program knows its own options.
    #[serde(skip)]
    pub(crate) restrictions: Option<String>,
}

impl TryFrom<EnrollReply> for Enrolled {
    type Error = ClientError;

    /// Refuses a reply with a malformed key, or a URI with control characters.
    fn try_from(reply: EnrollReply) -> Result<Self, ClientError> {
        let key = Key::from_base32(reply.key.expose())
            .map_err(|bad| ClientError::Protocol(bad.to_string()))?;
        if !reply.uri.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ClientError::Protocol(
                "the URI has characters that are not allowed in a URI".to_owned(),
            ));
        }
        let EnrollReply {
            user,
            device,
            state,
            key: base32,
            uri,
            kind,
            alg,
            digits,
            period,
            counter,
            recovery_codes,
        } = reply;
        let pretty_key = pretty_key(&key);
        Ok(Self {
            user,
            device,
            state,
            key: base32,
            pretty_key,
            uri,
            kind,
            alg,
            digits,
            period,
            counter,
            recovery_codes,
            restrictions: None,
        })
    }
}

impl Enrolled {
    /// The page with the key, the URI and the QR code. The QR code comes last, so that a small
    /// window still shows all of it.
    pub(crate) fn page(&self, qr: Option<&Drawing>) -> Zeroizing<String> {
        let drawn = qr.map_or("", |drawing| &drawing.text);
        let mut page = Zeroizing::new(String::with_capacity(
            ENROLMENT_BYTES.saturating_add(drawn.len()),
        ));
        let (user, device, codes) = (printable(&self.user), printable(&self.device), self.codes());
        page.push_str(&format!(
            "New device '{device}' of {user}: {codes}.\n{}\n\n",
            advice(qr)
        ));
        for part in [
            "Key: ",
            self.pretty_key.expose(),
            "\nURI: ",
            self.uri.expose(),
            "\n\n",
            drawn,
        ] {
            page.push_str(part);
        }
        page
    }

    /// The parameters that the user gives to an authenticator that takes no URI.
    fn codes(&self) -> String {
        let codes = code_parameters(&self.alg, self.digits, self.period);
        self.counter.map_or_else(
            || codes.clone(),
            |counter| format!("{codes}, counter {counter}"),
        )
    }
}

/// Tells the user to scan or type. It names the size of the QR code: one that the window wraps, or
/// that scrolls away, cannot be scanned, and the key is shown only once.
pub(super) fn advice(qr: Option<&Drawing>) -> String {
    match qr {
        None => "Type this key into an authenticator. It is shown only once.".to_owned(),
        Some(Drawing { columns, lines, .. }) => format!(
            "Scan the QR code (in a window of at least {columns} columns and {} lines) or type the\n\
             key. Both are shown only once.",
            lines.saturating_add(1)
        ),
    }
}

impl Render for Enrolled {
    fn people(&self) -> String {
        let (user, device) = (printable(&self.user), printable(&self.device));
        match self.state {
            DeviceState::Active => {
                let when = self.restrictions.as_deref().unwrap_or("from now on");
                format!("{user}'s device '{device}' is active: its codes open logins {when}\n")
            }
            DeviceState::Pending | DeviceState::Disabled => format!(
                "{user}'s device '{device}' is pending and opens no login yet; to confirm it:\n  {}\n",
                confirm_command(&self.user, &device)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn enrolled(state: DeviceState, uri: &str) -> Result<Enrolled, ClientError> {
        let (user, device, alg) = ("alice".to_owned(), "default".to_owned(), "sha1".to_owned());
        let key = SecretText::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned());
        let uri = SecretText::new(uri.to_owned());
        let (kind, period, counter, recovery_codes) = (Kind::Totp, Some(30), None, Vec::new());
        EnrollReply {
            user,
            device,
            state,
            key,
            uri,
            kind,
            alg,
            digits: 6,
            period,
            counter,
            recovery_codes,
        }
        .try_into()
    }

    #[test]
    fn a_device_that_counts_is_shown_with_its_counter() {
        let told = enrolled(DeviceState::Pending, URI).unwrap();
        let counts = Enrolled {
            kind: Kind::Hotp,
            period: None,
            counter: Some(57),
            ..told
        };
        assert!(
            counts
                .page(None)
                .starts_with("New device 'default' of alice: 6 digits, hotp, sha1, counter 57.\n")
        );
        assert!(
            json(&counts)
                .unwrap()
                .ends_with(b"\"kind\":\"hotp\",\"alg\":\"sha1\",\"digits\":6,\"counter\":57}\n")
        );
    }

    fn drawing(columns: usize) -> Drawing {
        Drawing {
            text: Zeroizing::new("QR\n".to_owned()),
            columns,
            lines: 1,
        }
    }

    const URI: &str =
        "otpauth://totp/demo:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=demo";

    #[test]
    fn the_enrolment_shows_the_key_the_uri_and_the_code_in_that_order() {
        let page = enrolled(DeviceState::Pending, URI)
            .unwrap()
            .page(Some(&drawing(45)));
        assert_eq!(
            page.as_str(),
            "\
New device 'default' of alice: 6 digits, 30 s, sha1.
Scan the QR code (in a window of at least 45 columns and 2 lines) or type the
key. Both are shown only once.

Key: GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ
URI: otpauth://totp/demo:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=demo

QR
"
        );
    }

    #[test]
    fn whoever_cannot_scan_the_code_is_told_so() {
        assert!(advice(None).starts_with("Type this key"));
        assert!(advice(Some(&drawing(90))).contains("at least 90 columns and 2 lines"));
    }

    #[test]
    fn programs_read_an_enrolment_as_one_object() {
        let text = json(&enrolled(DeviceState::Active, "otpauth://totp/x").unwrap()).unwrap();
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "{\"user\":\"alice\",\"device\":\"default\",\"state\":\"active\",\
             \"key\":\"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\",\
             \"pretty_key\":\"GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ\",\
             \"uri\":\"otpauth://totp/x\",\"kind\":\"totp\",\"alg\":\"sha1\",\"digits\":6,\"period\":30}\n"
        );
    }

    #[test]
    fn a_uri_that_could_steer_the_terminal_is_not_shown() {
        assert!(enrolled(DeviceState::Active, "otpauth://totp/\u{1b}[2J").is_err());
    }
}
