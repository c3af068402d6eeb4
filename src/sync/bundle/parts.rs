//! A bundle as it is read: its parts, each judged before anything is made of it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::header::{END, FORMAT, HEAD, Header, HeaderError, Layout};
use super::{BundleError, BundleSummary};
use crate::disk::{Disk, OpenMode, open_regular};
use crate::log::{Chain, FRAME_BYTES_MAX, Fault, Frame, Position};
use crate::sync::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};
use crate::sync::key::HubKey;
use crate::sync::manifest::{MANIFEST_BYTES, SNAPSHOT_END_BYTES, SnapshotManifest};
use crate::sync::refusal::Refusal;

/// What is read at a time, bytes.
const READ_BYTES: usize = 2 << 20;

const _: () = assert!(READ_BYTES > FRAME_BYTES_MAX);

/// A bundle that was read whole: the hub signed its end, and its frames lead there.
///
/// The file lies on a stick that somebody may still write to, so that what was judged is judged again as it is read for applying: the
/// places between runs of frames are kept from the first reading.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    file: File,
    header: Header,
    layout: Layout,
    checkpoint: Checkpoint,
    signed: Vec<u8>,
    manifest: Option<SnapshotManifest>,
    /// The beginning of the frames, and the place behind each run of them.
    marks: Vec<Mark>,
}

/// A place between two frames, and where in the part it is, bytes.
#[derive(Clone, Copy, Debug)]
struct Mark {
    place: Position,
    offset: u64,
}

impl Bundle {
    /// Reads a file and judges all of it by the hub's key. Takes as long as reading it takes.
    pub fn open(path: &Path, key: &HubKey) -> Result<Bundle, BundleError> {
        let failed = |source| BundleError::File { path: path.to_owned(), source };
        let not_regular = || BundleError::NotARegularFile { path: path.to_owned() };
        let file = open_regular(path).map_err(failed)?.ok_or_else(not_regular)?;
        let (header, layout) = read_header(&file, path)?;
        compare_checksum(&file, path, &layout)?;
        let refused = |refusal: Refusal| BundleError::Refused { path: path.to_owned(), refusal };
        let signed = read_part(&file, layout.checkpoint, header.checkpoint_bytes, CHECKPOINT_BYTES_MAX).map_err(failed)?;
        let checkpoint = Checkpoint::verify(&signed, key).map_err(|error| refused(error.into()))?;
        let manifest = match header.manifest_bytes {
            0 => None,
            bytes => {
                let signed = read_part(&file, layout.manifest, bytes, MANIFEST_BYTES).map_err(failed)?;
                Some(SnapshotManifest::verify(&signed, key).map_err(|error| refused(error.into()))?)
            }
        };
        let mut bundle = Bundle { path: path.to_owned(), file, header, layout, checkpoint, signed, manifest, marks: Vec::new() };
        bundle.compare_parts()?;
        bundle.marks = bundle.judge_frames()?;
        Ok(bundle)
    }

    /// What it holds.
    pub fn summary(&self) -> BundleSummary {
        BundleSummary {
            stream: format!("{:?}", self.checkpoint.stream),
            begins: self.header.since + 1,
            through: self.checkpoint.sequence,
            signed_unix_ms: self.checkpoint.time_unix_ms,
            snapshot: self.manifest.map(|manifest| manifest.sequence),
            bytes: self.layout.whole,
        }
    }

    /// The checkpoint at its end.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The same as the hub signed it.
    pub fn signed_checkpoint(&self) -> &[u8] {
        &self.signed
    }

    /// The sequence behind which its frames begin.
    pub fn since(&self) -> u64 {
        self.header.since
    }

    /// The chain there, as the file says it. The frames lead from it to the signed place.
    pub(super) fn chain(&self) -> Chain {
        self.header.chain
    }

    /// The snapshot that it holds, signed by the hub.
    pub fn manifest(&self) -> Option<&SnapshotManifest> {
        self.manifest.as_ref()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The header against what is signed: what the two say of the same thing is the same.
    fn compare_parts(&self) -> Result<(), BundleError> {
        let forged = |what| Err(BundleError::Forged { path: self.path.clone(), what });
        let (header, checkpoint) = (&self.header, &self.checkpoint);
        if header.stream != checkpoint.stream {
            return forged("its checkpoint is of another stream");
        }
        if header.since > checkpoint.sequence {
            return forged("its checkpoint is of a sequence before its frames");
        }
        match &self.manifest {
            None if header.snapshot_bytes > 0 => forged("its snapshot is not signed"),
            Some(manifest) if manifest.stream != checkpoint.stream => forged("its snapshot is of another stream"),
            Some(manifest) if manifest.bytes != header.snapshot_bytes => forged("its snapshot is not as long as the hub signed"),
            Some(manifest) if (manifest.sequence, manifest.chain) != (header.since, header.chain) => {
                forged("its snapshot does not stand where its frames begin")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the frames from their beginning to the signed place, where they must end.
    fn judge_frames(&self) -> Result<Vec<Mark>, BundleError> {
        let beginning = Position {
            stream: self.header.stream,
            sequence: self.header.since,
            chain: self.header.chain,
            // Not known, and not needed: each frame carries the one after it.
            state_checksum: 0,
        };
        let mut mark = Mark { place: beginning, offset: 0 };
        let mut marks = vec![mark];
        while mark.offset < self.header.frames_bytes {
            let run = self.read_frames(mark.offset, READ_BYTES as u64)?;
            mark = self.follow(&run, mark)?;
            marks.push(mark);
        }
        let signed = &self.checkpoint;
        if mark.place.sequence < signed.sequence {
            return Err(self.refused(Refusal::Truncated { after: mark.place.sequence, signed: signed.sequence }));
        }
        if (mark.place.sequence, mark.place.chain) != (signed.sequence, signed.chain) {
            return Err(self.refused(Refusal::NotTheSignedChain { after: self.header.since, signed: signed.sequence }));
        }
        Ok(marks)
    }

    /// The mark behind the whole frames that a run begins with; one at least.
    fn follow(&self, run: &[u8], from: Mark) -> Result<Mark, BundleError> {
        let mut mark = from;
        let mut rest = run;
        loop {
            let after = mark.place.sequence;
            let frame = match Frame::first_of(rest) {
                Ok(frame) => frame,
                Err(Fault::Short) if mark.offset > from.offset => return Ok(mark),
                Err(fault) => return Err(self.refused(Refusal::NoFrame { after, fault })),
            };
            if frame.sequence != after + 1 {
                return Err(self.refused(Refusal::Gap { expected: after + 1, found: frame.sequence }));
            }
            mark.place = mark.place.behind(&frame);
            mark.offset += frame.bytes.len() as u64;
            rest = rest.get(frame.bytes.len()..).unwrap_or_default();
        }
    }

    /// Gives the frames behind a place to `take`, in runs of whole frames of about 2 MiB, each compared with what was judged. The place
    /// must be one that the frames pass; where its chain is another, the two have parted.
    pub fn frames_behind(
        &self,
        place: &Position,
        mut take: impl FnMut(&[u8]) -> Result<(), BundleError>,
    ) -> Result<(), BundleError> {
        let forked = || self.refused(Refusal::Forked { sequence: place.sequence });
        for pair in self.marks.windows(2) {
            let [from, to] = pair else { continue };
            if to.place.sequence <= place.sequence {
                if to.place.sequence == place.sequence && to.place.chain != place.chain {
                    return Err(forked());
                }
                continue;
            }
            let run = self.read_frames(from.offset, to.offset - from.offset)?;
            let (again, skipped) = self.walk(&run, *from, place)?;
            if (again.place.chain, again.offset) != (to.place.chain, to.offset) {
                return Err(BundleError::Damaged { path: self.path.clone() });
            }
            take(run.get(skipped..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Follows a run that was judged before, compares the chain where it passes a place, and gives how many bytes lie before that.
    fn walk(&self, run: &[u8], from: Mark, place: &Position) -> Result<(Mark, usize), BundleError> {
        let (mut mark, mut skipped) = (from, 0);
        let mut rest = run;
        loop {
            if mark.place.sequence == place.sequence {
                if mark.place.chain != place.chain {
                    return Err(self.refused(Refusal::Forked { sequence: place.sequence }));
                }
                skipped = run.len() - rest.len();
            }
            if rest.is_empty() {
                return Ok((mark, skipped));
            }
            let frame = Frame::first_of(rest).map_err(|_| BundleError::Damaged { path: self.path.clone() })?;
            mark.place = mark.place.behind(&frame);
            mark.offset += frame.bytes.len() as u64;
            rest = rest.get(frame.bytes.len()..).unwrap_or_default();
        }
    }

    /// Copies the snapshot out into a file, durably; what was copied is compared with what the hub signed.
    pub(super) fn copy_snapshot(&self, disk: &dyn Disk, to: &Path) -> Result<(), BundleError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| BundleError::File { path, source }
        };
        let Some(manifest) = &self.manifest else { return Ok(()) };
        let mut out = disk.open(to, OpenMode::Replace).map_err(failed(to))?;
        let mut content = blake3::Hasher::new();
        let (mut at, hashed) = (0, manifest.bytes - SNAPSHOT_END_BYTES);
        while at < manifest.bytes {
            let length = (manifest.bytes - at).min(READ_BYTES as u64);
            let piece = read_part(&self.file, self.layout.snapshot + at, length, READ_BYTES).map_err(failed(&self.path))?;
            let covered = usize::try_from(hashed.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
            content.update(piece.get(..covered).unwrap_or_default());
            out.append(&piece).map_err(failed(to))?;
            at += length;
        }
        out.sync().map_err(failed(to))?;
        if content.finalize() != manifest.content {
            return Err(BundleError::Forged { path: self.path.clone(), what: "its snapshot is not the one that the hub signed" });
        }
        Ok(())
    }

    fn read_frames(&self, offset: u64, bytes_max: u64) -> Result<Vec<u8>, BundleError> {
        let length = bytes_max.min(self.header.frames_bytes - offset);
        let read = read_part(&self.file, self.layout.frames + offset, length, usize::MAX);
        read.map_err(|source| BundleError::File { path: self.path.clone(), source })
    }

    pub(super) fn refused(&self, refusal: Refusal) -> BundleError {
        BundleError::Refused { path: self.path.clone(), refusal }
    }
}

fn read_header(file: &File, path: &Path) -> Result<(Header, Layout), BundleError> {
    let failed = |source| BundleError::File { path: path.to_owned(), source };
    let found = file.metadata().map_err(failed)?.len();
    if found < HEAD as u64 {
        let mut head = vec![0; usize::try_from(found).unwrap_or(0)];
        file.read_exact_at(&mut head, 0).map_err(failed)?;
        // Of one that is cut so short only the first bytes can tell what it was.
        return Err(if head.starts_with(&FORMAT.magic) {
            BundleError::Truncated { path: path.to_owned(), expected: HEAD as u64, found }
        } else {
            BundleError::NoBundle { path: path.to_owned() }
        });
    }
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0).map_err(failed)?;
    let header = Header::decode(&head).map_err(|error| match error {
        HeaderError::NoBundle => BundleError::NoBundle { path: path.to_owned() },
        HeaderError::Newer(found) => BundleError::Newer { path: path.to_owned(), found, known: FORMAT.version },
        HeaderError::Damaged => BundleError::Damaged { path: path.to_owned() },
        HeaderError::NotZero => {
            BundleError::Forged { path: path.to_owned(), what: "bytes of its head that are zero in this format are not" }
        }
    })?;
    let layout = header.layout().ok_or_else(|| BundleError::Damaged { path: path.to_owned() })?;
    if found < layout.whole {
        return Err(BundleError::Truncated { path: path.to_owned(), expected: layout.whole, found });
    }
    if found > layout.whole {
        return Err(BundleError::Damaged { path: path.to_owned() });
    }
    Ok((header, layout))
}

/// Tells a file that was copied badly from one that somebody made.
fn compare_checksum(file: &File, path: &Path, layout: &Layout) -> Result<(), BundleError> {
    let failed = |source| BundleError::File { path: path.to_owned(), source };
    let mut hasher = blake3::Hasher::new();
    let mut content = io::BufReader::with_capacity(READ_BYTES, file).take(layout.end);
    io::copy(&mut content, &mut hasher).map_err(failed)?;
    let end = read_part(file, layout.end, END, READ_BYTES).map_err(failed)?;
    if hasher.finalize().as_bytes().as_slice() == end.as_slice() {
        Ok(())
    } else {
        Err(BundleError::Damaged { path: path.to_owned() })
    }
}

fn read_part(file: &File, at: u64, bytes: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let length = usize::try_from(bytes).ok().filter(|length| *length <= bytes_max);
    let mut part = vec![0; length.ok_or_else(|| io::Error::other("a part that is longer than it can be"))?];
    file.read_exact_at(&mut part, at)?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;
    use crate::disk::RealDisk;
    use crate::sync::key::HubSigner;

    #[test]
    fn a_pipe_under_a_bundles_name_is_refused_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("monday.bundle");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let key = HubSigner::read_or_make(&RealDisk, directory.path()).unwrap().public();
        for path in [pipe, directory.path().to_owned(), PathBuf::from("/dev/null")] {
            let (told, tell) = mpsc::channel();
            std::thread::spawn(move || told.send(Bundle::open(&path, &key).unwrap_err()));
            let error = tell.recv_timeout(Duration::from_secs(30)).expect("it is waited for");
            assert!(matches!(error, BundleError::NotARegularFile { .. }), "{error}");
        }
    }
}
