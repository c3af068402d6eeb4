//! The snapshot of the hub's that a relay offers to its own followers, as the hub signed it: the one that it began with, or a newer one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, OpenMode, RealDisk};
use crate::sync::files;
use crate::sync::key::HubKey;
use crate::sync::manifest::{MANIFEST_BYTES, SnapshotManifest};
use crate::sync::remembered::Remembered;

/// The manifest's file in what is remembered.
pub(super) const MANIFEST: &str = "manifest";

/// A newer one than the one that the directory began with.
pub(super) const KEPT: &str = "hub.snap";

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
        let remembered = Remembered::of(self.disk.clone(), &self.data);
        let signed = files::read_small(&*self.disk, &remembered.path(MANIFEST), MANIFEST_BYTES as u64).ok().flatten()?;
        let manifest = SnapshotManifest::verify(&signed, &self.key).ok()?;
        let is_it = |file: &PathBuf| {
            let length = self.disk.open(file, OpenMode::Read).and_then(|file| file.length());
            length.is_ok_and(|length| length == manifest.bytes)
        };
        let files = [remembered.path(KEPT), self.data.join("snapshots").join(manifest.name())];
        let file = files.into_iter().find(is_it)?;
        Some((signed, manifest, file))
    }
}
