//! A snapshot on its way: fetched in pieces, going on where a broken line ended, and believed when it is the file that the hub signed.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::{StatusCode, header};

use super::FollowError;
use super::kept::{KEPT, MANIFEST};
use super::line::Line;
use crate::disk::{Disk, OpenMode, Sequential};
use crate::limits::DISK_ROOM_BYTES_MIN;
use crate::registry::RegistryError;
use crate::sync::files;
use crate::sync::key::HubKey;
use crate::sync::manifest::{MANIFEST_BYTES, SNAPSHOT_END_BYTES, SnapshotManifest};
use crate::sync::refusal::Refusal;
use crate::sync::remembered::Remembered;

/// The snapshot on its way.
const PART: &str = "snapshot.part";

/// The manifest of what is on its way.
const ARRIVING: &str = "snapshot.arriving";

/// What is held of a file while its hash is worked out.
const PIECE_BYTES: usize = 1 << 20;

/// Fetches snapshots into what a directory remembers.
#[derive(Debug)]
pub(super) struct Fetching {
    disk: Arc<dyn Disk>,
    remembered: Remembered,
    directory: PathBuf,
    hub_key: HubKey,
}

impl Fetching {
    pub(super) fn into(disk: Arc<dyn Disk>, directory: &Path, hub_key: HubKey) -> Result<Fetching, FollowError> {
        let remembered = Remembered::of(disk.clone(), directory);
        remembered.prepare().map_err(FollowError::file(directory))?;
        Ok(Fetching { disk, remembered, directory: directory.to_owned(), hub_key })
    }

    /// The directory was begun with what was fetched; it has a copy of its own.
    pub(super) fn is_begun_with(&self, part: &Path, signed: &[u8]) -> Result<(), FollowError> {
        let manifest = self.remembered.path(MANIFEST);
        files::write_whole(&*self.disk, &manifest, signed).map_err(FollowError::file(&manifest))?;
        files::remove(&*self.disk, part).map_err(FollowError::file(part))?;
        self.forget_what_arrives()
    }

    /// Keeps what was fetched for the followers of this house.
    pub(super) fn keep(&self, part: &Path, signed: &[u8]) -> Result<(), FollowError> {
        let (kept, manifest) = (self.remembered.path(KEPT), self.remembered.path(MANIFEST));
        // Between these two steps the old manifest stands beside the new file; whoever fetches that finds that it is not the signed one.
        self.disk.rename(part, &kept).map_err(FollowError::file(&kept))?;
        files::write_whole(&*self.disk, &manifest, signed).map_err(FollowError::file(&manifest))?;
        self.forget_what_arrives()
    }

    fn forget_what_arrives(&self) -> Result<(), FollowError> {
        let arriving = self.remembered.path(ARRIVING);
        files::remove(&*self.disk, &arriving).map_err(FollowError::file(&arriving))
    }

    /// The manifest of the newest snapshot, and as it was signed; `None` where there is no snapshot.
    pub(super) async fn manifest(&self, line: &mut Line) -> Result<Option<(SnapshotManifest, Vec<u8>)>, FollowError> {
        let target = "/v1/log/snapshot";
        let answer = line.get(target, &[], Duration::ZERO).await?;
        match answer.status() {
            StatusCode::OK => {
                let signed = line.whole(answer.into_body(), MANIFEST_BYTES).await?;
                let manifest = SnapshotManifest::verify(&signed, &self.hub_key).map_err(Refusal::from)?;
                Ok(Some((manifest, signed)))
            }
            StatusCode::NOT_FOUND => {
                line.answered(target, answer).await;
                Ok(None)
            }
            _ => Err(line.answered(target, answer).await.into()),
        }
    }

    /// Fetches the snapshot, going on where an earlier attempt ended, and believes it when its hash is the signed one.
    pub(super) async fn fetch(
        &self,
        line: &mut Line,
        manifest: &SnapshotManifest,
        signed: &[u8],
    ) -> Result<PathBuf, FollowError> {
        let (part, arriving) = (self.remembered.path(PART), self.remembered.path(ARRIVING));
        let is_same = files::read_small(&*self.disk, &arriving, MANIFEST_BYTES as u64).ok().flatten();
        let is_same = is_same.and_then(|kept| SnapshotManifest::verify(&kept, &self.hub_key).ok());
        let is_same = is_same.is_some_and(|kept| (kept.sequence, kept.content) == (manifest.sequence, manifest.content));
        self.check_room(manifest.bytes)?;
        let mut file = match self.disk.open(&part, OpenMode::Append) {
            Ok(file) if is_same => file,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(FollowError::file(&part)(error)),
            Ok(_) | Err(_) => self.disk.open(&part, OpenMode::Replace).map_err(FollowError::file(&part))?,
        };
        files::write_whole(&*self.disk, &arriving, signed).map_err(FollowError::file(&arriving))?;
        let mut length = file.length().map_err(FollowError::file(&part))?;
        if length < manifest.bytes {
            let target = format!("/v1/log/snapshots/{}", manifest.name());
            let condition = format!("\"{}\"", manifest.content.to_hex());
            let asked = [(header::RANGE, format!("bytes={length}-")), (header::IF_RANGE, condition)];
            let answer = line.get(&target, &asked, Duration::ZERO).await?;
            match answer.status() {
                StatusCode::PARTIAL_CONTENT => {}
                StatusCode::OK => {
                    file.cut(0).map_err(FollowError::file(&part))?;
                    length = 0;
                }
                _ => return Err(line.answered(&target, answer).await.into()),
            }
            let mut body = answer.into_body();
            while let Some(piece) = line.piece(&mut body).await? {
                length += piece.len() as u64;
                if length > manifest.bytes {
                    break;
                }
                file.append(&piece).map_err(FollowError::file(&part))?;
            }
        }
        file.sync().map_err(FollowError::file(&part))?;
        drop(file);
        if length == manifest.bytes && self.content_hash(&part, manifest.bytes)? == manifest.content {
            return Ok(part);
        }
        files::remove(&*self.disk, &part).map_err(FollowError::file(&part))?;
        Err(Refusal::NotTheSignedSnapshot { sequence: manifest.sequence }.into())
    }

    /// The hash of a snapshot's content: of everything but the record that repeats it.
    fn content_hash(&self, part: &Path, bytes: u64) -> Result<blake3::Hash, FollowError> {
        let file = self.disk.open(part, OpenMode::Read).and_then(Sequential::of).map_err(FollowError::file(part))?;
        let mut content = file.take(bytes.saturating_sub(SNAPSHOT_END_BYTES));
        let (mut hasher, mut piece) = (blake3::Hasher::new(), vec![0; PIECE_BYTES]);
        loop {
            let read = content.read(&mut piece).map_err(FollowError::file(part))?;
            match piece.get(..read) {
                Some([]) | None => return Ok(hasher.finalize()),
                Some(bytes) => hasher.update(bytes),
            };
        }
    }

    /// The snapshot is there twice for a moment, and what is made of it besides.
    fn check_room(&self, snapshot_bytes: u64) -> Result<(), FollowError> {
        let needed_bytes = 3 * snapshot_bytes + DISK_ROOM_BYTES_MIN;
        match self.disk.free_bytes(&self.directory) {
            Ok(free_bytes) if free_bytes < needed_bytes => {
                Err(RegistryError::NoRoom { path: self.directory.clone(), needed_bytes, free_bytes }.into())
            }
            // Where the system does not say how much is free, writing will.
            _ => Ok(()),
        }
    }
}
