//! Draws QR codes on the terminal: forms (utf8, inverse, ansi, ascii), colours, and the width in
//! columns.
//!
//! The modules, with a quiet zone, come from `common`.

use common::qr::{BORDERS, modules_within};
use common::secret::SecretText;
use qrcode::types::QrResult;
use zeroize::Zeroizing;

/// The forms of `--qr`.
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
    /// The form without `--qr`: none if the output is not a terminal, else one that the locale can
    /// show.
    pub(crate) fn usual(on_terminal: bool, environment: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .filter_map(environment)
            .find(|value| !value.is_empty());
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        let speaks_utf8 = locale.contains("utf-8") || locale.contains("utf8");
        match (on_terminal, speaks_utf8) {
            (false, _) => Self::None,
            (true, true) => Self::Utf8,
            (true, false) => Self::Ascii,
        }
    }
}

/// A QR code as text.
pub(crate) struct Drawing {
    /// Whole lines.
    pub(crate) text: Zeroizing<String>,
    /// The width, in columns.
    pub(crate) columns: usize,
    /// The height.
    pub(crate) lines: usize,
}

impl Drawing {
    /// Whether the window shows all of it, with one more line for a prompt.
    pub(crate) fn fits(&self, window: Window) -> bool {
        self.columns <= window.columns && self.lines < window.lines
    }
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) columns: usize,
    pub(crate) lines: usize,
}

/// Draws `text` as a QR code, with a border that is narrower where the window has too little
/// room for the usual one.
pub(crate) fn draw_in(
    text: &SecretText,
    form: Form,
    colours: bool,
    window: Option<Window>,
) -> QrResult<Option<Drawing>> {
    let [usual, narrow] = BORDERS;
    match (draw_within(text, form, colours, usual)?, window) {
        (Some(drawing), Some(window)) if !drawing.fits(window) => {
            draw_within(text, form, colours, narrow)
        }
        (drawing, _) => Ok(drawing),
    }
}

/// Draws `text` with a border; nothing with [`Form::None`]. With `colours`, half blocks set a dark background of
/// their own, so they can be scanned on every terminal. Fails if the text is too long for a QR
/// code.
fn draw_within(
    text: &SecretText,
    form: Form,
    colours: bool,
    border: usize,
) -> QrResult<Option<Drawing>> {
    if form == Form::None {
        return Ok(None);
    }
    let modules = modules_within(text, border)?;
    let side = modules.side();
    let (text, columns) = match form {
        Form::Utf8 if colours => (
            modules.half_blocks(|dark| !dark, WHITE_ON_BLACK, PLAIN),
            side,
        ),
        Form::Utf8 => (modules.half_blocks(|dark| !dark, "", ""), side),
        Form::Inverse => (modules.half_blocks(|dark| dark, "", ""), side),
        Form::Ansi => (
            modules.pairs("\x1b[40m  ", "\x1b[47m  ", PLAIN),
            side.saturating_mul(2),
        ),
        Form::Ascii | Form::None => (modules.pairs("  ", "@@", ""), side.saturating_mul(2)),
    };
    let lines = text.lines().count();
    Ok(Some(Drawing {
        text,
        columns,
        lines,
    }))
}

const WHITE_ON_BLACK: &str = "\x1b[97;40m";
const PLAIN: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use common::qr::modules;

    use super::*;

    fn draw(text: &SecretText, form: Form, colours: bool) -> QrResult<Option<Drawing>> {
        draw_in(text, form, colours, None)
    }

    #[test]
    fn a_window_with_little_room_gets_a_narrow_border() {
        let lines_in = |lines| {
            let window = Some(Window { columns: 80, lines });
            let uri = SecretText::new(URI.to_owned());
            draw_in(&uri, Form::Utf8, false, window)
                .unwrap()
                .unwrap()
                .lines
        };
        assert_eq!(lines_in(24), 23);
        assert_eq!(lines_in(23), 21, "a prompt follows");
        assert_eq!(lines_in(10), 21, "and narrower than that it is never");
    }

    const URI: &str = "otpauth://totp/demo:alice@host.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=demo";

    fn drawn(form: Form) -> Zeroizing<String> {
        draw(&SecretText::new(URI.to_owned()), form, false)
            .unwrap()
            .unwrap()
            .text
    }

    fn dark_modules() -> Vec<Vec<bool>> {
        modules(&SecretText::new(URI.to_owned()))
            .unwrap()
            .rows()
            .map(<[bool]>::to_vec)
            .collect()
    }

    #[test]
    fn half_blocks_in_colours_are_the_same_half_blocks() {
        let coloured = draw(&SecretText::new(URI.to_owned()), Form::Utf8, true)
            .unwrap()
            .unwrap()
            .text;
        let plain: String = coloured
            .lines()
            .map(|line| {
                line.strip_prefix("\x1b[97;40m")
                    .unwrap()
                    .strip_suffix("\x1b[0m")
                    .unwrap()
                    .to_owned()
                    + "\n"
            })
            .collect();
        assert_eq!(plain, *drawn(Form::Utf8));
    }

    #[test]
    fn half_blocks_draw_the_light_modules_or_the_dark_ones() {
        let first = |form| drawn(form).chars().next().unwrap();
        assert_eq!((first(Form::Utf8), first(Form::Inverse)), ('█', ' '));
    }

    #[test]
    fn plain_characters_are_ascii() {
        assert!(drawn(Form::Ascii).is_ascii());
    }

    #[test]
    fn colours_show_the_modules_of_the_code() {
        let text = drawn(Form::Ansi);
        let rows: Vec<Vec<bool>> = text
            .lines()
            .map(|line| {
                let modules = line.strip_suffix("\x1b[0m").unwrap().split("  ");
                modules
                    .filter(|m| !m.is_empty())
                    .map(|colour| colour == "\x1b[40m")
                    .collect()
            })
            .collect();
        assert_eq!(rows, dark_modules());
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
            let room = modules(&SecretText::new(URI.to_owned()))
                .unwrap()
                .canvas()
                .capacity();
            assert!(drawn(form).len() <= room, "{form:?}");
        }
    }

    #[test]
    fn what_no_code_can_hold_is_an_error_and_none_draws_nothing() {
        assert!(draw(&SecretText::new("a".repeat(3000)), Form::Utf8, false).is_err());
        assert!(
            draw(&SecretText::new("a".repeat(3000)), Form::None, false)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_usual_form_is_what_the_terminal_can_show() {
        let with = |name: &'static str, value: &'static str| {
            move |asked: &str| {
                (asked == name)
                    .then(|| value.to_owned())
                    .or_else(|| (asked == "LANG").then(|| "C".to_owned()))
            }
        };
        assert_eq!(Form::usual(true, with("LANG", "de_DE.UTF-8")), Form::Utf8);
        assert_eq!(Form::usual(true, with("LC_CTYPE", "C.utf8")), Form::Utf8);
        assert_eq!(
            Form::usual(true, with("LC_ALL", "")),
            Form::Ascii,
            "an empty variable counts as unset"
        );
        assert_eq!(Form::usual(true, with("LC_ALL", "POSIX")), Form::Ascii);
        assert_eq!(Form::usual(true, |_| None), Form::Ascii);
        assert_eq!(Form::usual(false, with("LANG", "C.UTF-8")), Form::None);
    }
}
