//! Whom the server trusts when it calls: those that a root vouches for, and the very certificates that the operator has listed.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::common_name::common_name;

/// The usual rules, and one more. `openssl req -x509` makes a certificate that states that it is an authority, which by the usual rules
/// no server may show, even where it is its own root. When it is listed in `tls.ca`, it is trusted as it is: its name and its dates are
/// checked; its signature by its own key would prove nothing more.
#[derive(Debug)]
pub(super) struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(
        roots: RootCertStore,
        listed: Vec<CertificateDer<'static>>,
    ) -> Result<Arc<Self>, VerifierBuilderError> {
        let usual = WebPkiServerVerifier::builder(Arc::new(roots)).build()?;
        Ok(Arc::new(Self { usual, listed }))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verdict {
            // The dates are checked before anything else, so any other error means that they are right.
            Err(Error::InvalidCertificate(why)) if !is_about_dates(&why) && self.listed.contains(end_entity) => {
                verify_name(end_entity, server_name)
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

fn is_about_dates(why: &CertificateError) -> bool {
    matches!(
        why,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
            | CertificateError::BadEncoding
    )
}

/// Checks the name against today's names (subjectAltName). A certificate
/// that has none is for its common name, as openssl's own default leaves it.
fn verify_name(certificate: &CertificateDer<'_>, wanted: &ServerName<'_>) -> Result<ServerCertVerified, Error> {
    match verify_server_name(&ParsedCertificate::try_from(certificate)?, wanted) {
        Ok(()) => Ok(ServerCertVerified::assertion()),
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }))
            if presented.is_empty()
                && common_name(certificate).is_some_and(|name| name.eq_ignore_ascii_case(&wanted.to_str())) =>
        {
            Ok(ServerCertVerified::assertion())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
    use std::time::Duration;

    /// A certificate as openssl makes it: self-signed, CA:TRUE.
    fn certificate(names: &[&str], common_name: &str, last_year: i32) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn verify(shown: &CertificateDer<'static>, listed: &CertificateDer<'static>, name: &str) -> Result<(), Error> {
        // `main` installs this, too.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(listed.clone()).unwrap();
        let trust = Verifier::new(roots, vec![listed.clone()]).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        // The time is in 2027.
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        trust.verify_server_cert(shown, &[], &name, &[], now).map(drop)
    }

    #[test]
    fn what_is_listed_is_trusted_for_its_names_and_its_time_and_nothing_else_is() {
        let ours = certificate(&["a.example", "192.0.2.1"], "ours", 2090);
        assert_eq!(verify(&ours, &ours, "a.example"), Ok(()));
        assert_eq!(verify(&ours, &ours, "192.0.2.1"), Ok(()));
        for name in ["b.example", "192.0.2.2", "ours"] {
            let error = verify(&ours, &ours, name).unwrap_err();
            assert!(
                matches!(&error, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })),
                "{name}: {error}"
            );
        }
        let strangers = certificate(&["a.example"], "ours", 2090);
        assert!(verify(&strangers, &ours, "a.example").is_err(), "the same names, another key");
        let old = certificate(&["a.example"], "old", 2025);
        let error = verify(&old, &old, "a.example").unwrap_err();
        assert!(matches!(&error, Error::InvalidCertificate(why) if is_about_dates(why)), "{error}");
    }

    #[test]
    fn without_names_of_today_it_is_for_its_common_name() {
        let old_fashioned = certificate(&[], "Ingest.example", 2090);
        assert_eq!(verify(&old_fashioned, &old_fashioned, "ingest.example"), Ok(()));
        assert!(verify(&old_fashioned, &old_fashioned, "other.example").is_err());
        let by_address = certificate(&[], "127.0.0.1", 2090);
        assert_eq!(verify(&by_address, &by_address, "127.0.0.1"), Ok(()));
    }
}
