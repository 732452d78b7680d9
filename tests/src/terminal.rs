//! A terminal with a program on it, and a user at its keyboard.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::Pid;

use crate::lines::PATIENCE;

/// The terminal, and the program that began it.
pub struct Terminal {
    keyboard: File,
    /// Keeps it open, so that its settings can be looked at after the program's end.
    screen: OwnedFd,
    shown: Arc<Shown>,
    /// How much of what is shown has been answered, in bytes.
    answered: usize,
    program: Child,
}

#[derive(Default)]
struct Shown {
    text: Mutex<String>,
    more: Condvar,
}

impl Terminal {
    /// Starts a program on a new terminal of so many columns, which is its own: what stops and ends
    /// programs there does so with this one.
    #[must_use]
    pub fn start(command: &Command, columns: u16) -> Self {
        Self::of_size(command, columns, 60)
    }

    /// The same with so many lines.
    #[must_use]
    pub fn of_size(command: &Command, columns: u16, lines: u16) -> Self {
        let size = Winsize {
            ws_row: lines,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).expect("a terminal");
        let (keyboard, screen) = (File::from(pair.master), pair.slave);
        // What a shell starts in the background would not hear Ctrl-C.
        let mut leader = Command::new("env");
        leader
            .args(["--default-signal", "setsid", "--ctty"])
            .arg(command.get_program())
            .args(command.get_args());
        leader.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let end = || Stdio::from(screen.try_clone().expect("another handle"));
        let program = leader
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("env, of coreutils");
        // The command holds handles of the terminal until it is dropped.
        drop(leader);
        let shown = Arc::new(Shown::default());
        let (told, reader) = (
            Arc::clone(&shown),
            keyboard.try_clone().expect("another handle"),
        );
        std::thread::spawn(move || told.follow(reader));
        Self {
            keyboard,
            screen,
            shown,
            answered: 0,
            program,
        }
    }

    /// Waits until this text is shown.
    ///
    /// # Panics
    /// When it is not in time; the message shows what is.
    pub fn wait_for(&self, text: &str) {
        self.end_of(text, 0);
    }

    /// Waits until one of these texts is shown.
    ///
    /// # Panics
    /// As [`Terminal::wait_for`].
    pub fn wait_for_any(&self, texts: &[&str]) {
        let (shown, in_time) = self
            .shown
            .wait_until(|shown| texts.iter().any(|text| shown.contains(text)));
        assert!(
            in_time,
            "none of {texts:?} on the terminal; there is:\n{shown}"
        );
    }

    /// Waits until this prompt is shown, behind the last one that was answered, and types a line.
    ///
    /// # Panics
    /// When it is not in time; the message shows what is.
    pub fn answer(&mut self, prompt: &str, line: &str) {
        self.answered = self.end_of(prompt, self.answered);
        self.type_keys(&format!("{line}\r"));
    }

    /// The same for a program that drops what was typed before it has hidden the answer.
    ///
    /// # Panics
    /// As [`Terminal::answer`], or when it hides nothing in time.
    pub fn answer_hidden(&mut self, prompt: &str, line: &str) {
        self.answered = self.end_of(prompt, self.answered);
        let begun = Instant::now();
        while self.echoes() {
            assert!(begun.elapsed() < PATIENCE, "{prompt:?} shows the answer");
            std::thread::yield_now();
        }
        self.type_keys(&format!("{line}\r"));
    }

    /// Waits until this text is shown behind so many bytes, and says how many there are up to its
    /// end.
    fn end_of(&self, text: &str, start: usize) -> usize {
        let (shown, in_time) = self.shown.wait_until(|shown| shown[start..].contains(text));
        assert!(
            in_time,
            "no {text:?} on the terminal; there is:\n{}",
            &shown[start..]
        );
        start + shown[start..].find(text).expect("the text") + text.len()
    }

    /// What is shown so far.
    #[must_use]
    pub fn shown(&self) -> String {
        self.shown
            .text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace('\r', "")
    }

    /// Types.
    pub fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("keys");
    }

    /// Waits until the program has ended, and says how, and what the terminal shows then. One that
    /// does not end in time is killed, which the status says.
    pub fn end(&mut self) -> (ExitStatus, String) {
        let (ended, end) = channel::<()>();
        let program = Pid::from_raw(self.program.id().try_into().expect("a process"));
        let guard = std::thread::spawn(move || {
            if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(program, Signal::SIGKILL);
            }
        });
        let status = self.program.wait().expect("its end");
        drop(ended);
        guard.join().expect("no panic");
        // What it has written last comes before this.
        const MARK: &str = "\u{7}end\u{7}";
        File::from(self.screen.try_clone().expect("another handle"))
            .write_all(MARK.as_bytes())
            .expect("a mark");
        self.wait_for(MARK);
        let shown = self
            .shown
            .text
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (status, shown.replace(MARK, "").replace('\r', ""))
    }

    /// How the terminal is set: what the next program on it finds.
    #[must_use]
    pub fn settings(&self) -> Termios {
        tcgetattr(&self.screen).expect("its settings")
    }

    /// Whether what is typed is shown.
    #[must_use]
    pub fn echoes(&self) -> bool {
        self.settings().local_flags.contains(LocalFlags::ECHO)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Shown {
    /// Waits until `is_there`, and says whether it was in time.
    fn wait_until(&self, is_there: impl Fn(&str) -> bool) -> (MutexGuard<'_, String>, bool) {
        let shown = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let (shown, wait) = self
            .more
            .wait_timeout_while(shown, PATIENCE, |shown| !is_there(shown))
            .expect("no panic in between");
        (shown, !wait.timed_out())
    }

    fn follow(&self, mut terminal: File) {
        let mut chunk = [0; 4096];
        // Without any program on it, reading from a terminal is an error.
        while let Ok(count @ 1..) = terminal.read(&mut chunk) {
            let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&String::from_utf8_lossy(&chunk[..count]));
            self.more.notify_all();
        }
    }
}
