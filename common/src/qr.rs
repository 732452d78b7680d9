//! QR codes: the dark and light squares (modules) with their white border (quiet zone), for text
//! and pictures, and two ways to draw them as text.

use qrcode::types::QrResult;
use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

use crate::secret::SecretText;

/// The dark and light squares of the code for `text`.
///
/// # Errors
/// It is longer than a QR code can hold.
pub fn modules(text: &SecretText) -> QrResult<Modules> {
    modules_within(text, QUIET)
}

/// The same with a white border of so many squares.
///
/// # Errors
/// Those of [`modules`].
pub fn modules_within(text: &SecretText, border: usize) -> QrResult<Modules> {
    Ok(Modules::of(&encode(text.expose().as_bytes())?, border))
}

/// The code for `text` with the widest border that fits into a window, drawn in half blocks. `None`:
/// it fits with none that scanners read.
#[must_use]
pub fn fitting(text: &SecretText, columns: usize, lines: usize) -> Option<Modules> {
    let fits = |modules: &Modules| modules.side() <= columns && modules.side().div_ceil(2) <= lines;
    BORDERS
        .into_iter()
        .filter_map(|border| modules_within(text, border).ok())
        .find(fits)
}

/// The smallest code that holds the text, with better error correction if that does not make it
/// larger.
fn encode(text: &[u8]) -> QrResult<QrCode> {
    let smallest = QrCode::with_error_correction_level(text, EcLevel::L)?;
    Ok(QrCode::with_version(text, smallest.version(), EcLevel::M).unwrap_or(smallest))
}

/// The dark and light squares, row by row, quiet zone included.
pub struct Modules(Vec<Zeroizing<Vec<bool>>>);

impl Modules {
    /// The number of squares in a row, and of rows.
    #[must_use]
    pub fn side(&self) -> usize {
        self.0.len()
    }

    /// Row by row, `true` for dark.
    pub fn rows(&self) -> impl Iterator<Item = &[bool]> {
        self.0.iter().map(|row| row.as_slice())
    }

    fn of(code: &QrCode, border: usize) -> Self {
        let side = code.width().saturating_add(border.saturating_mul(2));
        let blank = || Zeroizing::new(vec![false; side]);
        let colors = code.to_colors();
        let rows = colors.chunks(code.width()).map(|row| {
            let dark = row.iter().map(|color| *color == Color::Dark);
            let margin = || std::iter::repeat_n(false, border);
            Zeroizing::new(margin().chain(dark).chain(margin()).collect())
        });
        let margin = || std::iter::repeat_with(blank).take(border);
        Self(margin().chain(rows).chain(margin()).collect())
    }

    /// Draws two rows in one line of text. `inked` says which squares are drawn in the text colour;
    /// each line has `begin` before it and `end` after it.
    #[must_use]
    pub fn half_blocks(
        &self,
        inked: impl Fn(bool) -> bool,
        begin: &str,
        end: &str,
    ) -> Zeroizing<String> {
        let mut drawn = self.canvas();
        for two_rows in self.0.chunks(2) {
            drawn.push_str(begin);
            let (upper, lower) = (two_rows.first(), two_rows.get(1));
            for (column, dark) in upper.into_iter().flat_map(|row| row.iter()).enumerate() {
                // Below the last row is the terminal's background.
                let below = lower
                    .and_then(|row| row.get(column))
                    .is_some_and(|dark| inked(*dark));
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

    /// Draws two characters for each square: together about as wide as high.
    #[must_use]
    pub fn pairs(&self, dark: &str, light: &str, end: &str) -> Zeroizing<String> {
        let mut drawn = self.canvas();
        for row in &self.0 {
            row.iter()
                .for_each(|is_dark| drawn.push_str(if *is_dark { dark } else { light }));
            drawn.push_str(end);
            drawn.push('\n');
        }
        drawn
    }

    /// Room for any form: a text that grew would leave a copy of the key behind.
    #[must_use]
    pub fn canvas(&self) -> Zeroizing<String> {
        let modules = self.0.len().saturating_mul(self.0.len());
        Zeroizing::new(String::with_capacity(
            modules.saturating_mul(BYTES_PER_MODULE),
        ))
    }
}

/// Light modules around the code, as many as ISO/IEC 18004 asks for.
const QUIET: usize = 4;
/// The borders that are tried where there is little room. Scanners read a code on a screen with half
/// of the border.
pub const BORDERS: [usize; 2] = [QUIET, 2];
const BYTES_PER_MODULE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "otpauth://totp/demo:alice@host.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=demo";

    fn drawn() -> Modules {
        modules(&SecretText::new(URI.to_owned())).unwrap()
    }

    /// What the library says the modules are, `true` for dark, without the quiet zone.
    fn expected() -> Vec<Vec<bool>> {
        let code = encode(URI.as_bytes()).unwrap();
        code.to_colors()
            .chunks(code.width())
            .map(|row| row.iter().map(|c| *c == Color::Dark).collect())
            .collect()
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
                assert!(
                    row[..QUIET]
                        .iter()
                        .chain(&row[QUIET + inner..])
                        .all(|dark| !dark)
                );
                row[QUIET..QUIET + inner].to_vec()
            })
            .collect()
    }

    fn read_half_blocks(text: &str, ink_is_dark: bool) -> Vec<Vec<bool>> {
        let width = text.lines().next().unwrap().chars().count();
        let mut rows = Vec::new();
        for line in text.lines() {
            rows.push(
                line.chars()
                    .map(|c| matches!(c, '█' | '▀') == ink_is_dark)
                    .collect(),
            );
            rows.push(
                line.chars()
                    .map(|c| matches!(c, '█' | '▄') == ink_is_dark)
                    .collect(),
            );
        }
        rows.truncate(width);
        rows
    }

    #[test]
    fn half_blocks_show_the_modules_of_the_code() {
        let (light, dark) = (
            drawn().half_blocks(|dark| !dark, "", ""),
            drawn().half_blocks(|dark| dark, "", ""),
        );
        assert_eq!(
            without_quiet_zone(&read_half_blocks(&light, false)),
            expected()
        );
        assert_eq!(
            without_quiet_zone(&read_half_blocks(&dark, true)),
            expected()
        );
    }

    #[test]
    fn pairs_of_characters_show_the_modules_of_the_code() {
        let text = drawn().pairs("  ", "@@", "");
        let rows: Vec<Vec<bool>> = text
            .lines()
            .map(|line| {
                line.as_bytes()
                    .chunks(2)
                    .map(|pair| pair == b"  ")
                    .collect()
            })
            .collect();
        assert_eq!(without_quiet_zone(&rows), expected());
    }

    #[test]
    fn a_code_with_little_room_gets_a_narrow_border_and_else_none_is_drawn() {
        let uri = SecretText::new(URI.to_owned());
        let side = |lines| fitting(&uri, 80, lines).map(|modules| modules.side());
        let wide = drawn().side();
        assert_eq!(side(wide.div_ceil(2)), Some(wide));
        assert_eq!(side(wide.div_ceil(2) - 1), Some(wide - 4));
        assert_eq!(side(wide.div_ceil(2) - 3), None);
        assert!(fitting(&uri, wide - 5, 80).is_none());
    }

    #[test]
    fn what_no_code_can_hold_is_too_long() {
        assert!(modules(&SecretText::new("a".repeat(3000))).is_err());
    }
}
