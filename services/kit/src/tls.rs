//! TLS to the servers that this process calls: whom it trusts, and who it is.
//!
//! The crypto backend is aws-lc-rs, as it is of every library that does TLS by itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It cannot be read.
    #[error("{}: {cause}", path.display())]
    File {
        /// As it is configured.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Where somebody to trust is expected.
    #[error("{}: no certificates that can be trusted", .0.display())]
    NoCertificates(PathBuf),
    /// Where our own certificate is expected.
    #[error("{}: no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// Where our key is expected.
    #[error("{}: no private key in PEM", .0.display())]
    NoKey(PathBuf),
    /// The key of another certificate, or one of an unknown kind.
    #[error("{}: not the key of {}: {cause}", key_file.display(), certificate_file.display())]
    Identity {
        /// The certificate.
        certificate_file: PathBuf,
        /// The key.
        key_file: PathBuf,
        /// What is wrong.
        cause: rustls::Error,
    },
}

/// Who this process is, for servers that ask. Both files are PEM.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The certificate, then those between it and its authority.
    pub certificate_file: &'a Path,
    /// Its private key.
    pub key_file: &'a Path,
}

/// How servers are spoken to: they show a certificate for the name or address that was called, from a public authority, or,
/// with `ca_file` (PEM), from one of that file. Reads the files once.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(ca_file: Option<&Path>, identity: Option<Identity<'_>>) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the ciphers of TLS 1.2 and 1.3")
        .with_root_certificates(roots(ca_file)?);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.read()?;
            builder.with_client_auth_cert(chain, key).map_err(|cause| identity.refused(cause))?
        }
    };
    Ok(Arc::new(config))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(&read(path)?) {
        let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
        added.ok_or_else(|| TlsError::NoCertificates(path.to_owned()))?;
    }
    if roots.is_empty() { Err(TlsError::NoCertificates(path.to_owned())) } else { Ok(roots) }
}

impl Identity<'_> {
    fn read(self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let chain = CertificateDer::pem_slice_iter(&read(self.certificate_file)?).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| TlsError::NoCertificate(self.certificate_file.to_owned()))?;
        let key = PrivateKeyDer::from_pem_slice(&read(self.key_file)?);
        Ok((chain, key.map_err(|_| TlsError::NoKey(self.key_file.to_owned()))?))
    }

    fn refused(self, cause: rustls::Error) -> TlsError {
        let (certificate_file, key_file) = (self.certificate_file.to_owned(), self.key_file.to_owned());
        TlsError::Identity { certificate_file, key_file, cause }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|cause| TlsError::File { path: path.to_owned(), cause })
}

#[cfg(test)]
pub(crate) mod tests;
