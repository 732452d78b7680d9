//! The texts of the printed sheet, in each language. In the order of the page.

use super::Language;

/// The texts of a language. They stand in HTML as they are.
pub(super) struct Words {
    pub(super) code: &'static str,
    /// `{}` is the user.
    pub(super) title: &'static str,
    /// Before the issuer, which the app shows above its codes.
    pub(super) in_the_app: &'static str,
    pub(super) account: &'static str,
    pub(super) device: &'static str,
    pub(super) install: &'static str,
    pub(super) scan: &'static str,
    pub(super) type_it: &'static str,
    pub(super) log_in: &'static str,
    pub(super) log_in_counted: &'static str,
    pub(super) cannot_scan: &'static str,
    pub(super) type_key: &'static str,
    /// The parameters of the codes: `{digits}`, `{period}`, `{counter}` and `{alg}`.
    pub(super) by_time: &'static str,
    pub(super) by_counter: &'static str,
    pub(super) keep_secret: &'static str,
    /// `{}` is the command.
    pub(super) not_active: &'static str,
    /// `{}` is the user.
    pub(super) recovery_codes: &'static str,
    pub(super) how_to_recover: &'static str,
    pub(super) new_codes: &'static str,
}

/// The words of a language.
pub(super) fn words(language: Language) -> &'static Words {
    match language {
        Language::En => &ENGLISH,
        Language::De => &GERMAN,
    }
}

const ENGLISH: Words = Words {
    code: "en",
    title: "Login codes for {}",
    in_the_app: "In the app",
    account: "Account",
    device: "Device",
    install: "Install an authenticator app on your phone, if you have none: for example Aegis, FreeOTP+, 2FAS, or the app of your \
              password manager.",
    scan: "Add an account in the app, and scan this square.",
    type_it: "Add an account in the app, and type the key below.",
    log_in: "When a login asks for a verification code, type the digits that the app shows just then. Each code works once.",
    log_in_counted: "When a login asks for a verification code, press the button of the device and type the digits that it shows. \
                     Each code works once.",
    cannot_scan: "If you cannot scan",
    type_key: "Type this key:",
    by_time: "time-based, {digits} digits, {period} seconds, {alg}",
    by_counter: "counter-based (HOTP), next counter {counter}, {digits} digits, {alg}",
    keep_secret: "This page holds your key. Show it to no one else, and destroy this part as soon as the app shows codes.",
    not_active: "This device is not active yet. Its first code activates it:",
    recovery_codes: "Recovery codes of {}",
    how_to_recover: "Cut off here, and keep this part apart from the phone. Without the phone, type one of these in place of the code. \
                     Each opens one login.",
    new_codes: "For new ones, run",
};

const GERMAN: Words = Words {
    code: "de",
    title: "Anmeldecodes für {}",
    in_the_app: "In der App",
    account: "Konto",
    device: "Gerät",
    install: "Installieren Sie auf Ihrem Telefon eine Authenticator-App, falls Sie noch keine haben: zum Beispiel Aegis, FreeOTP+, \
              2FAS oder die App Ihres Passwort-Managers.",
    scan: "Fügen Sie in der App ein Konto hinzu, und scannen Sie dieses Quadrat.",
    type_it: "Fügen Sie in der App ein Konto hinzu, und geben Sie den Schlüssel ein, der unten steht.",
    log_in: "Wenn eine Anmeldung nach einem Bestätigungscode fragt, geben Sie die Ziffern ein, die die App gerade zeigt. Jeder Code \
             gilt einmal.",
    log_in_counted: "Wenn eine Anmeldung nach einem Bestätigungscode fragt, drücken Sie den Knopf des Geräts, und geben Sie die \
                     Ziffern ein, die es zeigt. Jeder Code gilt einmal.",
    cannot_scan: "Falls Sie nicht scannen können",
    type_key: "Geben Sie diesen Schlüssel ein:",
    by_time: "zeitbasiert, {digits} Ziffern, {period} Sekunden, {alg}",
    by_counter: "zählerbasiert (HOTP), nächster Zähler {counter}, {digits} Ziffern, {alg}",
    keep_secret: "Auf dieser Seite steht Ihr Schlüssel. Zeigen Sie sie sonst niemandem, und vernichten Sie diesen Teil, sobald die \
                  App Codes zeigt.",
    not_active: "Dieses Gerät ist noch nicht aktiv. Sein erster Code aktiviert es:",
    recovery_codes: "Wiederherstellungscodes von {}",
    how_to_recover: "Hier abschneiden, und diesen Teil getrennt vom Telefon aufbewahren. Ohne das Telefon geben Sie einen davon \
                     anstelle des Codes ein. Jeder öffnet eine Anmeldung.",
    new_codes: "Neue erhalten Sie mit",
};
