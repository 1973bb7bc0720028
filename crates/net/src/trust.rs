//! Whom the server trusts when it calls others over TLS.

mod common_name;
mod verifier;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use verifier::Verifier;

/// Why `tls.ca` can't be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read tls.ca {}", path.display())]
pub struct TrustFault {
    path: PathBuf,
    source: Box<dyn Error + Send + Sync>,
}

/// A configuration that trusts the system's roots (`SSL_CERT_FILE` is
/// honoured) and those in the file `ca`. Certificates are always verified.
pub fn trusted(ca: Option<&Path>) -> Result<Arc<ClientConfig>, TrustFault> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a part of the system's trusted roots could not be read");
    }
    let (added, ignored) = roots.add_parsable_certificates(system.certs);
    tracing::debug!(added, ignored, "trusted roots of the system");
    let listed = match ca {
        None => Vec::new(),
        Some(path) => add(&mut roots, path).map_err(|source| TrustFault { path: path.to_owned(), source })?,
    };
    if roots.is_empty() {
        tracing::warn!(
            "no trusted roots were found: every RTMPS push will fail (install ca-certificates, or set tls.ca)"
        );
    }
    let builder = ClientConfig::builder();
    let builder = match listed.is_empty() {
        true => builder.with_root_certificates(roots),
        false => {
            let verifier = Verifier::new(roots, listed)
                .map_err(|error| TrustFault { path: ca.unwrap_or(Path::new("")).to_owned(), source: error.into() })?;
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// Adds the certificates of a file to the roots, and gives them.
fn add(roots: &mut RootCertStore, path: &Path) -> Result<Vec<CertificateDer<'static>>, Box<dyn Error + Send + Sync>> {
    let listed = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    for certificate in &listed {
        roots.add(certificate.clone())?;
    }
    Ok(listed)
}
