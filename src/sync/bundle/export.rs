//! A bundle as it is written.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::header::{END, HEAD, Header};
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
    /// Of everything behind the head.
    written: blake3::Hasher,
}

impl Writing {
    fn create(path: &Path) -> Result<Writing, BundleError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.map_err(|source| BundleError::File { path: path.to_owned(), source })?;
        let mut out = BufWriter::with_capacity(READ_BYTES, file);
        // The head is written when the lengths are known.
        out.write_all(&[0; HEAD]).map_err(|source| BundleError::File { path: path.to_owned(), source })?;
        Ok(Writing { path: path.to_owned(), out, written: blake3::Hasher::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.written.update(bytes);
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
        let (mut piece, mut length) = (vec![0; READ_BYTES], 0);
        loop {
            let read = file.read(&mut piece).map_err(failed)?;
            if read == 0 {
                break;
            }
            self.write(piece.get(..read).unwrap_or_default())?;
            length += read as u64;
        }
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

    /// Writes the head, reads everything back, which must be what was written, and makes it durable under the hash of that. Gives the
    /// length, bytes.
    fn end(mut self, header: &Header) -> Result<u64, BundleError> {
        let path = self.path.clone();
        let wrongly = BundleError::WrittenWrongly { path: path.clone() };
        let head = header.encode();
        let mut ended = move || -> io::Result<Option<u64>> {
            self.out.flush()?;
            let file = self.out.get_mut();
            file.write_all_at(&head, 0)?;
            file.sync_all()?;
            let Some(hash) = read_back(file, &head, &self.written)? else { return Ok(None) };
            file.seek(SeekFrom::End(0))?;
            file.write_all(hash.as_bytes())?;
            file.sync_all()?;
            forget(file);
            let bytes = file.metadata()?.len();
            let mut end = [0; blake3::OUT_LEN];
            file.read_exact_at(&mut end, bytes.saturating_sub(END))?;
            Ok((end == *hash.as_bytes()).then_some(bytes))
        };
        ended().map_err(|source| BundleError::File { path, source })?.ok_or(wrongly)
    }
}

/// The hash of a whole file as it is read back; `None` where that is not what was written.
fn read_back(file: &mut File, head: &[u8; HEAD], written: &blake3::Hasher) -> io::Result<Option<blake3::Hash>> {
    forget(file);
    file.seek(SeekFrom::Start(0))?;
    let mut found = [0; HEAD];
    file.read_exact(&mut found)?;
    let (mut whole, mut behind_head) = (blake3::Hasher::new(), blake3::Hasher::new());
    whole.update(&found);
    let mut piece = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        let read = piece.get(..read).unwrap_or_default();
        whole.update(read);
        behind_head.update(read);
    }
    let is_as_written = found == *head && behind_head.finalize() == written.finalize();
    Ok(is_as_written.then(|| whole.finalize()))
}

/// Has the system forget what it knows of a synced file, so that the medium is read and not memory; where that cannot be asked, memory is.
fn forget(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
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

    const HEADER: Header = Header {
        stream: StreamId([0; 16]),
        since: 0,
        chain: Chain([0; 32]),
        checkpoint_bytes: 0,
        manifest_bytes: 0,
        snapshot_bytes: 0,
        frames_bytes: 0,
    };

    #[test]
    fn a_head_is_told_from_one_that_was_never_written() {
        assert_ne!(HEADER.encode(), [0; HEAD]);
    }

    #[test]
    fn what_a_medium_did_not_keep_as_it_was_written_gets_no_hash() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("monday.bundle.tmp");
        let length = HEAD + 2 * READ_BYTES + 16;
        for altered in [None, Some(HEAD), Some(HEAD + READ_BYTES), Some(length - 1)] {
            let mut writing = Writing::create(&path).unwrap();
            writing.part(&vec![7; 2 * READ_BYTES]).unwrap();
            writing.part(&[8; 10]).unwrap();
            writing.out.flush().unwrap();
            if let Some(at) = altered {
                let medium = OpenOptions::new().read(true).write(true).open(&path).unwrap();
                let mut byte = [0];
                medium.read_exact_at(&mut byte, at as u64).unwrap();
                medium.write_all_at(&[byte[0] ^ 1], at as u64).unwrap();
            }
            match altered {
                None => assert_eq!(writing.end(&HEADER).unwrap(), length as u64 + END),
                Some(_) => {
                    assert!(matches!(writing.end(&HEADER), Err(BundleError::WrittenWrongly { .. })), "{altered:?}");
                    assert_eq!(std::fs::metadata(&path).unwrap().len(), length as u64, "it has no hash");
                }
            }
        }
    }
}
