//! The daemon as a process: command line, start, privileges, locked memory, exit code.

pub mod memory;
pub mod run;
pub mod startup;
