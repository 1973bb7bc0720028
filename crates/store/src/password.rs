//! Passwords as argon2id hashes.

use crate::{Result, StoreError};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use weir_model::Secret;

/// The longest password. Argon2 reads all of it, so a longer one would be an attack on our time.
pub const MAX_PASSWORD_BYTES: usize = 1_024;

/// The hash that OWASP recommends first: argon2id with 19 MiB, two passes and one lane.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// A hash that no password has, with the parameters of real ones.
pub(crate) fn decoy_hash() -> &'static str {
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
}

pub(crate) async fn password_hash(password: &Secret) -> Result<String> {
    if password.is_empty() || password.expose().len() > MAX_PASSWORD_BYTES {
        return Err(StoreError::Limit { field: "password", problem: "must be 1 to 1024 bytes long" });
    }
    let password = password.clone();
    blocking(move || {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| StoreError::Random)?;
        let salt = SaltString::encode_b64(&salt).map_err(StoreError::PasswordHash)?;
        let hash = argon2().hash_password(password.expose().as_bytes(), &salt).map_err(StoreError::PasswordHash)?;
        Ok(hash.to_string())
    })
    .await
}

pub(crate) async fn password_matches(stored: String, password: Secret) -> Result<bool> {
    blocking(move || {
        let stored = PasswordHash::new(&stored).map_err(StoreError::PasswordHash)?;
        Ok(argon2().verify_password(password.expose().as_bytes(), &stored).is_ok())
    })
    .await
}

/// Whether this is a hash as we make them. A hash that costs more to check would be a way to wear us out.
pub fn checked_password_hash(text: &str) -> bool {
    let Ok(hash) = PasswordHash::new(text) else { return false };
    let ours = Params::DEFAULT;
    hash.algorithm == argon2::ARGON2ID_IDENT
        && hash.hash.is_some()
        && Params::try_from(&hash).is_ok_and(|params| {
            params.m_cost() <= ours.m_cost() && params.t_cost() <= ours.t_cost() && params.p_cost() <= ours.p_cost()
        })
}

/// Runs the work on a thread of its own: tens of milliseconds of computing must not hold up the threads that move media.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Corrupt("a password hash"))?
}
