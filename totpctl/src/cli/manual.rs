//! Test: the manual page docs/totpctl.1, which is written by hand, has every command and option.

use clap::{Command, CommandFactory};

use super::Cli;

const PAGE: &str = include_str!("../../../docs/totpctl.1");

#[test]
fn the_manual_page_has_every_command_and_every_option() {
    let mut whole = Cli::command();
    whole.build();
    let mut missing = Vec::new();
    for command in whole.get_subcommands() {
        missing.extend(not_on_the_page(command));
    }
    assert!(missing.is_empty(), "not in docs/totpctl.1: {missing:?}");
}

/// The page lists the commands of `key`, and refers to their own help for the options.
fn not_on_the_page(command: &Command) -> Vec<String> {
    let name = command.get_name();
    let entries: Vec<&str> = PAGE
        .split("\n.It Cm ")
        .filter(|entry| entry.starts_with(name))
        .collect();
    if entries.is_empty() {
        return vec![name.to_owned()];
    }
    let entry = entries.join("\n");
    let options = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && !argument.is_global_set());
    let options = options
        .filter_map(|argument| argument.get_long())
        .filter(|long| *long != "help");
    let options = options.filter(|long| {
        !entry.contains(&format!("Fl -{long}")) && !entry.contains(&format!(", -{long}"))
    });
    let actions = command
        .get_subcommands()
        .map(Command::get_name)
        .filter(|action| *action != "help");
    let actions = actions.filter(|action| !entry.split([' ', '\n']).any(|word| word == *action));
    options
        .map(|long| format!("{name} --{long}"))
        .chain(actions.map(|action| format!("{name} {action}")))
        .collect()
}
