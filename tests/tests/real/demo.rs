//! The demo and the tests in an ordinary container, whose root may not mount: they show what needs no
//! mount, and never pretend to more.

use std::path::Path;
use std::process::{Command, Output};

use tests::world;

#[test]
fn where_nothing_may_be_mounted_the_demo_shows_the_same() {
    let _place = world::enter();
    let shown = in_a_container(&["packaging/demo", &programs()], &[]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{shown:?}");
    for part in [
        "\n3. alice logs in with the code on the phone.",
        "id -un\n   sshd's PAM: auth requisite pam_unix.so; auth required pam_totp.so\n",
        ") Password: \n",
        "\n   alice\n4. An attacker saw the code and replays it.",
        "verdict=already_used",
        "\nThe code opened one login; its replay was refused. The demo leaves no traces.\n",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn where_nothing_may_be_mounted_ci_refuses() {
    let _place = world::enter();
    let command = ["tests/without-mounts", &programs()];
    let refused = in_a_container(&command, &[("CI", "true")]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("does not allow private mounts"), "{said}");
}

/// Runs a command of the project as root without CAP_SYS_ADMIN, as container engines start it.
fn in_a_container(command: &[&str], variables: &[(&str, &str)]) -> Output {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    Command::new("setpriv")
        .args(["--bounding-set", "-sys_admin", "--"])
        .args(command)
        .current_dir(project)
        .envs(variables.iter().copied())
        .output()
        .expect("setpriv")
}

fn programs() -> String {
    let daemon = world::built("provisiond");
    let folder = daemon.parent().expect("a folder");
    folder.to_str().expect("a path in UTF-8").to_owned()
}
