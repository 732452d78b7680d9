//! How a login ends: PAM's code for it, and its line in the log.

#![forbid(unsafe_code)]

use common::wire::protocol::Verdict;
use pamsm::{LogLvl, PamError};

use crate::options::Options;

/// What ends a login before a last verdict.
#[derive(Debug)]
pub(super) enum Stop {
    /// Never enrolled, and `nullok` stands in the service file.
    NeedsNoCode,
    /// No code was to be asked for, and without one they are not let by: any verdict but `exempt`, even a success.
    NotExempt(Verdict),
    /// No account can have this name; why.
    BadName(String),
    /// The application changed the name while the person was typing.
    UserChanged,
    /// `use_first_pass`, and there is no password with a code at its end.
    NoCodeWithPassword,
    /// Provisiond cannot be used; why.
    Unavailable(String),
    /// The person cannot be asked.
    ConversationFailed,
}

/// The one table from what happened to PAM's codes.
pub(super) fn pam_code(outcome: &Result<Verdict, Stop>, options: &Options) -> PamError {
    match outcome {
        Ok(Verdict::Accepted) => PamError::SUCCESS,
        Ok(Verdict::Exempt) | Err(Stop::NeedsNoCode) => PamError::IGNORE,
        Ok(Verdict::Busy) | Err(Stop::NotExempt(Verdict::Busy) | Stop::Unavailable(_)) => PamError::AUTHINFO_UNAVAIL,
        Err(Stop::ConversationFailed) => PamError::CONV_ERR,
        Ok(Verdict::NotEnrolled) | Err(Stop::NotExempt(Verdict::NotEnrolled) | Stop::BadName(_))
            if options.user_unknown =>
        {
            PamError::USER_UNKNOWN
        }
        // Also after the last round, where PAM_MAXTRIES would fit: sshd then offers its client no method any more, and the
        // client shows a prompt of its own that leads nowhere. After PAM_AUTH_ERR applications begin again with ours.
        Ok(
            Verdict::Rejected
            | Verdict::AlreadyUsed
            | Verdict::Malformed
            | Verdict::TwoCodesNeeded
            | Verdict::NotEnrolled
            | Verdict::Disabled
            | Verdict::Refused,
        )
        | Err(Stop::BadName(_) | Stop::UserChanged | Stop::NoCodeWithPassword | Stop::NotExempt(_)) => {
            PamError::AUTH_ERR
        }
    }
}

/// Provisiond keeps the account of verdicts. Here stands what it cannot know, and with `debug` why PAM got its code.
pub(super) fn log_line(outcome: &Result<Verdict, Stop>, user: &str, options: &Options) -> Option<(LogLvl, String)> {
    Some(match outcome {
        Err(Stop::NeedsNoCode) => {
            (LogLvl::NOTICE, format!("user '{user}' was never enrolled and needs no code (option 'nullok')"))
        }
        Err(Stop::BadName(why)) => (LogLvl::NOTICE, format!("user '{user}' refused: {why}")),
        Err(Stop::UserChanged) => {
            (LogLvl::WARNING, format!("user '{user}' refused: the application changed the user name during the prompt"))
        }
        Err(Stop::NoCodeWithPassword) => (
            LogLvl::NOTICE,
            format!("user '{user}' refused: there is no password with a code at its end (option 'use_first_pass')"),
        ),
        Err(Stop::Unavailable(why)) => (LogLvl::ERR, format!("user '{user}' refused: {why}")),
        Ok(Verdict::Busy) | Err(Stop::NotExempt(Verdict::Busy)) => {
            (LogLvl::ERR, format!("user '{user}' refused: provisiond is too busy"))
        }
        Ok(Verdict::Accepted | Verdict::Exempt) => return None,
        _ if !options.debug => return None,
        Err(Stop::ConversationFailed) => (LogLvl::DEBUG, format!("user '{user}' refused: the PAM conversation failed")),
        Ok(verdict) | Err(Stop::NotExempt(verdict)) => {
            (LogLvl::DEBUG, format!("user '{user}' refused: {}", verdict.word()))
        }
    })
}
