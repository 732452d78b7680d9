//! `key new`: makes a key offline: parameters, label and issuer, record, URI, QR code.

use common::answer::CODE_DIGITS;
use common::config::Settings;
use common::enckey::CannotSeal;
use common::lineage::record::{BadRecord, KeyRecord, MAX_PERIOD};
use common::names::device::DeviceName;
use common::names::user::UserName;
use common::otpauth::{Label, pretty_key, uri};
use common::secret::Key;
use common::totp::{BadParameters, Parameters};
use nix::unistd::gethostname;

use super::opened::SettingsFile;
use super::seal::{NO_ACCOUNT, Place, device, own_account, stored_issuer, v1};
use crate::cli::{self, Format};
use crate::commands::Context;
use crate::commands::drawing::{PictureFiles, for_terminal};
use crate::exit::{Exit, Failure};
use crate::qr::Form;
use crate::render::key::NewKey;

/// Makes a key and prints it.
pub(super) fn run(
    context: &Context<'_>,
    file: &SettingsFile,
    wanted: &cli::NewKeyArgs,
) -> Result<Exit, Failure> {
    let made = make(wanted, &file.load()?)?;
    PictureFiles::prepare(&wanted.pictures)?.draw(context.output, &made.uri)?;
    context.output.will_hold_secrets();
    let asked_for_a_page = wanted.pictures.qr.is_some_and(|form| form != Form::None);
    if asked_for_a_page || context.output.is_for_a_person() {
        context
            .output
            .page(&made.sheet(for_terminal(context, wanted.pictures.qr, &made.uri).as_ref()))?;
    }
    if context.output.is_for_programs() || !(asked_for_a_page || context.output.is_for_a_person()) {
        context.output.object(&made)?;
    }
    Ok(Exit::Done)
}

fn make(wanted: &cli::NewKeyArgs, settings: &Settings) -> Result<NewKey, Failure> {
    let user = wanted.user.as_deref().map(UserName::new).transpose()?;
    let parameters = parameters(&wanted.new_key, settings)?;
    let (label, issuer) = (
        label(
            &wanted.new_key,
            (user.as_ref(), wanted.device.as_deref()),
            settings,
        )?,
        issuer(&wanted.new_key, settings)?,
    );
    let key = Key::random(parameters.alg.key_bytes()).ok_or(CannotSeal::NoRandomness)?;
    let (format, stored) = match (wanted.format, user) {
        (Some(Format::V2), None) => {
            return Err(Failure::Usage(
                "'--format v2' binds the key to a user: give --user",
            ));
        }
        (Some(Format::V2) | None, Some(user)) => {
            let place = Place {
                user,
                device: device(wanted.device.as_deref())?,
            };
            (Format::V2, place.v2(&key, settings, parameters)?)
        }
        _ if wanted.device.is_some() => {
            return Err(Failure::Usage("--device works only with '--format v2'"));
        }
        _ => (Format::Passlib, v1(&key, settings, settings.encrypt_cost)?),
    };
    let (pretty_key, uri) = (
        pretty_key(&key),
        uri(&key, parameters, &label, issuer.as_ref()),
    );
    let issuer = stored_issuer(issuer, format, settings);
    let record = KeyRecord {
        key: stored,
        parameters,
        label: Some(label),
        issuer,
    }
    .to_json();
    Ok(NewKey {
        record,
        key: key.to_base32(),
        pretty_key,
        uri,
        parameters,
    })
}

/// The parameters of a new key's codes. Offline, every period that totpctl can read is allowed.
fn parameters(wanted: &cli::KeyOptions, settings: &Settings) -> Result<Parameters, Failure> {
    let usual = settings.new_device.parameters;
    let parameters = Parameters {
        alg: wanted.alg.unwrap_or(usual.alg),
        digits: wanted.digits.unwrap_or(usual.digits),
        period: wanted.period.unwrap_or(usual.period),
    };
    if !CODE_DIGITS.contains(&usize::from(parameters.digits)) {
        return Err(Failure::BadParameter(BadParameters::Digits.to_string()));
    }
    if !(1..=MAX_PERIOD).contains(&parameters.period) {
        return Err(Failure::BadParameter(BadRecord::Period.to_string()));
    }
    Ok(parameters)
}

/// The label of --label, else that of the settings, filled in.
fn label(
    wanted: &cli::KeyOptions,
    (user, name): (Option<&UserName>, Option<&str>),
    settings: &Settings,
) -> Result<Label, Failure> {
    if let Some(text) = &wanted.label {
        return Ok(Label::as_shared(text)?);
    }
    let usual = DeviceName::nth(1);
    let device = name.unwrap_or_else(|| usual.as_str());
    let own = if user.is_none() { own_account() } else { None };
    let user = user.or(own.as_ref()).ok_or(Failure::Usage(NO_ACCOUNT))?;
    let host = gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".to_owned());
    Ok(Label::as_shared(
        &settings
            .new_device
            .label
            .replace("{host}", &host)
            .replace("{device}", device)
            .replace("{user}", user.as_str()),
    )?)
}

/// The issuer of --issuer, else that of the settings; an empty one is none.
fn issuer(wanted: &cli::KeyOptions, settings: &Settings) -> Result<Option<Label>, Failure> {
    match wanted.issuer.as_deref() {
        None => Ok(settings.new_device.issuer.clone()),
        Some("") => Ok(None),
        Some(text) => Ok(Some(Label::as_shared(text)?)),
    }
}

#[cfg(test)]
mod tests {
    use common::totp::Algorithm;

    use super::super::opened::Opened;
    use super::super::opened::tests::settings;
    use super::*;

    fn wanted() -> cli::NewKeyArgs {
        new(alice())
    }

    fn new(new_key: cli::KeyOptions) -> cli::NewKeyArgs {
        cli::NewKeyArgs {
            new_key,
            ..cli::NewKeyArgs::default()
        }
    }

    fn alice() -> cli::KeyOptions {
        cli::KeyOptions {
            label: Some("alice".into()),
            ..cli::KeyOptions::default()
        }
    }

    fn opened(record: &str, settings: Settings) -> Opened {
        Opened::with_settings(KeyRecord::parse(record).unwrap(), settings).unwrap()
    }

    #[test]
    fn a_new_key_opens_from_its_record_and_from_its_uri() {
        let passlib = "{\"alg\":\"sha256\",\"digits\":8,\"enckey\":{\"c\":0,";
        let ours = "{\"alg\":\"sha256\",\"device\":\"";
        for (user, begins) in [(None, passlib), (Some("alice".to_owned()), ours)] {
            let new_key = cli::KeyOptions {
                alg: Some(Algorithm::Sha256),
                digits: Some(8),
                ..alice()
            };
            let wanted = cli::NewKeyArgs {
                user,
                ..new(new_key)
            };
            let made = make(&wanted, &settings("")).unwrap();
            assert!(
                made.record.expose().starts_with(begins),
                "{}",
                made.record.expose()
            );
            let from_record = opened(made.record.expose(), settings(""));
            assert_eq!(from_record.key.to_base32().expose(), made.key.expose());
            assert_eq!(from_record.key.expose().len(), 32);
            let from_uri =
                Opened::without_settings(KeyRecord::parse(made.uri.expose()).unwrap()).unwrap();
            assert_eq!(from_uri.key.to_base32().expose(), made.key.expose());
            assert_eq!(from_uri.record.parameters, from_record.record.parameters);
            assert!(!from_record.changed());
        }
    }

    #[test]
    fn two_new_keys_are_two() {
        let key = || {
            make(&wanted(), &settings(""))
                .unwrap()
                .key
                .expose()
                .to_owned()
        };
        assert_ne!(key(), key());
    }

    #[test]
    fn version_2_asks_for_a_user_and_takes_a_device() {
        let refusal =
            |wanted: &cli::NewKeyArgs| make(wanted, &settings("")).map(|_| ()).unwrap_err().code();
        let device = Some("00112233445566778899aabbccddeeFF".to_owned());
        assert_eq!(
            refusal(&cli::NewKeyArgs {
                format: Some(Format::V2),
                ..wanted()
            }),
            ("usage", Exit::BadInput)
        );
        assert_eq!(
            refusal(&cli::NewKeyArgs {
                device: device.clone(),
                ..wanted()
            }),
            ("usage", Exit::BadInput)
        );
        let user = Some("alice".to_owned());
        let made = make(
            &cli::NewKeyArgs {
                user: user.clone(),
                device,
                ..wanted()
            },
            &settings(""),
        )
        .unwrap();
        assert!(
            made.record
                .expose()
                .contains("\"device\":\"00112233445566778899aabbccddeeff\"")
        );
        assert!(made.record.expose().contains("\"user\":\"alice\""));
        for bad in [
            "",
            "0011",
            "+0112233445566778899aabbccddeeff",
            "00112233445566778899aabbccddeeffff",
        ] {
            let wanted = cli::NewKeyArgs {
                user: user.clone(),
                device: Some(bad.into()),
                ..wanted()
            };
            assert_eq!(refusal(&wanted), ("usage", Exit::BadInput), "{bad:?}");
        }
    }

    #[test]
    fn what_is_not_given_comes_from_the_settings() {
        let context = ", label: 'at {user}', issuer: demo, digits: 7, period: 60, alg: sha512";
        let made = make(
            &cli::NewKeyArgs {
                user: Some("bob".into()),
                ..cli::NewKeyArgs::default()
            },
            &settings(context),
        )
        .unwrap();
        assert!(
            made.uri
                .expose()
                .starts_with("otpauth://totp/demo:at%20bob?"),
            "{}",
            made.uri.expose()
        );
        assert!(
            made.uri
                .expose()
                .ends_with("&algorithm=SHA512&digits=7&period=60&issuer=demo")
        );
        let own = make(&cli::NewKeyArgs::default(), &settings(", label: '{user}'")).unwrap();
        let name = own_account().unwrap();
        assert!(
            own.uri
                .expose()
                .starts_with(&format!("otpauth://totp/{}?", name.as_str()))
        );
    }

    #[test]
    fn parameters_that_no_authenticator_knows_are_refused() {
        for bad in [
            new(cli::KeyOptions {
                digits: Some(5),
                ..alice()
            }),
            new(cli::KeyOptions {
                digits: Some(11),
                ..alice()
            }),
            new(cli::KeyOptions {
                period: Some(0),
                ..alice()
            }),
            new(cli::KeyOptions {
                period: Some(86_401),
                ..alice()
            }),
            new(cli::KeyOptions {
                label: Some("a:b".into()),
                ..alice()
            }),
            new(cli::KeyOptions {
                label: Some(String::new()),
                ..alice()
            }),
            new(cli::KeyOptions {
                issuer: Some("a:b".into()),
                ..alice()
            }),
            cli::NewKeyArgs {
                user: Some("a/b".into()),
                ..wanted()
            },
        ] {
            assert_eq!(
                make(&bad, &settings("")).map(|_| ()).unwrap_err().code(),
                ("bad_parameter", Exit::BadInput)
            );
        }
    }

    #[test]
    fn the_issuer_of_the_settings_is_left_out_as_passlib_does_and_read_back() {
        let made = make(&wanted(), &settings(", issuer: demo")).unwrap();
        assert!(!made.record.expose().contains("issuer"));
        assert!(made.uri.expose().contains("&issuer=demo"));
        let back = opened(made.record.expose(), settings(", issuer: demo"));
        assert_eq!(back.issuer().unwrap().as_str(), "demo");
        let other = new(cli::KeyOptions {
            issuer: Some("other".into()),
            ..alice()
        });
        let other = make(&other, &settings(", issuer: demo")).unwrap();
        assert!(other.record.expose().contains("\"issuer\":\"other\""));
    }
}
