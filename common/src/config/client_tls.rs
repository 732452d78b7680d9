//! The files with which the daemon shows itself to a server over TLS, and knows the server: `ca`,
//! `cert` and `key`. Judges who may write them, not what is in them.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::file::{Trust, TrustedFile};
use super::problem::{At, ConfigError, Problem, bad};

/// Where the three files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// The certificates, in PEM, of which one has signed the server's.
    pub ca: PathBuf,
    /// The daemon's own certificate, with the chain to its CA.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
pub struct TlsTexts {
    /// The certificates of the CA.
    pub ca: String,
    /// The daemon's certificate.
    pub cert: String,
    /// Its private key.
    pub key: Zeroizing<String>,
}

impl ClientTls {
    /// Reads the three files as they are now: they are replaced when a certificate is renewed.
    ///
    /// # Errors
    /// [`ConfigError`]: a file that is missing, that others can write, or a key that others can read.
    pub fn read(&self, trust: &Trust) -> Result<TlsTexts, ConfigError> {
        let text = |path| TrustedFile::read(path, trust).at(path);
        let (ca, cert) = (text(&self.ca)?, text(&self.cert)?);
        let key = text(&self.key)?;
        key.is_for_few().at(&self.key)?;
        Ok(TlsTexts {
            ca: ca.text().to_owned(),
            cert: cert.text().to_owned(),
            key: Zeroizing::new(key.text().to_owned()),
        })
    }
}

/// The files as they are given.
pub(super) struct RawClientTls {
    pub(super) ca: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

impl RawClientTls {
    /// `None` if there is none of the three.
    pub(super) fn check(self, section: &'static str) -> Result<Option<ClientTls>, Problem> {
        match (self.ca, self.cert, self.key) {
            (None, None, None) => Ok(None),
            (Some(ca), Some(cert), Some(key)) => {
                let are_absolute = [&ca, &cert, &key].iter().all(|path| path.is_absolute());
                match are_absolute {
                    true => Ok(Some(ClientTls { ca, cert, key })),
                    false => Err(bad(
                        section,
                        "give 'ca', 'cert' and 'key' by absolute paths",
                    )),
                }
            }
            _ => Err(bad(
                section,
                "the three files 'ca', 'cert' and 'key' belong together: give all of them",
            )),
        }
    }
}
