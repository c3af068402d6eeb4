//! A hub that has lived, and everything of its stream: what followers are fed with, and judged by.

use std::collections::BTreeMap;
use std::path::PathBuf;

use shikaku::disk::simulated::Aftermath;
use shikaku::log::{Frame, SEGMENT_HEAD, StreamId};
use shikaku::registry::snapshot::SnapshotSummary;
use shikaku::registry::{Following, Registry};

use crate::deeds::Deed;
use crate::life::Life;
use crate::machine::{Machine, NOW, backup};
use crate::model::Model;
use crate::rows::Row;

/// A frame of the hub's, as it lies in the hub's log.
pub(crate) struct HubFrame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) state_checksum: u128,
}

pub(crate) struct Hub {
    /// The machine with the hub's directory and a backup on it; `directory` is where a follower goes.
    pub(crate) machine: Machine,
    pub(crate) stream: StreamId,
    /// By sequence, the first at 0.
    pub(crate) frames: Vec<HubFrame>,
    /// What there is after a sequence, for those behind which a deed ended.
    pub(crate) models: BTreeMap<u64, Model>,
    /// Where the backup was taken.
    pub(crate) backup_sequence: u64,
    /// What a snapshot of the end holds.
    pub(crate) end: SnapshotSummary,
}

/// Registrations, withdrawals, masters, files, marks and a pruning.
fn deeds() -> Vec<Deed> {
    vec![
        Deed::register(&[Row::of(0, 0, 0), Row::of(0, 1, 0), Row::of(1, 1, 1), Row::of(2, 1, 2)]),
        Deed::register(&[Row { ends: 1, ..Row::of(2, 1, 2) }]),
        Deed::Mark,
        Deed::withdraw(Row::of(1, 1, 1)),
        Deed::Feed { file: 1, ended: false },
        Deed::register(&[Row::of(3, 1, 3), Row::of(4, 2, 3), Row::of(0, 1, 1)]),
        Deed::Snapshot,
        Deed::register(&[Row { segment: 1, ..Row::of(0, 0, 4) }, Row::of(2, 1, 0)]),
        Deed::withdraw(Row::of(3, 1, 3)),
        Deed::Feed { file: 1, ended: true },
        Deed::SetPayers { version: 1 },
        Deed::Mark,
        Deed::Prune { months: 3 },
        Deed::withdraw(Row::of(0, 0, 4)),
        Deed::register(&[Row::of(6, 1, 4), Row::of(5, 2, 2)]),
    ]
}

impl Hub {
    pub(crate) fn new(seed: u64) -> Hub {
        Hub::of(seed, deeds())
    }

    /// One that does this, a snapshot among it.
    pub(crate) fn of(seed: u64, deeds: Vec<Deed>) -> Hub {
        let machine = Machine { directory: PathBuf::from("/var/hub"), segment_bytes_max: 2_000, ..Machine::new(seed) };
        let mut life = Life::new(machine);
        let mut models = BTreeMap::from([(life.registry().sequence(), life.model.clone())]);
        let mut backup_sequence = 0;
        for deed in deeds {
            life.take(&deed).unwrap();
            let sequence = life.registry().sequence();
            if matches!(deed, Deed::Snapshot) {
                backup_sequence = sequence;
            }
            models.insert(sequence, life.model.clone());
        }
        let registry = life.registry();
        let (frames, stream) = (frames_of(registry), registry.stream());
        let end = registry.create_snapshot(&PathBuf::from("/end.snap")).unwrap();
        assert_eq!(end.sequence, frames.len() as u64);
        let Life { machine, registry, .. } = life;
        registry.unwrap().close(NOW).unwrap();
        let machine = machine.after_power_failure(Aftermath::Kept);
        let machine = Machine { directory: PathBuf::from("/var/follower"), ..machine };
        Hub { machine, stream, frames, models, backup_sequence, end }
    }

    pub(crate) fn following(&self) -> Following {
        Following { stream: self.stream, hub_key: [7; 32], prefectures: None }
    }

    /// The sequence of the last frame.
    pub(crate) fn last(&self) -> u64 {
        self.frames.len() as u64
    }

    /// The bytes of the frames behind a sequence, so many of them.
    pub(crate) fn behind(&self, sequence: u64, count: u64) -> Vec<u8> {
        let frames = self.frames.iter().skip(sequence as usize).take(count as usize);
        frames.flat_map(|frame| frame.bytes.clone()).collect()
    }

    /// The state checksum behind a sequence.
    pub(crate) fn checksum_at(&self, sequence: u64) -> u128 {
        sequence.checked_sub(1).map_or(0, |place| self.frames[place as usize].state_checksum)
    }

    /// The backup, as a file to begin with.
    pub(crate) fn backup(&self) -> &'static std::path::Path {
        backup()
    }
}

/// Every frame of a registry's log, as it is handed on.
pub(crate) fn frames_of(registry: &Registry) -> Vec<HubFrame> {
    let mut frames = Vec::new();
    for segment in registry.segments().unwrap() {
        let bytes = registry.read_segment(segment.first_sequence, SEGMENT_HEAD as u64..u64::MAX).unwrap();
        assert_eq!(bytes.len() as u64, segment.bytes - SEGMENT_HEAD as u64);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let frame = Frame::first_of(rest).unwrap();
            frames.push(HubFrame { bytes: frame.bytes.to_vec(), state_checksum: frame.state_checksum });
            rest = &rest[frame.bytes.len()..];
        }
    }
    frames
}
