//! The files with which the daemon shows itself over TLS, and knows the other side: `ca`, `cert` and
//! `key`, in PEM. Judges who may read and write them, not what is in them.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::file::{Trust, TrustedFile};
use super::problem::{At, ConfigError, Problem, bad};

/// Where the three files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates of the authorities that sign the other side's certificate.
    pub ca: PathBuf,
    /// The daemon's certificate, and those between it and its authority.
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

impl TlsFiles {
    /// Reads the three files as they are now: they are replaced when a certificate is renewed.
    ///
    /// # Errors
    /// [`ConfigError`]: a file that is missing, that others can write, or a key that others can read.
    pub fn read(&self, trust: &Trust) -> Result<TlsTexts, ConfigError> {
        let key = read(&self.key, trust)?;
        key.is_for_few().at(&self.key)?;
        Ok(TlsTexts {
            ca: read(&self.ca, trust)?.text().to_owned(),
            cert: read(&self.cert, trust)?.text().to_owned(),
            key: key.into_text(),
        })
    }
}

fn read(path: &Path, trust: &Trust) -> Result<TrustedFile, ConfigError> {
    TrustedFile::read(path, trust).at(path)
}

/// The files as they are given.
pub(super) struct RawTlsFiles {
    pub(super) ca: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

impl RawTlsFiles {
    /// `None` if there is none of the three.
    pub(super) fn check(self, section: &'static str) -> Result<Option<TlsFiles>, Problem> {
        match (self.ca, self.cert, self.key) {
            (None, None, None) => Ok(None),
            (Some(ca), Some(cert), Some(key)) => {
                let are_absolute = [&ca, &cert, &key].iter().all(|path| path.is_absolute());
                match are_absolute {
                    true => Ok(Some(TlsFiles { ca, cert, key })),
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
