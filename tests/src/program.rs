//! Programs that tests make and run.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::world;

/// Makes a file that every user may run: a script, say.
///
/// Another process writes it. One that is forked from ours while we write holds the file open for a
/// moment longer, and what is open for writing cannot be run ("Text file busy").
pub fn write(path: &Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(path);
    let output = with_input(install, text);
    assert!(output.status.success(), "{}: {output:?}", path.display());
}

/// Makes such a file of another one.
pub fn copy(from: &Path, to: &Path) {
    let [from, to] = [from, to].map(|path| path.to_str().expect("a path in UTF-8"));
    world::run("install", &["-m", "755", from, to]);
}

/// Runs a program with a text on its standard input.
pub fn with_input(mut command: Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    // A program that has refused already does not read it.
    let _ = child
        .stdin
        .take()
        .expect("its input")
        .write_all(input.as_bytes());
    child.wait_with_output().expect("its end")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn what_is_written_can_be_run_at_once_whatever_else_is_started_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        Command::new("true").status().expect("true");
                    }
                });
            }
            let told: Vec<_> = (0..60)
                .map(|n| {
                    let script = folder.path().join(format!("script-{n}"));
                    write(&script, "#!/bin/sh\nexit 7\n");
                    Command::new(&script).status()
                })
                .collect();
            done.store(true, Ordering::Relaxed);
            assert!(
                told.iter()
                    .all(|status| status.as_ref().is_ok_and(|s| s.code() == Some(7))),
                "{told:?}"
            );
        });
    }
}
