//! `metrics`: what the daemon has counted, for Prometheus.

use common::wire::protocol::{Metrics, Status};

use super::Context;
use crate::cli::MetricsArgs;
use crate::exit::{Exit, Failure};
use crate::render::{self, Measured, Render};
use crate::table::now;
use crate::textfile;

/// Prints the metrics, or writes them to the file. A daemon that does not answer is a metric, too,
/// and a failure.
pub(super) fn run(context: &Context<'_>, wanted: &MetricsArgs) -> Result<Exit, Failure> {
    match ask(context) {
        Ok(measured) => {
            put(context, wanted, &measured.people())?;
            if context.output.is_for_programs() {
                context.output.line(&measured)?;
            }
            Ok(Exit::Done)
        }
        Err(failure) => {
            if matches!(failure.code().1, Exit::Unreachable | Exit::StoreFailed) {
                put(context, wanted, &render::down(now()))?;
            }
            Err(failure)
        }
    }
}

fn ask(context: &Context<'_>) -> Result<Measured, Failure> {
    Ok(Measured {
        status: context.daemon.call(&Status {})?,
        metrics: context.daemon.call(&Metrics {})?,
        read: now(),
    })
}

/// With `--json`, standard output has one object and nothing else.
fn put(context: &Context<'_>, wanted: &MetricsArgs, text: &str) -> Result<(), Failure> {
    match &wanted.textfile {
        Some(path) => textfile::replace(path, text),
        None if context.output.is_for_programs() => Ok(()),
        None => context.output.text(text),
    }
}
