//! The daemon as a process: from its command line to its exit code.

pub mod memory;
pub mod run;
pub mod startup;
