//! Writes the files of a set-up, after its record is durable and the rollback armed. If a step
//! fails, everything is put back at once.

use nix::sys::signal::{SigSet, Signal};

use super::file::Location;
use super::recipe::Recipe;
use super::record::{Change, Part, Record, Records};
use super::{put_back, sshd, timer};
use crate::exit::Failure;

/// Arms the rollback and writes the files.
pub(crate) fn carry_out(
    records: &Records,
    record: &Record,
    recipe: &Recipe,
) -> Result<(), Failure> {
    let _uninterrupted = Uninterrupted::begin();
    if record.due.is_some() {
        timer::arm()?;
    }
    let written = records.arm(record).and_then(|()| write_all(record, recipe));
    written.map_err(|failure| take_back(records, record, &failure))
}

fn write_all(record: &Record, recipe: &Recipe) -> Result<(), Failure> {
    for change in &record.files {
        write(change)?;
        if change.part == Part::Sshd {
            sshd::check()
                .and_then(|()| sshd::is_in_effect(recipe, &record.user))
                .and_then(|()| sshd::reload())
                .map_err(Failure::SetUp)?;
        }
    }
    Ok(())
}

fn write(change: &Change) -> Result<(), Failure> {
    let location = Location::open(&change.path)?;
    if location.read()? != change.before {
        return Err(Failure::File {
            path: change.path.clone(),
            problem: "was changed while you were asked: try again".to_owned(),
        });
    }
    if change.before.is_some() {
        location.keep()?;
    }
    location.replace(&change.after)
}

/// Puts everything back after a failure, and says so with its reason.
fn take_back(records: &Records, record: &Record, failure: &Failure) -> Failure {
    let done = put_back::all(record)
        .and_then(|_| records.forget(record.target))
        .and_then(|()| timer::disarm());
    Failure::SetUp(match done {
        Ok(()) => format!("{failure}: nothing is set up, every file is as it was"),
        Err(second) => format!(
            "{failure}: and not everything could be put back: {second}: run 'totpctl setup --undo' when that is repaired"
        ),
    })
}

/// While it lives, a terminal that is closed, Ctrl-C or Ctrl-Z does not stop the program half-way.
struct Uninterrupted(SigSet);

impl Uninterrupted {
    fn begin() -> Self {
        let mut signals = SigSet::empty();
        for signal in [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGTSTP,
        ] {
            signals.add(signal);
        }
        let _ = signals.thread_block();
        Self(signals)
    }
}

impl Drop for Uninterrupted {
    fn drop(&mut self) {
        let _ = self.0.thread_unblock();
    }
}
