//! `strace` on a running daemon: sees its system calls, makes them slow or makes them fail.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::Daemon;
use crate::lines::Lines;

/// An attached strace. It lets go when dropped.
pub struct Strace {
    /// The calls it saw, as strace writes them.
    pub lines: Lines,
    child: Child,
}

impl Strace {
    /// Attaches with one `--inject` expression, such as `fdatasync:delay_enter=300000`
    /// (microseconds), and waits until it holds.
    #[must_use]
    pub fn attach(daemon: &Daemon, inject: &str) -> Self {
        let calls = inject.split(':').next().unwrap_or_default();
        let mut child = Command::new("strace")
            .args(["--follow-forks", "--attach", &daemon.pid().to_string()])
            .args([
                "-e",
                &format!("trace={calls}"),
                "-e",
                &format!("inject={inject}"),
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace, of the package of that name");
        let lines = Lines::default();
        lines.follow(child.stderr.take().expect("its output"));
        lines.wait_for(&["attached"]);
        Self { lines, child }
    }

    /// Kills strace itself. It waits for a daemon that it has killed, and would wait for ever.
    pub fn abandon(mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
