//! Programs of other people's: the real passlib and PyPI's `varlink`, in the virtual environment
//! that `make test` makes.

use std::path::Path;
use std::process::Command;

use crate::program::with_input;

/// Runs one of our scripts (`tests/python/NAME`) and returns what it printed.
#[must_use]
pub fn run(name: &str, arguments: &[&str], input: &str) -> String {
    let python = std::env::var("PAM_TOTP_PYTHON")
        .expect("PAM_TOTP_PYTHON is not set: start the tests with 'make test'");
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("python")
        .join(name);
    let mut command = Command::new(python);
    command.arg(script).args(arguments);
    let output = with_input(command, input);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {complaint}");
    String::from_utf8(output.stdout).expect("its output")
}
