//! The certificate that the server shows. It may be replaced while the server runs; open connections keep theirs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use weir_net::InForce;

use crate::config::Tls;

/// A self-signed certificate is kept in these files, so that a restart does not look like an attack to whoever pinned it.
const SELF_SIGNED_CERT: &str = "self-signed.crt";
const SELF_SIGNED_KEY: &str = "self-signed.key";

/// The certificate that HTTPS and RTMPS listeners show to those who connect; all clones show the same.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    shown: InForce<CertifiedKey>,
}

impl Certificate {
    pub(crate) fn new(shown: CertifiedKey) -> Self {
        Self { shown: InForce::new(shown) }
    }

    /// Shows this certificate to new connections; true where it differs from the one before.
    pub(crate) fn replace(&self, shown: CertifiedKey) -> bool {
        let changed = self.shown.get().cert != shown.cert;
        self.shown.replace(shown);
        changed
    }

    /// The TLS configuration of a listener, which follows the certificate that is shown.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(self.clone()));
        // librtmp on GnuTLS takes a TLS 1.3 session ticket for the end of the
        // connection. Encoders connect once, so there is nothing to resume.
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.get())
    }
}

/// Reads the certificate that the configuration names, or makes the one that it asks for. None when no certificate is configured.
pub(crate) fn read(tls: &Tls, data: &Path, host: Option<&str>) -> anyhow::Result<Option<CertifiedKey>> {
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
    ensure!(!chain.is_empty(), "there is no certificate in {}: it must be in PEM form", cert.display());
    let key_der =
        PrivateKeyDer::from_pem_file(&key).with_context(|| format!("cannot read the key {}", key.display()))?;
    CertifiedKey::from_der(chain, key_der, &ring::default_provider())
        .map(Some)
        .with_context(|| format!("the certificate {} and its key do not go together", cert.display()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn self_signed(folder: &Path) -> CertifiedKey {
        read(&Tls { own: None, self_signed: true, ca: None }, folder, None).unwrap().unwrap()
    }

    #[test]
    fn listeners_follow_what_is_shown() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let certificate = Certificate::new(self_signed(folders[0].path()));
        let of_listener = certificate.clone();
        assert!(!certificate.replace(self_signed(folders[0].path())), "the same again");
        assert!(certificate.replace(self_signed(folders[1].path())));
        assert_eq!(of_listener.shown.get().cert, self_signed(folders[1].path()).cert);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        folders.iter().for_each(|folder| drop(self_signed(folder.path())));
        let of = |folder: usize, name: &str| folders[folder].path().join(name);
        let missing = PathBuf::from("/nowhere/cert.pem");
        for (cert, key, expected) in [
            (of(0, SELF_SIGNED_CERT), of(1, SELF_SIGNED_KEY), "do not go together"),
            (missing.clone(), of(1, SELF_SIGNED_KEY), "cannot read the certificate /nowhere/cert.pem"),
            (of(0, SELF_SIGNED_CERT), missing, "cannot read the key /nowhere/cert.pem"),
            (of(0, SELF_SIGNED_CERT), of(0, SELF_SIGNED_CERT), "cannot read the key"),
            (of(0, SELF_SIGNED_KEY), of(0, SELF_SIGNED_KEY), "there is no certificate in"),
        ] {
            let tls = Tls { own: Some((cert, key)), self_signed: false, ca: None };
            let error = read(&tls, Path::new("/nowhere"), None).map(|_| ()).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#} does not say {expected}");
        }
        assert!(read(&Tls { own: None, self_signed: false, ca: None }, Path::new("/nowhere"), None).unwrap().is_none());
    }
}
