use std::path::Path;

use super::ImageReader;
use super::Pace;
use super::writer::{take_effect, write};
use crate::disk::RealDisk;
use crate::domain::day::Day;
use crate::index::{self, IndexOptions};
use crate::log::{Chain, Position, StreamId};
use crate::record::fixture::{dossier, person};
use crate::record::{DossierRef, StateChecksum, identity};
use crate::registry::plan::content_of;
use crate::registry::tally::Tally;
use crate::store::StoreMeta;

const OPTIONS: IndexOptions = IndexOptions { segment_words_log2: 14, slots: 64 };

/// Writes an image of so many people; returns what it says of itself.
fn written(path: &Path, people: u32) -> (StoreMeta, Tally) {
    let (mut writer, _reader) = index::create(OPTIONS).unwrap();
    let mut tally = Tally::default();
    let mut scratch = Vec::new();
    for n in 0..people {
        let batch = dossier(
            u64::from(n) + 1,
            &[(person(n), 1), (crate::domain::registration::Registration { history_key: "2".into(), ..person(n) }, 2)],
        );
        let dossier = batch.dossier(0).unwrap();
        for held in dossier.held_rows() {
            tally.add(held.row, content_of(held.row, &mut scratch));
        }
        writer.insert(dossier).unwrap();
    }
    let position = Position { stream: StreamId([1; 16]), sequence: 7, chain: Chain([2; 32]), state_checksum: 3 };
    let meta = StoreMeta {
        position,
        checksum: StateChecksum::EMPTY,
        horizon: Day::parse(b"2024-11-01").unwrap(),
        next_number: u64::from(people) + 1,
        dossiers: u64::from(people),
        rows: tally.rows,
        history_checksum: 5,
        history_entries: 6,
        keys: writer.key_count(),
        data_unix_ms: 8,
    };
    assert!(write(&RealDisk, path, &meta, &tally, &writer.freeze(), Pace::Full, || true).unwrap());
    take_effect(&RealDisk, path).unwrap();
    (meta, tally)
}

/// Every dossier that an image gives, by number, as a hash of its bytes.
fn read(path: &Path) -> Result<Vec<(u64, u128)>, super::reader::NotAnImage> {
    let image = ImageReader::open(&RealDisk, path)?;
    let (mut writer, _reader) = index::create(OPTIONS).unwrap();
    image.load(&mut writer)?;
    let frozen = writer.freeze();
    let mut seen: Vec<_> =
        frozen.dossiers().map(|dossier: DossierRef<'_>| (dossier.number(), identity::hash_128(dossier.as_bytes()))).collect();
    seen.sort_unstable();
    Ok(seen)
}

#[test]
fn an_image_gives_back_what_was_written() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    // Enough for several parts.
    let (meta, tally) = written(&path, 9_000);
    let image = ImageReader::open(&RealDisk, &path).unwrap();
    assert_eq!(image.meta, meta);
    assert_eq!((image.tally.rows, image.tally.checksum), (tally.rows, tally.checksum));
    assert_eq!(image.tally.by_authority, tally.by_authority);
    let counts = |tally: &Tally| {
        tally.fill.iter().map(|(key, fill)| (*key, (fill.rows, fill.filled))).collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(counts(&image.tally), counts(&tally));
    let seen = read(&path).unwrap();
    assert_eq!(seen.len(), 9_000);
    assert_eq!(seen.last().map(|(number, _)| *number), Some(9_000));
}

#[test]
fn one_flipped_byte_anywhere_and_the_image_is_not_believed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    written(&path, 3);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        std::fs::write(&path, &damaged).unwrap();
        assert!(read(&path).is_err(), "a flip at {at} was not noticed");
    }
}

#[test]
fn an_image_that_ends_early_is_not_believed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    written(&path, 2);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(read(&path).is_err(), "a file of {length} bytes was believed");
    }
}

#[test]
fn writing_that_is_stopped_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    let (meta, tally) = written(&path, 2);
    std::fs::remove_file(&path).unwrap();
    let (mut writer, _reader) = index::create(OPTIONS).unwrap();
    writer.insert(dossier(1, &[(person(1), 1)]).dossier(0).unwrap()).unwrap();
    assert!(!write(&RealDisk, &path, &meta, &tally, &writer.freeze(), Pace::Gentle, || false).unwrap());
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
