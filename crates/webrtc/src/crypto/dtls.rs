//! DTLS by `dimpl`, with the ciphers, groups and hashes of the neighbouring files.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use str0m::config::DtlsVersion;
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};

use super::sealer::{self, Exported};

/// DTLS could not be set up. This is a fault of ours, never of the far end.
#[derive(Debug, thiserror::Error)]
#[error("DTLS can't be set up: {0}")]
pub(crate) struct DtlsFault(String);

#[derive(Debug)]
pub(super) struct Dtls;

/// The configuration, which all connections share. `dimpl` tries out every cipher and curve when a configuration is made, which takes a
/// hundred times longer than the rest of an answer.
fn config() -> Result<Arc<dimpl::Config>, DtlsFault> {
    static CONFIG: OnceLock<Result<Arc<dimpl::Config>, String>> = OnceLock::new();
    let made = CONFIG.get_or_init(|| {
        // Before DTLS begins, ICE has shown that the far end is where it says. The cookie of DTLS would show that again, and costs a round
        // trip.
        let builder = dimpl::Config::builder().use_server_cookie(false).with_crypto_provider(super::for_dtls());
        builder.build().map(Arc::new).map_err(|error| format!("{error:?}"))
    });
    made.clone().map_err(DtlsFault)
}

impl DtlsProvider for Dtls {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        super::Identity::make().ok().map(|identity| identity.certificate)
    }

    /// Makes DTLS 1.2, whatever version is asked for: every browser speaks it, and 1.3 would save the server nothing.
    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        _version: DtlsVersion,
        _mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let config = config().map_err(|fault| CryptoError::Other(fault.to_string()))?;
        Ok(Box::new(Instance(dimpl::Dtls::new_12(config, cert.clone(), now))))
    }
}

/// Makes the configuration when the server starts, so that a fault shows there rather than at the first viewer.
pub(crate) fn check() -> Result<(), DtlsFault> {
    config().map(|_| ())
}

struct Instance(dimpl::Dtls);

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Instance")
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let is_client = self.0.is_active();
        let output = self.0.poll_output(buf);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            sealer::leave(Exported { profile: *profile, material: material.to_vec(), is_client });
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn dimpl_finds_every_cipher_curve_and_signature_right() {
        super::config().unwrap();
    }
}
