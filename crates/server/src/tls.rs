//! Whom we trust when we connect to others.

mod common_name;
mod trust;

use std::sync::Arc;

use anyhow::Context as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::config::Tls;
use trust::Trust;

/// For outgoing RTMPS and HTTPS: the system's roots (`SSL_CERT_FILE` is honoured) and `tls.ca`. Certificates are always verified.
pub(crate) fn client_config(tls: &Tls) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a part of the system's trusted roots could not be read");
    }
    let (added, ignored) = roots.add_parsable_certificates(system.certs);
    tracing::debug!(added, ignored, "trusted roots of the system");
    let mut listed = Vec::new();
    if let Some(ca) = &tls.ca {
        let read = || format!("cannot read tls.ca {}", ca.display());
        for certificate in CertificateDer::pem_file_iter(ca).with_context(read)? {
            let certificate = certificate.with_context(read)?;
            roots.add(certificate.clone()).with_context(read)?;
            listed.push(certificate);
        }
    }
    if roots.is_empty() {
        tracing::warn!(
            "no trusted roots were found: every RTMPS push will fail (install ca-certificates, or set tls.ca)"
        );
    }
    let builder = ClientConfig::builder();
    let builder = match listed.is_empty() {
        true => builder.with_root_certificates(roots),
        false => builder.dangerous().with_custom_certificate_verifier(Trust::new(roots, listed)?),
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}
