//! `verify`: asks for a code and makes a login attempt as the PAM module does; the prompts for one
//! and two codes.
//!
//! An accepted code is spent. PAM is not asked: a service whose files do not name the module lets in
//! without a code, whatever the daemon says here.

use common::wire::protocol::{Ask, Challenge, Verify};
use common::wire::text::printable;

use super::{Context, exit_of, names};
use crate::cli;
use crate::doctor::{FOLDER, names_the_module};
use crate::exit::{Exit, Failure};
use crate::render::VerifyResult;
use crate::table::wrapped;

/// Asks the daemon how many codes it wants, asks the user for them, and prints the verdict.
pub(super) fn run(context: &Context<'_>, wanted: &cli::VerifyArgs) -> Result<Exit, Failure> {
    let user = names::user(&wanted.user)?;
    let (service, rhost) = (wanted.service.clone(), wanted.rhost.clone());
    let challenge = Challenge {
        user: user.clone(),
        service: service.clone(),
        rhost: rhost.clone(),
        tty: None,
        options: None,
    };
    let asked = context.daemon.call(&challenge)?;
    let codes = match asked.ask {
        Ask::Nothing => Vec::new(),
        Ask::OneCode | Ask::Ticket | Ask::FirstDevice => vec![context.code(ONE_CODE)?],
        Ask::TwoCodes => vec![context.code(TWO_CODES)?],
    };
    let attempt = Verify {
        user,
        codes,
        service,
        rhost,
        tty: None,
        options: None,
    };
    let attempt = VerifyResult::new(&wanted.user, context.daemon.call(&attempt)?);
    context.output.result(&attempt)?;
    if !context.output.is_for_programs() {
        context.output.page(&about_pam(&wanted.service))?;
    }
    Ok(exit_of(attempt.judged()))
}

/// What the verdict does not tell.
fn about_pam(service: &str) -> String {
    let (name, folder) = (printable(service), FOLDER);
    if service == cli::NO_SERVICE {
        return wrapped(
            &format!(
                "totpctl asked the daemon, not PAM: whether a login asks for a code depends on its file in {folder}"
            ),
            "",
        );
    }
    let found = names_the_module(service);
    let told = match found {
        Some(false) => format!(
            "WARNING: {folder}/{name}, with the files that it includes, does not name pam_totp.so: a login at this service \
             asks for no code; totpctl asked the daemon, not PAM"
        ),
        _ => format!(
            "totpctl asked the daemon, not PAM: whether a login at this service asks for a code depends on {folder}/{name}"
        ),
    };
    wrapped(&told, "")
}

const ONE_CODE: &str = "Verification code: ";
pub(super) const TWO_CODES: &str = "The current code and the one after it, on one line: ";
