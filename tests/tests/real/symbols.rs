//! What the module shows to the program that loads it, and what it brings along.

use std::collections::BTreeSet;
use std::path::Path;

use tests::stack::module;
use tests::world;

#[test]
fn the_module_exports_the_six_entry_points_and_nothing_else() {
    let _place = world::enter();
    let exported: BTreeSet<String> = tool("nm", &["-D", "--defined-only"])
        .lines()
        .filter_map(|line| Some(line.split_whitespace().nth(2)?.into()))
        .collect();
    let wanted = [
        "authenticate",
        "setcred",
        "acct_mgmt",
        "open_session",
        "close_session",
        "chauthtok",
    ];
    assert_eq!(exported, wanted.map(|name| format!("pam_sm_{name}")).into());
}

#[test]
fn the_module_needs_no_library_but_libc_and_libpam() {
    let _place = world::enter();
    let dynamic = tool("readelf", &["--dynamic", "--wide"]);
    let needed: BTreeSet<&str> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .filter(|library| !library.starts_with("ld-linux"))
        .collect();
    assert_eq!(needed, ["libc.so.6", "libpam.so.0"].into());
}

#[test]
fn the_module_makes_no_thread_and_no_process() {
    let _place = world::enter();
    let undefined = tool("nm", &["-D", "--undefined-only"]);
    let names: Vec<&str> = undefined
        .lines()
        .filter_map(|line| line.split_whitespace().last()?.split('@').next())
        .collect();
    for function in [
        "pthread_create",
        "fork",
        "vfork",
        "clone",
        "posix_spawn",
        "execve",
        "execvp",
        "signal",
        "sigaction",
    ] {
        assert!(!names.contains(&function), "the module imports {function}");
    }
}

#[test]
fn the_module_contains_no_cipher_no_store_and_no_settings_parser() {
    let _place = world::enter();
    let parts = ["aes_gcm", "hkdf::", "totp_rs", "sled::", "yaml", "postcard"];
    let held = |program: &Path| -> Vec<&str> {
        let symbols = tool_on(program, "nm", &["--demangle"]);
        parts
            .into_iter()
            .filter(|part| symbols.contains(part))
            .collect()
    };
    assert_eq!(held(&module()), [""; 0]);
    assert_eq!(
        held(&world::built("provisiond")),
        parts,
        "the search itself works: the daemon holds all of them"
    );
}

fn tool(name: &str, arguments: &[&str]) -> String {
    tool_on(&module(), name, arguments)
}

fn tool_on(program: &Path, name: &str, arguments: &[&str]) -> String {
    let program = program.to_str().expect("a path in UTF-8");
    let output = world::run(name, &[arguments, &[program]].concat());
    String::from_utf8_lossy(&output.stdout).into_owned()
}
