//! `fleet`: makes the authority, and the file of each verifier and host; revokes a host on a verifier.

use std::path::{Path, PathBuf};

use common::config::DEFAULT_SETTINGS;
use common::config::fleet::{ServerAddress, host_name};
use common::wire::protocol::Reload;
use common::wire::text::printable;

use super::{Context, expect_root};
use crate::cli::{
    AddHostArgs, AddVerifierArgs, FleetCommand, HostCommand, InitArgs, ListFleetArgs,
    NewCertificate, RevokeHostArgs, VerifierCommand,
};
use crate::exit::{Exit, Failure};
use crate::fleet::{
    Authority, Purpose, Signed, pack, settings_of_a_host, settings_of_a_verifier, with_one_more,
};
use crate::new_file::NewFile;
use crate::render::fleet::{Added, Begun, Machines, Revoked, rule};
use crate::setup::file::Location;
use crate::table::now;

/// Runs the command.
pub(super) fn run(context: &Context<'_>, command: &FleetCommand) -> Result<Exit, Failure> {
    match command {
        FleetCommand::Init(wanted) => init(context, wanted),
        FleetCommand::List(wanted) => list(context, wanted),
        FleetCommand::Verifier(VerifierCommand::Add(wanted)) => add_verifier(context, wanted),
        FleetCommand::Host(HostCommand::Add(wanted)) => add_host(context, wanted),
        FleetCommand::Host(HostCommand::Revoke(wanted)) => revoke(context, wanted),
    }
}

fn init(context: &Context<'_>, wanted: &InitArgs) -> Result<Exit, Failure> {
    let folder = &wanted.folder.path;
    let until = Authority::make(folder, wanted.valid)?;
    context.output.result(&Begun::new(folder, until))?;
    Ok(Exit::Done)
}

fn list(context: &Context<'_>, wanted: &ListFleetArgs) -> Result<Exit, Failure> {
    let authority = Authority::open(&wanted.folder.path)?;
    let end = wanted
        .ending
        .map(|span| now().saturating_add(span.as_secs()));
    let mut machines = authority.machines()?;
    machines.retain(|machine| end.is_none_or(|end| machine.until <= end));
    let is_urgent = end.is_some() && !machines.is_empty();
    context.output.result(&Machines { machines })?;
    Ok(if is_urgent { Exit::Refused } else { Exit::Done })
}

fn add_verifier(context: &Context<'_>, wanted: &AddVerifierArgs) -> Result<Exit, Failure> {
    let authority = Authority::open(&wanted.certificate.folder.path)?;
    let name = wanted.names.first().map_or("", String::as_str);
    let made = Made::new(&wanted.certificate, name, |certificate| {
        authority.sign(Purpose::Verifier, &wanted.names, certificate.valid)
    })?;
    let (file, signed) = made.filled(&authority, None)?;
    let lines = settings_of_a_verifier();
    context
        .output
        .result(&Added::verifier(name, &file, &signed, lines))?;
    Ok(Exit::Done)
}

fn add_host(context: &Context<'_>, wanted: &AddHostArgs) -> Result<Exit, Failure> {
    let name = host_name(&wanted.name)
        .map_err(|why| Failure::BadParameter(format!("{}: {why}", printable(&wanted.name))))?;
    let authority = Authority::open(&wanted.certificate.folder.path)?;
    let servers = servers(&authority, &wanted.servers)?;
    let rule = match wanted.groups.is_empty() {
        true => None,
        false => {
            let names = [wanted.services.as_slice(), wanted.groups.as_slice()];
            Some(rule(&name, names, wanted.offline_copy))
        }
    };
    let made = Made::new(&wanted.certificate, &name, |certificate| {
        authority.sign(
            Purpose::Host,
            std::slice::from_ref(&name),
            certificate.valid,
        )
    })?;
    let settings = settings_of_a_host(&name, &servers, wanted.offline_copy);
    let (file, signed) = made.filled(&authority, Some(&settings))?;
    context
        .output
        .result(&Added::host(&name, &file, &signed, rule))?;
    Ok(Exit::Done)
}

/// The verifiers that the host asks.
fn servers(authority: &Authority, named: &[ServerAddress]) -> Result<Vec<ServerAddress>, Failure> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let added = authority.verifiers()?;
    let servers = added.iter().map(|name| name.parse());
    let servers: Vec<_> = servers
        .collect::<Result<_, _>>()
        .map_err(Failure::BadParameter)?;
    match servers.is_empty() {
        true => Err(Failure::Usage(NO_VERIFIER)),
        false => Ok(servers),
    }
}

/// The new file of a machine, and what goes into it.
struct Made {
    file: NewFile,
    signed: Signed,
}

impl Made {
    /// The file is made first: a certificate is signed only if it can be handed over.
    fn new(
        wanted: &NewCertificate,
        name: &str,
        sign: impl FnOnce(&NewCertificate) -> Result<Signed, Failure>,
    ) -> Result<Self, Failure> {
        let usual = || PathBuf::from(format!("{name}.tar"));
        let path = wanted.file.clone().unwrap_or_else(usual);
        Ok(Self {
            file: NewFile::create(&path)?,
            signed: sign(wanted)?,
        })
    }

    fn filled(
        self,
        authority: &Authority,
        settings: Option<&str>,
    ) -> Result<(PathBuf, Signed), Failure> {
        let packed = pack(&authority.ca, &self.signed, settings).map_err(Failure::Writing)?;
        Ok((self.file.fill(&packed)?, self.signed))
    }
}

fn revoke(context: &Context<'_>, wanted: &RevokeHostArgs) -> Result<Exit, Failure> {
    expect_root("totpctl fleet host revoke")?;
    let path = wanted
        .daemon
        .settings
        .as_deref()
        .unwrap_or(Path::new(DEFAULT_SETTINGS));
    let failed = |problem: String| Failure::File {
        path: path.to_owned(),
        problem,
    };
    let location = Location::open(path)?;
    let settings = location
        .read()?
        .ok_or_else(|| failed(NO_SETTINGS.to_owned()))?;
    let edited =
        with_one_more(&settings.text, &wanted.name).map_err(|why| failed(why.to_string()))?;
    let was_there = edited.is_none();
    if let Some(text) = edited {
        location.replace(&settings.with(text))?;
    }
    // Also if it was there: an earlier run may have ended before this call.
    context.daemon.call(&Reload {}).map_err(|error| {
        failed(format!(
            "it has '{}' in 'revoked' now, but the daemon has not read it: {error}",
            printable(&wanted.name)
        ))
    })?;
    context
        .output
        .result(&Revoked::new(&wanted.name, was_there))?;
    Ok(Exit::Done)
}

const NO_VERIFIER: &str = "no verifier was added yet: 'totpctl fleet verifier add NAME' comes first, or --servers names the verifiers";
const NO_SETTINGS: &str = "there is no such file: name the settings of the daemon with --settings";
