//! The hub's key: what it signs with, and what its followers know it by.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use super::files;
use crate::disk::Disk;
use crate::sabotage::{Sabotage, sabotaged};

/// The name of the key's file in the data directory.
pub const SIGNING_KEY_FILE: &str = "signing.key";

/// The length of a signature, bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// The longest a key's file may be, bytes: 64 hex digits and the end of a line.
const KEY_FILE_BYTES_MAX: u64 = 66;

/// What a signature is given for. Its words stand before the signed bytes, so that a signature for one thing is never one for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// How the log stands at a sequence.
    Checkpoint,
    /// What a snapshot's file is.
    Snapshot,
    /// Where a single frame stands, in a broker's message.
    Frame,
}

impl Purpose {
    const fn words(self) -> &'static [u8] {
        match self {
            Purpose::Checkpoint => b"shikaku checkpoint 1\0",
            Purpose::Snapshot => b"shikaku snapshot 1\0",
            Purpose::Frame => b"shikaku frame 1\0",
        }
    }

    fn message(self, content: &[u8]) -> Vec<u8> {
        [self.words(), content].concat()
    }
}

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not hold a key. Its content is not repeated.
    #[error("{} does not hold a signing key: 64 hex digits", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no randomness.
    #[error("no randomness: {0}")]
    Random(String),
    /// What should be a public key is none.
    #[error("not a hub's key: `ed25519:` and 64 hex digits, as `shikaku hub-key` prints it at the hub")]
    Public,
}

/// What the hub signs with. Whoever has it can make every follower believe anything.
pub struct HubSigner {
    key: SigningKey,
}

impl HubSigner {
    /// Reads the key of a data directory; `None` where there is none.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<HubSigner>, KeyError> {
        let path = directory.join(SIGNING_KEY_FILE);
        let read = files::read_small(disk, &path, KEY_FILE_BYTES_MAX);
        let Some(bytes) = read.map_err(|source| KeyError::File { path: path.clone(), source })? else { return Ok(None) };
        let seed = blake3::Hash::from_hex(bytes.trim_ascii()).map_err(|_| KeyError::Content { path })?;
        Ok(Some(HubSigner { key: SigningKey::from_bytes(seed.as_bytes()) }))
    }

    /// Reads the key of a data directory, or makes it: 0600, durable before anything is signed with it.
    pub fn read_or_make(disk: &dyn Disk, directory: &Path) -> Result<HubSigner, KeyError> {
        if let Some(signer) = HubSigner::read(disk, directory)? {
            return Ok(signer);
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| KeyError::Random(error.to_string()))?;
        let path = directory.join(SIGNING_KEY_FILE);
        let text = format!("{}\n", blake3::Hash::from_bytes(seed).to_hex());
        files::write_whole(disk, &path, text.as_bytes()).map_err(|source| KeyError::File { path, source })?;
        Ok(HubSigner { key: SigningKey::from_bytes(&seed) })
    }

    /// What followers know it by.
    pub fn public(&self) -> HubKey {
        HubKey(self.key.verifying_key())
    }

    /// Signs.
    pub fn sign(&self, purpose: Purpose, content: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.key.sign(&purpose.message(content)).to_bytes()
    }
}

/// Says nothing of the key.
impl fmt::Debug for HubSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubSigner(…)")
    }
}

/// The hub's public key, which a follower's configuration pins as `hub_key`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HubKey(VerifyingKey);

impl HubKey {
    /// Reads the 32 bytes of a public key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<HubKey, KeyError> {
        VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(HubKey).ok_or(KeyError::Public)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether the hub signed this for this. Of the signatures that some libraries accept and others do not, none is.
    pub fn verifies(&self, purpose: Purpose, content: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(&purpose.message(content), &signature).is_ok() || sabotaged(Sabotage::BelieveAnySignature)
    }
}

impl FromStr for HubKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<HubKey, KeyError> {
        let digits = text.trim().strip_prefix("ed25519:").ok_or(KeyError::Public)?;
        HubKey::from_bytes(blake3::Hash::from_hex(digits).map_err(|_| KeyError::Public)?.as_bytes())
    }
}

impl fmt::Display for HubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", blake3::Hash::from_bytes(*self.0.as_bytes()).to_hex())
    }
}

impl fmt::Debug for HubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_key_is_made_once_is_its_owners_alone_and_is_known_by_its_public_half() {
        let directory = tempfile::tempdir().unwrap();
        assert!(HubSigner::read(&RealDisk, directory.path()).unwrap().is_none());
        let made = HubSigner::read_or_make(&RealDisk, directory.path()).unwrap();
        let read = HubSigner::read_or_make(&RealDisk, directory.path()).unwrap();
        assert_eq!(made.public(), read.public());
        let mode = std::fs::metadata(directory.path().join(SIGNING_KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let printed: HubKey = made.public().to_string().parse().unwrap();
        assert_eq!(printed, made.public());
    }

    #[test]
    fn a_signature_is_for_these_bytes_this_purpose_and_this_key_only() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = HubSigner::read_or_make(&RealDisk, one.path()).unwrap();
        let other = HubSigner::read_or_make(&RealDisk, other.path()).unwrap();
        let signature = one.sign(Purpose::Checkpoint, b"what it says");
        assert!(one.public().verifies(Purpose::Checkpoint, b"what it says", &signature));
        assert!(!one.public().verifies(Purpose::Checkpoint, b"what it sayz", &signature));
        assert!(!one.public().verifies(Purpose::Snapshot, b"what it says", &signature));
        assert!(!other.public().verifies(Purpose::Checkpoint, b"what it says", &signature));
    }

    #[test]
    fn what_is_no_key_is_told_so_and_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(SIGNING_KEY_FILE), "no key\n").unwrap();
        let error = HubSigner::read(&RealDisk, directory.path()).unwrap_err().to_string();
        assert!(error.contains("does not hold a signing key") && !error.contains("no key\n"), "{error}");
        for wrong in ["", "ed25519:", "ed25519:00", &"0".repeat(64), &format!("ed25519:{}", "0".repeat(64))] {
            assert!(wrong.parse::<HubKey>().is_err(), "{wrong}");
        }
    }
}
