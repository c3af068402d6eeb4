//! The snapshot that a directory began with, kept as the hub signed it: a relay offers it to its own followers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, OpenMode, RealDisk};
use crate::sync::files;
use crate::sync::key::HubKey;
use crate::sync::manifest::{MANIFEST_BYTES, SnapshotManifest};
use crate::sync::remembered::Remembered;

/// The manifest's file in what is remembered.
pub(super) const MANIFEST: &str = "manifest";

/// Where the snapshot lies, and who vouches for it.
#[derive(Clone, Debug)]
pub struct KeptSnapshot {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    key: HubKey,
}

impl KeptSnapshot {
    /// Of a directory that follows the hub of this key.
    pub fn of(data: &Path, key: HubKey) -> KeptSnapshot {
        KeptSnapshot { disk: Arc::new(RealDisk), data: data.to_owned(), key }
    }

    /// The signed manifest, what it says, and the file; `None` where there is none, or none any more.
    pub fn read(&self) -> Option<(Vec<u8>, SnapshotManifest, PathBuf)> {
        let path = Remembered::of(self.disk.clone(), &self.data).path(MANIFEST);
        let signed = files::read_small(&*self.disk, &path, MANIFEST_BYTES as u64).ok().flatten()?;
        let manifest = SnapshotManifest::verify(&signed, &self.key).ok()?;
        let file = self.data.join("snapshots").join(manifest.name());
        let length = self.disk.open(&file, OpenMode::Read).and_then(|file| file.length()).ok()?;
        (length == manifest.bytes).then_some((signed, manifest, file))
    }
}
