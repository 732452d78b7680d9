//! Certificates for the tests, made by openssl: of the CA of the cluster, of another CA, for other
//! names, and expired ones.

use std::path::{Path, PathBuf};
use std::process::Command;

use common::config::tls_files::TlsFiles;

/// A folder with certificates and keys, `NAME.pem` and `NAME.key`.
pub(super) struct Certificates(tempfile::TempDir);

impl Certificates {
    pub(super) fn new() -> Self {
        let all = Self(tempfile::tempdir().unwrap());
        for ca in ["ca", "other-ca"] {
            all.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {ca}.key -out {ca}.pem -days 2 \
                 -subj /CN={ca}"
            ));
        }
        let server = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth";
        all.sign("server", "ca", 2, server);
        for (name, ca, days) in [
            ("root", "ca", 2),
            ("verifier", "ca", 2),
            ("stranger", "ca", 2),
            ("expired", "ca", -1),
            ("of-another-ca", "other-ca", 2),
        ] {
            all.sign(name, ca, days, "extendedKeyUsage=clientAuth");
        }
        all.sign("expired-server", "ca", -1, server);
        let elsewhere = "subjectAltName=DNS:elsewhere\nextendedKeyUsage=serverAuth,clientAuth";
        all.sign("elsewhere", "ca", 2, elsewhere);
        all
    }

    /// What a client needs to show itself under that name.
    pub(super) fn client(&self, name: &str) -> TlsFiles {
        TlsFiles {
            ca: self.path("ca.pem"),
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    /// The arguments of an etcd that shows itself under that name.
    pub(super) fn of_the_server(&self, name: &str) -> Vec<String> {
        [
            ("cert-file", format!("{name}.pem")),
            ("key-file", format!("{name}.key")),
            ("trusted-ca-file", "ca.pem".to_owned()),
        ]
        .map(|(name, file)| format!("--{name}={}", self.path(&file).display()))
        .into_iter()
        .chain(["--client-cert-auth".to_owned()])
        .collect()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn sign(&self, name: &str, ca: &str, days: i32, extensions: &str) {
        std::fs::write(self.path("extensions"), extensions).unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days {days} -extfile extensions \
             -out {name}.pem"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let made = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "openssl {arguments}: {}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
}

/// Puts one file in the place of another, as the renewal of a certificate does.
pub(super) fn replace(file: &Path, by: &Path) {
    let draft = file.with_extension("new");
    std::fs::copy(by, &draft).unwrap();
    std::fs::rename(draft, file).unwrap();
}
