//! Asks for codes and keys: prints a prompt, reads one line from the terminal or standard input,
//! and wipes it.
//!
//! It reads nothing beyond the end of the line: that is for the next prompt. The prompts' texts are
//! in `commands/`.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use common::secret::SecretText;
use zeroize::Zeroizing;

use crate::echo_off::EchoOff;
use crate::exit::Failure;

/// Standard input.
#[derive(Debug)]
pub(crate) struct Prompt(File);

impl Prompt {
    /// Standard input, without the standard library's buffer, which would keep a copy.
    pub(crate) fn open() -> Result<Self, Failure> {
        let input = io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(Failure::Reading)?;
        Ok(Self(File::from(input)))
    }

    /// Whether a person types.
    pub(crate) fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }

    /// Prints the prompt and reads one line. `None` at the end of standard input.
    pub(crate) fn ask(&self, prompt: &str) -> Result<Option<SecretText>, Failure> {
        if self.is_terminal() {
            show(prompt);
        }
        Ok(self
            .line(|byte| (&self.0).read(byte))?
            .map(|line| SecretText::typed(&line)))
    }

    /// As [`Self::ask`], for a key: the terminal does not show it.
    pub(crate) fn ask_hidden(&self, prompt: &str) -> Result<Option<SecretText>, Failure> {
        if !self.is_terminal() {
            return self.ask(prompt);
        }
        Ok(self
            .hidden_line(prompt)?
            .map(|line| SecretText::typed(&line)))
    }

    /// All of standard input, up to `limit` bytes and one more; from a terminal, one line that is
    /// not shown.
    pub(crate) fn all(&self, prompt: &str, limit: usize) -> Result<WipedBytes, Failure> {
        if self.is_terminal() {
            return Ok(self.hidden_line(prompt)?.unwrap_or_default());
        }
        let limit = limit.saturating_add(1);
        let mut text = Zeroizing::new(Vec::with_capacity(limit));
        (&self.0)
            .take(limit as u64)
            .read_to_end(&mut text)
            .map_err(Failure::Reading)?;
        Ok(text)
    }

    fn hidden_line(&self, prompt: &str) -> Result<Option<WipedBytes>, Failure> {
        // The echo is off before the prompt appears: the user may type at once.
        let echo_off = EchoOff::begin(&self.0).map_err(|errno| Failure::Reading(errno.into()))?;
        show(prompt);
        self.line(|byte| echo_off.read(byte))
    }

    /// Reads up to the end of the line. Byte by byte: what follows belongs to the next prompt.
    fn line(
        &self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Result<Option<WipedBytes>, Failure> {
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
        let mut byte = Zeroizing::new([0]);
        loop {
            match read(byte.as_mut()) {
                Ok(0) if line.is_empty() => return Ok(self.nothing()),
                Ok(0) => break,
                Ok(_) if *byte == *b"\n" => break,
                Ok(_) if line.len() >= MAX_LINE => {
                    return Err(Failure::Reading(io::Error::other(TOO_LONG)));
                }
                Ok(_) => line.extend_from_slice(byte.as_ref()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Reading(error)),
            }
        }
        if line.ends_with(b"\r") {
            line.pop();
        }
        Ok(Some(line))
    }

    /// The end of the input. On a terminal the cursor still stands behind the prompt.
    fn nothing(&self) -> Option<WipedBytes> {
        if self.is_terminal() {
            show("\n");
        }
        None
    }
}

/// Bytes from standard input, wiped when dropped.
pub(crate) type WipedBytes = Zeroizing<Vec<u8>>;

/// Prints to standard error: standard output is for results. totpctl goes on if that fails.
fn show(prompt: &str) {
    let _ = io::stderr().write_all(prompt.as_bytes());
}

/// The longest line, in bytes. A terminal gives no longer ones.
const MAX_LINE: usize = 4096;
const TOO_LONG: &str = "the line is longer than 4,096 bytes";

#[cfg(test)]
mod tests {
    use super::*;

    /// A standard input with this text.
    fn typed(text: &[u8]) -> Prompt {
        let (there, mut here) = io::pipe().unwrap();
        let text = text.to_vec();
        std::thread::spawn(move || drop(here.write_all(&text)));
        Prompt(File::from(std::os::fd::OwnedFd::from(there)))
    }

    fn lines(text: &[u8]) -> Vec<String> {
        let prompt = typed(text);
        std::iter::from_fn(|| prompt.ask("").unwrap())
            .map(|line| line.expose().to_owned())
            .collect()
    }

    #[test]
    fn each_question_takes_one_line() {
        assert_eq!(lines(b"123456\n654321\n"), ["123456", "654321"]);
        assert_eq!(lines(b"123456\r\n\n 1 "), ["123456", "", " 1 "]);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_hidden_question_reads_a_pipe_like_any_other() {
        assert_eq!(
            typed(b"KEY\n").ask_hidden("").unwrap().unwrap().expose(),
            "KEY"
        );
    }

    #[test]
    fn all_of_it_is_read_up_to_the_limit_and_one_byte() {
        assert_eq!(*typed(b"{\n}\n").all("", 100).unwrap(), b"{\n}\n");
        assert_eq!(typed(&vec![b'x'; 200_000]).all("", 100).unwrap().len(), 101);
        assert!(typed(b"").all("", 100).unwrap().is_empty());
    }

    #[test]
    fn what_can_be_no_code_is_read_as_nothing() {
        assert_eq!(lines(b"\xff\n123456\n"), ["", "123456"]);
        assert_eq!(lines(&[b"1".repeat(600), b"\n".to_vec()].concat()), [""]);
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        assert!(matches!(
            typed(&vec![b'1'; 1 << 20]).ask(""),
            Err(Failure::Reading(_))
        ));
    }
}
