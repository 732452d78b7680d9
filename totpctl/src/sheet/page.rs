//! Writes the HTML of the printed sheet, in two parts: the key, and later the recovery codes. Pure.

use common::lineage::record::KeyRecord;
use common::names::device::Kind;
use common::qr;
use common::secret::SecretText;
use common::wire::text::printable;
use zeroize::Zeroizing;

use super::Language;
use super::words::{Words, words};
use crate::pictures::svg;
use crate::render::{Enrolled, confirm_command};

/// The part with the key: a page that a browser shows also if the rest is missing.
pub(super) fn upper_part(new: &Enrolled, language: Language) -> Zeroizing<String> {
    let words = words(language);
    let drawing = qr::modules(&new.uri).ok().map(|modules| svg(&modules));
    let drawn = drawing.as_ref().map_or("", |drawing| drawing.as_str());
    let mut page = Zeroizing::new(String::with_capacity(
        PAGE_BYTES.saturating_add(drawn.len()),
    ));
    head(&mut page, new, words);
    page.push_str("<section class=\"scan\">\n");
    page.push_str(drawn);
    let first = if drawn.is_empty() {
        words.type_it
    } else {
        words.scan
    };
    let last = match new.kind {
        Kind::Totp => words.log_in,
        Kind::Hotp => words.log_in_counted,
    };
    page.push_str(&format!(
        "<ol>\n<li>{}</li>\n<li>{first}</li>\n<li>{last}</li>\n</ol>\n</section>\n",
        words.install
    ));
    page.push_str("<section>\n");
    if !drawn.is_empty() {
        page.push_str(&format!("<h2>{}</h2>\n", words.cannot_scan));
    }
    page.push_str(&format!("<p>{}\n<code class=\"key\">", words.type_key));
    page.push_str(new.pretty_key.expose());
    page.push_str(&format!(
        "</code>\n<small>{}</small></p>\n</section>\n<p class=\"secret\">{}</p>\n",
        parameters(new, words),
        words.keep_secret
    ));
    page
}

/// The rest of the page.
pub(super) fn lower_part(
    new: &Enrolled,
    is_active: bool,
    recovery_codes: &[SecretText],
    language: Language,
) -> Zeroizing<String> {
    let words = words(language);
    let mut page = Zeroizing::new(String::with_capacity(PAGE_BYTES));
    if !is_active {
        let command = confirm_command(&new.user, &printable(&new.device));
        page.push_str(&format!(
            "<p>{} <code>{}</code></p>\n",
            words.not_active,
            escaped(&command)
        ));
    }
    if !recovery_codes.is_empty() {
        let user = name(&new.user);
        page.push_str(&format!(
            "<section class=\"cut\">\n<h2>{}</h2>\n<p>{}</p>\n<ul class=\"codes\">\n",
            words.recovery_codes.replace("{}", &user),
            words.how_to_recover
        ));
        for code in recovery_codes {
            page.push_str("<li><code>");
            push_escaped(&mut page, code.expose());
            page.push_str("</code></li>\n");
        }
        page.push_str(&format!(
            "</ul>\n<p><small>{} <code>totpctl recovery-codes</code></small></p>\n</section>\n",
            words.new_codes
        ));
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// Up to the account and the device. The page may load nothing, send nothing and run nothing.
fn head(page: &mut Zeroizing<String>, new: &Enrolled, words: &Words) {
    let (user, device) = (name(&new.user), name(&new.device));
    let title = words.title.replace("{}", &user);
    page.push_str(&format!(
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <meta name=\"format-detection\" content=\"telephone=no\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<dl>\n",
        words.code
    ));
    if let Some(issuer) = issuer(new) {
        let issuer = name(&issuer);
        page.push_str(&format!("<dt>{}</dt><dd>{issuer}</dd>\n", words.in_the_app));
    }
    page.push_str(&format!(
        "<dt>{}</dt><dd>{user}</dd>\n<dt>{}</dt><dd>{device}</dd>\n</dl>\n",
        words.account, words.device
    ));
}

/// The issuer in the URI of a TOTP device.
fn issuer(new: &Enrolled) -> Option<String> {
    let record = KeyRecord::parse(new.uri.expose()).ok()?;
    Some(record.issuer?.as_str().to_owned())
}

/// The parameters that an app without a camera asks for.
fn parameters(new: &Enrolled, words: &Words) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let form = match new.kind {
        Kind::Totp => words.by_time,
        Kind::Hotp => words.by_counter,
    };
    form.replace("{digits}", &new.digits.to_string())
        .replace("{period}", &number(new.period.map(u64::from)))
        .replace("{counter}", &number(new.counter))
        .replace("{alg}", &name(&new.alg.to_ascii_uppercase()))
}

/// A name, without control characters, escaped.
fn name(text: &str) -> String {
    escaped(&printable(text))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    push_escaped(&mut escaped, text);
    escaped
}

fn push_escaped(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            other => page.push(other),
        }
    }
}

const STYLE: &str = include_str!("page.css");
/// Room for a part without its drawing, in bytes: a text that grows leaves a copy of the key in
/// memory.
const PAGE_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use common::wire::protocol::{DeviceState, EnrollReply};

    use super::*;

    fn enrolled(user: &str, device: &str, uri: &str) -> Enrolled {
        let reply = EnrollReply {
            user: user.into(),
            device: device.into(),
            state: DeviceState::Active,
            key: SecretText::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into()),
            uri: SecretText::new(uri.into()),
            kind: Kind::Totp,
            alg: "sha1".into(),
            digits: 6,
            period: Some(30),
            counter: None,
            recovery_codes: Vec::new(),
        };
        Enrolled::try_from(reply).unwrap()
    }

    fn whole(new: &Enrolled, language: Language) -> String {
        let codes = ["abcd-efgh-jkmn-pqrs", "<b>&\"'"].map(|code| SecretText::new(code.into()));
        let upper = upper_part(new, language);
        let lower = lower_part(new, true, &codes, language);
        format!("{}{}", *upper, *lower)
    }

    const HOSTILE: &str = "<script>alert(1)</script>&\"'><img src=x onerror=y>";

    #[test]
    fn every_value_is_escaped_wherever_it_stands() {
        let uri = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=%3Cimg%20src%3Dx%3E%22%26%27";
        let page = whole(&enrolled(HOSTILE, HOSTILE, uri), Language::En);
        for raw in ["<script", "<img", "<b>", "\"'", "onerror=y>"] {
            assert!(!page.contains(raw), "{raw}");
        }
        let name =
            "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;&gt;&lt;img src=x onerror=y&gt;";
        // The title twice, the account, the device, and above the recovery codes.
        assert_eq!(page.matches(name).count(), 5, "{page}");
        assert!(page.contains("<dd>&lt;img src=x&gt;&quot;&amp;&#39;</dd>"));
        assert!(page.contains("<li><code>&lt;b&gt;&amp;&quot;&#39;</code></li>"));
    }

    #[test]
    fn the_page_fetches_nothing_runs_nothing_and_tells_no_server_of_itself() {
        let uri = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        for language in [Language::En, Language::De] {
            let page = whole(&enrolled("alice", "phone", uri), language);
            let without_name_space = page.replace("http://www.w3.org/2000/svg", "");
            for word in [
                "http:", "https:", "src=", "href", "url(", "@import", "<script", "<link", "<form",
                "<iframe", "<object", "<embed",
            ] {
                assert!(!without_name_space.contains(word), "{word}");
            }
            assert!(page.contains("<meta name=\"referrer\" content=\"no-referrer\">"));
            assert!(page.contains("content=\"default-src 'none';"));
            assert!(page.contains("GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ"));
            assert!(page.ends_with("</html>\n"));
            let texts = page.replace(STYLE, "");
            assert!(!texts.contains(['{', '}']), "{texts}");
        }
    }

    #[test]
    fn a_device_that_is_not_active_and_one_without_codes_are_told_as_such() {
        let uri = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let new = enrolled("alice", "phone", uri);
        let pending = lower_part(&new, false, &[], Language::En);
        assert!(pending.contains("<code>totpctl confirm alice --device phone</code>"));
        assert!(!pending.contains("class=\"cut\""));
        let active = lower_part(&new, true, &[], Language::De);
        assert_eq!(active.as_str(), "</main>\n</body>\n</html>\n");
    }

    #[test]
    fn no_part_outgrows_its_room() {
        let long = "&".repeat(256);
        let uri = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let new = enrolled(&long, &long, uri);
        let drawn = svg(&qr::modules(&new.uri).unwrap()).len();
        let upper = upper_part(&new, Language::De);
        assert!(upper.len() - drawn < PAGE_BYTES, "{}", upper.len());
        let codes: Vec<_> = (0..20).map(|_| SecretText::new("\"".repeat(64))).collect();
        assert!(lower_part(&new, false, &codes, Language::De).len() < PAGE_BYTES);
    }
}
