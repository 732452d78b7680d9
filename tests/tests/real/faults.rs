//! The table of faults, and the faults in the packages, name tests that exist.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_table_of_faults_names_exists() {
    let sources = sources(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the workspace"),
    );
    let named: Vec<&str> = TABLE
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains("::"))
        .collect();
    assert!(named.len() > 50, "{} names were found", named.len());
    for name in named {
        let name = name.rsplit("::").next().unwrap_or(name);
        let function = [format!("fn {name}("), format!("def {name}(")];
        let exists = |text: &String| function.iter().any(|head| text.contains(head));
        assert!(sources.iter().any(exists), "docs/faults.md names {name}");
    }
}

#[test]
fn every_fault_in_the_packages_names_a_scenario_of_the_machine() {
    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("vm");
    let scenarios = fs::read_to_string(machine.join("scenarios.py")).expect("the scenarios");
    let faults = fs::read_dir(machine.join("faults")).expect("the faults");
    let mut seen = 0;
    for patch in faults.map_while(Result::ok) {
        let text = fs::read_to_string(patch.path()).expect("a patch");
        let first = text.lines().next().unwrap_or_default();
        let (_, name) = first.split_once("; test: ").expect("the fault's test");
        assert!(scenarios.contains(&format!("def {name}(vm)")), "{first}");
        seen += 1;
    }
    assert!(seen >= 3, "{seen} faults");
}

/// The text of every source file of the project.
fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder)
        .expect("a folder")
        .map_while(Result::ok)
    {
        let path = entry.path();
        if path.is_dir() && !SKIPPED.iter().any(|name| path.ends_with(name)) {
            texts.extend(sources(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "rs" || extension == "py")
        {
            texts.push(fs::read_to_string(&path).expect("a source"));
        }
    }
    texts
}

const TABLE: &str = include_str!("../../../docs/faults.md");
const SKIPPED: [&str; 2] = ["target", ".git"];
