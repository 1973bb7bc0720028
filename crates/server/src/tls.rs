//! TLS both ways: the certificate that we show, and the roots that we trust.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;

/// A self-signed certificate is kept here, so that a restart does not look like an attack to whoever pinned it.
const SELF_SIGNED_CERT: &str = "self-signed.crt";
const SELF_SIGNED_KEY: &str = "self-signed.key";

/// For RTMPS and HTTPS listeners; None when no certificate is configured.
pub(crate) fn server_config(tls: &Tls, data: &Path, host: Option<&str>) -> anyhow::Result<Option<Arc<ServerConfig>>> {
    let (cert, key) = match &tls.own {
        Some((cert, key)) => (cert.clone(), key.clone()),
        None if tls.self_signed => {
            let paths = (data.join(SELF_SIGNED_CERT), data.join(SELF_SIGNED_KEY));
            if !paths.0.exists() || !paths.1.exists() {
                make_self_signed(&paths.0, &paths.1, host)?;
            }
            paths
        }
        None => return Ok(None),
    };
    let chain = CertificateDer::pem_file_iter(&cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the certificate {}", cert.display()))?;
    let key_der =
        PrivateKeyDer::from_pem_file(&key).with_context(|| format!("cannot read the key {}", key.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .with_context(|| format!("the certificate {} and its key do not go together", cert.display()))?;
    // librtmp on GnuTLS takes a TLS 1.3 session ticket for the end of the connection. Encoders connect once and resume nothing.
    config.send_tls13_tickets = 0;
    Ok(Some(Arc::new(config)))
}

/// For outgoing RTMPS: the system's roots (`SSL_CERT_FILE` is honoured) and `tls.ca`. Certificates are always verified.
pub(crate) fn client_config(tls: &Tls) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a part of the system's trusted roots could not be read");
    }
    let (added, ignored) = roots.add_parsable_certificates(system.certs);
    tracing::debug!(added, ignored, "trusted roots of the system");
    if let Some(ca) = &tls.ca {
        let read = || format!("cannot read tls.ca {}", ca.display());
        for certificate in CertificateDer::pem_file_iter(ca).with_context(read)? {
            roots.add(certificate.with_context(read)?).with_context(read)?;
        }
    }
    if roots.is_empty() {
        tracing::warn!(
            "no trusted roots were found: every RTMPS push will fail (install ca-certificates, or set tls.ca)"
        );
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

fn make_self_signed(cert: &Path, key: &Path, host: Option<&str>) -> anyhow::Result<()> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(host.map(str::to_owned));
    let made = rcgen::generate_simple_self_signed(names).context("cannot make a self-signed certificate")?;
    write_private(key, &made.signing_key.serialize_pem())?;
    std::fs::write(cert, made.cert.pem()).with_context(|| format!("cannot write {}", cert.display()))
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let open = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
