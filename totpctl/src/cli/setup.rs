//! Arguments, options and help of `setup`.

use std::fmt;

use clap::{Args, ValueEnum};

/// The arguments of `setup`.
#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// The service that asks for codes: sshd, sudo, su or login
    #[arg(value_name = "SERVICE", hide_possible_values = true)]
    #[arg(required_unless_present_any = ["confirm", "undo"])]
    pub(crate) service: Option<Target>,
    /// What a login takes: key+code (default of sshd),
    /// password+code (default of the others) or
    /// key-or-password+code
    #[arg(
        long,
        value_name = "MODE",
        hide_possible_values = true,
        verbatim_doc_comment
    )]
    pub(crate) mode: Option<Mode>,
    /// The user whose new login is to confirm the set-up
    /// [default: the user that logged in; for su: root]
    #[arg(long, value_name = "NAME", verbatim_doc_comment)]
    pub(crate) user: Option<String>,
    /// Members of this group log in without a code
    #[arg(long, value_name = "GROUP")]
    pub(crate) exempt_group: Option<String>,
    /// Users that were never enrolled need no code
    #[arg(long)]
    pub(crate) nullok: bool,
    /// Show the changes and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before the files are written
    #[arg(long)]
    pub(crate) yes: bool,
    /// Without the timer that takes everything back
    #[arg(long)]
    pub(crate) no_rollback: bool,
    /// Keep the set-up: run it in a new login with a code
    #[arg(long, conflicts_with_all = ["undo", "mode", "user", "exempt_group", "nullok",
          "dry_run", "yes", "no_rollback", "service"])]
    pub(crate) confirm: bool,
    /// Take a set-up back, confirmed or not
    #[arg(long, conflicts_with_all = ["mode", "user", "exempt_group", "nullok", "dry_run",
          "yes", "no_rollback"])]
    pub(crate) undo: bool,
    /// With --undo: only if its time has passed
    #[arg(long, requires = "undo", conflicts_with = "service")]
    pub(crate) if_due: bool,
}

/// A service that `setup` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    Sshd,
    Sudo,
    Su,
    Login,
}

impl Target {
    /// The name of its file in `/etc/pam.d`.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Sshd => "sshd",
            Self::Sudo => "sudo",
            Self::Su => "su",
            Self::Login => "login",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service())
    }
}

/// The factors that a login takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    #[value(name = "key+code")]
    Key,
    #[value(name = "password+code")]
    Password,
    #[value(name = "key-or-password+code")]
    KeyOrPassword,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  totpctl setup sshd --dry-run      show what would change
  totpctl setup sshd                an SSH key, then a code
  totpctl setup sshd --mode password+code --exempt-group breakglass
  totpctl setup sudo                sudo and sudo -i
  totpctl setup --confirm           in a new login: keep it
  totpctl setup sudo --undo

For root only, on Debian's PAM files. Within ten minutes, log in anew with a
code and run 'totpctl setup --confirm' in that session; for sudo that is
'sudo -k totpctl setup --confirm'. Otherwise systemd puts every file back, byte
for byte; after a reboot at once. Open sessions stay open.";
