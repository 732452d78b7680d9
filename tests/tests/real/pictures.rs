//! QR codes as another program reads them: what a terminal shows, a PNG and an SVG, each decoded by
//! `zbarimg`.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::daemon::Setup;
use tests::program::with_input;
use tests::world;

#[test]
fn what_a_terminal_shows_is_read_as_the_uri() {
    let _place = world::enter();
    for label in ["a", "Jürgen of 日本", &"long".repeat(60)] {
        // Half blocks and plain characters are for one kind of background; colours bring their own.
        for (form, backgrounds) in [
            ("utf8", &[Background::Dark][..]),
            ("inverse", &[Background::Light]),
            ("ascii", &[Background::Dark]),
            ("ansi", &[Background::Dark, Background::Light]),
        ] {
            let page = shown(new_key(label, &["--qr", form]));
            backgrounds
                .iter()
                .for_each(|background| assert_read(&page, *background, form));
        }
        let mut on_a_terminal = Command::new("script");
        let command = format!("{:?}", new_key(label, &["--qr", "utf8"]));
        on_a_terminal
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env("TERM", "xterm");
        let page = shown(on_a_terminal);
        for background in [Background::Dark, Background::Light] {
            assert_read(&page, background, "utf8 in colours");
        }
    }
}

#[test]
fn pictures_in_files_are_read_as_the_uri() {
    let _place = world::enter();
    let folder = world::scratch_folder("pictures");
    let [png, svg, drawn] = ["code.png", "code.svg", "drawn.png"].map(|name| folder.join(name));
    let text = |path: &Path| path.to_str().expect("a path").to_owned();
    let told = shown(new_key(
        "Jürgen",
        &["--json", "--png", &text(&png), "--svg", &text(&svg)],
    ));
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    world::run("rsvg-convert", &["--output", &text(&drawn), &text(&svg)]);
    for picture in [png, drawn] {
        assert_eq!(read(&picture), told["uri"], "{}", picture.display());
    }
}

fn new_key(label: &str, arguments: &[&str]) -> Command {
    let setup = Setup::new();
    setup.write();
    let mut command = Command::new(world::built("totpctl"));
    command
        .args(["key", "--settings"])
        .arg(setup.folder.join("settings.yaml"));
    command
        .args(["new", "--label", label, "--issuer", "Big Co"])
        .args(arguments);
    command
}

fn shown(command: Command) -> String {
    let output = with_input(command, "");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .expect("text")
        .replace('\r', "")
}

/// Draws the end of a page as a terminal does, and compares what is read there with the URI above
/// it.
fn assert_read(page: &str, background: Background, what: &str) {
    let uri = page
        .lines()
        .find_map(|line| line.strip_prefix("URI: "))
        .expect("a URI");
    let (_, code) = page
        .trim_end_matches('\n')
        .rsplit_once("\n\n")
        .expect("a code");
    assert_eq!(
        read_off(code, background),
        uri,
        "{what}, {background:?}:\n{code}"
    );
}

/// What is read off a terminal that shows the code.
pub(crate) fn read_off(code: &str, background: Background) -> String {
    let picture = world::scratch_folder("screen").join("screen.pgm");
    fs::write(&picture, pgm(&screen(code, background))).expect("a picture");
    read(&picture)
}

fn read(picture: &Path) -> String {
    let output = world::run(
        "zbarimg",
        &["--raw", "--quiet", picture.to_str().expect("a path")],
    );
    String::from_utf8(output.stdout)
        .expect("text")
        .trim_end()
        .to_owned()
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Background {
    Dark,
    Light,
}

impl Background {
    /// How bright the background is, and the text on it.
    fn colours(self) -> (u8, u8) {
        match self {
            Self::Dark => (BLACK, WHITE),
            Self::Light => (WHITE, BLACK),
        }
    }
}

/// Brightness by rows. A character is as wide as half of its height: it fills one dot in each of
/// two rows.
fn screen(text: &str, background: Background) -> Vec<Vec<u8>> {
    let (plain, _) = background.colours();
    let mut rows: Vec<Vec<u8>> = text
        .lines()
        .flat_map(|line| cells(line, background))
        .collect();
    let width = rows.iter().map(Vec::len).max().expect("rows") + 2 * MARGIN;
    for row in &mut rows {
        row.splice(0..0, [plain; MARGIN]);
        row.resize(width, plain);
    }
    let margin = vec![vec![plain; width]; MARGIN];
    [margin.clone(), rows, margin].concat()
}

fn cells(line: &str, background: Background) -> [Vec<u8>; 2] {
    let (mut paper, mut ink) = background.colours();
    let (mut upper, mut lower) = (Vec::new(), Vec::new());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(sequence) = rest.strip_prefix("\x1b[") {
            let (colours, after) = sequence.split_once('m').expect("a colour");
            for colour in colours.split(';') {
                match colour {
                    "0" => (paper, ink) = background.colours(),
                    "40" => paper = BLACK,
                    "47" => paper = WHITE,
                    "97" => ink = WHITE,
                    other => panic!("an unknown colour: {other}"),
                }
            }
            rest = after;
            continue;
        }
        let (above, below) = match c {
            '█' | '@' => (ink, ink),
            '▀' => (ink, paper),
            '▄' => (paper, ink),
            ' ' => (paper, paper),
            other => panic!("an unexpected character: {other:?}"),
        };
        upper.push(above);
        lower.push(below);
        rest = &rest[c.len_utf8()..];
    }
    [upper, lower]
}

/// A picture that every program reads, each dot [`SCALE`] pixels wide and high.
fn pgm(rows: &[Vec<u8>]) -> Vec<u8> {
    let (width, height) = (rows[0].len() * SCALE, rows.len() * SCALE);
    let wide = rows.iter().map(|row| {
        row.iter()
            .flat_map(|dot| [*dot; SCALE])
            .collect::<Vec<u8>>()
    });
    let pixels = wide.flat_map(|row| [(); SCALE].map(|()| row.clone()).concat());
    format!("P5 {width} {height} 255\n")
        .into_bytes()
        .into_iter()
        .chain(pixels)
        .collect()
}

const BLACK: u8 = 0;
const WHITE: u8 = 255;
/// Dots of a terminal's background around what it shows.
const MARGIN: usize = 4;
const SCALE: usize = 4;
