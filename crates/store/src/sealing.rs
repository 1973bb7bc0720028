//! The key in `secret.key` and its uses: it seals secrets at rest, hashes stream keys so that they can be found, and signs playback
//! tokens.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The name of the key file in the data directory. Nodes that share a database share this file.
pub const KEY_FILE: &str = "secret.key";

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Every sealed value begins with this byte, so that a later scheme can be told apart.
const SCHEME: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{path} has {bytes} bytes instead of {KEY_BYTES}: restore it from a backup (without it stored secrets are lost)"
    )]
    Size { path: PathBuf, bytes: usize },
    #[error("{path} can be read by others (mode {mode:o}): run chmod 600 on it")]
    Readable { path: PathBuf, mode: u32 },
    #[error("the system gives no random numbers")]
    Random,
}

/// The key. It is cheap to clone and shows nothing when printed.
#[derive(Clone)]
pub struct SealingKey(Arc<Keys>);

struct Keys {
    cipher: XChaCha20Poly1305,
    lookup: Zeroizing<[u8; KEY_BYTES]>,
    play: Zeroizing<[u8; KEY_BYTES]>,
    export: Zeroizing<[u8; KEY_BYTES]>,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(***)")
    }
}

impl SealingKey {
    /// Reads `secret.key`, or makes it if the directory has none.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, SealingKeyError> {
        let path = data_dir.join(KEY_FILE);
        match Self::load(&path) {
            Err(SealingKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        create(data_dir, &path)?;
        // The file is read back: if two processes start at once, the other's key may have won.
        Self::load(&path)
    }

    fn load(path: &Path) -> Result<Self, SealingKeyError> {
        let io = |source| SealingKeyError::Io { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SealingKeyError::Readable { path: path.to_owned(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
        file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        let key: &[u8; KEY_BYTES] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| SealingKeyError::Size { path: path.to_owned(), bytes: bytes.len() })?;
        Ok(Self::from_bytes(key))
    }

    /// Derives four keys from one, so that no key is used for two purposes.
    fn from_bytes(key: &[u8; KEY_BYTES]) -> Self {
        let seal = Zeroizing::new(keyed_hash(key, b"weir seal v1"));
        let lookup = Zeroizing::new(keyed_hash(key, b"weir lookup v1"));
        let play = Zeroizing::new(keyed_hash(key, b"weir play token v1"));
        let export = Zeroizing::new(keyed_hash(key, b"weir export nonce v1"));
        Self(Arc::new(Keys { cipher: XChaCha20Poly1305::new((&*seal).into()), lookup, play, export }))
    }

    /// Seals a secret. `place` is the table, column and row: a sealed value that is copied elsewhere does not open there.
    pub(crate) fn seal(&self, place: &str, secret: &[u8]) -> crate::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| crate::StoreError::Random)?;
        self.seal_with(&nonce, place, secret)
    }

    /// Seals a secret so that the same secret at the same place gives the same text. The nonce is a keyed hash of both, so it never
    /// serves for anything else, and an observer learns only that nothing changed.
    pub(crate) fn seal_repeatably(&self, place: &str, secret: &[u8]) -> crate::Result<Vec<u8>> {
        let text = [(place.len() as u64).to_be_bytes().as_slice(), place.as_bytes(), secret].concat();
        let hash = keyed_hash(&self.0.export, &text);
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&hash[..NONCE_BYTES]);
        self.seal_with(&nonce, place, secret)
    }

    fn seal_with(&self, nonce: &[u8; NONCE_BYTES], place: &str, secret: &[u8]) -> crate::Result<Vec<u8>> {
        let payload = Payload { msg: secret, aad: place.as_bytes() };
        let sealed = self
            .0
            .cipher
            .encrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| crate::StoreError::Corrupt("a secret too long to seal"))?;
        let mut out = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        out.push(SCHEME);
        out.extend_from_slice(nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (&scheme, rest) = sealed.split_first()?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES)?;
        if scheme != SCHEME {
            return None;
        }
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        self.0.cipher.decrypt(XNonce::from_slice(nonce), payload).ok()
    }

    /// The hash by which a stream key is found. It is useless to someone who has only the database.
    pub(crate) fn lookup(&self, stream_key: &str) -> [u8; 32] {
        keyed_hash(&self.0.lookup, stream_key.as_bytes())
    }

    /// The signature of a playback token. It is the same on every node that has this key.
    pub(crate) fn sign_play_token(&self, token: &[u8]) -> [u8; 32] {
        keyed_hash(&self.0.play, token)
    }
}

fn keyed_hash(key: &[u8; KEY_BYTES], text: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// Writes the key file whole or not at all: it is written beside, synced, then linked to its name, which fails if the name is taken.
fn create(data_dir: &Path, path: &Path) -> Result<(), SealingKeyError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *key).map_err(|_| SealingKeyError::Random)?;
    let draft = data_dir.join(format!("{KEY_FILE}.{}", std::process::id()));
    let io = |source| SealingKeyError::Io { path: path.to_owned(), source };
    let written = (|| {
        let _ = fs::remove_file(&draft);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&*key)?;
        file.sync_all()?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }?;
        fs::File::open(data_dir)?.sync_all()
    })();
    let _ = fs::remove_file(&draft);
    written.map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(dir.path()).unwrap();
        let again = SealingKey::load_or_create(dir.path()).unwrap();
        assert_eq!(key.lookup("k"), again.lookup("k"));
        let meta = fs::metadata(dir.path().join(KEY_FILE)).unwrap();
        assert_eq!((meta.permissions().mode() & 0o777, meta.len()), (0o600, 32));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(SealingKey::load_or_create(other.path()).unwrap().lookup("k"), key.lookup("k"));
    }

    #[test]
    fn refuses_what_it_should_not_trust() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY_FILE);
        SealingKey::load_or_create(dir.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let message = SealingKey::load_or_create(dir.path()).unwrap_err().to_string();
        assert!(message.contains("chmod 600"), "{message}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bytes in [0, 31, 33, 100] {
            fs::write(&path, vec![0; bytes]).unwrap();
            let error = SealingKey::load_or_create(dir.path()).unwrap_err();
            assert!(matches!(error, SealingKeyError::Size { .. }), "{error}");
        }
    }

    #[test]
    fn opens_only_where_it_was_sealed() {
        let key = SealingKey::from_bytes(&[7; 32]);
        let sealed = key.seal("restream/stream_key/1", b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_ne!(sealed, key.seal("restream/stream_key/1", b"hunter2").unwrap());
        assert_eq!(key.open("restream/stream_key/1", &sealed).unwrap(), b"hunter2");
        assert_eq!(key.open("restream/stream_key/2", &sealed), None);
        assert_eq!(SealingKey::from_bytes(&[8; 32]).open("restream/stream_key/1", &sealed), None);
        let again = || key.seal_repeatably("export/1", b"hunter2").unwrap();
        assert_eq!(again(), again());
        assert_eq!(key.open("export/1", &again()).unwrap(), b"hunter2");
        assert_ne!(again(), key.seal_repeatably("export/2", b"hunter2").unwrap());
        for cut in 0..sealed.len() {
            assert_eq!(key.open("restream/stream_key/1", &sealed[..cut]), None);
        }
    }
}
