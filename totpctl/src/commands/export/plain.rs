//! `export otpauth`, `users-oath` and `google-authenticator`: prints keys in the forms of other
//! programs. They are not encrypted.

use ::import::{google_authenticator, users_oath};
use common::lineage::record;
use common::names::device::Kind;
use common::otpauth::{self, Label};
use common::secret::{Key, SecretText};
use common::totp::Parameters;
use common::wire::protocol::{Export, ExportedKey};

use super::{Exporting, named};
use crate::commands::Context;
use crate::exit::{Exit, Failure};

/// A form with a line for each device.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Otpauth,
    UsersOath,
}

/// Exports the devices of the named users, or of all, a line each.
pub(super) fn lines(context: &Context<'_>, users: &[String], form: Form) -> Result<Exit, Failure> {
    let mut exporting = Exporting::new(context);
    for user in named(context, users)? {
        let exported = exported(context, &user, |key| match form {
            Form::Otpauth => key.uri(&user),
            Form::UsersOath => Ok(users_oath::write(&user, &key.key, key.shape(), key.counter)),
        });
        exporting.count(&user, exported)?;
    }
    exporting.end()
}

/// Exports the file of one user.
pub(super) fn file(
    context: &Context<'_>,
    user: &str,
    device: Option<&str>,
) -> Result<Exit, Failure> {
    let user = super::names::user(user)?;
    let reply = context.daemon.call_slowly(&plain(&user))?;
    let mut keys = reply.keys.iter();
    let key = match device {
        Some(device) => keys.find(|key| key.device == device),
        None => keys.next().filter(|_| keys.next().is_none()),
    };
    let key = Opened::of(key.ok_or(Failure::Usage(ONE_DEVICE))?)?;
    let file = google_authenticator::write(&key.key, key.shape(), key.counter, &key.spent);
    let file = file.ok_or(Failure::Usage(NOT_THEIRS))?;
    context.output.will_hold_secrets();
    context.output.text(file.expose())?;
    Ok(Exit::Done)
}

/// Prints a user's devices. Returns their number.
fn exported(
    context: &Context<'_>,
    user: &str,
    write: impl Fn(&Opened) -> Result<Option<SecretText>, Failure>,
) -> Result<usize, Failure> {
    let reply = context.daemon.call_slowly(&plain(user))?;
    let mut count = 0_usize;
    for exported in &reply.keys {
        let Some(line) = write(&Opened::of(exported)?)? else {
            context.left_out(user, &exported.device, "the other program cannot serve it");
            continue;
        };
        context.output.will_hold_secrets();
        context.output.text(&format!("{}\n", line.expose()))?;
        count = count.saturating_add(1);
    }
    Ok(count)
}

fn plain(user: &str) -> Export {
    Export {
        user: user.to_owned(),
        plain: Some(true),
    }
}

/// An exported key, read.
struct Opened {
    key: Key,
    kind: Kind,
    parameters: Parameters,
    counter: u64,
    spent: Vec<u64>,
    label: Option<String>,
    issuer: Option<String>,
}

impl Opened {
    fn of(exported: &ExportedKey) -> Result<Self, Failure> {
        let foreign = &exported.key;
        let (digits, period) = (foreign.digits.map(u64::from), foreign.period.map(u64::from));
        Ok(Self {
            key: Key::from_base32(foreign.key.expose())?,
            kind: foreign.kind,
            parameters: record::parameters(foreign.alg.as_deref(), digits, period)?,
            counter: foreign.counter.unwrap_or(0),
            spent: foreign.spent.clone().unwrap_or_default(),
            label: foreign.label.clone(),
            issuer: foreign.issuer.clone(),
        })
    }

    fn shape(&self) -> (Kind, Parameters) {
        (self.kind, self.parameters)
    }

    fn uri(&self, user: &str) -> Result<Option<SecretText>, Failure> {
        let label = Label::as_shared(self.label.as_deref().unwrap_or(user))?;
        let issuer = self.issuer.as_deref().map(Label::as_shared).transpose()?;
        Ok(Some(match self.kind {
            Kind::Totp => otpauth::uri(&self.key, self.parameters, &label, issuer.as_ref()),
            Kind::Hotp => {
                let counter = self.counter;
                otpauth::hotp_uri(&self.key, self.parameters, counter, &label, issuer.as_ref())
            }
        }))
    }
}

const ONE_DEVICE: &str =
    "the file has one device: name it with '--device' ('totpctl show' lists the user's devices)";
const NOT_THEIRS: &str = "pam_google_authenticator cannot serve this device: it knows SHA-1, six digits and periods of at \
    most a minute, and no counter of 0";
