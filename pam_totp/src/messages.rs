//! The prompts and messages that the user sees: which one is shown when. Their wording is in
//! `messages/words.rs`.
//!
//! No message tells an attacker whether an account exists or has a device: cases that must look
//! alike use the same words.

#![forbid(unsafe_code)]

mod words;

use common::answer::has_other_than_digits;
use common::secret::SecretText;
use common::wire::protocol::{Ask, Enrolment, Quarantine, Verdict, VerifyReply};

use self::words::{OfCodes, Words, words};
use crate::options::Options;

/// The prompt. Where it asks for two codes it begins with the words of the one for a single code,
/// and with the option `prompt=` every prompt begins with its words: clients that answer by
/// themselves match a prompt's beginning.
#[must_use]
pub fn prompt(ask: Ask, options: &Options) -> String {
    let words = words(options.lang);
    let ours = if options.forward_pass {
        words.password_and_code
    } else {
        words.code
    };
    let one = options.prompt.as_deref().unwrap_or(ours);
    match ask {
        Ask::OneCode | Ask::FirstDevice | Ask::Nothing => one.to_owned(),
        Ask::TwoCodes => format!("{}{}", without_colon(one), words.both),
        Ask::Ticket => match &options.prompt {
            Some(own) => format!("{} ({}): ", without_colon(own), without_colon(words.ticket)),
            None => words.ticket.to_owned(),
        },
    }
}

/// The message before a first prompt that asks for two codes: why, what ends it, and how to type
/// them. It is the same for every name.
#[must_use]
pub fn two_codes_needed(options: &Options) -> String {
    let words = words(options.lang);
    format!(
        "{} {}",
        words.two_codes_needed,
        of(Ask::TwoCodes, now(options, words))
    )
}

/// The prompt for the password alone, where no code is needed: the option `prompt=`, or ours.
#[must_use]
pub fn password_prompt(options: &Options) -> &str {
    let ours = words(options.lang).password;
    options.prompt.as_deref().unwrap_or(ours)
}

fn without_colon(prompt: &str) -> &str {
    prompt.trim_end().trim_end_matches(':')
}

/// What a message is about: what the prompt asked for, and the form of the text that came.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    asked: Ask,
    other_than_digits: bool,
}

impl Tried {
    /// The text that was typed at a prompt. Where it holds a password as well, its form says nothing
    /// of the code.
    #[must_use]
    pub fn at_prompt(asked: Ask, typed: &SecretText, options: &Options) -> Self {
        Self {
            asked,
            other_than_digits: !options.forward_pass && has_other_than_digits(typed),
        }
    }
}

impl From<Ask> for Tried {
    /// A code that came with a password, or a text that was not looked at.
    fn from(asked: Ask) -> Self {
        Self {
            asked,
            other_than_digits: false,
        }
    }
}

/// The message between two prompts: why the text was not accepted,
/// and what to type now.
#[must_use]
pub fn try_again(tried: impl Into<Tried>, reply: &VerifyReply, options: &Options) -> String {
    let words = words(options.lang);
    said(tried.into(), reply, now(options, words), words)
}

/// The message after the last prompt, or after a password that came with a code: why it was not
/// accepted, and what to type next time. Applications may ask again, as sshd's client does.
#[must_use]
pub fn refused(tried: impl Into<Tried>, reply: &VerifyReply, options: &Options) -> String {
    let words = words(options.lang);
    let with_password = options.forward_pass || options.use_first_pass;
    said(
        tried.into(),
        reply,
        if with_password {
            words.then_with_password
        } else {
            words.then
        },
        words,
    )
}

/// The message after a login with a recovery code when few are left. `None`: there are enough.
#[must_use]
pub fn recovery_codes_left(left: usize, options: &Options) -> Option<String> {
    let words = words(options.lang);
    match left {
        0 => Some(words.no_recovery_code_left.to_owned()),
        1 => Some(words.one_recovery_code_left.to_owned()),
        2..=FEW => Some(
            words
                .few_recovery_codes_left
                .replace("{}", &left.to_string()),
        ),
        _ => None,
    }
}

/// The message after a right ticket: the new device's key, as a QR code if there is one, and as
/// text. The next prompt asks for its first code, or, by `ask`, for its first two.
#[must_use]
pub fn enrolment(enrolment: &Enrolment, ask: Ask, options: &Options) -> SecretText {
    let words = words(options.lang);
    let (before, or_type) = match enrolment.qr.is_empty() {
        true => ("", words.type_key),
        false => (words.scan, words.or_type_key),
    };
    let lines = enrolment.qr.iter().flat_map(|line| ["\n", line.expose()]);
    let parts = [before].into_iter().chain(lines).chain([
        or_type,
        enrolment.key.expose(),
        of(ask, words.first_code),
    ]);
    // A text that grew would leave a copy of the key behind.
    let mut text = String::with_capacity(
        parts
            .clone()
            .fold(0, |room, part| room.saturating_add(part.len())),
    );
    text.extend(parts);
    SecretText::new(text)
}

/// The message after a login with the first code of a new device.
#[must_use]
pub fn enrolled(recovery_codes: bool, options: &Options) -> String {
    let words = words(options.lang);
    if recovery_codes {
        format!("{} {}", words.enrolled, words.get_recovery_codes)
    } else {
        words.enrolled.to_owned()
    }
}

/// The message when the daemon cannot judge.
#[must_use]
pub fn unavailable(options: &Options) -> &'static str {
    words(options.lang).unavailable
}

/// `how`: what to type, by how many codes are asked for next. In a quarantine it is the same for
/// every user and every code, whatever the verdict: only how many codes are asked for may differ.
/// Whether the text can be a code is told by its form alone, whatever the verdict and the user.
fn said(tried: Tried, reply: &VerifyReply, how: OfCodes, words: &Words) -> String {
    let asked = tried.asked;
    let quarantine = reply.quarantine.as_ref().filter(|_| asked != Ask::Ticket);
    if let Some(quarantine) = quarantine {
        let until = in_quarantine(quarantine, words);
        return if reply.ask == Ask::TwoCodes && asked != Ask::TwoCodes {
            format!("{} {until}", words.two_codes_needed)
        } else {
            until
        };
    }
    let not_accepted = if asked == Ask::Ticket {
        words.ticket_not_accepted
    } else if tried.other_than_digits {
        words.not_digits
    } else {
        of(asked, words.not_accepted)
    };
    let (what, how) = match (reply.ask, reply.verdict) {
        // The next prompt asks for more, for an account that exists as for one that does not: so
        // this says what.
        (Ask::TwoCodes, _) if asked != Ask::TwoCodes => {
            (words.two_codes_needed.to_owned(), of(reply.ask, how))
        }
        // The next prompt says by itself what to type.
        (Ask::Ticket, _) => return not_accepted.to_owned(),
        (Ask::OneCode | Ask::FirstDevice | Ask::Nothing, Verdict::AlreadyUsed) => {
            return already_used(reply.retry_after, words);
        }
        (_, Verdict::AlreadyUsed) => (already_used(reply.retry_after, words), words.begin_with_it),
        _ => (not_accepted.to_owned(), of(reply.ask, how)),
    };
    format!("{what} {how}")
}

fn in_quarantine(quarantine: &Quarantine, words: &Words) -> String {
    match quarantine.until {
        Some(time) => words.quarantine_until.replace("{}", &time.to_string()),
        None => words.quarantine.to_owned(),
    }
}

/// What to type at the prompt that follows.
fn now(options: &Options, words: &Words) -> OfCodes {
    if options.forward_pass {
        words.now_with_password
    } else {
        words.now
    }
}

fn of(ask: Ask, [one, two]: OfCodes) -> &'static str {
    match ask {
        Ask::OneCode | Ask::Ticket | Ask::FirstDevice | Ask::Nothing => one,
        Ask::TwoCodes => two,
    }
}

/// The message for a used code. The daemon's number is capped, so that no number makes the sentence
/// odd.
fn already_used(retry_after: Option<u64>, words: &Words) -> String {
    match retry_after.map(|seconds| seconds.min(LONGEST_WAIT)) {
        None | Some(0) => words.used.to_owned(),
        Some(1) => words.used_one_second.to_owned(),
        Some(seconds) => words.used_some_seconds.replace("{}", &seconds.to_string()),
    }
}

/// An hour, in seconds: no authenticator shows a code for longer.
const LONGEST_WAIT: u64 = 3600;
/// With so many recovery codes left, the user is told to get new ones.
const FEW: usize = 3;

#[cfg(test)]
mod tests;
