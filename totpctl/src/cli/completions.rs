//! Arguments and help of `completions`.

use clap::Args;
use clap_complete::Shell;

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell: bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    pub(crate) shell: Shell,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  totpctl completions bash > /etc/bash_completion.d/totpctl
  totpctl completions fish > ~/.config/fish/completions/totpctl.fish

The packages and 'make install' bring the scripts of bash, zsh and fish.";
