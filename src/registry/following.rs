//! A directory that follows a stream: it holds another machine's frames as they came, and writes none of its own.
//!
//! `DIR/follows` says which stream, whose key vouches for it, and which prefectures are held. While the directory is being begun the
//! file is called `follows.begun`, and nothing beside it counts: whatever a crash leaves then is begun again.

use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::snapshot::SnapshotReader;
use super::{DirectoryLock, RegistryError, base, part, shelf};
use crate::disk::{Disk, OpenMode};
use crate::domain::prefectures::Prefectures;
use crate::log::{LogWriter, Position, StreamId};
use crate::sabotage::{Sabotage, sabotaged};

/// The file of a directory that follows.
const NAME: &str = "follows";
/// The same while the directory is being begun.
const BEGUN: &str = "follows.begun";
const VERSION: u32 = 1;
/// The file says a few hundred bytes; one that is larger is not ours.
const FILE_BYTES_MAX: u64 = 4096;

/// What a directory follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// The stream, which is the directory's own as well.
    pub stream: StreamId,
    /// The key that vouches for the stream's frames; what it is for is not known here.
    pub hub_key: [u8; 32],
    /// The prefectures whose rows are held, besides the national issuers'; all where nothing is said.
    pub prefectures: Option<Prefectures>,
}

/// What keeps a directory from following, or from being opened as one that does.
#[derive(Debug, thiserror::Error)]
pub enum FollowingError {
    /// The file is not as it was written.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A later version of the program wrote the file.
    #[error("{} has format {found}; this program knows up to {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The directory was being begun, and that did not come to its end.
    #[error("{} was to follow a stream, and nothing came of it; begin again", path.display())]
    Unfinished {
        /// The directory.
        path: PathBuf,
    },
    /// Something was registered there, or it follows already.
    #[error("{} is not empty; following wants a directory of its own", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A snapshot of another stream.
    #[error("{} is a snapshot of stream {found:?}, not of {followed:?}", path.display())]
    OtherStream {
        /// The snapshot.
        path: PathBuf,
        /// Its stream.
        found: StreamId,
        /// The stream that is to be followed.
        followed: StreamId,
    },
    /// The log beside the file is of another stream.
    #[error("{} says that stream {followed:?} is followed, and the log is of another", path.display())]
    OtherLog {
        /// The file.
        path: PathBuf,
        /// The stream it says.
        followed: StreamId,
    },
    /// A snapshot that lacks rows which are to be held.
    #[error("{} holds the rows of prefectures {held} only; what is asked for needs a snapshot that holds all of it", path.display())]
    HoldsTooLittle {
        /// The snapshot.
        path: PathBuf,
        /// What it holds.
        held: Prefectures,
    },
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    stream: String,
    hub_key: String,
    prefectures: Option<Vec<usize>>,
    check: String,
}

/// What is read of a file before anything else of it is believed.
#[derive(Deserialize)]
struct WrittenVersion {
    version: u32,
}

impl Following {
    /// What a directory follows; `None` where it follows nothing.
    pub fn of(disk: &dyn Disk, directory: &Path) -> Result<Option<Following>, RegistryError> {
        let path = directory.join(NAME);
        let file = match disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == NotFound => return Ok(None),
            Err(source) => return Err(RegistryError::Directory { path, source }),
        };
        let length = file.length().map_err(RegistryError::directory(&path))?;
        let damaged = |what| FollowingError::Damaged { path: path.clone(), what };
        if length > FILE_BYTES_MAX {
            return Err(damaged("it is larger than such a file can be").into());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0).map_err(RegistryError::directory(&path))?;
        Ok(Some(Following::read(&bytes, &path)?))
    }

    /// The same, where a directory that was only begun is refused.
    pub(super) fn of_whole(disk: &dyn Disk, directory: &Path) -> Result<Option<Following>, RegistryError> {
        let begun = directory.join(BEGUN);
        if disk.exists(&begun).map_err(RegistryError::directory(&begun))? {
            return Err(FollowingError::Unfinished { path: directory.to_owned() }.into());
        }
        Following::of(disk, directory)
    }

    /// Refuses a log of another stream.
    pub(super) fn check_stream(&self, directory: &Path, stream: StreamId) -> Result<(), FollowingError> {
        if stream == self.stream {
            return Ok(());
        }
        Err(FollowingError::OtherLog { path: directory.join(NAME), followed: self.stream })
    }

    fn read(bytes: &[u8], path: &Path) -> Result<Following, FollowingError> {
        let damaged = |what| FollowingError::Damaged { path: path.to_owned(), what };
        let not_ours = "it is not what a directory that follows says";
        let version = serde_json::from_slice::<WrittenVersion>(bytes).map_err(|_| damaged(not_ours))?.version;
        if version > VERSION {
            return Err(FollowingError::Newer { path: path.to_owned(), found: version });
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|_| damaged(not_ours))?;
        if written.check != written.checked() {
            return Err(damaged("its checksum does not match"));
        }
        let stream = from_hex(&written.stream).map(StreamId).ok_or(damaged("its stream is no stream"))?;
        let hub_key = from_hex(&written.hub_key).ok_or(damaged("its key is no key"))?;
        let prefectures = written.prefectures.map(Prefectures::of).transpose();
        let prefectures = prefectures.map_err(|_| damaged("its prefectures are none"))?;
        Ok(Following { stream, hub_key, prefectures })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut written = Written {
            version: VERSION,
            stream: to_hex(&self.stream.0),
            hub_key: to_hex(&self.hub_key),
            prefectures: self.prefectures.map(|prefectures| prefectures.numbers().collect()),
            check: String::new(),
        };
        written.check = written.checked();
        let mut bytes = serde_json::to_vec_pretty(&written).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

impl Written {
    /// The checksum of everything else that is said.
    fn checked(&self) -> String {
        let Written { version, stream, hub_key, prefectures, .. } = self;
        format!("{:016x}", xxh3_64(format!("{version} {stream} {hub_key} {prefectures:?}").as_bytes()))
    }
}

/// Makes an empty directory one that follows a stream: from where the stream begins, or from a snapshot of it that was read whole.
/// Gives the place behind which frames are to come. The directory is opened afterwards as any other.
///
/// A stream that was itself restored begins behind its parent's snapshot, and is followed from a snapshot of its own only.
pub(super) fn begin(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    following: &Following,
    snapshot: Option<&Path>,
    now_unix_ms: u64,
) -> Result<Position, RegistryError> {
    let _lock = DirectoryLock::take(&**disk, directory)?;
    want_room_for(&**disk, directory)?;
    if let Some(snapshot) = snapshot {
        judge(following, SnapshotReader::open(&**disk, snapshot)?, snapshot)?;
    }
    let begun = directory.join(BEGUN);
    write_durably(&**disk, &begun, &following.to_bytes())?;
    remove_what_was_begun(&**disk, directory)?;
    let position = match snapshot {
        Some(snapshot) => {
            let position = SnapshotReader::open(&**disk, snapshot)?.header().position;
            let copy = shelf::path(directory).join(shelf::file_name(position.sequence));
            bring_in(disk, snapshot, directory, &copy, following)?;
            position
        }
        None => Position::beginning(following.stream),
    };
    if sabotaged(Sabotage::FollowBeforeTheLog) {
        name(&**disk, directory)?;
    }
    drop(LogWriter::begin(disk.clone(), &directory.join("log"), position, now_unix_ms)?);
    if !sabotaged(Sabotage::FollowBeforeTheLog) {
        name(&**disk, directory)?;
    }
    Ok(position)
}

/// Makes what was begun a directory that follows.
fn name(disk: &dyn Disk, directory: &Path) -> Result<(), RegistryError> {
    let path = directory.join(NAME);
    let named = disk.rename(&directory.join(BEGUN), &path).and_then(|()| disk.sync_directory(directory));
    named.map_err(RegistryError::directory(&path))
}

/// Refuses a directory in which anything was registered, or that follows already; what was begun before and came to nothing may lie there.
fn want_room_for(disk: &dyn Disk, directory: &Path) -> Result<(), RegistryError> {
    let not_empty = || Err(FollowingError::NotEmpty { path: directory.to_owned() }.into());
    let names = disk.list(directory).map_err(RegistryError::directory(directory))?;
    let is_there = |name: &str| names.iter().any(|there| there == name);
    let holds_state = names.iter().any(|name| name.starts_with("store")) || is_there("image") || is_there(NAME);
    let holds_files = is_there("log") || is_there("snapshots");
    if holds_state || holds_files && !is_there(BEGUN) { not_empty() } else { Ok(()) }
}

/// Whether a snapshot is one that this can begin with.
fn judge(following: &Following, reader: SnapshotReader, path: &Path) -> Result<(), RegistryError> {
    let found = reader.header().position.stream;
    if found != following.stream {
        return Err(FollowingError::OtherStream { path: path.to_owned(), found, followed: following.stream }.into());
    }
    if let Some(held) = reader.held()
        && !following.prefectures.is_some_and(|wanted| wanted.are_among(held))
    {
        return Err(FollowingError::HoldsTooLittle { path: path.to_owned(), held }.into());
    }
    reader.check()?;
    Ok(())
}

/// Copies the snapshot in, or as much of it as is to be held.
fn bring_in(
    disk: &Arc<dyn Disk>,
    snapshot: &Path,
    directory: &Path,
    copy: &Path,
    following: &Following,
) -> Result<(), RegistryError> {
    match following.prefectures {
        Some(held) => part::copy_part(disk, snapshot, directory, copy, held),
        None => base::copy_in(&**disk, snapshot, directory, copy),
    }
    .map(drop)
}

/// Removes the log and the snapshot of a beginning that came to nothing.
fn remove_what_was_begun(disk: &dyn Disk, directory: &Path) -> Result<(), RegistryError> {
    for folder in [directory.join("log"), shelf::path(directory)] {
        let names = match disk.list(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == NotFound => continue,
            Err(source) => return Err(RegistryError::Directory { path: folder, source }),
        };
        for name in &names {
            let path = folder.join(name);
            disk.remove(&path).map_err(RegistryError::directory(&path))?;
        }
        if !names.is_empty() {
            disk.sync_directory(&folder).map_err(RegistryError::directory(&folder))?;
        }
    }
    Ok(())
}

/// Writes a file that is there whole, or as it was before.
fn write_durably(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
    let aside = path.with_extension("tmp");
    let folder = path.parent().unwrap_or(path);
    let written = disk.open(&aside, OpenMode::Replace).and_then(|mut file| file.append(bytes).and_then(|()| file.sync()));
    let written = written.and_then(|()| disk.rename(&aside, path)).and_then(|()| disk.sync_directory(folder));
    written.map_err(RegistryError::directory(path))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn following() -> Following {
        Following { stream: StreamId([7; 16]), hub_key: [0xab; 32], prefectures: Some(Prefectures::of([13, 14]).unwrap()) }
    }

    fn read(bytes: &[u8]) -> Result<Following, FollowingError> {
        Following::read(bytes, Path::new("/var/data/follows"))
    }

    #[test]
    fn what_a_directory_follows_reads_as_it_was_written() {
        for following in [following(), Following { prefectures: None, ..following() }] {
            assert_eq!(read(&following.to_bytes()).unwrap(), following);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = following().to_bytes();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[place] ^= 1 << bit;
                // White space between two words, and the case of a digit, say nothing.
                if let Ok(read) = read(&flipped) {
                    assert_eq!(read, following(), "byte {place} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_file_of_a_later_version_is_named_and_not_called_damaged() {
        let bytes = br#"{"version":2,"streams":["x"]}"#;
        assert!(matches!(read(bytes), Err(FollowingError::Newer { found: 2, .. })));
    }
}
