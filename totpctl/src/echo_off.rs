//! Switches the terminal's echo off while the user types a key, and on again afterwards, also after
//! a signal.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};

/// The echo is off while this lives.
pub(crate) struct EchoOff<'a> {
    terminal: &'a File,
    before: Termios,
    mask_before: SigSet,
    signals: SignalFd,
}

impl<'a> EchoOff<'a> {
    /// Switches the echo of `terminal` off, and discards typed input that was not read yet.
    pub(crate) fn begin(terminal: &'a File) -> Result<Self, Errno> {
        let before = tcgetattr(terminal)?;
        let ending: SigSet = ENDING.into_iter().collect();
        let signals = SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC)?;
        let mask_before = ending.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let echo_off = Self {
            terminal,
            before,
            mask_before,
            signals,
        };
        tcsetattr(
            terminal,
            SetArg::TCSAFLUSH,
            &silent(echo_off.before.clone()),
        )?;
        Ok(echo_off)
    }

    /// Reads typed input. A signal that would end the process is an error here: it stays pending,
    /// and ends the process once this is dropped and the terminal restored.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut ready, PollTimeout::NONE)?;
        let [signal, _] = ready;
        if signal.any().unwrap_or(true) {
            return Err(io::Error::other("a signal ended the input"));
        }
        let mut terminal = self.terminal;
        terminal.read(buffer)
    }
}

impl Drop for EchoOff<'_> {
    fn drop(&mut self) {
        // The terminal first: restoring the mask lets a pending signal end the process.
        let _ = tcsetattr(self.terminal, SetArg::TCSANOW, &self.before);
        let _ = self.mask_before.thread_set_mask();
    }
}

/// Echoes only the end of the line. Disables Ctrl-Z, which would return to the shell with the echo
/// off.
fn silent(mut settings: Termios) -> Termios {
    settings.local_flags.remove(LocalFlags::ECHO);
    settings.local_flags.insert(LocalFlags::ECHONL);
    if let Some(stop) = settings
        .control_chars
        .get_mut(SpecialCharacterIndices::VSUSP as usize)
    {
        *stop = NO_CHARACTER;
    }
    settings
}

const ENDING: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGQUIT,
    Signal::SIGHUP,
];
/// Linux's `_POSIX_VDISABLE`: no character.
const NO_CHARACTER: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    /// The keyboard side and the terminal side of a new pseudo-terminal.
    fn terminal() -> (std::os::fd::OwnedFd, File) {
        let pair = nix::pty::openpty(None, None).unwrap();
        (pair.master, File::from(pair.slave))
    }

    fn echoes(terminal: &File) -> bool {
        tcgetattr(terminal)
            .unwrap()
            .local_flags
            .contains(LocalFlags::ECHO)
    }

    #[test]
    fn what_is_typed_is_read_and_not_shown() {
        let (keyboard, terminal) = terminal();
        let echo_off = EchoOff::begin(&terminal).unwrap();
        assert!(!echoes(&terminal));
        nix::unistd::write(&keyboard, b"KEY\n").unwrap();
        let mut line = [0; 16];
        assert_eq!(echo_off.read(&mut line).unwrap(), 4);
        drop(echo_off);
        let mut shown = [0; 16];
        let count = nix::unistd::read(&keyboard, &mut shown).unwrap();
        assert_eq!(&shown[..count], b"\r\n");
        assert!(echoes(&terminal));
    }

    #[test]
    fn a_terminal_is_left_as_it_was_even_when_the_reading_fails() {
        let (keyboard, terminal) = terminal();
        let echo_off = EchoOff::begin(&terminal).unwrap();
        // The signal goes to this thread only, and is taken off before the mask lets it through.
        nix::sys::signal::raise(Signal::SIGTERM).unwrap();
        assert!(echo_off.read(&mut [0; 16]).is_err());
        echo_off.signals.read_signal().unwrap();
        drop(echo_off);
        assert!(echoes(&terminal));
        drop(keyboard);
    }
}
