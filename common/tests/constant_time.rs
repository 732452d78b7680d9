//! Comparing a code takes as long whichever of its digits is wrong (as dudect does it: Reparaz,
//! Balasch, Verbauwhede, "Dude, is my code constant time?", 2017).
//!
//! PAM_TOTP_COMPARISONS is their number; from a hundred thousand on the times are judged. Run it
//! with `--release`, alone.

#![cfg(feature = "sealing")]
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::hint::black_box;
use std::time::Instant;

use common::answer::{Answer, Code};
use common::secret::{Key, SecretText};
use common::totp::Parameters;

#[test]
fn comparing_a_code_takes_as_long_whichever_of_its_digits_is_wrong() {
    let comparisons =
        std::env::var("PAM_TOTP_COMPARISONS").map_or(2000, |text| text.parse().unwrap());
    let (key, parameters) = (
        Key::new(b"12345678901234567890".to_vec()).unwrap(),
        Parameters::default(),
    );
    let right = parameters.code_at(&key, STEP).to_string();
    let classes = [0, 5].map(|digit| answer(&with_another_digit(&right, digit)));
    let classes = classes.each_ref().map(|answer| answer.codes(6).unwrap());
    let mut times = [Vec::new(), Vec::new()];
    let mut random = 42u64;
    for _ in 0..comparisons {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let class = usize::from(random >> 63 == 1);
        times[class].push(time(&parameters, &key, &classes[class]));
    }
    let t = welch(&crop(&times));
    println!("{comparisons} comparisons: t = {t:.2}");
    assert!(comparisons < 100_000 || t.abs() < 4.5, "t = {t}");
}

fn time(parameters: &Parameters, key: &Key, codes: &[Code]) -> f64 {
    let begun = Instant::now();
    black_box(parameters.find(black_box(key), black_box(codes), STEP - 1..=STEP + 1));
    begun.elapsed().as_nanos() as f64
}

/// Without the slowest tenth of all: interruptions.
fn crop(times: &[Vec<f64>; 2]) -> [Vec<f64>; 2] {
    let mut all: Vec<f64> = times.concat();
    all.sort_by(f64::total_cmp);
    let most = all[all.len() * 9 / 10];
    times
        .each_ref()
        .map(|times| times.iter().copied().filter(|time| *time <= most).collect())
}

/// Welch's t of two samples.
fn welch(samples: &[Vec<f64>; 2]) -> f64 {
    let [(a, of_a), (b, of_b)] = samples.each_ref().map(|sample| {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (a - b) / (of_a + of_b).sqrt()
}

fn with_another_digit(code: &str, at: usize) -> String {
    let digit = |(n, digit): (usize, char)| if n == at { other(digit) } else { digit };
    code.chars().enumerate().map(digit).collect()
}

fn other(digit: char) -> char {
    if digit == '5' { '6' } else { '5' }
}

fn answer(text: &str) -> Answer {
    Answer::parse(&[SecretText::new(text.to_owned())]).unwrap()
}

const STEP: u64 = 60_000_000;
