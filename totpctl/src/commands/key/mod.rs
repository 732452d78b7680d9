//! `key open`, `uri`, `pretty`, `code` and `match`: offline commands on keys; `new` and `seal` have
//! files of their own.

mod new;
mod opened;
mod seal;

use std::time::{SystemTime, UNIX_EPOCH};

use common::lineage::matching::{NoMatch, Search, find};
use common::otpauth::{self, Label};
use common::secret::{Key, SecretText};
use common::totp::Parameters;
use common::wire::protocol::Verdict;

use self::opened::Opened;
pub(super) use self::opened::SettingsFile;
use super::Context;
use crate::cli::{self, KeyAction};
use crate::exit::{Exit, Failure};
use crate::render::key::{CurrentCode, Lone, Matched, OpenedKey};

/// Runs the action of the command line.
pub(super) fn run(context: &Context<'_>, wanted: &cli::KeyArgs) -> Result<Exit, Failure> {
    let settings = SettingsFile::of(wanted.settings.clone());
    let opened = || Opened::read(context, &settings);
    match &wanted.action {
        KeyAction::New(wanted) => return new::run(context, &settings, wanted),
        KeyAction::Seal(wanted) => return seal::run(context, &settings, wanted),
        KeyAction::Open => {
            context.output.will_hold_secrets();
            context.output.object(&open(&opened()?))?;
        }
        KeyAction::Uri(wanted) => context.output.reveal(&Lone {
            name: "uri",
            text: uri(&opened()?, wanted)?,
        })?,
        KeyAction::Pretty(wanted) => context.output.reveal(&pretty(&opened()?.key, wanted))?,
        KeyAction::Code { at } => {
            let Opened { key, record, .. } = opened()?;
            context
                .output
                .reveal(&code(&key, record.parameters, at.map_or_else(now, Ok)?)?)?;
        }
        KeyAction::Match(wanted) => return matches(context, &opened()?, wanted),
    }
    Ok(Exit::Done)
}

/// `key open`: the content of a record.
fn open(opened: &Opened) -> OpenedKey {
    let text = |label: Option<&Label>| label.map(|label| label.as_str().to_owned());
    OpenedKey {
        key: opened.key.to_base32(),
        alg: opened.record.parameters.alg.word(),
        digits: opened.record.parameters.digits,
        period: opened.record.parameters.period,
        label: text(opened.record.label.as_ref()),
        issuer: text(opened.issuer()),
        changed: opened.changed(),
    }
}

/// `key uri`: the key as a URI. Options override the record; an empty issuer is none, as in
/// passlib.
fn uri(opened: &Opened, wanted: &cli::UriArgs) -> Result<SecretText, Failure> {
    let label = wanted.label.as_deref().map(Label::as_shared).transpose()?;
    let label = label
        .as_ref()
        .or(opened.record.label.as_ref())
        .ok_or(Failure::Usage(NO_LABEL))?;
    let issuer = match wanted.issuer.as_deref() {
        None => opened.issuer().cloned(),
        Some("") => None,
        Some(text) => Some(Label::as_shared(text)?),
    };
    Ok(otpauth::uri(
        &opened.key,
        opened.record.parameters,
        label,
        issuer.as_ref(),
    ))
}

/// `key pretty`: the key in groups.
fn pretty(key: &Key, wanted: &cli::PrettyArgs) -> Lone {
    let form = if wanted.hex {
        otpauth::Form::Hex
    } else {
        otpauth::Form::Base32
    };
    Lone {
        name: "pretty_key",
        text: otpauth::pretty(key, form, &wanted.sep),
    }
}

/// `key code`: the code of a time.
fn code(key: &Key, parameters: Parameters, time: i64) -> Result<CurrentCode, Failure> {
    let time = u64::try_from(time).map_err(|_| Failure::BadParameter(BEFORE_1970.to_owned()))?;
    let counter = parameters.step_at(time);
    let code = SecretText::new(parameters.code_at(key, counter).to_string());
    Ok(CurrentCode {
        code,
        counter,
        expire_time: parameters.start_of(counter.saturating_add(1)),
    })
}

/// `key match`: checks a code. It spends nothing: the caller remembers the last counter.
fn matches(
    context: &Context<'_>,
    opened: &Opened,
    wanted: &cli::MatchArgs,
) -> Result<Exit, Failure> {
    let search = Search {
        time: wanted.at.map_or_else(now, Ok)?,
        window: wanted.window_seconds,
        skew: wanted.skew_seconds,
        last_counter: wanted.last_counter,
    };
    let typed = wanted.code.to_str().unwrap_or_default();
    let matched = judge(&opened.key, opened.record.parameters, typed, search)?;
    context.output.object(&matched)?;
    Ok(if matched.counter.is_some() {
        Exit::Done
    } else {
        Exit::Refused
    })
}

fn judge(
    key: &Key,
    parameters: Parameters,
    typed: &str,
    search: Search,
) -> Result<Matched, Failure> {
    match find(key, parameters, typed, search) {
        Ok(found) => Ok(Matched {
            verdict: Verdict::Accepted,
            counter: Some(found.counter),
            why: None,
        }),
        Err(wide @ NoMatch::TooWide) => Err(Failure::BadParameter(wide.to_string())),
        Err(why) => Ok(Matched {
            verdict: verdict(why),
            counter: None,
            why: Some(why),
        }),
    }
}

fn verdict(why: NoMatch) -> Verdict {
    match why {
        NoMatch::AlreadyUsed { .. } => Verdict::AlreadyUsed,
        NoMatch::Malformed(_) => Verdict::Malformed,
        NoMatch::Rejected | NoMatch::TooWide => Verdict::Rejected,
    }
}

/// Reads the clock.
fn now() -> Result<i64, Failure> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| Failure::BadParameter(BEFORE_1970.into()))?;
    Ok(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

const NO_LABEL: &str = "the record has no label, and a URI needs one: give --label";
const BEFORE_1970: &str =
    "there are no codes before 1970: give a time in Unix seconds, or set the clock";

#[cfg(test)]
mod tests {
    use common::lineage::record::KeyRecord;

    use super::*;

    /// The key of RFC 6238, Appendix B, in a URI.
    fn opened(parameters: &str) -> Opened {
        let uri =
            format!("otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ{parameters}");
        Opened::without_settings(KeyRecord::parse(&uri).unwrap()).unwrap()
    }

    fn judged(typed: &str, search: Search) -> (&'static str, Option<u64>) {
        let matched = judge(&opened("").key, Parameters::default(), typed, search).unwrap();
        (matched.verdict.word(), matched.counter)
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let opened = opened("&digits=8");
        let code = |time| code(&opened.key, opened.record.parameters, time);
        let shown = code(59).unwrap();
        assert_eq!(
            (shown.code.expose(), shown.counter, shown.expire_time),
            ("94287082", 1, 60)
        );
        assert_eq!(code(i64::MAX).unwrap().code.expose().len(), 8);
        assert_eq!(
            code(-1).unwrap_err().code(),
            ("bad_parameter", Exit::BadInput)
        );
    }

    #[test]
    fn a_code_is_matched_by_the_rules_of_the_lineage() {
        let search = Search {
            time: 59,
            window: 30,
            ..Search::default()
        };
        assert_eq!(judged("287 082", search), ("accepted", Some(1)));
        assert_eq!(judged("287083", search), ("rejected", None));
        assert_eq!(judged("28708", search), ("malformed", None));
        assert_eq!(judged("", search), ("malformed", None));
        assert_eq!(
            judged(
                "287082",
                Search {
                    last_counter: Some(1),
                    ..search
                }
            ),
            ("already_used", None)
        );
        assert_eq!(
            judged(
                "287082",
                Search {
                    last_counter: Some(2),
                    ..search
                }
            ),
            ("rejected", None)
        );
        let wide = judge(
            &opened("").key,
            Parameters::default(),
            "287082",
            Search {
                window: u64::MAX,
                ..search
            },
        );
        assert_eq!(wide.unwrap_err().code(), ("bad_parameter", Exit::BadInput));
    }

    #[test]
    fn a_uri_says_what_the_record_says_unless_told_otherwise() {
        let uri_of = |parameters: &str, label: Option<&str>, issuer: Option<&str>| {
            let wanted = cli::UriArgs {
                label: label.map(Into::into),
                issuer: issuer.map(Into::into),
            };
            uri(&opened(parameters), &wanted).map(|uri| uri.expose().to_owned())
        };
        let key = "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(
            uri_of("", None, None).unwrap(),
            format!("otpauth://totp/alice?{key}")
        );
        assert_eq!(
            uri_of("&issuer=A&period=60", Some("bob"), Some("B C")).unwrap(),
            format!("otpauth://totp/B%20C:bob?{key}&period=60&issuer=B%20C")
        );
        assert_eq!(
            uri_of("&issuer=A", None, Some("")).unwrap(),
            format!("otpauth://totp/alice?{key}")
        );
        for (label, issuer) in [(Some(""), None), (Some("a:b"), None), (None, Some("a:b"))] {
            assert_eq!(
                uri_of("", label, issuer).unwrap_err().code(),
                ("bad_parameter", Exit::BadInput)
            );
        }
        let unlabelled = r#"{"key":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","type":"totp","v":1}"#;
        let unlabelled = Opened::without_settings(KeyRecord::parse(unlabelled).unwrap()).unwrap();
        let failure = uri(
            &unlabelled,
            &cli::UriArgs {
                label: None,
                issuer: None,
            },
        )
        .unwrap_err();
        assert!(failure.to_string().contains("--label"), "{failure}");
    }

    #[test]
    fn what_is_not_sealed_should_be() {
        let shown = open(&opened("&issuer=demo&algorithm=SHA256"));
        let texts = (shown.alg, shown.label.as_deref(), shown.issuer.as_deref());
        assert_eq!(texts, ("sha256", Some("alice"), Some("demo")));
        assert!(shown.changed);
    }
}
