//! The files of TLS, and the configurations made of them. A file that has changed is read again at the
//! next connection, so that a renewed certificate is in force without a reload. While the new files
//! cannot be used, such as a certificate whose key is still to be written, the former ones stay.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use common::config::tls_files::TlsFiles;
use common::config::{ConfigError, Trust};
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadFiles {
    /// A file cannot be read, or is not trusted.
    #[error(transparent)]
    Unread(#[from] ConfigError),
    /// A file holds something else.
    #[error("{path}: {why}: check that it is the right file, in PEM")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The certificate and the key do not belong together, or TLS cannot use them.
    #[error("{path}: {why}: check that the certificate and the key belong together")]
    Pair {
        /// The file of the certificate.
        path: String,
        /// What TLS says.
        why: String,
    },
}

/// A configuration, made anew when its files have changed.
pub struct Kept<T> {
    files: TlsFiles,
    trust: Trust,
    make: fn(Read, &TlsFiles) -> Result<T, BadFiles>,
    last: Mutex<Option<Last<T>>>,
}

struct Last<T> {
    states: [State; 3],
    made: Arc<T>,
}

impl<T> Kept<T> {
    /// Reads the files.
    ///
    /// # Errors
    /// [`BadFiles`].
    pub fn read(
        files: TlsFiles,
        trust: Trust,
        make: fn(Read, &TlsFiles) -> Result<T, BadFiles>,
    ) -> Result<Self, BadFiles> {
        let kept = Self {
            files,
            trust,
            make,
            last: Mutex::new(None),
        };
        kept.current()?;
        Ok(kept)
    }

    /// The configuration of the files as they are now.
    ///
    /// # Errors
    /// [`BadFiles`]: the former configuration still holds.
    pub fn current(&self) -> Result<Arc<T>, BadFiles> {
        let states = self.states();
        if let Some(last) = &*self.lock()
            && last.states == states
        {
            return Ok(Arc::clone(&last.made));
        }
        let read = Read::of(&self.files, &self.trust)?;
        let made = Arc::new((self.make)(read, &self.files)?);
        *self.lock() = Some(Last {
            states,
            made: Arc::clone(&made),
        });
        Ok(made)
    }

    /// The same, or the former configuration and why the files cannot be used.
    pub fn usable(&self) -> (Option<Arc<T>>, Option<BadFiles>) {
        match self.current() {
            Ok(made) => (Some(made), None),
            Err(bad) => (self.former(), Some(bad)),
        }
    }

    fn former(&self) -> Option<Arc<T>> {
        self.lock().as_ref().map(|last| Arc::clone(&last.made))
    }

    fn states(&self) -> [State; 3] {
        let TlsFiles { ca, cert, key } = &self.files;
        [ca, cert, key].map(|path| State::of(path))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Last<T>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What tells whether a file was changed or replaced. `None`: it cannot be looked at.
#[derive(PartialEq, Eq)]
struct State(Option<(u64, u64, u64, SystemTime)>);

impl State {
    fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        let state = path.metadata().ok().and_then(|metadata| {
            let changed = metadata.modified().ok()?;
            Some((metadata.dev(), metadata.ino(), metadata.len(), changed))
        });
        Self(state)
    }
}

/// What the files hold.
pub struct Read {
    authorities: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Read {
    fn of(files: &TlsFiles, trust: &Trust) -> Result<Self, BadFiles> {
        let TlsFiles { ca, cert, key } = files;
        let texts = files.read(trust)?;
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(ca, &texts.ca)? {
            let added = authorities.add(certificate);
            added.map_err(|why| content(ca, why))?;
        }
        let private = PrivateKeyDer::from_pem_slice(texts.key.as_bytes());
        Ok(Self {
            authorities,
            chain: certificates(cert, &texts.cert)?,
            key: private.map_err(|why| content(key, why))?,
        })
    }
}

fn certificates(path: &Path, text: &str) -> Result<Vec<CertificateDer<'static>>, BadFiles> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.map_err(|why| content(path, why))?;
    match found.is_empty() {
        true => Err(content(path, "it holds no certificate")),
        false => Ok(found),
    }
}

/// How a relay connects.
///
/// # Errors
/// [`BadFiles`].
pub fn for_relay(read: Read, files: &TlsFiles) -> Result<ClientConfig, BadFiles> {
    let pair = |why| pair(files, &why);
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13]).map_err(pair)?;
    let builder = builder.with_root_certificates(read.authorities);
    let config = builder.with_client_auth_cert(read.chain, read.key);
    let mut config = config.map_err(pair)?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// How a verifier is connected to: only by hosts whose certificate the authority has signed.
///
/// # Errors
/// [`BadFiles`].
pub fn for_verifier(read: Read, files: &TlsFiles) -> Result<ServerConfig, BadFiles> {
    let provider = Arc::new(default_provider());
    let authorities = Arc::new(read.authorities);
    let hosts = WebPkiClientVerifier::builder_with_provider(authorities, Arc::clone(&provider));
    let hosts = hosts.build().map_err(|why| content(&files.ca, why))?;
    let pair = |why| pair(files, &why);
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&TLS13]).map_err(pair)?;
    let builder = builder.with_client_cert_verifier(hosts);
    let mut config = builder
        .with_single_cert(read.chain, read.key)
        .map_err(pair)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn content(path: &Path, why: impl ToString) -> BadFiles {
    BadFiles::Content {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}

fn pair(files: &TlsFiles, why: &rustls::Error) -> BadFiles {
    BadFiles::Pair {
        path: files.cert.display().to_string(),
        why: why.to_string(),
    }
}
