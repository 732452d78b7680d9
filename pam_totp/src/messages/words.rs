//! The wording of every prompt and message, in English and German. To add a language: its `Words`
//! here, and its `lang=` in `options.rs`.

#![forbid(unsafe_code)]

use crate::options::Language;

/// The words of a language.
pub(super) fn words(language: Language) -> &'static Words {
    match language {
        Language::English => &ENGLISH,
        Language::German => &GERMAN,
    }
}

/// A text for one code, and for two codes.
pub(super) type OfCodes = [&'static str; 2];

/// One language: the prompts, and the sentences after them.
pub(super) struct Words {
    pub(super) code: &'static str,
    pub(super) password_and_code: &'static str,
    /// In place of the prompt's colon, where it asks for two codes.
    pub(super) both: &'static str,
    pub(super) password: &'static str,
    pub(super) ticket: &'static str,
    /// Before the QR code, the key below it, the key alone, and the prompt after them.
    pub(super) scan: &'static str,
    pub(super) or_type_key: &'static str,
    pub(super) type_key: &'static str,
    pub(super) first_code: OfCodes,
    pub(super) enrolled: &'static str,
    pub(super) get_recovery_codes: &'static str,
    /// By how many codes the prompt asked for.
    pub(super) not_accepted: OfCodes,
    /// After a text that is not written like any code.
    pub(super) not_digits: &'static str,
    pub(super) ticket_not_accepted: &'static str,
    pub(super) two_codes_needed: &'static str,
    pub(super) used: &'static str,
    pub(super) used_one_second: &'static str,
    /// `{}` is the number of seconds.
    pub(super) used_some_seconds: &'static str,
    /// After a used code, where two are asked for: the next code is the first of the two.
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
    /// In a quarantine; `{}` is the time of day.
    pub(super) quarantine_until: &'static str,
    pub(super) quarantine: &'static str,
}

pub(super) const ENGLISH: Words = Words {
    code: "Verification code: ",
    password_and_code: "Password & verification code: ",
    both: " (the current one and the next): ",
    password: "Password: ",
    ticket: "Enrolment ticket: ",
    scan: "Scan this QR code with your authenticator app:",
    or_type_key: "\nOr type this key into the app: ",
    type_key: "Type this key into your authenticator app: ",
    first_code: [
        "\nThen type the code that the app shows.",
        "\nThen type the code that the app shows, wait until it shows the next one, and type that on the same line.",
    ],
    enrolled: "Your device is enrolled.",
    get_recovery_codes: "Run 'totpctl recovery-codes' to get recovery codes.",
    not_accepted: ["The code was not accepted.", "The codes were not accepted."],
    not_digits: "That is not a code. A device's code has only the digits 0 to 9; a recovery code has 16 letters and \
                 digits.",
    ticket_not_accepted: "The ticket was not accepted.",
    two_codes_needed: "Two codes in a row are needed now, because many wrong codes were typed, the store was restored, or no verifier can be reached. \
                       This ends with time, or by an administrator's 'totpctl unlock'.",
    used: "That code was already used. Wait until your device shows the next one.",
    used_one_second: "That code was already used. Your device shows the next one in 1 second.",
    used_some_seconds: "That code was already used. Your device shows the next one in {} seconds.",
    begin_with_it: "Start with that one.",
    now: [
        "Type the code that your device shows now.",
        "Type the current code, wait until your device shows the next one, and type that on the same line.",
    ],
    now_with_password: [
        "Type your password, directly followed by the code that your device shows now.",
        "Type your password, directly followed by the current code; wait until your device shows the next one, and type \
         that on the same line.",
    ],
    then: [
        "Try again with the code that your device shows then.",
        "Try again with the current code, directly followed by the next one.",
    ],
    then_with_password: [
        "Try again with your password, directly followed by the code that your device shows then.",
        "Try again with your password, directly followed by the current code and the next one.",
    ],
    no_recovery_code_left: "That was your last recovery code. Run 'totpctl recovery-codes' to get new ones.",
    one_recovery_code_left: "You have 1 recovery code left. Run 'totpctl recovery-codes' to get new ones.",
    few_recovery_codes_left: "You have {} recovery codes left. Run 'totpctl recovery-codes' to get new ones.",
    unavailable: "The code cannot be checked now. Try again later, or ask an administrator.",
    quarantine_until: "This machine was started, or its clock set, a moment ago: codes shown from {} on are accepted.",
    quarantine: "This machine's clock cannot be trusted now, and codes are refused until it can. \
                 Try again later, or ask an administrator.",
};

pub(super) const GERMAN: Words = Words {
    code: "Bestätigungscode: ",
    password_and_code: "Passwort und Bestätigungscode: ",
    both: " (der aktuelle und der nächste): ",
    password: "Passwort: ",
    ticket: "Einrichtungscode: ",
    scan: "Scannen Sie diesen QR-Code mit Ihrer Authenticator-App:",
    or_type_key: "\nOder geben Sie diesen Schlüssel in der App ein: ",
    type_key: "Geben Sie diesen Schlüssel in Ihrer Authenticator-App ein: ",
    first_code: [
        "\nGeben Sie dann den Code ein, den die App zeigt.",
        "\nGeben Sie dann den Code ein, den die App zeigt, warten Sie, bis sie den nächsten zeigt, und geben Sie ihn in \
         derselben Zeile ein.",
    ],
    enrolled: "Ihr Gerät ist eingerichtet.",
    get_recovery_codes: "Wiederherstellungscodes erhalten Sie mit 'totpctl recovery-codes'.",
    not_accepted: [
        "Der Code wurde nicht angenommen.",
        "Die Codes wurden nicht angenommen.",
    ],
    not_digits: "Das ist kein Code. Der Code eines Geräts hat nur die Ziffern 0 bis 9; ein Wiederherstellungscode hat \
                 16 Buchstaben und Ziffern.",
    ticket_not_accepted: "Der Einrichtungscode wurde nicht angenommen.",
    two_codes_needed: "Jetzt sind zwei Codes hintereinander nötig, weil viele falsche Codes eingegeben wurden, der Speicher wiederhergestellt wurde oder kein Verifier erreichbar ist. \
                       Das endet mit der Zeit oder durch 'totpctl unlock' in der Administration.",
    used: "Dieser Code wurde schon benutzt. Warten Sie, bis Ihr Gerät den nächsten zeigt.",
    used_one_second: "Dieser Code wurde schon benutzt. Ihr Gerät zeigt den nächsten in 1 Sekunde.",
    used_some_seconds: "Dieser Code wurde schon benutzt. Ihr Gerät zeigt den nächsten in {} Sekunden.",
    begin_with_it: "Beginnen Sie mit diesem.",
    now: [
        "Geben Sie den Code ein, den Ihr Gerät jetzt zeigt.",
        "Geben Sie den aktuellen Code ein, warten Sie, bis Ihr Gerät den nächsten zeigt, und geben Sie ihn in derselben \
         Zeile ein.",
    ],
    now_with_password: [
        "Geben Sie Ihr Passwort ein und direkt dahinter den Code, den Ihr Gerät jetzt zeigt.",
        "Geben Sie Ihr Passwort ein und direkt dahinter den aktuellen Code; warten Sie, bis Ihr Gerät den nächsten zeigt, \
         und geben Sie ihn in derselben Zeile ein.",
    ],
    then: [
        "Versuchen Sie es noch einmal mit dem Code, den Ihr Gerät dann zeigt.",
        "Versuchen Sie es noch einmal mit dem aktuellen Code und direkt dahinter dem nächsten.",
    ],
    then_with_password: [
        "Versuchen Sie es noch einmal mit Ihrem Passwort und direkt dahinter dem Code, den Ihr Gerät dann zeigt.",
        "Versuchen Sie es noch einmal mit Ihrem Passwort, direkt dahinter dem aktuellen Code und danach dem nächsten.",
    ],
    no_recovery_code_left: "Das war Ihr letzter Wiederherstellungscode. Neue erhalten Sie mit 'totpctl recovery-codes'.",
    one_recovery_code_left: "Sie haben noch 1 Wiederherstellungscode. Neue erhalten Sie mit 'totpctl recovery-codes'.",
    few_recovery_codes_left: "Sie haben noch {} Wiederherstellungscodes. Neue erhalten Sie mit 'totpctl recovery-codes'.",
    unavailable: "Der Code kann gerade nicht geprüft werden. \
                  Versuchen Sie es später noch einmal, oder fragen Sie in der Administration nach.",
    quarantine_until: "Dieser Rechner wurde eben gestartet, oder seine Uhr wurde gestellt: \
                       Codes, die Ihr Gerät ab {} Uhr zeigt, werden angenommen.",
    quarantine: "Der Uhr dieses Rechners ist gerade nicht zu trauen, und bis dahin wird kein Code angenommen. \
                 Versuchen Sie es später noch einmal, oder fragen Sie in der Administration nach.",
};
