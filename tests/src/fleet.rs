//! A fleet of two daemons or more: an authority that signs certificates (openssl), verifiers that listen on
//! 127.0.0.1, and relays.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::daemon::{Daemon, Setup};
use crate::world;

/// An authority, and the folder of its certificates.
pub struct Authority {
    folder: PathBuf,
}

/// The three files of TLS of one daemon.
#[derive(Clone)]
pub struct Tls {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The certificate.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A certificate to be signed.
pub struct Wish<'a> {
    /// Its subject's alternative names, such as `DNS:web1`.
    pub names: &'a str,
    /// When it begins and ends, as openssl-ca(1) takes it.
    pub valid: (&'a str, &'a str),
    /// What it may be used for.
    pub purpose: &'a str,
}

impl<'a> Wish<'a> {
    /// A host's, valid now.
    #[must_use]
    pub fn host(names: &'a str) -> Self {
        Self {
            names,
            valid: ("20250101000000Z", "20991231235959Z"),
            purpose: "clientAuth",
        }
    }
}

impl Authority {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let folder = world::scratch_folder("authority");
        let authority = Self { folder };
        for (name, text) in [("index.txt", ""), ("serial", "01\n")] {
            fs::write(authority.path(name), text).expect("a file");
        }
        let subject = format!("/CN=authority {}", world::next_number());
        authority.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            &subject,
            "-days",
            "3650",
        ]);
        authority.hand_over("ca.pem");
        authority
    }

    /// Makes a key and signs its certificate.
    #[must_use]
    pub fn sign(&self, wish: &Wish<'_>) -> Tls {
        let number = world::next_number();
        // openssl-ca(1) keeps a copy of each certificate there, named by its serial number.
        let [key, request, certificate, config] =
            ["key", "csr", "pem", "cnf"].map(|ending| format!("own-{number}.{ending}"));
        let subject = format!("/CN=certificate {number}");
        self.openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &request,
            "-subj",
            &subject,
        ]);
        let (names, purpose) = (wish.names, wish.purpose);
        let extensions = format!("[v3]\nsubjectAltName={names}\nextendedKeyUsage={purpose}\n");
        fs::write(self.path(&config), format!("{CONFIG}{extensions}")).expect("a file");
        let (from, until) = wish.valid;
        self.openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            &config,
            "-extensions",
            "v3",
            "-in",
            &request,
            "-out",
            &certificate,
            "-startdate",
            from,
            "-enddate",
            until,
        ]);
        self.hand_over(&key);
        self.hand_over(&certificate);
        Tls {
            ca: self.path("ca.pem"),
            cert: self.path(&certificate),
            key: self.path(&key),
        }
    }

    /// A host's certificate.
    #[must_use]
    pub fn host(&self, name: &str) -> Tls {
        self.sign(&Wish::host(&format!("DNS:{name}")))
    }

    /// A verifier's certificate, for 127.0.0.1.
    #[must_use]
    pub fn verifier(&self) -> Tls {
        self.verifier_at("127.0.0.1")
    }

    /// The same for that address.
    #[must_use]
    pub fn verifier_at(&self, address: &str) -> Tls {
        self.server(address, "serverAuth")
    }

    /// The certificate of a member of etcd at that address. Its gateway is a client of itself.
    #[must_use]
    pub fn member_at(&self, address: &str) -> Tls {
        self.server(address, "serverAuth,clientAuth")
    }

    fn server(&self, address: &str, purpose: &str) -> Tls {
        self.sign(&Wish {
            purpose,
            ..Wish::host(&format!("IP:{address}"))
        })
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut openssl = std::process::Command::new("openssl");
        let output = openssl.args(arguments).current_dir(&self.folder).output();
        let output = output.expect("openssl");
        assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
    }

    fn hand_over(&self, name: &str) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).expect("a file of openssl's");
        world::write_for_daemon(&path, &text);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// Settings of a verifier, which listens on a free port, and that port.
#[must_use]
pub fn verifier(tls: &Tls, hosts: &str) -> (Setup, u16) {
    let port = free_port();
    (listening(Setup::new(), port, tls, hosts), port)
}

/// The same on that port.
#[must_use]
pub fn listening(setup: Setup, port: u16, tls: &Tls, hosts: &str) -> Setup {
    listening_at(setup, &format!("127.0.0.1:{port}"), tls, hosts)
}

/// The same at that address and port.
#[must_use]
pub fn listening_at(setup: Setup, listen: &str, tls: &Tls, hosts: &str) -> Setup {
    let files = files(tls);
    setup.with(&format!(
        "  fleet:\n    listen: '{listen}'\n{files}    hosts: {hosts}\n"
    ))
}

/// A relay that asks the verifiers at these ports.
#[must_use]
pub fn relay(tls: &Tls, ports: &[u16]) -> Setup {
    let servers: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    relay_to(tls, &servers.join(", "))
}

/// A relay that asks these servers.
#[must_use]
pub fn relay_to(tls: &Tls, servers: &str) -> Setup {
    let files = files(tls);
    let mut setup = Setup::new();
    setup.settings = format!("provisiond:\n  upstream:\n    servers: [{servers}]\n{files}");
    setup.secrets.clear();
    setup
}

fn files(Tls { ca, cert, key }: &Tls) -> String {
    let line = |name: &str, path: &Path| format!("    {name}: {}\n", path.display());
    line("ca", ca) + &line("cert", cert) + &line("key", key)
}

/// A port on which nothing listens.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}

/// What `status` of a relay says of a verifier: whether it is reached, and why not.
#[must_use]
pub fn reached(relay: &Daemon, port: u16) -> (Value, String) {
    let status = relay.totpctl_json(&["status"], "");
    let servers = status["upstream"].as_array().expect("verifiers").clone();
    let address = format!("127.0.0.1:{port}");
    let server = servers
        .into_iter()
        .find(|server| server["server"] == address);
    let server = server.expect("that verifier");
    let reason = server["reason"].as_str().unwrap_or_default().to_owned();
    (server["reached"].clone(), reason)
}

const CONFIG: &str = "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ncertificate=ca.pem\n\
     private_key=ca.key\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n";
