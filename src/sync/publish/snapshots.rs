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
        /// Those that were signed, the newest last: one that is being fetched is offered for as long as it is kept.
        signed: Mutex<Vec<Signed>>,
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
        Offered::Own { signer, signed: Mutex::new(Vec::new()) }
    }

    /// The snapshots that are offered now, the newest last: those from which the log goes on.
    fn now(&self, registry: &Registry) -> Result<Vec<Signed>, RegistryError> {
        let mut offered = match self {
            Offered::Own { signer, signed } => all_signed(registry, signer, signed)?,
            Offered::Kept(kept) => {
                let kept = kept.read().map(|(bytes, manifest, path)| Signed { manifest, bytes: bytes.into(), path });
                kept.into_iter().collect()
            }
        };
        let oldest_sequence = registry.oldest_sequence()?;
        offered.retain(|offered| oldest_sequence <= offered.manifest.sequence + 1);
        Ok(offered)
    }
}

/// Signs the newest snapshot, once, and gives all that were signed and are still there.
fn all_signed(registry: &Registry, signer: &HubSigner, signed: &Mutex<Vec<Signed>>) -> Result<Vec<Signed>, RegistryError> {
    let mut signed = signed.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((sequence, path, bytes)) = registry.newest_snapshot()
        && signed.last().is_none_or(|known| known.manifest.sequence != sequence)
    {
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
        signed.push(Signed { manifest, bytes: manifest.sign(signer).into(), path });
    }
    signed.retain(|signed| signed.path.exists());
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
    match offered(&publisher).await.map(|mut offered| offered.pop()) {
        Ok(Some(newest)) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            let etag = HeaderValue::from_str(&tag(&newest.manifest)).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
            let headers = [(header::CONTENT_TYPE, kind), (header::ETAG, etag)];
            (headers, newest.bytes).into_response()
        }
        Ok(None) => {
            let words = "there is no snapshot here from which the log goes on; a hub takes one by its schedule";
            answer::not_found("no_snapshot", words)
        }
        Err(refused) => refused,
    }
}

/// The file of one that is offered, or a part of it.
pub(super) async fn file(State(publisher): State<Arc<Publisher>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let found = match offered(&publisher).await {
        Ok(offered) => offered.into_iter().find(|offered| offered.manifest.name() == name),
        Err(refused) => return refused,
    };
    let not_there =
        || answer::not_found("no_snapshot", "this snapshot is not offered, or not any more; ask for the manifest again");
    let Some(found) = found else { return not_there() };
    let etag = tag(&found.manifest);
    let opened = tokio::task::spawn_blocking(move || RealDisk.open(&found.path, OpenMode::Read)).await;
    let Ok(Ok(file)) = opened else { return not_there() };
    pieces::file(Arc::new(OpenFile(file)), found.manifest.bytes, &etag, "private, immutable, max-age=86400", &headers)
}

async fn offered(publisher: &Arc<Publisher>) -> Result<Vec<Signed>, Response> {
    if let Some(stopped) = publisher.stopped() {
        return Err(stopped);
    }
    let asked = publisher.clone();
    let offered = tokio::task::spawn_blocking(move || asked.offered.now(&asked.registry)).await;
    match offered {
        Ok(Ok(offered)) => Ok(offered),
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
