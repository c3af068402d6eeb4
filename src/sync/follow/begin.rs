//! The beginning: an empty directory becomes one that follows, from where the hub's stream begins, or from a snapshot of the hub's where
//! the log does not reach back or is much more to fetch.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::{StatusCode, header};

use super::kept::MANIFEST;
use super::line::Line;
use super::patience::Patience;
use super::{FollowError, FollowOptions, stopped};
use crate::disk::{Disk, OpenMode, RealDisk, Sequential};
use crate::limits::DISK_ROOM_BYTES_MIN;
use crate::registry::{Following, Registry, RegistryError};
use crate::serve::clock::now_unix_ms;
use crate::sync::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};
use crate::sync::files;
use crate::sync::manifest::{MANIFEST_BYTES, SNAPSHOT_END_BYTES, SnapshotManifest};
use crate::sync::refusal::Refusal;
use crate::sync::remembered::Remembered;

/// The snapshot on its way.
const PART: &str = "snapshot.part";

/// How often a snapshot must fit into the log before it, so that it is worth beginning with.
const SNAPSHOT_WORTH: u64 = 2;

/// What is held of a file while its hash is worked out.
const PIECE_BYTES: usize = 1 << 20;

/// Makes an empty directory one that follows; tries again, with patience, until it does or `stop`. A directory that follows already is
/// left as it is.
pub fn begin(directory: &Path, options: &FollowOptions, stop: &Arc<AtomicBool>) -> Result<(), FollowError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    if Following::of(&*disk, directory)?.is_some() {
        return Ok(());
    }
    let beginning = Beginning { remembered: Remembered::of(disk.clone(), directory), disk, directory, options };
    beginning.disk.create_directory(directory).map_err(beginning.failed(directory))?;
    beginning.remembered.prepare().map_err(beginning.failed(directory))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(beginning.failed(directory))?;
    runtime.block_on(async {
        let mut line = Line::to(options.hub.clone(), options.tls.clone())?;
        let mut patience = Patience::default();
        loop {
            let begun = tokio::select! {
                () = stopped(stop) => return Err(FollowError::Stopping),
                begun = beginning.begin(&mut line) => begun,
            };
            match begun {
                Ok(()) => return Ok(()),
                Err(error @ (FollowError::Line(_) | FollowError::Refused(_))) => {
                    tracing::warn!(%error, hub = %options.hub, "the hub cannot be followed yet");
                    line.hang_up();
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = stopped(stop) => return Err(FollowError::Stopping),
                () = tokio::time::sleep(patience.pause()) => {}
            }
        }
    })
}

struct Beginning<'b> {
    disk: Arc<dyn Disk>,
    remembered: Remembered,
    directory: &'b Path,
    options: &'b FollowOptions,
}

/// What the hub's log holds.
struct Reach {
    first_sequence: u64,
    /// Bytes of the segments that begin before the snapshot ends.
    bytes_before: u64,
}

impl Beginning<'_> {
    async fn begin(&self, line: &mut Line) -> Result<(), FollowError> {
        let checkpoint = self.checkpoint(line).await?;
        let offered = self.manifest(line).await?;
        let offered =
            offered.filter(|(manifest, _)| manifest.stream == checkpoint.stream && manifest.sequence <= checkpoint.sequence);
        let reach = self.reach(line, offered.as_ref().map_or(0, |(manifest, _)| manifest.sequence)).await?;
        let following = Following {
            stream: checkpoint.stream,
            hub_key: *self.options.hub_key.as_bytes(),
            prefectures: self.options.prefectures,
        };
        let reaches_back = reach.first_sequence == 1;
        match offered {
            Some((manifest, signed)) if !reaches_back || SNAPSHOT_WORTH * manifest.bytes < reach.bytes_before => {
                tracing::info!(sequence = manifest.sequence, bytes = manifest.bytes, "beginning with the hub's snapshot");
                let part = self.fetch(line, &manifest, &signed).await?;
                Registry::begin_following(&self.disk, self.directory, &following, Some(&part), now_unix_ms())?;
                files::remove(&*self.disk, &part).map_err(self.failed(&part))
            }
            Some(_) | None if reaches_back => {
                tracing::info!(stream = ?checkpoint.stream, "beginning where the hub's stream begins");
                Registry::begin_following(&self.disk, self.directory, &following, None, now_unix_ms())?;
                Ok(())
            }
            Some(_) | None => Err(Refusal::TooFarBehind { needed: 1, oldest: reach.first_sequence }.into()),
        }
    }

    async fn checkpoint(&self, line: &mut Line) -> Result<Checkpoint, FollowError> {
        let target = "/v1/log/checkpoint";
        let answer = line.get(target, &[], Duration::ZERO).await?;
        if answer.status() != StatusCode::OK {
            return Err(line.answered(target, answer).await.into());
        }
        let signed = line.whole(answer.into_body(), CHECKPOINT_BYTES_MAX).await?;
        Ok(Checkpoint::verify(&signed, &self.options.hub_key).map_err(Refusal::from)?)
    }

    /// The manifest of the newest snapshot, and as it was signed; `None` where there is no snapshot.
    async fn manifest(&self, line: &mut Line) -> Result<Option<(SnapshotManifest, Vec<u8>)>, FollowError> {
        let target = "/v1/log/snapshot";
        let answer = line.get(target, &[], Duration::ZERO).await?;
        match answer.status() {
            StatusCode::OK => {
                let signed = line.whole(answer.into_body(), MANIFEST_BYTES).await?;
                let manifest = SnapshotManifest::verify(&signed, &self.options.hub_key).map_err(Refusal::from)?;
                Ok(Some((manifest, signed)))
            }
            StatusCode::NOT_FOUND => {
                line.answered(target, answer).await;
                Ok(None)
            }
            _ => Err(line.answered(target, answer).await.into()),
        }
    }

    async fn reach(&self, line: &mut Line, sequence: u64) -> Result<Reach, FollowError> {
        let target = "/v1/log/segments";
        let answer = line.get(target, &[], Duration::ZERO).await?;
        if answer.status() != StatusCode::OK {
            return Err(line.answered(target, answer).await.into());
        }
        let list = line.object(answer.into_body()).await?;
        let segments = list.get("segments").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        let named = segments.iter().filter_map(|segment| {
            let name = segment.get("name")?.as_str()?.strip_suffix(".seg")?;
            Some((name.parse::<u64>().ok()?, segment.get("bytes")?.as_u64()?))
        });
        let named: Vec<(u64, u64)> = named.collect();
        let before = named.iter().filter(|(first_sequence, _)| *first_sequence <= sequence);
        Ok(Reach {
            first_sequence: named.first().map_or(0, |(first_sequence, _)| *first_sequence),
            bytes_before: before.map(|(_, bytes)| bytes).sum(),
        })
    }

    /// Fetches the snapshot, going on where an earlier attempt ended, and believes it when its hash is the signed one.
    async fn fetch(&self, line: &mut Line, manifest: &SnapshotManifest, signed: &[u8]) -> Result<PathBuf, FollowError> {
        let (part, kept) = (self.remembered.path(PART), self.remembered.path(MANIFEST));
        let is_same = files::read_small(&*self.disk, &kept, MANIFEST_BYTES as u64).ok().flatten();
        let is_same = is_same.and_then(|kept| SnapshotManifest::verify(&kept, &self.options.hub_key).ok());
        let is_same = is_same.is_some_and(|kept| (kept.sequence, kept.content) == (manifest.sequence, manifest.content));
        self.check_room(manifest.bytes)?;
        let mut file = match self.disk.open(&part, OpenMode::Append) {
            Ok(file) if is_same => file,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed(&part)(error)),
            Ok(_) | Err(_) => self.disk.open(&part, OpenMode::Replace).map_err(self.failed(&part))?,
        };
        files::write_whole(&*self.disk, &kept, signed).map_err(self.failed(&kept))?;
        let mut length = file.length().map_err(self.failed(&part))?;
        if length < manifest.bytes {
            let target = format!("/v1/log/snapshots/{}", manifest.name());
            let condition = format!("\"{}\"", manifest.content.to_hex());
            let asked = [(header::RANGE, format!("bytes={length}-")), (header::IF_RANGE, condition)];
            let answer = line.get(&target, &asked, Duration::ZERO).await?;
            match answer.status() {
                StatusCode::PARTIAL_CONTENT => {}
                StatusCode::OK => {
                    file.cut(0).map_err(self.failed(&part))?;
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
                file.append(&piece).map_err(self.failed(&part))?;
            }
        }
        file.sync().map_err(self.failed(&part))?;
        drop(file);
        if length == manifest.bytes && self.content_hash(&part, manifest.bytes)? == manifest.content {
            return Ok(part);
        }
        files::remove(&*self.disk, &part).map_err(self.failed(&part))?;
        Err(Refusal::NotTheSignedSnapshot { sequence: manifest.sequence }.into())
    }

    /// The hash of a snapshot's content: of everything but the record that repeats it.
    fn content_hash(&self, part: &Path, bytes: u64) -> Result<blake3::Hash, FollowError> {
        let file = self.disk.open(part, OpenMode::Read).and_then(Sequential::of).map_err(self.failed(part))?;
        let mut content = file.take(bytes.saturating_sub(SNAPSHOT_END_BYTES));
        let (mut hasher, mut piece) = (blake3::Hasher::new(), vec![0; PIECE_BYTES]);
        loop {
            let read = content.read(&mut piece).map_err(self.failed(part))?;
            match piece.get(..read) {
                Some([]) | None => return Ok(hasher.finalize()),
                Some(bytes) => hasher.update(bytes),
            };
        }
    }

    /// The snapshot is there twice for a moment, and what is made of it besides.
    fn check_room(&self, snapshot_bytes: u64) -> Result<(), FollowError> {
        let needed_bytes = 3 * snapshot_bytes + DISK_ROOM_BYTES_MIN;
        match self.disk.free_bytes(self.directory) {
            Ok(free_bytes) if free_bytes < needed_bytes => {
                Err(RegistryError::NoRoom { path: self.directory.to_owned(), needed_bytes, free_bytes }.into())
            }
            // Where the system does not say how much is free, writing will.
            _ => Ok(()),
        }
    }

    fn failed(&self, path: &Path) -> impl Fn(std::io::Error) -> FollowError + use<> {
        let path = path.to_owned();
        move |source| FollowError::File { path: path.clone(), source }
    }
}
