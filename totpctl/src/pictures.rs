//! The files of --png and --svg: how a QR code's squares are encoded, and their size in pixels.

use std::fmt::Write;

use common::qr::Modules;
use zeroize::Zeroizing;

use crate::exit::Failure;

/// A black and white PNG, [`SCALE`] pixels per module.
pub(crate) fn png(modules: &Modules) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let side = u32::try_from(modules.side().saturating_mul(SCALE)).unwrap_or(u32::MAX);
    let mut picture = Zeroizing::new(Vec::with_capacity(PICTURE_BYTES));
    let mut encoder = png::Encoder::new(&mut *picture, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels(modules)));
    written.map_err(|error| Failure::Writing(error.into()))?;
    Ok(picture)
}

/// One bit per pixel, set for white, rows padded to whole bytes.
fn pixels(modules: &Modules) -> Zeroizing<Vec<u8>> {
    let row_bytes = modules.side().saturating_mul(SCALE).div_ceil(8);
    let mut pixels = Zeroizing::new(Vec::with_capacity(
        row_bytes
            .saturating_mul(modules.side())
            .saturating_mul(SCALE),
    ));
    for row in modules.rows() {
        // A module is as many pixels wide as a byte has bits.
        let line: Zeroizing<Vec<u8>> = Zeroizing::new(
            row.iter()
                .map(|dark| if *dark { 0 } else { 0xff })
                .collect(),
        );
        (0..SCALE).for_each(|_| pixels.extend_from_slice(&line));
    }
    pixels
}

/// An SVG, one unit per module. Each run of dark modules in a row is one rectangle.
pub(crate) fn svg(modules: &Modules) -> Zeroizing<String> {
    let side = modules.side();
    let room = side
        .saturating_mul(side)
        .saturating_mul(RUN_BYTES)
        .saturating_add(PICTURE_BYTES);
    let mut drawing = Zeroizing::new(String::with_capacity(room));
    let size = side.saturating_mul(SCALE);
    // Writing to a String cannot fail.
    let _ = write!(
        drawing,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" viewBox=\"0 0 {side} {side}\" \
         shape-rendering=\"crispEdges\">\n<path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/>\n<path fill=\"#000\" d=\""
    );
    for (y, row) in modules.rows().enumerate() {
        for (x, length) in runs(row) {
            let _ = write!(drawing, "M{x} {y}h{length}v1H{x}z");
        }
    }
    drawing.push_str("\"/>\n</svg>\n");
    drawing
}

/// Start and length of each run of dark modules.
fn runs(row: &[bool]) -> Vec<(usize, usize)> {
    let mut at = 0_usize;
    let mut runs = Vec::new();
    for run in row.chunk_by(|left, right| left == right) {
        if run.first() == Some(&true) {
            runs.push((at, run.len()));
        }
        at = at.saturating_add(run.len());
    }
    runs
}

/// Pixels per module, in each direction: the bits of a byte.
const SCALE: usize = 8;
/// Room for any of these PNGs, in bytes: a buffer that grows leaves a copy of the key in memory.
const PICTURE_BYTES: usize = 64 * 1024;
/// Bytes of SVG per module: a rectangle's text, divided by the two modules at least that it needs
/// in a row.
const RUN_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use common::qr::modules;
    use common::secret::SecretText;

    use super::*;

    fn sample(length: usize) -> Modules {
        modules(&SecretText::new(format!(
            "otpauth://totp/{}",
            "a".repeat(length)
        )))
        .unwrap()
    }

    fn rows(modules: &Modules) -> Vec<Vec<bool>> {
        modules.rows().map(<[bool]>::to_vec).collect()
    }

    #[test]
    fn a_png_shows_the_modules_of_the_code() {
        for length in [1, 100, 2000] {
            let modules = sample(length);
            let picture = png(&modules).unwrap();
            assert!(picture.len() < PICTURE_BYTES);
            let mut reader = png::Decoder::new(std::io::Cursor::new(&*picture))
                .read_info()
                .unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let frame = reader.next_frame(&mut pixels).unwrap();
            assert_eq!(
                (frame.width, frame.height),
                (modules.side() as u32 * 8, modules.side() as u32 * 8)
            );
            let lines: Vec<Vec<bool>> = pixels
                .chunks(frame.line_size)
                .map(|line| {
                    line.iter()
                        .map(|byte| [true, false][usize::from(*byte == 0xff)])
                        .collect()
                })
                .collect();
            assert!(pixels.iter().all(|byte| matches!(byte, 0 | 0xff)));
            for (row, eight) in rows(&modules).iter().zip(lines.chunks(8)) {
                assert!(eight.iter().all(|line| line == row));
            }
        }
    }

    #[test]
    fn an_svg_shows_the_modules_of_the_code() {
        let modules = sample(60);
        let drawing = svg(&modules);
        let mut drawn = vec![vec![false; modules.side()]; modules.side()];
        let path = drawing
            .split("d=\"")
            .nth(2)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        for rectangle in path.split('z').filter(|rectangle| !rectangle.is_empty()) {
            let numbers: Vec<usize> = rectangle
                .split(['M', ' ', 'h', 'v', 'H'])
                .filter_map(|number| number.parse().ok())
                .collect();
            let [x, y, length, 1, back] = numbers[..] else {
                panic!("{rectangle}")
            };
            assert_eq!(x, back);
            drawn[y][x..x + length].fill(true);
        }
        assert_eq!(drawn, rows(&modules));
        assert!(drawing.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    }

    #[test]
    fn no_drawing_outgrows_its_room() {
        for length in [1, 500, 2500] {
            let modules = sample(length);
            let room = modules.side() * modules.side() * RUN_BYTES + PICTURE_BYTES;
            assert!(svg(&modules).len() <= room);
        }
    }

    #[test]
    fn runs_are_found_wherever_they_stand() {
        assert_eq!(
            runs(&[true, true, false, true, false, false, true]),
            [(0, 2), (3, 1), (6, 1)]
        );
        assert!(runs(&[false; 4]).is_empty() && runs(&[]).is_empty());
    }
}
