//! libpam for tests: `pam_application`, where a start that fails fails the test and the last call's
//! code is the result.

use pam_application::transact as play;
pub use pam_application::{
    Application, Call, Item, Message, Moment, PamCode, Reply, SILENT, Style,
};

/// Plays the application and returns the last call's code.
///
/// # Panics
/// When libpam does not start, or when `converse` panics.
pub fn transact(
    application: &Application<'_>,
    converse: &mut dyn FnMut(&Message<'_>) -> Reply,
) -> PamCode {
    let code = transact_if_started(application, converse);
    code.unwrap_or_else(|code| panic!("pam_start_confdir: {code:?}"))
}

/// As [`transact`], for service files that libpam may refuse to read: then `pam_start_confdir`
/// fails, and its code is the error.
///
/// # Errors
/// libpam does not start.
///
/// # Panics
/// When `converse` panics.
pub fn transact_if_started(
    application: &Application<'_>,
    converse: &mut dyn FnMut(&Message<'_>) -> Reply,
) -> Result<PamCode, PamCode> {
    let codes = play(application, converse)?;
    Ok(codes.last().copied().unwrap_or(PamCode::SUCCESS))
}
