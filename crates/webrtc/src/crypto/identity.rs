//! Proves who we are to the far end, and checks that it is who it says: our key and certificate, and signatures made and verified.

use dimpl::crypto::{
    Buf, HashAlgorithm, KeyProvider, NamedGroup, SignatureAlgorithm, SignatureVerifier, SigningKey, check_verify_scheme,
};
use dimpl::{CryptoError, CryptoOperation};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, EcdsaKeyPair, EcdsaVerificationAlgorithm, UnparsedPublicKey,
};
use str0m::config::{DtlsCert, Fingerprint};
use str0m::crypto::Sha256Provider;

use super::certificate::{Curve, NoKey, ec_key};
use super::hashes::Hashes;

/// The key and certificate of this process: they are made when it starts and gone when it ends. Answers tell the certificate's fingerprint
/// over HTTP, and that is what viewers trust.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: DtlsCert,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint().to_string()).finish()
    }
}

impl Identity {
    /// Makes a new key and its certificate, which takes under a millisecond.
    pub(crate) fn make() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "WebRTC");
        let certificate = params.self_signed(&key)?.der().to_vec();
        Ok(Self { certificate: DtlsCert { certificate, private_key: key.serialize_der() } })
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let bytes = Hashes.sha256(&self.certificate.certificate).to_vec();
        Fingerprint { hash_func: "sha-256".to_owned(), bytes }
    }
}

#[derive(Debug)]
pub(super) struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, key_der: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key_der, &SystemRandom::new());
        Ok(Box::new(Key(key.map_err(|_| CryptoError::InvalidPrivateKey)?)))
    }
}

struct Key(EcdsaKeyPair);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl SigningKey for Key {
    fn sign(&mut self, data: &[u8], hash_alg: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        if hash_alg != HashAlgorithm::SHA256 {
            return Err(CryptoError::SigningKeyHashMismatch { key_hash: HashAlgorithm::SHA256, requested: hash_alg });
        }
        let signature = self.0.sign(&SystemRandom::new(), data);
        let signature = signature.map_err(|_| CryptoError::OperationFailed(CryptoOperation::Sign))?;
        out.clear();
        out.extend_from_slice(signature.as_ref());
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &[HashAlgorithm::SHA256]
    }
}

#[derive(Debug)]
pub(super) struct Signatures;

impl SignatureVerifier for Signatures {
    fn verify_signature(
        &self,
        cert_der: &[u8],
        data: &[u8],
        signature: &[u8],
        hash_alg: HashAlgorithm,
        sig_alg: SignatureAlgorithm,
    ) -> Result<(), CryptoError> {
        if sig_alg != SignatureAlgorithm::ECDSA {
            return Err(CryptoError::UnsupportedSignatureAlgorithm(sig_alg));
        }
        let key = ec_key(cert_der).map_err(|why| match why {
            NoKey::Malformed => CryptoError::CertificateParseFailed,
            NoKey::NotElliptic => CryptoError::UnsupportedPublicKeyAlgorithm,
            NoKey::OtherCurve => CryptoError::UnsupportedEcCurve,
        })?;
        let group = match key.curve {
            Curve::P256 => NamedGroup::Secp256r1,
            Curve::P384 => NamedGroup::Secp384r1,
        };
        check_verify_scheme(sig_alg, hash_alg, group)?;
        let algorithm: &EcdsaVerificationAlgorithm = match (key.curve, hash_alg) {
            (Curve::P256, HashAlgorithm::SHA256) => &ECDSA_P256_SHA256_ASN1,
            (Curve::P256, _) => &ECDSA_P256_SHA384_ASN1,
            (Curve::P384, HashAlgorithm::SHA256) => &ECDSA_P384_SHA256_ASN1,
            (Curve::P384, _) => &ECDSA_P384_SHA384_ASN1,
        };
        UnparsedPublicKey::new(algorithm, key.point)
            .verify(data, signature)
            .map_err(|_| CryptoError::SignatureVerificationFailed { signature: sig_alg, hash: hash_alg, group })
    }
}
