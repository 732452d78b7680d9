//! Arguments and help of `fleet`: the authority, verifiers, hosts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use common::config::fleet::ServerAddress;
use common::config::values::span::Span;

use super::DaemonSettings;

/// The commands of `fleet`.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum FleetCommand {
    /// Make the authority that signs the fleet's certificates
    #[command(after_help = INIT)]
    Init(InitArgs),
    /// List the machines, and when their certificates end
    #[command(after_help = LIST)]
    List(ListFleetArgs),
    /// Verifiers, which keep the keys and judge codes
    #[command(subcommand)]
    Verifier(VerifierCommand),
    /// Login hosts, which keep no key
    #[command(subcommand)]
    Host(HostCommand),
}

/// The commands of `fleet verifier`.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum VerifierCommand {
    /// Make a verifier's certificate and key, in one file
    #[command(after_help = VERIFIER_ADD)]
    Add(AddVerifierArgs),
}

/// The commands of `fleet host`.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum HostCommand {
    /// Make a host's certificate, key and settings, in one file
    #[command(after_help = HOST_ADD)]
    Add(AddHostArgs),
    /// Refuse a host from now on, on this verifier (root only)
    #[command(after_help = HOST_REVOKE)]
    Revoke(RevokeHostArgs),
}

/// The arguments of `fleet init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) folder: AuthorityFolder,
    /// How long the authority is valid
    #[arg(long, value_name = "SPAN", default_value = "3650d", value_parser = valid)]
    pub(crate) valid: Duration,
}

/// The arguments of `fleet list`.
#[derive(Debug, Args)]
pub(crate) struct ListFleetArgs {
    #[command(flatten)]
    pub(crate) folder: AuthorityFolder,
    /// Only machines whose certificate has ended, or ends
    /// within that time
    #[arg(long, value_name = "SPAN", value_parser = valid, verbatim_doc_comment)]
    pub(crate) ending: Option<Duration>,
}

/// The arguments of `fleet verifier add`.
#[derive(Debug, Args)]
pub(crate) struct AddVerifierArgs {
    /// Names and addresses by which hosts call the verifier
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) certificate: NewCertificate,
}

/// The arguments of `fleet host add`.
#[derive(Debug, Args)]
pub(crate) struct AddHostArgs {
    /// The host's name, as the verifiers' rules have it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Verifiers that the host asks, in this order
    /// [default: those that were added]
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        verbatim_doc_comment
    )]
    pub(crate) servers: Vec<ServerAddress>,
    /// Services in the printed rule
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        default_value = "sshd"
    )]
    pub(crate) services: Vec<String>,
    /// Groups whose members the host may ask for; without
    /// it no rule is printed
    #[arg(
        long,
        value_name = "GROUP,...",
        value_delimiter = ',',
        verbatim_doc_comment
    )]
    pub(crate) groups: Vec<String>,
    /// Let the host go on alone, with two codes, while
    /// it reaches no verifier
    #[arg(long, verbatim_doc_comment)]
    pub(crate) offline_copy: bool,
    #[command(flatten)]
    pub(crate) certificate: NewCertificate,
}

/// The arguments of `fleet host revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeHostArgs {
    /// The host's name, or the fingerprint of a certificate
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) daemon: DaemonSettings,
}

/// Where the authority is.
#[derive(Debug, Args)]
pub(crate) struct AuthorityFolder {
    /// The authority's folder
    /// [default: /etc/pam-totp/authority]
    #[arg(
        long = "folder",
        value_name = "DIR",
        default_value = FOLDER,
        hide_default_value = true,
        verbatim_doc_comment
    )]
    pub(crate) path: PathBuf,
}

/// A certificate and its file.
#[derive(Debug, Args)]
pub(crate) struct NewCertificate {
    #[command(flatten)]
    pub(crate) folder: AuthorityFolder,
    /// How long the certificate is valid
    #[arg(long, value_name = "SPAN", default_value = "365d", value_parser = valid)]
    pub(crate) valid: Duration,
    /// A new file [default: NAME.tar in this folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

fn valid(text: &str) -> Result<Duration, String> {
    let Span(span) = text.parse().map_err(|_| NO_SPAN.to_owned())?;
    let is_usual = (SHORTEST..=LONGEST).contains(&span);
    is_usual.then_some(span).ok_or_else(|| NO_SPAN.to_owned())
}

const FOLDER: &str = "/etc/pam-totp/authority";
const SHORTEST: Duration = Duration::from_secs(3600);
/// A hundred years.
const LONGEST: Duration = Duration::from_secs(36_525 * 86_400);
const NO_SPAN: &str = "write a span of 1h to 36525d, such as '90d'";

pub(super) const EXAMPLES: &str = "\
Examples:
  totpctl fleet init
  totpctl fleet verifier add v1.example.com 192.0.2.1
  totpctl fleet host add web1.example.com --groups staff

The administrator's guide has the whole way: 'A fleet of hosts'.";

const INIT: &str = "\
Examples:
  totpctl fleet init
  totpctl fleet init --folder ~/fleet

The folder is new and private. A copy of its key lets its holder make itself a
verifier, to which users then type their codes: keep it on a verifier, or better
on an administrator's machine, and in a backup.";

const LIST: &str = "\
Examples:
  totpctl fleet list
  totpctl fleet list --ending 30d

Lists what the authority has signed, of each machine the last certificate. A
machine that was revoked, or never used its certificate, is listed as well.
Exit code 1: with --ending, there are such machines.";

const VERIFIER_ADD: &str = "\
Examples:
  totpctl fleet verifier add v1.example.com
  totpctl fleet verifier add v1.example.com 192.0.2.1 --file /root/v1.tar

The file is for 'tar -xf FILE -C /' on the verifier. It holds the certificate,
its key, and the drop-in by which provisiond.service may use the network. The
lines of the verifier's settings are printed. If the certificate is to be
renewed, add the verifier again, and unpack the new file.";

const HOST_ADD: &str = "\
Examples:
  totpctl fleet host add web1.example.com --groups staff
  totpctl fleet host add web1.example.com --servers v2.example.com
  totpctl fleet host add gate --groups staff,admins --services sshd,sudo
  totpctl fleet host add web2.example.com --groups staff --offline-copy

The file is for 'tar -xf FILE -C /' on the host, by hand or by a tool such as
Ansible. It holds the certificate, its key, the settings of a relay, and the
drop-in by which provisiond.service may use the network. It replaces the host's
/etc/pam-totp/settings.yaml. If the certificate is to be renewed, add the host
again, and unpack the new file.";

const HOST_REVOKE: &str = "\
Examples:
  totpctl fleet host revoke web1.example.com

totpctl adds the name to 'revoked' in this verifier's settings, and has the
daemon read them. Run it on every verifier. Certificates of that name are
refused from then on, new ones too: give a host that comes back another name, or
revoke its old certificate alone, by the fingerprint that 'fleet host add' has
printed and the authority's file 'issued' has.";
