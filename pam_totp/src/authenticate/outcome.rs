//! The outcome of a login: PAM's return code for each verdict and error, and the line in the
//! system's log.

#![forbid(unsafe_code)]

use common::wire::protocol::Verdict;
use pamsm::{LogLvl, PamError};

use crate::options::Options;

/// Why a login ends without a last verdict.
#[derive(Debug)]
pub(super) enum Stop {
    /// The user was never enrolled, and the service file has `nullok`.
    NeedsNoCode,
    /// No code was to be asked for, but the verdict is not `exempt`. Even `accepted` is an error
    /// here.
    NotExempt(Verdict),
    /// No account can have this name; the reason.
    BadName(String),
    /// The application changed the name while the user was typing.
    UserChanged,
    /// `use_first_pass`, and there is no password with a code at its end.
    NoCodeWithPassword,
    /// provisiond cannot be used; the reason.
    Unavailable(String),
    /// The application could not ask the user.
    ConversationFailed,
}

/// The one table from outcomes to PAM's return codes.
pub(super) fn pam_code(outcome: &Result<Verdict, Stop>, options: &Options) -> PamError {
    match outcome {
        Ok(Verdict::Accepted) => PamError::SUCCESS,
        Ok(Verdict::Exempt) | Err(Stop::NeedsNoCode) => PamError::IGNORE,
        Ok(Verdict::Busy) | Err(Stop::NotExempt(Verdict::Busy) | Stop::Unavailable(_)) => {
            PamError::AUTHINFO_UNAVAIL
        }
        Err(Stop::ConversationFailed) => PamError::CONV_ERR,
        Ok(Verdict::NotEnrolled)
        | Err(Stop::NotExempt(Verdict::NotEnrolled) | Stop::BadName(_))
            if options.user_unknown =>
        {
            PamError::USER_UNKNOWN
        }
        // Also after the last round, where PAM_MAXTRIES would fit: sshd then offers its client no
        // method any more, and the client shows a prompt of its own that leads nowhere. After
        // PAM_AUTH_ERR applications begin again with ours.
        Ok(
            Verdict::Rejected
            | Verdict::AlreadyUsed
            | Verdict::Malformed
            | Verdict::TwoCodesNeeded
            | Verdict::NotEnrolled
            | Verdict::Disabled
            | Verdict::Refused,
        )
        | Err(
            Stop::BadName(_) | Stop::UserChanged | Stop::NoCodeWithPassword | Stop::NotExempt(_),
        ) => PamError::AUTH_ERR,
    }
}

/// The line for the system's log, if any. provisiond logs the verdicts; the module logs what
/// provisiond cannot know, and with `debug` every refusal.
pub(super) fn log_line(
    outcome: &Result<Verdict, Stop>,
    user: &str,
    options: &Options,
) -> Option<(LogLvl, String)> {
    Some(match outcome {
        Err(Stop::NeedsNoCode) => (
            LogLvl::NOTICE,
            format!("user '{user}' was never enrolled and needs no code (option 'nullok')"),
        ),
        Err(Stop::BadName(why)) => (LogLvl::NOTICE, format!("user '{user}' refused: {why}")),
        Err(Stop::UserChanged) => (
            LogLvl::WARNING,
            format!(
                "user '{user}' refused: the application changed the user name during the prompt"
            ),
        ),
        Err(Stop::NoCodeWithPassword) => (
            LogLvl::NOTICE,
            format!(
                "user '{user}' refused: there is no password with a code at its end (option 'use_first_pass')"
            ),
        ),
        Err(Stop::Unavailable(why)) => (LogLvl::ERR, format!("user '{user}' refused: {why}")),
        Ok(Verdict::Busy) | Err(Stop::NotExempt(Verdict::Busy)) => (
            LogLvl::ERR,
            format!("user '{user}' refused: provisiond is too busy"),
        ),
        Ok(Verdict::Accepted | Verdict::Exempt) => return None,
        _ if !options.debug => return None,
        Err(Stop::ConversationFailed) => (
            LogLvl::DEBUG,
            format!("user '{user}' refused: the PAM conversation failed"),
        ),
        Ok(verdict) | Err(Stop::NotExempt(verdict)) => (
            LogLvl::DEBUG,
            format!("user '{user}' refused: {}", verdict.word()),
        ),
    })
}
