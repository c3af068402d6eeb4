//! `GET /v1/log/snapshot` and `/v1/log/snapshots/NAME`: what to begin with where the log does not reach back.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::pieces::{self, Readable};
use super::{Publisher, answer};
use crate::disk::{Disk, DiskFile, OpenMode, RealDisk};
use crate::registry::snapshot::SnapshotReader;
use crate::registry::{Registry, RegistryError};
use crate::serve::clock::now_unix_ms;
use crate::sync::follow::kept::KeptSnapshot;
use crate::sync::key::HubSigner;
use crate::sync::manifest::SnapshotManifest;

/// Which snapshots are offered, and who vouches for them.
#[derive(Debug)]
pub enum Offered {
    /// The server's own newest one, signed here.
    Own {
        /// What is signed with.
        signer: HubSigner,
        /// The newest manifest that was signed.
        signed: Mutex<Option<Signed>>,
    },
    /// The one that this directory began with, as the hub signed it.
    Kept(KeptSnapshot),
}

/// A snapshot with its manifest.
#[derive(Clone, Debug)]
pub struct Signed {
    manifest: SnapshotManifest,
    bytes: Bytes,
    path: PathBuf,
}

impl Offered {
    /// A hub's.
    pub fn own(signer: HubSigner) -> Offered {
        Offered::Own { signer, signed: Mutex::new(None) }
    }

    /// The snapshot that is offered now; `None` where there is none from which the log goes on.
    fn now(&self, registry: &Registry) -> Result<Option<Signed>, RegistryError> {
        let found = match self {
            Offered::Own { signer, signed } => newest_signed(registry, signer, signed)?,
            Offered::Kept(kept) => {
                kept.read().map(|(bytes, manifest, path)| Signed { manifest, bytes: bytes.into(), path })
            }
        };
        let oldest_sequence = registry.oldest_sequence()?;
        Ok(found.filter(|found| oldest_sequence <= found.manifest.sequence + 1))
    }
}

/// Signs the newest snapshot, once.
fn newest_signed(registry: &Registry, signer: &HubSigner, signed: &Mutex<Option<Signed>>) -> Result<Option<Signed>, RegistryError> {
    let Some((sequence, path, bytes)) = registry.newest_snapshot() else { return Ok(None) };
    let mut signed = signed.lock().unwrap_or_else(PoisonError::into_inner);
    if signed.as_ref().is_none_or(|known| known.manifest.sequence != sequence) {
        let position = SnapshotReader::open(&RealDisk, &path)?.header().position;
        let content = content_hash(&path).map_err(|source| RegistryError::Directory { path: path.clone(), source })?;
        let manifest = SnapshotManifest {
            stream: position.stream,
            sequence: position.sequence,
            chain: position.chain,
            time_unix_ms: now_unix_ms(),
            bytes,
            content,
        };
        *signed = Some(Signed { manifest, bytes: manifest.sign(signer).into(), path });
    }
    Ok(signed.clone())
}

/// The hash that a snapshot ends with: it was read whole, and compared with this, before it got its name.
fn content_hash(path: &std::path::Path) -> io::Result<blake3::Hash> {
    let file = RealDisk.open(path, OpenMode::Read)?;
    let mut hash = [0; 32];
    let length = file.length()?;
    file.read_exact_at(&mut hash, length.checked_sub(32).ok_or(io::ErrorKind::UnexpectedEof)?)?;
    Ok(blake3::Hash::from_bytes(hash))
}

/// What the newest snapshot is, signed.
pub(super) async fn manifest(State(publisher): State<Arc<Publisher>>) -> Response {
    match offered(&publisher).await {
        Ok(found) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            let etag = HeaderValue::from_str(&tag(&found.manifest)).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
            let headers = [(header::CONTENT_TYPE, kind), (header::ETAG, etag)];
            (headers, found.bytes).into_response()
        }
        Err(refused) => refused,
    }
}

/// Its file, or a part of it.
pub(super) async fn file(State(publisher): State<Arc<Publisher>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let found = match offered(&publisher).await {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    let not_there = || answer::not_found("no_snapshot", "this snapshot is not, or no longer, offered; ask for the manifest again");
    if name != found.manifest.name() {
        return not_there();
    }
    let etag = tag(&found.manifest);
    let opened = tokio::task::spawn_blocking(move || RealDisk.open(&found.path, OpenMode::Read)).await;
    let Ok(Ok(file)) = opened else { return not_there() };
    pieces::file(Arc::new(OpenFile(file)), found.manifest.bytes, &etag, "private, immutable, max-age=86400", &headers)
}

async fn offered(publisher: &Arc<Publisher>) -> Result<Signed, Response> {
    if let Some(stopped) = publisher.stopped() {
        return Err(stopped);
    }
    let asked = publisher.clone();
    let found = tokio::task::spawn_blocking(move || asked.offered.now(&asked.registry)).await;
    match found {
        Ok(Ok(Some(found))) => Ok(found),
        Ok(Ok(None)) => {
            Err(answer::not_found("no_snapshot", "there is no snapshot here from which the log goes on; a hub takes one by its schedule"))
        }
        Ok(Err(error)) => Err(answer::failed(&error)),
        Err(_) => Err(answer::unavailable("failed", "the operator's log says why")),
    }
}

fn tag(manifest: &SnapshotManifest) -> String {
    format!("\"{}\"", manifest.content.to_hex())
}

struct OpenFile(Box<dyn DiskFile>);

impl Readable for OpenFile {
    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
        self.0.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }
}
