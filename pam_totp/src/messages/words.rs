//! The words of each language.

#![forbid(unsafe_code)]

use crate::options::Language;

/// The words of a language.
pub(super) fn words(language: Language) -> &'static Words {
    match language {
        Language::English => &ENGLISH,
        Language::German => &GERMAN,
    }
}

/// What asks for one and for two codes, or is said of them.
pub(super) type OfCodes = [&'static str; 2];

/// One language: the prompts, and what is said after them.
pub(super) struct Words {
    pub(super) codes: OfCodes,
    pub(super) password_and_codes: OfCodes,
    pub(super) password: &'static str,
    pub(super) ticket: &'static str,
    /// Before the QR code, the key below it, the key alone, and the prompt after them.
    pub(super) scan: &'static str,
    pub(super) or_type_key: &'static str,
    pub(super) type_key: &'static str,
    pub(super) first_code: &'static str,
    pub(super) enrolled: &'static str,
    pub(super) get_recovery_codes: &'static str,
    pub(super) not_accepted: &'static str,
    pub(super) two_codes_needed: &'static str,
    pub(super) used: &'static str,
    pub(super) used_one_second: &'static str,
    /// `{}` is the number of seconds.
    pub(super) used_some_seconds: &'static str,
    /// With which of several codes, where one was used: with the one that comes.
    pub(super) begin_with_it: &'static str,
    /// What to type at the prompt that follows.
    pub(super) now: OfCodes,
    pub(super) now_with_password: OfCodes,
    /// What to type another time: no prompt follows.
    pub(super) then: OfCodes,
    pub(super) then_with_password: OfCodes,
    pub(super) no_recovery_code_left: &'static str,
    pub(super) one_recovery_code_left: &'static str,
    /// `{}` is the number of codes.
    pub(super) few_recovery_codes_left: &'static str,
    pub(super) unavailable: &'static str,
}

pub(super) const ENGLISH: Words = Words {
    codes: ["Verification code: ", "Two verification codes, the current one and the next: "],
    password_and_codes: [
        "Password & verification code: ",
        "Password & two verification codes, the current one and the next: ",
    ],
    password: "Password: ",
    ticket: "Enrolment ticket: ",
    scan: "Scan this with your authenticator app:",
    or_type_key: "\nOr type this key into it: ",
    type_key: "Type this key into your authenticator app: ",
    first_code: "\nThen type the code that it shows.",
    enrolled: "Your device is enrolled.",
    get_recovery_codes: "Get recovery codes with 'totpctl recovery-codes'.",
    not_accepted: "That was not accepted.",
    two_codes_needed: "Two codes in a row are needed now.",
    used: "That code was used already. Wait for the next one.",
    used_one_second: "That code was used already. The next one comes in 1 second.",
    used_some_seconds: "That code was used already. The next one comes in {} seconds.",
    begin_with_it: "Begin with that one.",
    now: ["Type what your device shows now.", "Type the current code, wait for the next, and type that after it."],
    now_with_password: [
        "Type your password, and right after it what your device shows now.",
        "Type your password, right after it the current code, wait for the next, and type that after it.",
    ],
    then: [
        "Try again with what your device shows then.",
        "Try again with the current code, and the next one after it.",
    ],
    then_with_password: [
        "Try again with your password, and right after it what your device shows then.",
        "Try again with your password, right after it the current code, and the next one after that.",
    ],
    no_recovery_code_left: "That was your last recovery code. Get new ones with 'totpctl recovery-codes'.",
    one_recovery_code_left: "1 recovery code left. Get new ones with 'totpctl recovery-codes'.",
    few_recovery_codes_left: "{} recovery codes left. Get new ones with 'totpctl recovery-codes'.",
    unavailable: "The code cannot be checked now. Try again later, or ask an administrator.",
};

pub(super) const GERMAN: Words = Words {
    codes: ["Bestätigungscode: ", "Zwei Bestätigungscodes, den aktuellen und den nächsten: "],
    password_and_codes: [
        "Passwort und Bestätigungscode: ",
        "Passwort und zwei Bestätigungscodes, den aktuellen und den nächsten: ",
    ],
    password: "Passwort: ",
    ticket: "Einrichtungscode: ",
    scan: "Scannen Sie das mit Ihrer Authenticator-App:",
    or_type_key: "\nOder tippen Sie diesen Schlüssel ein: ",
    type_key: "Tippen Sie diesen Schlüssel in Ihre Authenticator-App ein: ",
    first_code: "\nGeben Sie dann den Code ein, den sie zeigt.",
    enrolled: "Ihr Gerät ist eingerichtet.",
    get_recovery_codes: "Wiederherstellungscodes gibt es mit 'totpctl recovery-codes'.",
    not_accepted: "Das wurde nicht angenommen.",
    two_codes_needed: "Jetzt sind zwei Codes hintereinander nötig.",
    used: "Dieser Code wurde schon benutzt. Warten Sie auf den nächsten.",
    used_one_second: "Dieser Code wurde schon benutzt. Der nächste kommt in 1 Sekunde.",
    used_some_seconds: "Dieser Code wurde schon benutzt. Der nächste kommt in {} Sekunden.",
    begin_with_it: "Beginnen Sie mit diesem.",
    now: [
        "Geben Sie ein, was Ihr Gerät jetzt zeigt.",
        "Geben Sie den aktuellen Code ein, warten Sie auf den nächsten, und hängen Sie ihn an.",
    ],
    now_with_password: [
        "Geben Sie Ihr Passwort ein und direkt dahinter, was Ihr Gerät jetzt zeigt.",
        "Geben Sie Ihr Passwort ein, direkt dahinter den aktuellen Code, warten Sie auf den nächsten, und hängen Sie ihn an.",
    ],
    then: [
        "Versuchen Sie es noch einmal mit dem, was Ihr Gerät dann zeigt.",
        "Versuchen Sie es noch einmal mit dem aktuellen Code und dem nächsten dahinter.",
    ],
    then_with_password: [
        "Versuchen Sie es noch einmal mit Ihrem Passwort und direkt dahinter dem, was Ihr Gerät dann zeigt.",
        "Versuchen Sie es noch einmal mit Ihrem Passwort, direkt dahinter dem aktuellen Code und danach dem nächsten.",
    ],
    no_recovery_code_left: "Das war Ihr letzter Wiederherstellungscode. Neue gibt es mit 'totpctl recovery-codes'.",
    one_recovery_code_left: "Noch 1 Wiederherstellungscode. Neue gibt es mit 'totpctl recovery-codes'.",
    few_recovery_codes_left: "Noch {} Wiederherstellungscodes. Neue gibt es mit 'totpctl recovery-codes'.",
    unavailable: "Der Code lässt sich gerade nicht prüfen. \
                  Versuchen Sie es später noch einmal, oder fragen Sie in der Administration nach.",
};
