//! OpenVPN and its PAM plugin: two fields, and keys that are renewed while a connection lasts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::terminal::Terminal;
use tests::world;

use crate::scene::{PASSWORD, Running, Scene, free_port, gets_in_after_guesses};

/// The recipe of the guide.
pub const RECIPE: &str = "OpenVPN";

#[test]
fn openvpn_lets_in_with_password_and_code_once_and_after_guesses_with_two_codes() {
    let _place = world::enter();
    let scene = Scene::of(RECIPE);
    let server = Server::start();
    let (alice, bob) = (scene.enroll("alice"), scene.enroll("bob"));
    let code = alice.code();
    assert!(server.lets_in("alice", PASSWORD, &code));
    assert!(!server.lets_in("alice", PASSWORD, &code), "a replay");
    scene.judged(1, "alice", "already_used");
    let told = scene.system.daemon.audited("alice", "accepted");
    assert!(told.contains(" service=openvpn ") && told.contains(" role=root "));
    let right = bob.code();
    assert!(!server.lets_in("bob", "wrong horse", &right));
    assert!(
        server.lets_in("bob", PASSWORD, &right),
        "it was not used up"
    );
    gets_in_after_guesses(&alice, |codes| server.lets_in("alice", PASSWORD, codes));
}

#[test]
fn a_connection_of_openvpn_outlives_the_renewal_of_its_keys_and_without_tokens_it_does_not() {
    let _place = world::enter();
    let scene = Scene::of(RECIPE);
    let alice = scene.enroll("alice");
    let renewing = |server: &Server, code: &str| {
        let client = server.client("alice", PASSWORD, code, "reneg-sec 1\n");
        client.wait_for(CONNECTED);
        client
    };
    let server = Server::start();
    let _client = renewing(&server, &alice.code());
    let renewed = ["Username/auth-token authentication succeeded"];
    server.program.log.wait_for_many(2, &renewed);
    let without = Server::without_tokens();
    let mut asked_again = renewing(&without, &alice.code_at(1));
    asked_again.answer("Enter Auth Username:", "alice");
}

const CONNECTED: &str = "Initialization Sequence Completed";
const REFUSED: &str = "AUTH_FAILED";

/// The server of the recipe.
struct Server {
    program: Running,
    folder: PathBuf,
    port: u16,
}

impl Server {
    /// Starts it, with the capabilities that Debian's unit has. As many do, it drops its privileges.
    fn start() -> Self {
        Self::configured(&recipe("server/server.conf"))
    }

    /// The same without the line that the guide calls needed.
    fn without_tokens() -> Self {
        let recipe = recipe("server/server.conf");
        assert!(recipe.contains("auth-gen-token\n"), "{recipe}");
        Self::configured(&recipe.replace("auth-gen-token\n", ""))
    }

    fn configured(lines: &str) -> Self {
        let folder = world::scratch_folder("openvpn");
        make_certificate(&folder);
        make_tun();
        let port = free_port();
        let config = folder.join("server.conf");
        fs::write(&config, format!("port {port}\n{SERVER}{lines}")).expect("a configuration");
        let mut openvpn = Command::new("setpriv");
        let bounds = capabilities_of_the_unit();
        openvpn.args(["--inh-caps=-all", "--bounding-set", &bounds]);
        openvpn.args(["openvpn", "--config"]).arg(&config);
        openvpn.current_dir(&folder);
        let program = Running::start(openvpn);
        program.log.wait_for(&[CONNECTED]);
        Self {
            program,
            folder,
            port,
        }
    }

    /// Whether the client gets a connection, which it then gives up.
    fn lets_in(&self, user: &str, password: &str, code: &str) -> bool {
        let mut client = self.client(user, password, code, "");
        client.wait_for_any(&[CONNECTED, REFUSED]);
        let is_in = client.shown().contains(CONNECTED);
        if is_in {
            client.type_keys("\u{3}");
        }
        let (_, page) = client.end();
        assert!(is_in != page.contains(REFUSED), "{page}");
        is_in
    }

    /// The real client, at a terminal, with the lines that the guide gives it and some more.
    fn client(&self, user: &str, password: &str, code: &str, more: &str) -> Terminal {
        let config = self.folder.join("client.conf");
        let lines = format!("remote 127.0.0.1 {}\n{CLIENT}{more}", self.port);
        fs::write(&config, lines + &recipe("client/client.conf")).expect("a configuration");
        let mut openvpn = Command::new("openvpn");
        openvpn.arg("--cd").arg(&self.folder).arg("--config");
        openvpn.arg(&config);
        let mut client = Terminal::start(&openvpn, 200);
        client.answer("Enter Auth Username:", user);
        client.answer_hidden("Enter Auth Password:", password);
        client.answer("CHALLENGE: Code", code);
        client
    }
}

/// What Debian's unit leaves of root's power, for setpriv(1).
fn capabilities_of_the_unit() -> String {
    let unit = fs::read_to_string("/lib/systemd/system/openvpn-server@.service");
    let unit = unit.expect("the unit of the package openvpn");
    let bounds = unit
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = bounds.expect("its capabilities").split_whitespace();
    let names = names.filter_map(|name| name.strip_prefix("CAP_"));
    names.fold("-all".to_owned(), |set, name| {
        format!("{set},+{}", name.to_lowercase())
    })
}

/// What the recipe adds to a file of `/etc/openvpn`.
fn recipe(name: &str) -> String {
    let files = tests::guide::files(RECIPE);
    let file = files.into_iter().find(|file| file.path.ends_with(name));
    file.expect("a file of the recipe").text
}

fn make_certificate(folder: &Path) {
    let path = |name: &str| folder.join(name).to_str().expect("a path").to_owned();
    let (key, certificate) = (path("key.pem"), path("cert.pem"));
    let made = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-nodes",
        "-subj",
        "/CN=server",
    ];
    let curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1"];
    let files = ["-keyout", &key, "-out", &certificate];
    world::run("openssl", &[&made[..], &curve, &files].concat());
}

/// A container may have no device node for tunnels. /dev is private here.
fn make_tun() {
    if !Path::new("/dev/net/tun").exists() {
        fs::create_dir_all("/dev/net").expect("a folder");
        world::run("mknod", &["/dev/net/tun", "c", "10", "200"]);
    }
}

/// No address and no route is set: the tunnel carries nothing here.
const SERVER: &str = "proto tcp-server
local 127.0.0.1
dev tun
topology subnet
server 10.8.0.0 255.255.255.0
ifconfig-noexec
route-noexec
ca cert.pem
cert cert.pem
key key.pem
dh none
verify-client-cert none
user nobody
group nogroup
persist-tun
persist-key
";
const CLIENT: &str = "client
dev null
proto tcp-client
nobind
ca cert.pem
connect-retry-max 1
ifconfig-noexec
route-noexec
";
