//! QR codes in text: each form draws the same modules, with the quiet zone that scanners need around them.

use common::secret::SecretText;
use qrcode::types::QrResult;
use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

/// How a QR code is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// Half blocks, for terminals with light text on a dark background
    Utf8,
    /// Half blocks, for terminals with dark text on a light background
    Inverse,
    /// Spaces with colours, for terminals without UTF-8
    Ansi,
    /// Plain characters, for terminals without colours and UTF-8
    Ascii,
    /// No QR code
    None,
}

impl Form {
    /// What a person expects who asked for nothing: nothing off a terminal, else what its locale can show.
    pub(crate) fn usual(on_terminal: bool, environment: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(environment).find(|value| !value.is_empty());
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        let speaks_utf8 = locale.contains("utf-8") || locale.contains("utf8");
        match (on_terminal, speaks_utf8) {
            (false, _) => Self::None,
            (true, true) => Self::Utf8,
            (true, false) => Self::Ascii,
        }
    }
}

/// A QR code in text.
pub(crate) struct Drawing {
    /// Whole lines.
    pub(crate) text: Zeroizing<String>,
    /// How wide they are, in characters.
    pub(crate) columns: usize,
}

/// Draws `text`, or nothing if the form says so. With `colours`, half blocks bring their own dark background, and are
/// right whatever the terminal's is. Fails when the text is longer than a QR code can hold.
pub(crate) fn draw(text: &SecretText, form: Form, colours: bool) -> QrResult<Option<Drawing>> {
    if form == Form::None {
        return Ok(None);
    }
    let modules = modules(text)?;
    let side = modules.0.len();
    let (text, columns) = match form {
        Form::Utf8 if colours => (modules.half_blocks(|dark| !dark, WHITE_ON_BLACK, PLAIN), side),
        Form::Utf8 => (modules.half_blocks(|dark| !dark, "", ""), side),
        Form::Inverse => (modules.half_blocks(|dark| dark, "", ""), side),
        Form::Ansi => (modules.pairs("\x1b[40m  ", "\x1b[47m  ", PLAIN), side.saturating_mul(2)),
        Form::Ascii | Form::None => (modules.pairs("  ", "@@", ""), side.saturating_mul(2)),
    };
    Ok(Some(Drawing { text, columns }))
}

/// The dark and light squares of the code for `text`. Fails when it is longer than a QR code can hold.
pub(crate) fn modules(text: &SecretText) -> QrResult<Modules> {
    Ok(Modules::of(&encode(text.expose().as_bytes())?))
}

/// The smallest code that holds the text, with the better error correction if that makes it no larger.
fn encode(text: &[u8]) -> QrResult<QrCode> {
    let smallest = QrCode::with_error_correction_level(text, EcLevel::L)?;
    Ok(QrCode::with_version(text, smallest.version(), EcLevel::M).unwrap_or(smallest))
}

/// The dark and light squares, row by row, quiet zone included.
pub(crate) struct Modules(Vec<Zeroizing<Vec<bool>>>);

impl Modules {
    /// How many there are in a row, and how many rows.
    pub(crate) fn side(&self) -> usize {
        self.0.len()
    }

    /// Row by row, `true` for dark.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[bool]> {
        self.0.iter().map(|row| row.as_slice())
    }

    fn of(code: &QrCode) -> Self {
        let side = code.width().saturating_add(QUIET.saturating_mul(2));
        let blank = || Zeroizing::new(vec![false; side]);
        let colors = code.to_colors();
        let rows = colors.chunks(code.width()).map(|row| {
            let dark = row.iter().map(|color| *color == Color::Dark);
            let margin = || std::iter::repeat_n(false, QUIET);
            Zeroizing::new(margin().chain(dark).chain(margin()).collect())
        });
        let margin = || std::iter::repeat_with(blank).take(QUIET);
        Self(margin().chain(rows).chain(margin()).collect())
    }

    /// Two rows in one line of text. `inked` says which modules the text colour draws.
    fn half_blocks(&self, inked: impl Fn(bool) -> bool, begin: &str, end: &str) -> Zeroizing<String> {
        let mut drawn = self.canvas();
        for two_rows in self.0.chunks(2) {
            drawn.push_str(begin);
            let (upper, lower) = (two_rows.first(), two_rows.get(1));
            for (column, dark) in upper.into_iter().flat_map(|row| row.iter()).enumerate() {
                // Below the last row is the terminal's background.
                let below = lower.and_then(|row| row.get(column)).is_some_and(|dark| inked(*dark));
                drawn.push(match (inked(*dark), below) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            drawn.push_str(end);
            drawn.push('\n');
        }
        drawn
    }

    /// Two characters for each module: together about as wide as high.
    fn pairs(&self, dark: &str, light: &str, end: &str) -> Zeroizing<String> {
        let mut drawn = self.canvas();
        for row in &self.0 {
            row.iter().for_each(|is_dark| drawn.push_str(if *is_dark { dark } else { light }));
            drawn.push_str(end);
            drawn.push('\n');
        }
        drawn
    }

    /// Room for any form: a text that grew would leave a copy of the key behind.
    fn canvas(&self) -> Zeroizing<String> {
        let modules = self.0.len().saturating_mul(self.0.len());
        Zeroizing::new(String::with_capacity(modules.saturating_mul(BYTES_PER_MODULE)))
    }
}

/// Light modules around the code, as many as ISO/IEC 18004 asks for.
const QUIET: usize = 4;
const BYTES_PER_MODULE: usize = 8;
const WHITE_ON_BLACK: &str = "\x1b[97;40m";
const PLAIN: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "otpauth://totp/demo:alice@host.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=demo";

    fn drawn(form: Form) -> Zeroizing<String> {
        draw(&SecretText::new(URI.to_owned()), form, false).unwrap().unwrap().text
    }

    /// What the library says the modules are, `true` for dark, without the quiet zone.
    fn expected() -> Vec<Vec<bool>> {
        let code = encode(URI.as_bytes()).unwrap();
        code.to_colors().chunks(code.width()).map(|row| row.iter().map(|c| *c == Color::Dark).collect()).collect()
    }

    /// Takes the quiet zone away, and insists that it was there.
    fn without_quiet_zone(modules: &[Vec<bool>]) -> Vec<Vec<bool>> {
        let inner = modules.len() - 2 * QUIET;
        let (above, rest) = modules.split_at(QUIET);
        let (rows, below) = rest.split_at(inner);
        assert!(above.iter().chain(below).flatten().all(|dark| !dark));
        rows.iter()
            .map(|row| {
                assert_eq!(row.len(), inner + 2 * QUIET);
                assert!(row[..QUIET].iter().chain(&row[QUIET + inner..]).all(|dark| !dark));
                row[QUIET..QUIET + inner].to_vec()
            })
            .collect()
    }

    fn read_half_blocks(text: &str, ink_is_dark: bool) -> Vec<Vec<bool>> {
        let width = text.lines().next().unwrap().chars().count();
        let mut rows = Vec::new();
        for line in text.lines() {
            rows.push(line.chars().map(|c| matches!(c, '█' | '▀') == ink_is_dark).collect());
            rows.push(line.chars().map(|c| matches!(c, '█' | '▄') == ink_is_dark).collect());
        }
        rows.truncate(width);
        rows
    }

    #[test]
    fn half_blocks_show_the_modules_of_the_code() {
        assert_eq!(without_quiet_zone(&read_half_blocks(&drawn(Form::Utf8), false)), expected());
        assert_eq!(without_quiet_zone(&read_half_blocks(&drawn(Form::Inverse), true)), expected());
    }

    #[test]
    fn half_blocks_in_colours_are_the_same_half_blocks() {
        let coloured = draw(&SecretText::new(URI.to_owned()), Form::Utf8, true).unwrap().unwrap().text;
        let plain: String = coloured
            .lines()
            .map(|line| line.strip_prefix("\x1b[97;40m").unwrap().strip_suffix("\x1b[0m").unwrap().to_owned() + "\n")
            .collect();
        assert_eq!(plain, *drawn(Form::Utf8));
    }

    #[test]
    fn plain_characters_show_the_modules_of_the_code() {
        let text = drawn(Form::Ascii);
        assert!(text.is_ascii());
        let rows: Vec<Vec<bool>> =
            text.lines().map(|line| line.as_bytes().chunks(2).map(|pair| pair == b"  ").collect()).collect();
        assert_eq!(without_quiet_zone(&rows), expected());
    }

    #[test]
    fn colours_show_the_modules_of_the_code() {
        let text = drawn(Form::Ansi);
        let rows: Vec<Vec<bool>> = text
            .lines()
            .map(|line| {
                let modules = line.strip_suffix("\x1b[0m").unwrap().split("  ");
                modules.filter(|m| !m.is_empty()).map(|colour| colour == "\x1b[40m").collect()
            })
            .collect();
        assert_eq!(without_quiet_zone(&rows), expected());
    }

    #[test]
    fn an_ordinary_enrolment_fits_80_columns_in_half_blocks() {
        let text = drawn(Form::Utf8);
        assert!(text.lines().all(|line| line.chars().count() <= 49));
        assert!(text.lines().count() <= 25);
    }

    #[test]
    fn no_form_draws_outside_its_canvas() {
        for form in [Form::Utf8, Form::Inverse, Form::Ansi, Form::Ascii] {
            let room = Modules::of(&encode(URI.as_bytes()).unwrap()).canvas().capacity();
            assert!(drawn(form).len() <= room, "{form:?}");
        }
    }

    #[test]
    fn what_no_code_can_hold_is_an_error_and_none_draws_nothing() {
        assert!(draw(&SecretText::new("a".repeat(3000)), Form::Utf8, false).is_err());
        assert!(draw(&SecretText::new("a".repeat(3000)), Form::None, false).unwrap().is_none());
    }

    #[test]
    fn the_usual_form_is_what_the_terminal_can_show() {
        let with = |name: &'static str, value: &'static str| {
            move |asked: &str| {
                (asked == name).then(|| value.to_owned()).or_else(|| (asked == "LANG").then(|| "C".to_owned()))
            }
        };
        assert_eq!(Form::usual(true, with("LANG", "de_DE.UTF-8")), Form::Utf8);
        assert_eq!(Form::usual(true, with("LC_CTYPE", "C.utf8")), Form::Utf8);
        assert_eq!(Form::usual(true, with("LC_ALL", "")), Form::Ascii, "an empty variable counts as unset");
        assert_eq!(Form::usual(true, with("LC_ALL", "POSIX")), Form::Ascii);
        assert_eq!(Form::usual(true, |_| None), Form::Ascii);
        assert_eq!(Form::usual(false, with("LANG", "C.UTF-8")), Form::None);
    }
}
