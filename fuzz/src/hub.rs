//! A hub whose key is always the same, so that what was signed for a seed is read as the hub's by every run.

use std::path::Path;
use std::sync::LazyLock;

use shikaku::sync::key::{HubKey, HubSigner, SIGNING_KEY_FILE};

use crate::memory_disk::MemoryDisk;

/// The digits of a key, as its file holds them. It signs nothing that anybody follows.
pub const KEY_FILE: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e\n";

/// Two hubs' keys, and what they are known by.
pub struct Keys {
    /// What the hub signs with.
    pub signer: HubSigner,
    /// What it is known by.
    pub key: HubKey,
    /// Another hub's.
    pub strange: HubKey,
}

/// The keys.
pub fn keys() -> &'static Keys {
    static KEYS: LazyLock<Keys> = LazyLock::new(|| {
        let (signer, stranger) = (signer_of(KEY_FILE), signer_of(&"a7".repeat(32)));
        Keys { key: signer.public(), strange: stranger.public(), signer }
    });
    &KEYS
}

fn signer_of(file: &str) -> HubSigner {
    let (disk, directory) = (MemoryDisk::default(), Path::new("/hub"));
    disk.put(&directory.join(SIGNING_KEY_FILE), file.as_bytes().to_vec());
    HubSigner::read(&disk, directory).expect("a key").expect("it is there")
}
