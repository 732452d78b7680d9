//! docs/packaging.md names what a package can set, as the build files have it.

#![forbid(unsafe_code)]

const PAGE: &str = include_str!("../../docs/packaging.md");
const MAKEFILE: &str = include_str!("../../Makefile");
const WORKSPACE: &str = include_str!("../../Cargo.toml");

#[test]
fn the_page_names_every_variable_of_make_install() {
    let given = MAKEFILE.lines().filter_map(|line| line.split_once(" ?= "));
    let missing: Vec<&str> = given
        .map(|(name, _)| name)
        .filter(|name| !PAGE.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "not in docs/packaging.md: {missing:?}");
    assert!(MAKEFILE.contains("MODULEDIR ?= ") && PAGE.contains("`DESTDIR`"));
}

#[test]
fn the_page_and_the_readme_name_the_oldest_rust_that_the_workspace_takes() {
    let (_, after) = WORKSPACE
        .split_once("rust-version = \"")
        .expect("a version");
    let (version, _) = after.split_once('"').expect("its end");
    assert!(PAGE.contains(&format!("at present {version},")));
    assert!(include_str!("../../README.md").contains(&format!("Rust {version} or newer")));
}
