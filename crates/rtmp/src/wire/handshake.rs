//! The handshake.

use bytes::BytesMut;

use super::WireError;

#[derive(Debug)]
pub struct ServerHandshake {}

impl ServerHandshake {
    pub fn new(_random: [u8; 1528], _epoch_ms: u32) -> Self {
        Self {}
    }
    pub fn feed(&mut self, _input: &mut BytesMut, _out: &mut BytesMut) -> Result<bool, WireError> {
        Ok(false)
    }
}

#[derive(Debug)]
pub struct ClientHandshake {}

impl ClientHandshake {
    pub fn new(_random: [u8; 1528], _epoch_ms: u32) -> Self {
        Self {}
    }
    pub fn feed(&mut self, _input: &mut BytesMut, _out: &mut BytesMut) -> Result<bool, WireError> {
        Ok(false)
    }
}
