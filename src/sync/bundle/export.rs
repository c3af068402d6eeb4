//! A bundle as it is written.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::header::{HEAD, Header};
use super::{BundleError, BundleSummary};
use crate::disk::Disk;
use crate::registry::snapshot::SnapshotReader;
use crate::registry::{Registry, RegistryError};
use crate::serve::clock::now_unix_ms;
use crate::sync::checkpoint::Checkpoint;
use crate::sync::key::{HubKey, HubSigner};
use crate::sync::manifest::SnapshotManifest;
use crate::sync::remembered::Remembered;
use crate::sync::tail::{LogTail, TailError};

/// What is read back at a time, bytes.
const READ_BYTES: usize = 2 << 20;

/// What goes into a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportOptions {
    /// The frames behind a sequence.
    Since(u64),
    /// A snapshot as of this moment, and what follows it. Only the hub can sign one.
    WithSnapshot,
}

/// Writes a bundle of a registry that is open: under another name first, read back, and only then under its own. The hub signs a
/// checkpoint as of this moment; a follower passes on the newest that the hub signed and it has applied: `passable`, as its intake knows
/// it, or what it wrote down.
pub fn export(
    registry: &Registry,
    disk: &Arc<dyn Disk>,
    file: &Path,
    options: ExportOptions,
    passable: Option<Bytes>,
) -> Result<BundleSummary, BundleError> {
    let aside = beside(file, "tmp");
    let snapshot = beside(file, "snapshot.tmp");
    let written = write(registry, disk, &Paths { file: &aside, snapshot: &snapshot }, options, passable).and_then(|summary| {
        let named = std::fs::rename(&aside, file).and_then(|()| sync_directory_of(file));
        named.map_err(|source| BundleError::File { path: file.to_owned(), source })?;
        Ok(summary)
    });
    let _ = std::fs::remove_file(&snapshot);
    if written.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    written
}

struct Paths<'p> {
    file: &'p Path,
    snapshot: &'p Path,
}

/// A snapshot that was taken for this bundle.
struct Taken {
    manifest: SnapshotManifest,
    signed: Vec<u8>,
}

fn write(
    registry: &Registry,
    disk: &Arc<dyn Disk>,
    paths: &Paths<'_>,
    options: ExportOptions,
    passable: Option<Bytes>,
) -> Result<BundleSummary, BundleError> {
    let signer = match registry.following() {
        None => Some(HubSigner::read_or_make(&**disk, registry.directory())?),
        Some(_) => None,
    };
    let taken = match (options, &signer) {
        (ExportOptions::Since(_), _) => None,
        (ExportOptions::WithSnapshot, None) => return Err(BundleError::OnlyTheHubSigns),
        (ExportOptions::WithSnapshot, Some(signer)) => Some(take_snapshot(registry, &**disk, paths.snapshot, signer)?),
    };
    let (checkpoint, signed) = match &signer {
        Some(signer) => {
            let checkpoint = Checkpoint::of(registry, &registry.segments()?, now_unix_ms());
            let signed = checkpoint.sign(signer);
            (checkpoint, signed)
        }
        None => passed_on(registry, disk, passable)?,
    };
    let since = match (options, &taken) {
        (ExportOptions::Since(since), _) => since,
        (_, Some(taken)) => taken.manifest.sequence,
        (_, None) => 0,
    };
    if since > checkpoint.sequence || since == checkpoint.sequence && taken.is_none() {
        return Err(BundleError::NothingBehind { since, last: checkpoint.sequence });
    }
    let tail = LogTail::behind(registry, since).map_err(|error| match error {
        TailError::Gone { oldest, .. } => BundleError::Trimmed { since, oldest },
        error => error.into(),
    })?;
    let mut bundle = Writing::create(paths.file)?;
    bundle.part(&signed)?;
    let (manifest, snapshot_bytes) = match &taken {
        Some(taken) => {
            bundle.part(&taken.signed)?;
            (taken.signed.as_slice(), bundle.copy(paths.snapshot)?)
        }
        None => (&[][..], 0),
    };
    let chain = tail.place().chain;
    let frames_bytes = bundle.frames(registry, tail, &checkpoint)?;
    let header = Header {
        stream: checkpoint.stream,
        since,
        chain,
        checkpoint_bytes: signed.len() as u64,
        manifest_bytes: manifest.len() as u64,
        snapshot_bytes,
        frames_bytes,
    };
    let bytes = bundle.end(&header)?;
    Ok(BundleSummary {
        stream: format!("{:?}", checkpoint.stream),
        begins: since + 1,
        through: checkpoint.sequence,
        signed_unix_ms: checkpoint.time_unix_ms,
        snapshot: taken.map(|taken| taken.manifest.sequence),
        bytes,
    })
}

fn take_snapshot(registry: &Registry, disk: &dyn Disk, path: &Path, signer: &HubSigner) -> Result<Taken, BundleError> {
    registry.create_snapshot(path)?;
    let failed = |error: crate::registry::snapshot::SnapshotError| BundleError::Registry(RegistryError::Snapshot(error));
    let position = SnapshotReader::open(disk, path).map_err(failed)?.header().position;
    SnapshotReader::open(disk, path).and_then(SnapshotReader::check).map_err(failed)?;
    let unread = |source| BundleError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(unread)?;
    let bytes = file.metadata().map_err(unread)?.len();
    // It was just read whole and compared with the hash that it ends with.
    let mut content = [0; 32];
    file.read_exact_at(&mut content, bytes.saturating_sub(32)).map_err(unread)?;
    let manifest = SnapshotManifest {
        stream: position.stream,
        sequence: position.sequence,
        chain: position.chain,
        time_unix_ms: now_unix_ms(),
        bytes,
        content: blake3::Hash::from_bytes(content),
    };
    Ok(Taken { manifest, signed: manifest.sign(signer) })
}

/// The newest checkpoint of the hub's that this follower has applied.
fn passed_on(registry: &Registry, disk: &Arc<dyn Disk>, passable: Option<Bytes>) -> Result<(Checkpoint, Vec<u8>), BundleError> {
    let nothing_signed = || BundleError::NothingSigned { path: registry.directory().to_owned() };
    let following = registry.following().ok_or_else(nothing_signed)?;
    let key = HubKey::from_bytes(&following.hub_key)?;
    let remembered = Remembered::of(disk.clone(), registry.directory());
    let signed = match passable {
        Some(signed) => Ok(Some(signed.to_vec())),
        None => remembered.checkpoint(),
    };
    let signed = signed.map_err(|source| BundleError::File { path: remembered.path("checkpoint"), source })?;
    let signed = signed.ok_or_else(nothing_signed)?;
    let checkpoint = Checkpoint::verify(&signed, &key).map_err(|_| nothing_signed())?;
    if checkpoint.stream != registry.stream() || checkpoint.sequence > registry.standing().0.sequence {
        return Err(nothing_signed());
    }
    Ok((checkpoint, signed))
}

/// A file that is being written.
struct Writing {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Writing {
    fn create(path: &Path) -> Result<Writing, BundleError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.map_err(|source| BundleError::File { path: path.to_owned(), source })?;
        let mut writing = Writing { path: path.to_owned(), out: BufWriter::with_capacity(READ_BYTES, file) };
        // The head is written when the lengths are known.
        writing.write(&[0; HEAD])?;
        Ok(writing)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.out.write_all(bytes).map_err(|source| BundleError::File { path: self.path.clone(), source })
    }

    fn pad(&mut self, length: u64) -> Result<(), BundleError> {
        let missing = usize::try_from(length.next_multiple_of(8) - length).unwrap_or(0);
        self.write([0; 8].get(..missing).unwrap_or_default())
    }

    fn part(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.write(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn copy(&mut self, from: &Path) -> Result<u64, BundleError> {
        let failed = |source| BundleError::File { path: from.to_owned(), source };
        let mut file = File::open(from).map_err(failed)?;
        let length = io::copy(&mut file, &mut self.out).map_err(failed)?;
        self.pad(length)?;
        Ok(length)
    }

    /// The frames up to the checkpoint, whose chain they must lead to: nothing is carried away that is not what is signed.
    fn frames(&mut self, registry: &Registry, mut tail: LogTail, checkpoint: &Checkpoint) -> Result<u64, BundleError> {
        let mut length = 0;
        while let Some(frame) = tail.next(registry, checkpoint.sequence)? {
            self.write(&frame.bytes)?;
            length += frame.bytes.len() as u64;
        }
        self.pad(length)?;
        let place = tail.place();
        if (place.sequence, place.chain) == (checkpoint.sequence, checkpoint.chain) {
            Ok(length)
        } else {
            let fault = crate::log::Fault::Chain;
            Err(TailError::Damaged { after: place.sequence, fault }.into())
        }
    }

    /// Writes the head, reads everything back for the hash at the end, and makes it durable. Gives the length, bytes.
    fn end(mut self, header: &Header) -> Result<u64, BundleError> {
        let path = self.path.clone();
        let mut ended = move || -> io::Result<u64> {
            self.out.flush()?;
            let file = self.out.get_mut();
            file.write_all_at(&header.encode(), 0)?;
            file.sync_all()?;
            file.seek(SeekFrom::Start(0))?;
            let mut hasher = blake3::Hasher::new();
            io::copy(&mut io::BufReader::with_capacity(READ_BYTES, &mut *file).take(u64::MAX), &mut hasher)?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(hasher.finalize().as_bytes())?;
            file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        ended().map_err(|source| BundleError::File { path, source })
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{ending}"));
    file.with_file_name(name)
}

fn sync_directory_of(file: &Path) -> io::Result<()> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Chain, StreamId};

    #[test]
    fn what_lies_beside_a_file_keeps_its_whole_name() {
        assert_eq!(beside(Path::new("/media/stick/monday.bundle"), "tmp"), Path::new("/media/stick/monday.bundle.tmp"));
        assert_eq!(beside(Path::new("bundle"), "snapshot.tmp"), Path::new("bundle.snapshot.tmp"));
    }

    #[test]
    fn a_head_is_told_from_one_that_was_never_written() {
        let header = Header {
            stream: StreamId([0; 16]),
            since: 0,
            chain: Chain([0; 32]),
            checkpoint_bytes: 0,
            manifest_bytes: 0,
            snapshot_bytes: 0,
            frames_bytes: 0,
        };
        assert_ne!(header.encode(), [0; HEAD]);
    }
}
