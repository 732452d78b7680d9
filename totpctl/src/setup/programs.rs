//! Runs the machine's programs for `setup`: with root's own PATH, no input and a time limit.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a program printed on standard output.
///
/// # Errors
/// What it complained about.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("/usr/bin/timeout")
        .args(["--kill-after=5", TIME_LIMIT, program])
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("/usr/bin/timeout cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = [output.stderr, output.stdout].concat();
    let told = String::from_utf8_lossy(&told).trim().to_owned();
    Err(if told.is_empty() {
        format!("'{program} {}': {}", arguments.join(" "), output.status)
    } else {
        format!("'{program} {}': {told}", arguments.join(" "))
    })
}

/// Whether systemd runs this machine.
pub(crate) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Seconds. sshd and systemctl take a few at most.
const TIME_LIMIT: &str = "60";
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_told_with_its_complaint() {
        assert_eq!(run("echo", &["yes"]), Ok("yes\n".to_owned()));
        let told = run("sh", &["-c", "echo no >&2; exit 3"]).unwrap_err();
        assert!(told.ends_with(": no"), "{told}");
        assert!(run("/nonexistent", &[]).is_err());
    }
}
