//! Snapshots: everything at one frame boundary in one file. The backup, what a replica starts from, and what lets old segments go.
//!
//! ```text
//! "SHIKSNAP", u32 version (1, or 2 for a part), u32 zero, then records: u8 kind, 3 zero bytes, u32 length, the bytes, zeros to a multiple of 8
//!   1 where and what: the store's meta record    2 ledger entry: u64 sequence, u64 time, u8 kind, payload
//!   3 a dossier                                  4 history entry: 29 bytes key, value
//!   5 the end: BLAKE3 of everything before       6 behind the first, in a part: u64, a bit for each prefecture that is held
//! ```
//!
//! Everything goes to a file beside it first, which gets the name once it is synced. The arena is frozen while the file is written, and writing to the registry goes on.

use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::load::Filling;
use super::shelf::examine;
use super::troubles::Trouble;
use super::writer::Writer;
use super::{DirectoryLock, Registry, RegistryError, base};
use crate::disk::{Appending, Disk, OpenMode, Sequential};
use crate::domain::prefectures::Prefectures;
use crate::log::{Chain, FrameKind, LogWriter, Position, StreamId};
use crate::record::payload::{FeedRecord, MasterPiece};
use crate::record::{RecordError, padded};
use crate::sabotage::{Sabotage, sabotaged};
use crate::store::{HISTORY_KEY_BYTES, Store, StoreBatch, StoreMeta, history_hash, history_sequence};

const MAGIC: &[u8; 8] = b"SHIKSNAP";
const VERSION: u32 = 1;
/// A snapshot that holds the rows of some prefectures only. A program that does not know of such must not take it for a whole one.
const VERSION_OF_PART: u32 = 2;
pub(super) const META: u8 = 1;
pub(super) const LEDGER: u8 = 2;
pub(super) const DOSSIER: u8 = 3;
pub(super) const HISTORY: u8 = 4;
const END: u8 = 5;
const HELD: u8 = 6;
/// No record is larger: a dossier of 64 of the largest rows.
const RECORD_BYTES_MAX: u32 = 1 << 20;

/// What is wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not whole, or not as it was written.
    #[error("{} is not a whole snapshot: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A later version of the program wrote it.
    #[error("{} has snapshot format {found}; this program knows up to {VERSION_OF_PART}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It holds a part of the rows, and a whole is wanted.
    #[error("{} holds the rows of prefectures {held} only, and a directory that holds all cannot begin with it", path.display())]
    Part {
        /// The file.
        path: PathBuf,
        /// What it holds.
        held: Prefectures,
    },
    /// Restoring wants an empty directory.
    #[error("{} is not empty; restoring begins a new stream and wants an empty directory", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
}

impl SnapshotError {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> SnapshotError + '_ {
        move |source| SnapshotError::File { path: path.to_owned(), source }
    }
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SnapshotSummary {
    /// The sequence it was taken at.
    pub sequence: u64,
    /// Dossiers.
    pub recipients: u64,
    /// Current rows.
    pub rows: u64,
    /// Entries of the history.
    pub history: u64,
    /// The file's length, bytes.
    pub bytes: u64,
}

impl Registry {
    /// Writes a snapshot of this moment; look-ups and writing go on.
    pub fn create_snapshot(&self, file: &Path) -> Result<SnapshotSummary, RegistryError> {
        let (frozen, meta, store, ledger) = {
            let writer = self.writer();
            // Memory holds half a frame then, under totals that count all of it.
            if self.troubles.has(Trouble::MemoryBehind) {
                return Err(RegistryError::MemoryBehind);
            }
            let behind = writer.behind.as_ref().filter(|behind| behind.drain()).ok_or(RegistryError::StoreDetached)?;
            let mut ledger = Vec::new();
            let store = behind.store().ok_or(RegistryError::StoreDetached)?;
            store.scan_ledger(|sequence, kind, time_unix_ms, payload| {
                ledger.push((sequence, kind, time_unix_ms, payload.to_vec()));
                Ok(())
            })?;
            (writer.index.freeze(), writer.meta(), store, ledger)
        };
        let mut out = SnapshotWriter::create(self.disk.clone(), file, self.held())?;
        out.record(META, &[&meta.encode()])?;
        self.held().map_or(Ok(()), |held| out.held(held))?;
        for (sequence, kind, time_unix_ms, payload) in &ledger {
            out.record(LEDGER, &[&sequence.to_le_bytes(), &time_unix_ms.to_le_bytes(), &[*kind], payload])?;
        }
        let mut recipients = 0;
        for dossier in frozen.dossiers() {
            out.record(DOSSIER, &[dossier.as_bytes()])?;
            recipients += 1;
        }
        drop(frozen);
        let mut history = 0;
        let mut failed = None;
        let scanned = store.scan_history(|key, value| {
            if history_sequence(key).is_some_and(|sequence| sequence <= meta.position.sequence) && failed.is_none() {
                history += 1;
                failed = out.record(HISTORY, &[key, value]).err();
            }
            Ok(())
        });
        if let Err(error) = scanned {
            if let Some(behind) = &self.writer().behind {
                behind.detach(&error);
            }
            return Err(error.into());
        }
        failed.map_or(Ok(()), Err)?;
        let bytes = out.finish()?;
        Ok(SnapshotSummary { sequence: meta.position.sequence, recipients, rows: meta.rows, history, bytes })
    }
}

/// Restores a snapshot into an empty directory: a new stream that names its parent.
pub fn restore(disk: &Arc<dyn Disk>, directory: &Path, file: &Path, now_unix_ms: u64) -> Result<SnapshotSummary, RegistryError> {
    let lock = DirectoryLock::take(&**disk, directory)?;
    let names = disk.list(directory).map_err(RegistryError::directory(directory))?;
    if names.iter().any(|name| name != "LOCK") {
        return Err(SnapshotError::NotEmpty { path: directory.to_owned() }.into());
    }
    let reader = SnapshotReader::open(&**disk, file)?;
    if let Some(held) = reader.held() {
        return Err(SnapshotError::Part { path: file.to_owned(), held }.into());
    }
    let summary = examine(reader, file)?;
    let meta = base::copy_in(&**disk, file, directory, &base::path(directory))?;
    let mut id = [0; 16];
    let random = getrandom::fill(&mut id).map_err(|error| std::io::Error::other(error.to_string()));
    random.map_err(RegistryError::directory(directory))?;
    let stream = StreamId(id);
    let parent = Some((meta.position.stream, meta.position.sequence));
    let position = Position { stream, chain: Chain::beginning(stream, parent), ..meta.position };
    drop(LogWriter::begin(disk.clone(), &directory.join("log"), position, now_unix_ms)?);
    drop(lock);
    Ok(summary)
}

/// Writes the records of a snapshot, first under another name.
pub(super) struct SnapshotWriter {
    disk: Arc<dyn Disk>,
    out: BufWriter<Appending>,
    hasher: blake3::Hasher,
    path: PathBuf,
    aside: PathBuf,
    bytes: u64,
    is_named: bool,
}

/// Half a snapshot is of no use, and its bytes may be what the log needs.
impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.is_named
            && let Err(error) = self.disk.remove(&self.aside)
        {
            tracing::warn!(%error, file = %self.aside.display(), "half a snapshot could not be removed");
        }
    }
}

impl SnapshotWriter {
    pub(super) fn create(disk: Arc<dyn Disk>, path: &Path, held: Option<Prefectures>) -> Result<SnapshotWriter, SnapshotError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".tmp");
        let aside = PathBuf::from(name);
        let file = disk.open(&aside, OpenMode::Replace).map_err(SnapshotError::file(&aside))?;
        let out = BufWriter::with_capacity(1 << 20, Appending::to(file));
        let mut writer =
            SnapshotWriter { disk, out, hasher: blake3::Hasher::new(), path: path.to_owned(), aside, bytes: 0, is_named: false };
        writer.put(MAGIC)?;
        writer.put(&held.map_or(VERSION, |_| VERSION_OF_PART).to_le_bytes())?;
        writer.put(&[0; 4])?;
        Ok(writer)
    }

    /// Says behind the first record what a part holds.
    pub(super) fn held(&mut self, held: Prefectures) -> Result<(), SnapshotError> {
        self.record(HELD, &[&held.bits().to_le_bytes()])
    }

    pub(super) fn record(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), SnapshotError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let declared = u32::try_from(length).ok().filter(|length| *length <= RECORD_BYTES_MAX);
        let declared = declared.ok_or(SnapshotError::Damaged { path: self.path.clone(), what: "a record too large" })?;
        self.put(&[kind, 0, 0, 0])?;
        self.put(&declared.to_le_bytes())?;
        for part in parts {
            self.put(part)?;
        }
        self.put([0u8; 8].get(..padded(length) - length).unwrap_or_default())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(SnapshotError::file(&self.aside))
    }

    pub(super) fn finish(mut self) -> Result<u64, SnapshotError> {
        let hash = *self.hasher.finalize().as_bytes();
        self.record(END, &[&hash])?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let done = self
            .out
            .flush()
            .and_then(|()| if sabotaged(Sabotage::NameAnUnsyncedSnapshot) { Ok(()) } else { self.out.get_mut().sync() });
        let done = done.and_then(|()| self.disk.rename(&self.aside, &self.path));
        let done = done.and_then(|()| self.disk.sync_directory(directory));
        self.is_named = done.is_ok();
        done.map_err(SnapshotError::file(&self.path))?;
        Ok(self.bytes)
    }
}

/// Reads a snapshot.
pub struct SnapshotReader {
    input: BufReader<Sequential>,
    path: PathBuf,
    hasher: blake3::Hasher,
    header: StoreMeta,
    held: Option<Prefectures>,
    bytes: u64,
    file_bytes: u64,
}

impl SnapshotReader {
    /// Opens a snapshot and reads what it says of itself; nothing is believed before the whole was read.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<SnapshotReader, SnapshotError> {
        let file = disk.open(path, OpenMode::Read).and_then(Sequential::of).map_err(SnapshotError::file(path))?;
        let damaged = |what| SnapshotError::Damaged { path: path.to_owned(), what };
        let file_bytes = file.length();
        let mut input = BufReader::with_capacity(1 << 20, file);
        let mut hasher = blake3::Hasher::new();
        let mut head = [0; 16];
        input.read_exact(&mut head).map_err(|_| damaged("it is too short"))?;
        hasher.update(&head);
        if !head.starts_with(MAGIC) {
            return Err(damaged("it does not begin as a snapshot does"));
        }
        let version = head.get(8..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if version > VERSION_OF_PART {
            return Err(SnapshotError::Newer { path: path.to_owned(), found: version });
        }
        let mut bytes = 16;
        let mut buffer = Vec::new();
        let kind = read_record(&mut input, &mut hasher, &mut buffer, &mut bytes).map_err(damaged)?;
        let header = StoreMeta::decode(&buffer).filter(|_| kind == META).ok_or(damaged("it does not say where it was taken"))?;
        let held = if version == VERSION_OF_PART {
            let kind = read_record(&mut input, &mut hasher, &mut buffer, &mut bytes).map_err(damaged)?;
            let bits = <[u8; 8]>::try_from(buffer.as_slice()).ok().filter(|_| kind == HELD).map(u64::from_le_bytes);
            let held = bits.and_then(|bits| Prefectures::from_bits(bits).ok());
            Some(held.ok_or(damaged("it does not say which prefectures it holds"))?)
        } else {
            None
        };
        Ok(SnapshotReader { input, path: path.to_owned(), hasher, header, held, bytes, file_bytes })
    }

    /// The prefectures whose rows it holds, besides the national issuers'; `None` where it holds all.
    pub fn held(&self) -> Option<Prefectures> {
        self.held
    }

    /// Where and what it is.
    pub fn header(&self) -> &StoreMeta {
        &self.header
    }

    /// Reads the whole and checks its hash.
    pub fn check(self) -> Result<SnapshotSummary, SnapshotError> {
        self.check_each(|_, _| {})
    }

    /// The same, and shows every record behind the first; nothing of them is to be believed before this returns.
    pub(super) fn check_each(mut self, mut show: impl FnMut(u8, &[u8])) -> Result<SnapshotSummary, SnapshotError> {
        let mut summary = SnapshotSummary {
            sequence: self.header.position.sequence,
            recipients: 0,
            rows: self.header.rows,
            history: 0,
            bytes: 0,
        };
        self.each(|kind, bytes| {
            show(kind, bytes);
            match kind {
                DOSSIER => summary.recipients += 1,
                HISTORY => summary.history += 1,
                _ => {}
            }
            Ok::<(), SnapshotError>(())
        })?;
        summary.bytes = self.bytes;
        Ok(summary)
    }

    /// More keys than this cannot be in the file, whatever it says of itself: each takes some bytes of a dossier.
    fn keys_max(&self) -> u64 {
        self.file_bytes / 8
    }

    /// Loads everything into an empty writer, which then stands at `beginning`, the place where the log of the restored stream
    /// begins, or the place where the snapshot was taken; and into an empty store, which says nothing of itself yet.
    pub(super) fn load(mut self, writer: &mut Writer, store: Option<&Store>, beginning: Position) -> Result<(), RegistryError> {
        let meta = self.header.clone();
        let damaged = |what| SnapshotError::Damaged { path: self.path.clone(), what };
        let (not_a_dossier, not_ledger) = (damaged("a dossier is not valid"), damaged("a ledger entry is not valid"));
        let does_not_add_up = damaged("its content does not add up to its checksum");
        let another_log = damaged("the log beside it did not begin with it");
        writer.index.reserve(usize::try_from(meta.keys.min(self.keys_max())).unwrap_or(0))?;
        let mut filling = Filling::new(writer.index.loader());
        writer.ledger.horizon = meta.horizon;
        let mut batch = StoreBatch::default();
        let (mut history_checksum, mut history_entries) = (0u128, 0u64);
        let mut wrong = None;
        self.each(|kind, bytes| -> Result<(), RegistryError> {
            match kind {
                DOSSIER => match filling.take(bytes)? {
                    Ok(number) => batch.put_dossier(number, bytes),
                    Err(RecordError::Version(_) | RecordError::Alignment | RecordError::Length | RecordError::Inside) => {
                        wrong = Some(true);
                    }
                },
                HISTORY => {
                    if let Some((key, value)) = bytes.split_at_checked(HISTORY_KEY_BYTES) {
                        history_checksum = history_checksum.wrapping_add(history_hash(key, value));
                        history_entries += 1;
                        batch.put_history_raw(key, value);
                    }
                }
                LEDGER => {
                    let taken = take_ledger(writer, bytes, &mut batch);
                    wrong = wrong.or(taken.is_none().then_some(false));
                }
                _ => {}
            }
            if batch.bytes() > 4 << 20 {
                let full = std::mem::take(&mut batch);
                store.map_or(Ok(()), |store| store.apply_unplaced(full))?;
            }
            Ok(())
        })?;
        match wrong {
            Some(true) => return Err(not_a_dossier.into()),
            Some(false) => return Err(not_ledger.into()),
            None => {}
        }
        let Filling { loader, loaded, .. } = filling;
        writer.index.adopt(loader)?;
        writer.tally = loaded.tally;
        writer.dossiers = loaded.dossiers;
        writer.next_number = meta.next_number;
        writer.history_checksum = history_checksum;
        writer.history_entries = history_entries;
        writer.data_unix_ms = meta.data_unix_ms;
        writer.position = Position { state_checksum: meta.position.state_checksum, ..beginning };
        let adds_up = writer.checksum() == meta.checksum
            && history_checksum == meta.history_checksum
            && history_entries == meta.history_entries
            && writer.dossiers == meta.dossiers
            && writer.tally.rows == meta.rows;
        if !adds_up {
            return Err(does_not_add_up.into());
        }
        let parent = Some((meta.position.stream, meta.position.sequence));
        let begins_its_log = beginning.sequence == meta.position.sequence
            && beginning.state_checksum == meta.position.state_checksum
            && beginning.chain == Chain::beginning(beginning.stream, parent);
        // One of the log's own stream proves itself when the log is read behind it: the chains must agree there.
        if !begins_its_log && beginning != meta.position {
            return Err(another_log.into());
        }
        Ok(store.map_or(Ok(()), |store| store.apply_unplaced(batch))?)
    }

    /// Calls `take` with every record behind the first, and checks the hash at the end.
    fn each<E: From<SnapshotError>>(&mut self, mut take: impl FnMut(u8, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let damaged = |what| SnapshotError::Damaged { path: self.path.clone(), what };
        let mut buffer = Vec::new();
        loop {
            let kind = read_record(&mut self.input, &mut self.hasher, &mut buffer, &mut self.bytes);
            let kind = kind.map_err(damaged)?;
            if kind == END {
                let ends_here = self.input.read(&mut [0]).is_ok_and(|read| read == 0);
                let whole = buffer == self.hasher.finalize().as_bytes() && ends_here;
                return if whole || sabotaged(Sabotage::BelieveTheSnapshot) {
                    Ok(())
                } else {
                    Err(damaged("its hash does not match").into())
                };
            }
            take(kind, &buffer)?;
        }
    }
}

fn take_ledger(writer: &mut Writer, bytes: &[u8], batch: &mut StoreBatch) -> Option<()> {
    let (sequence, rest) = bytes.split_first_chunk::<8>()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let (kind, payload) = rest.split_first()?;
    let (sequence, time) = (u64::from_le_bytes(*sequence), u64::from_le_bytes(*time));
    match FrameKind::from_byte(*kind)? {
        FrameKind::Master => {
            writer.ledger.take_master(sequence, &MasterPiece::read(payload).ok()?).ok()?;
        }
        FrameKind::Feed => writer.ledger.take_feed(sequence, time, &FeedRecord::read(payload).ok()?),
        _ => return None,
    }
    batch.put_ledger(sequence, *kind, time, payload);
    Some(())
}

fn read_record(
    input: &mut BufReader<Sequential>,
    hasher: &mut blake3::Hasher,
    buffer: &mut Vec<u8>,
    bytes: &mut u64,
) -> Result<u8, &'static str> {
    let mut head = [0; 8];
    input.read_exact(&mut head).map_err(|_| "it ends too early")?;
    let [kind, x, y, z, a, b, c, d] = head;
    let length = u32::from_le_bytes([a, b, c, d]);
    if [x, y, z] != [0; 3] || length > RECORD_BYTES_MAX {
        return Err("a record with an impossible head");
    }
    let length = usize::try_from(length).unwrap_or(0);
    buffer.resize(padded(length), 0);
    input.read_exact(buffer).map_err(|_| "it ends too early")?;
    if kind != END {
        hasher.update(&head);
        hasher.update(buffer);
    }
    *bytes += 8 + buffer.len() as u64;
    buffer.truncate(length);
    Ok(kind)
}
