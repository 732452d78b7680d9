//! Arguments, options and help of `try`. Passwords and codes are never arguments.

use clap::Args;

/// The arguments of `try`.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// PAM service whose stack is played, such as sshd
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: String,
    /// Remote host of the login (PAM_RHOST) [default: none]
    #[arg(long, value_name = "HOST")]
    pub(crate) rhost: Option<String>,
    /// Terminal of the login (PAM_TTY)
    /// [default: for sshd 'ssh', else this one]
    #[arg(long, value_name = "TTY", verbatim_doc_comment)]
    pub(crate) tty: Option<String>,
    /// The user that runs su or sudo (PAM_RUSER)
    /// [default: for su nobody, for sudo USER]
    #[arg(long, value_name = "NAME", verbatim_doc_comment)]
    pub(crate) caller: Option<String>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  totpctl try alice --service sshd
  totpctl try root --service su --caller alice
  printf 'password\\n\\npassword\\n123456\\n' | totpctl try alice --service sudo

Plays logins of USER through the real libpam and the service's own file: first
without a code, which must be refused and must have asked the daemon; then with
a code. Answer each question as at a login; in the first play, leave the code
empty. Opens no session. An SSH key is not played: sshd checks it, not PAM.

The accepted code is spent. A wrong one costs a guess, as at a login; the play
without a code costs none. For root only: the stack's modules run in this
process, and see two logins.

Exit codes: 0 asked and accepted, or exempt by the daemon's settings; 1 let in
without being asked, or refused; 3 daemon unreachable.";
