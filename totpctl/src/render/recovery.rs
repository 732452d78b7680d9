//! Prints the results of `recovery-codes`, `bypass`, `ticket` and `unlock`: the sheets with the new
//! codes.

use common::secret::SecretText;
use common::wire::protocol::{RecoveryCodesReply, TimedCodeReply, UnlockReply};
use common::wire::text::printable;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Render, Reveal};
use crate::table::minute;
use crate::verdicts::argument;

impl Reveal for RecoveryCodesReply {
    fn page(&self) -> Zeroizing<String> {
        recovery_codes(&self.user, &self.recovery_codes)
    }
}

/// The sheet of recovery codes; empty if there are none.
pub(crate) fn recovery_codes(user: &str, codes: &[SecretText]) -> Zeroizing<String> {
    let mut page = Zeroizing::new(String::with_capacity(PAGE_BYTES));
    if codes.is_empty() {
        return page;
    }
    page.push_str(&format!("\nRecovery codes of {}:\n\n", printable(user)));
    for row in codes.chunks(COLUMNS) {
        for code in row {
            page.push_str("   ");
            page.push_str(printable_code(code));
        }
        page.push('\n');
    }
    page.push_str(ADVICE);
    page
}

/// The code, if it has no control characters: the daemon's replies are not trusted.
fn printable_code(code: &SecretText) -> &str {
    let code = code.expose();
    if code.len() <= MAX_CODE && code.bytes().all(|b| b.is_ascii_graphic()) {
        code
    } else {
        "(cannot be shown)"
    }
}

/// The result of `bypass` and `ticket`. The order of the fields is the order in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct TimedCode {
    #[serde(flatten)]
    reply: TimedCodeReply,
    #[serde(skip)]
    purpose: Purpose,
}

/// The command that issued the code.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The code opens this number of logins.
    Bypass(u8),
    /// The code enrols a first device.
    Ticket,
}

impl TimedCode {
    pub(crate) fn new(reply: TimedCodeReply, purpose: Purpose) -> Self {
        Self { reply, purpose }
    }
}

impl Reveal for TimedCode {
    fn page(&self) -> Zeroizing<String> {
        let (user, until) = (printable(&self.reply.user), minute(self.reply.until));
        let (what, advice) = match self.purpose {
            Purpose::Bypass(uses) => ("Bypass", opens(uses)),
            Purpose::Ticket => ("Ticket", asks_for_it(&self.reply.user)),
        };
        let mut page = Zeroizing::new(String::with_capacity(PAGE_BYTES));
        page.push_str(&format!("{what} of {user}, until {until}:\n\n   "));
        page.push_str(printable_code(&self.reply.code));
        page.push_str(&format!("\n\n{advice}\n"));
        page
    }
}

fn opens(uses: u8) -> String {
    let logins = match uses {
        1 => "one login",
        2 => "two logins",
        _ => "three logins",
    };
    format!("It opens {logins} in place of a device's code. Five wrong tries end it.")
}

fn asks_for_it(user: &str) -> String {
    let (name, command) = (printable(user), argument(user));
    format!(
        "It enrols the account's first device, once. {name} types it at the next login, if the service enrols at the\n\
         prompt ('enroll' in its PAM file); else where {name} gets in without a code, and runs:\n  totpctl enroll {command}"
    )
}

impl Render for UnlockReply {
    fn people(&self) -> String {
        format!(
            "{}'s guesses are restored: one code is enough again\n",
            printable(&self.user)
        )
    }
}

const ADVICE: &str = "
Each code opens one login without a device. The codes are shown only once: print
them or write them down, and keep them apart from the device.
";
const COLUMNS: usize = 2;
/// The longest code, in bytes.
const MAX_CODE: usize = 32;
/// Room for a page, in bytes: a text that grows leaves a copy of the codes in memory.
const PAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn codes(count: usize) -> Vec<SecretText> {
        let letters = ('a'..='z').map(|c| c.to_string().repeat(4)).take(count);
        letters
            .map(|group| SecretText::new([group.as_str(); 4].join("-")))
            .collect()
    }

    #[test]
    fn recovery_codes_are_a_sheet_to_print() {
        let page = RecoveryCodesReply {
            user: "alice".into(),
            recovery_codes: codes(3),
        }
        .page();
        assert_eq!(
            page.as_str(),
            "
Recovery codes of alice:

   aaaa-aaaa-aaaa-aaaa   bbbb-bbbb-bbbb-bbbb
   cccc-cccc-cccc-cccc

Each code opens one login without a device. The codes are shown only once: print
them or write them down, and keep them apart from the device.
"
        );
        assert!(recovery_codes("alice", &[]).is_empty());
        let hostile = [
            SecretText::new("\u{1b}[2J".into()),
            SecretText::new("a".repeat(33)),
        ];
        assert_eq!(
            recovery_codes("alice", &hostile)
                .matches("(cannot be shown)")
                .count(),
            2
        );
    }

    #[test]
    fn a_bypass_and_a_ticket_say_what_they_are_for() {
        let timed = |kind| {
            let (user, code) = ("alice".to_owned(), SecretText::new("abcd-efgh".into()));
            TimedCode::new(
                TimedCodeReply {
                    user,
                    code,
                    until: 1_795_468_680,
                },
                kind,
            )
        };
        let until = minute(1_795_468_680);
        assert_eq!(
            *timed(Purpose::Bypass(2)).page(),
            format!(
                "\
Bypass of alice, until {until}:

   abcd-efgh

It opens two logins in place of a device's code. Five wrong tries end it.
"
            )
        );
        assert!(
            timed(Purpose::Ticket)
                .page()
                .starts_with(&format!("Ticket of alice, until {until}:\n"))
        );
        let told = json(&timed(Purpose::Ticket)).unwrap();
        assert_eq!(
            told.as_slice(),
            b"{\"user\":\"alice\",\"code\":\"abcd-efgh\",\"until\":1795468680}\n"
        );
    }
}
