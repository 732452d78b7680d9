//! The file of `apply --tickets`: each ticket is appended as it is issued. Standard output never has
//! one, because configuration management logs what it reads there.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ::import::desired_state::DesiredUser;
use common::wire::protocol::Ticket;

use crate::cli::ApplyArgs;
use crate::daemon::Session;
use crate::exit::Failure;
use crate::new_file::PrivateLog;
use crate::render;

/// Issues tickets, and keeps them in the file.
pub(super) struct Tickets {
    path: PathBuf,
    /// Opened before the first ticket is issued.
    file: Mutex<Option<PrivateLog>>,
}

impl Tickets {
    /// For the users of a file.
    ///
    /// # Errors
    /// A user may need a ticket, and no file is named.
    pub(super) fn of(wanted: &ApplyArgs, users: &[DesiredUser]) -> Result<Self, Failure> {
        let path = wanted.tickets.as_deref();
        if path.is_none() && users.iter().any(|user| user.ticket) {
            return Err(Failure::Usage(NO_FILE));
        }
        Ok(Self {
            path: path.unwrap_or(Path::new("")).to_owned(),
            file: Mutex::new(None),
        })
    }

    /// Issues a ticket. Returns when it expires.
    pub(super) fn issue(&self, session: &Session<'_>, user: &str) -> Result<u64, Failure> {
        // Before the ticket is issued: without the file it would be lost.
        self.with_file(|_| Ok(()))?;
        let reply = session.call(&Ticket {
            user: user.to_owned(),
            valid_for: None,
        })?;
        let line = render::json(&reply)?;
        self.with_file(|file| file.append(&line))?;
        Ok(reply.until)
    }

    /// Brings the tickets so far to the disk.
    pub(super) fn keep(&self) -> Result<(), Failure> {
        match &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.keep(),
            None => Ok(()),
        }
    }

    fn with_file(
        &self,
        act: impl FnOnce(&mut PrivateLog) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => act(file),
            none => act(none.insert(PrivateLog::open(&self.path)?)),
        }
    }
}

const NO_FILE: &str = "the file has 'enroll: ticket': name the file for tickets, such as '--tickets /root/tickets.jsonl'";
