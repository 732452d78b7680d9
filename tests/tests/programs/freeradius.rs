//! FreeRADIUS: a verifier with one field, asked by `radtest`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use tests::world;

use crate::scene::{PASSWORD, Running, Scene, free_port, holds_with_one_field};

/// The recipe of the guide.
pub const RECIPE: &str = "FreeRADIUS";

#[test]
fn freeradius_lets_in_with_password_and_code_in_one_field() {
    let _place = world::enter();
    world::group("vpn", &["alice", "bob"]);
    let scene = Scene::of(RECIPE);
    let port = port();
    let _server = start();
    holds_with_one_field(&scene, |user, typed| lets_in(port, user, typed));
    let told = scene.system.daemon.audited("alice", "accepted");
    assert!(told.contains(" service=radiusd ") && told.contains(" role=verifier "));
}

#[test]
fn freeradius_gets_no_answer_for_users_outside_of_its_group() {
    let _place = world::enter();
    world::group("vpn", &["alice"]);
    let scene = Scene::of(RECIPE);
    let carol = scene.enroll("carol");
    let port = port();
    let _server = start();
    let typed = format!("{}{}", PASSWORD, carol.code());
    assert!(!lets_in(port, "carol", &typed));
    let refused = ["event=not_permitted ", " user=carol "];
    scene.system.daemon.log.wait_for(&refused);
}

/// As its unit starts it. It becomes `freerad` by itself.
fn start() -> Running {
    let mut freeradius = Command::new("freeradius");
    freeradius.args(["-f", "-l", "stdout"]);
    let running = Running::start(freeradius);
    running.log.wait_for(&["Ready to process requests"]);
    running
}

/// Gives Debian's own sites ports of the tests. The first one is that of logins.
fn port() -> u16 {
    static PORT: OnceLock<u16> = OnceLock::new();
    *PORT.get_or_init(|| {
        let sites = Path::new("/etc/freeradius/3.0/sites-available");
        let first = with_free_ports(&sites.join("default"), "\n\tport = 0");
        with_free_ports(&sites.join("inner-tunnel"), "\n       port = 18120");
        first
    })
}

/// Returns the first port.
fn with_free_ports(site: &Path, line: &str) -> u16 {
    let text = fs::read_to_string(site).expect("a site of Debian's");
    let mut parts = text.split(line);
    let mut told = parts.next().unwrap_or_default().to_owned();
    let mut ports = Vec::new();
    for part in parts {
        let port = free_port();
        told += &format!("\n\tport = {port}{part}");
        ports.push(port);
    }
    fs::write(site, told).expect("the site");
    *ports.first().expect("a port")
}

/// With the client and the secret that Debian's configuration has.
fn lets_in(port: u16, user: &str, typed: &str) -> bool {
    let server = format!("127.0.0.1:{port}");
    let told = Command::new("radtest")
        .args([user, typed, &server, "0", "testing123"])
        .output()
        .expect("radtest, of the package freeradius-utils");
    let text = String::from_utf8_lossy(&told.stdout);
    let is_in = text.contains("Received Access-Accept");
    assert!(is_in || text.contains("Received Access-Reject"), "{told:?}");
    is_in
}
