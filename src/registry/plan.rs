//! What a run of changes does to the dossiers, worked out before anything is written: which row supersedes which, which moves,
//! which becomes history.

use crate::domain::day::Day;
use crate::domain::decision::Row as _;
use crate::domain::registration::Operation;
use crate::index::{IndexWriter, Position};
use crate::record::dossier::{DOSSIER_ROWS_MAX, HeldRow};
use crate::record::identity;
use crate::record::payload::{Change, Changes, change_bytes};
use crate::record::{ArchivedRow, Digest, DossierBatch, DossierRef};
use crate::registry::tally::{CountMap, CountSet};
use crate::sabotage::{Sabotage, sabotaged};
use crate::store::HistoryKind;

/// What became of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A row was registered that was not there before.
    Registered,
    /// A row took the place of an older registration.
    Superseded,
    /// The row is as it was.
    Unchanged,
    /// The row ended before the horizon and is kept as history only.
    HistoryOnly,
    /// A row was withdrawn.
    Withdrawn,
    /// The row had been withdrawn before.
    AlreadyWithdrawn,
    /// Rejected: no such row was ever registered.
    Unknown,
    /// Rejected: the person would have more rows than a dossier may hold.
    DossierFull,
}

/// Whether a plan could take a change.
pub(super) enum Taken {
    /// It could, or the change needs nothing.
    Done(Outcome),
    /// The frame is full, or already names this identity: commit it, and offer the change again.
    FrameFull,
    /// A withdrawal of a row that is not current; the history decides.
    AskHistory(u128),
}

/// A dossier that the frame changes.
struct Pending<'c> {
    old: Option<Position>,
    /// Rows of the old version that stay, one bit each.
    kept: u64,
    /// Rows of the old version that move to another dossier, one bit each.
    moved_out: u64,
    added: Vec<Change<'c>>,
}

const _: () = assert!(DOSSIER_ROWS_MAX <= u64::BITS as usize, "a dossier's rows fit the bits of a mask");

/// A row counted in or out of the state.
pub(super) enum Count<'c> {
    In { row: &'c ArchivedRow, content: u128 },
    Out { position: Position, place: usize, content: u128 },
}

/// A row that becomes history.
pub(super) struct Past<'c> {
    pub(super) identity: u128,
    pub(super) kind: HistoryKind,
    pub(super) source: PastSource<'c>,
}

/// Where the bytes of a row that becomes history are.
pub(super) enum PastSource<'c> {
    /// In a dossier of the index, known since then.
    Held { position: Position, place: usize },
    /// In the frame itself.
    New(&'c [u8]),
}

/// A frame in the making.
pub(super) struct Plan<'c> {
    pub(super) payload: Changes,
    payload_bytes_max: usize,
    horizon: Day,
    pendings: Vec<Pending<'c>>,
    by_position: CountMap<Position, usize>,
    by_insured: CountMap<u128, usize>,
    identities: CountSet<u128>,
    pub(super) counts: Vec<Count<'c>>,
    pub(super) past: Vec<Past<'c>>,
    scratch: Scratch,
}

/// One change with everything that is hashed of it, so that memory can be asked for in time.
pub(super) struct Prepared<'c> {
    pub(super) change: Change<'c>,
    digest: Digest,
}

/// Prepares a run of changes: hashes all that have no digest yet, asks for all slots, then for all dossiers.
pub(super) fn prepare<'c>(
    index: &IndexWriter,
    changes: &[Change<'c>],
    digests: &[Digest],
    scratch: &mut Vec<u8>,
    prepared: &mut Vec<Prepared<'c>>,
) {
    prepared.clear();
    let mut known = digests.iter();
    for change in changes {
        let digest = known.next().copied().unwrap_or_else(|| Digest::of(change.row, scratch));
        prepared.push(Prepared { change: *change, digest });
    }
    for one in prepared.iter() {
        index.prefetch_slots(one.digest.certificate);
        index.prefetch_slots(one.digest.member);
    }
    for one in prepared.iter() {
        index.prefetch_dossier(one.digest.certificate);
    }
}

impl Prepared<'_> {
    /// Whether a row of this identity is current.
    pub(super) fn is_current(&self, index: &IndexWriter, scratch: &mut Scratch) -> bool {
        self.find(index, scratch).is_some()
    }

    /// The dossier and the place of the current row of this identity.
    fn find(&self, index: &IndexWriter, scratch: &mut Scratch) -> Option<(Position, usize)> {
        let Scratch { identity, compared } = scratch;
        identity.clear();
        let mut place = None;
        let position = index.find(self.digest.certificate, |dossier| {
            if identity.is_empty() {
                identity::append_certificate_identity(self.change.row, identity);
                identity::append_history_key(self.change.row, identity);
            }
            place = dossier.place_of(identity, compared);
            place.is_some()
        })?;
        place.map(|place| (position, place))
    }
}

/// Memory for identities that are compared.
#[derive(Default)]
pub(super) struct Scratch {
    identity: Vec<u8>,
    compared: Vec<u8>,
}

/// The hash of a row's identity and content: its share of the state checksum.
pub(super) fn content_of(row: &ArchivedRow, scratch: &mut Vec<u8>) -> u128 {
    scratch.clear();
    identity::append_certificate_identity(row, scratch);
    identity::append_history_key(row, scratch);
    row.append_content(scratch);
    identity::hash_128(scratch)
}

impl<'c> Plan<'c> {
    /// An empty frame. A payload may have this many bytes at most.
    pub(super) fn new(payload: Changes, payload_bytes_max: usize, horizon: Day) -> Plan<'c> {
        Plan {
            payload,
            payload_bytes_max,
            horizon,
            pendings: Vec::new(),
            by_position: CountMap::default(),
            by_insured: CountMap::default(),
            identities: CountSet::default(),
            counts: Vec::new(),
            past: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Begins the next frame in the memory of the one that was committed.
    pub(super) fn clear(&mut self) {
        self.payload.clear();
        self.pendings.clear();
        self.by_position.clear();
        self.by_insured.clear();
        self.identities.clear();
        self.counts.clear();
        self.past.clear();
    }

    /// Works one change in.
    pub(super) fn take(&mut self, index: &IndexWriter, one: &Prepared<'c>) -> Taken {
        let is_full = self.payload.as_bytes().len() + change_bytes(one.change.bytes) > self.payload_bytes_max;
        if is_full || self.identities.contains(&one.digest.identity) {
            return Taken::FrameFull;
        }
        let existing = one.find(index, &mut self.scratch);
        let outcome = match one.change.operation {
            Operation::Upsert => self.upsert(index, one, existing),
            Operation::Withdraw => match existing {
                Some((position, place)) => {
                    self.take_out(index, one.digest.identity, position, place, HistoryKind::Withdrawn, false);
                    Outcome::Withdrawn
                }
                None => return Taken::AskHistory(one.digest.identity),
            },
        };
        if matches!(outcome, Outcome::Registered | Outcome::Superseded | Outcome::HistoryOnly | Outcome::Withdrawn) {
            self.payload.push_copy(&one.change);
            self.identities.insert(one.digest.identity);
        }
        Taken::Done(outcome)
    }

    /// Works a withdrawal in whose row is no longer current but still stands in the history.
    pub(super) fn withdraw_from_history(&mut self, one: &Prepared<'c>) {
        let source = PastSource::New(one.change.bytes);
        self.past.push(Past { identity: one.digest.identity, kind: HistoryKind::WithdrawnLater, source });
        self.payload.push_copy(&one.change);
        self.identities.insert(one.digest.identity);
    }

    /// Whether nothing would change.
    pub(super) fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    fn upsert(&mut self, index: &IndexWriter, one: &Prepared<'c>, existing: Option<(Position, usize)>) -> Outcome {
        let row = one.change.row;
        if let Some((position, place)) = existing
            && self.content_at(index, position, place) == Some(one.digest.content)
        {
            return Outcome::Unchanged;
        }
        if row.valid_to() < self.horizon {
            if let Some((position, place)) = existing {
                self.take_out(index, one.digest.identity, position, place, HistoryKind::Superseded, false);
            }
            let source = PastSource::New(one.change.bytes);
            self.past.push(Past { identity: one.digest.identity, kind: HistoryKind::RegisteredEnded, source });
            return Outcome::HistoryOnly;
        }
        let target = self.pending_of_insured(index, one);
        let moves = existing.is_some_and(|(position, _)| self.old_position(target) != Some(position));
        let replaces_here = existing.is_some() && !moves;
        if self.row_count(target) + 1 - usize::from(replaces_here) > DOSSIER_ROWS_MAX {
            return Outcome::DossierFull;
        }
        if let Some((position, place)) = existing {
            self.take_out(index, one.digest.identity, position, place, HistoryKind::Superseded, moves);
        }
        if let Some(pending) = self.pendings.get_mut(target) {
            pending.added.push(one.change);
        }
        self.counts.push(Count::In { row, content: one.digest.content });
        if existing.is_some() { Outcome::Superseded } else { Outcome::Registered }
    }

    fn take_out(
        &mut self,
        index: &IndexWriter,
        identity: u128,
        position: Position,
        place: usize,
        kind: HistoryKind,
        moves: bool,
    ) {
        let content = self.content_at(index, position, place).unwrap_or(0);
        let at = self.pending_at(index, position);
        let is_withdrawn = kind == HistoryKind::Withdrawn;
        if let Some(pending) = self.pendings.get_mut(at)
            && !(is_withdrawn && sabotaged(Sabotage::AnswerFromAWithdrawnRow))
        {
            pending.kept &= !(1 << place);
            if moves {
                pending.moved_out |= 1 << place;
            }
        }
        self.counts.push(Count::Out { position, place, content });
        if !(is_withdrawn && sabotaged(Sabotage::ForgetAWithdrawal)) {
            self.past.push(Past { identity, kind, source: PastSource::Held { position, place } });
        }
    }

    /// Takes a row out because it ended before a new horizon.
    pub(super) fn prune(&mut self, index: &IndexWriter, identity: u128, position: Position, place: usize) {
        self.take_out(index, identity, position, place, HistoryKind::Pruned, false);
    }

    fn content_at(&self, index: &IndexWriter, position: Position, place: usize) -> Option<u128> {
        let held = index.dossier(position).row_at(place)?;
        Some(content_of(held.row, &mut Vec::with_capacity(512)))
    }

    fn pending_of_insured(&mut self, index: &IndexWriter, one: &Prepared<'c>) -> usize {
        if let Some(at) = self.by_insured.get(&one.digest.insured) {
            return *at;
        }
        match index.find(one.digest.member, |dossier| dossier.insured_identity() == one.digest.insured) {
            Some(position) => self.pending_at(index, position),
            None => self.push(Pending { old: None, kept: 0, moved_out: 0, added: Vec::new() }, one.digest.insured),
        }
    }

    fn pending_at(&mut self, index: &IndexWriter, position: Position) -> usize {
        if let Some(at) = self.by_position.get(&position) {
            return *at;
        }
        let dossier = index.dossier(position);
        let kept = u64::MAX.checked_shr(u64::BITS - u32::try_from(dossier.row_count()).unwrap_or(u64::BITS)).unwrap_or(0);
        let pending = Pending { old: Some(position), kept, moved_out: 0, added: Vec::new() };
        let at = self.push(pending, dossier.insured_identity());
        self.by_position.insert(position, at);
        at
    }

    fn push(&mut self, pending: Pending<'c>, insured: u128) -> usize {
        self.pendings.push(pending);
        let at = self.pendings.len() - 1;
        self.by_insured.insert(insured, at);
        at
    }

    fn old_position(&self, at: usize) -> Option<Position> {
        self.pendings.get(at).and_then(|pending| pending.old)
    }

    fn row_count(&self, at: usize) -> usize {
        self.pendings.get(at).map_or(0, |pending| pending.kept.count_ones() as usize + pending.added.len())
    }

    /// Lays the new versions out. `sequence` and `time_unix_s` are the frame's; new dossiers get numbers from `next_number` on.
    pub(super) fn lay_out(&self, index: &IndexWriter, sequence: u64, time_unix_s: u32, next_number: &mut u64) -> Option<LaidOut> {
        // A dossier is its rows and some sixty bytes; what an older version holds as well comes on top.
        let bytes = self.payload.as_bytes().len() + self.pendings.len() * 64;
        let mut laid_out = LaidOut { batch: DossierBatch::with_capacity(bytes), ..LaidOut::default() };
        let mut rows = Vec::new();
        for pending in &self.pendings {
            let old = pending.old.map(|position| index.dossier(position));
            let number = old.map_or_else(
                || {
                    *next_number += 1;
                    *next_number - 1
                },
                DossierRef::number,
            );
            let added =
                || pending.added.iter().map(|change| HeldRow { row: change.row, bytes: change.bytes, sequence, time_unix_s });
            if pending.moved_out != 0 && !pending.added.is_empty() {
                // What moves here must stand before what moves away is taken: publish both first.
                rows.clear();
                rows.extend(held(old, pending.kept | pending.moved_out));
                rows.extend(added());
                let place = laid_out.batch.push(number, &rows)?;
                laid_out.gains.push(Gain { old: pending.old, place, interim: true });
                laid_out.interim_places.push(place);
            }
            rows.clear();
            let left_behind = if sabotaged(Sabotage::LeaveAMovedRow) { pending.moved_out } else { 0 };
            rows.extend(held(old, pending.kept | left_behind));
            rows.extend(added());
            let place = if rows.is_empty() { None } else { Some(laid_out.batch.push(number, &rows)?) };
            match (pending.moved_out != 0, place) {
                (false, Some(place)) => laid_out.gains.push(Gain { old: pending.old, place, interim: false }),
                (true, place) => {
                    let after_interim = !pending.added.is_empty();
                    laid_out.losses.push(Loss { old: pending.old, after_interim, place, number });
                }
                (false, None) => laid_out.losses.push(Loss { old: pending.old, after_interim: false, place: None, number }),
            }
            laid_out.moves |= pending.moved_out != 0;
        }
        Some(laid_out)
    }
}

fn held<'a>(old: Option<DossierRef<'a>>, mask: u64) -> impl Iterator<Item = HeldRow<'a>> {
    let rows = old.into_iter().flat_map(|dossier| dossier.held_rows().enumerate());
    rows.filter(move |(place, _)| mask >> place & 1 == 1).map(|(_, held)| held)
}

/// The new versions of a frame, in the order in which they are published.
#[derive(Default)]
pub(super) struct LaidOut {
    pub(super) batch: DossierBatch,
    pub(super) gains: Vec<Gain>,
    pub(super) losses: Vec<Loss>,
    pub(super) interim_places: Vec<usize>,
    pub(super) moves: bool,
}

/// A dossier that is new or only gains or replaces rows; published first.
pub(super) struct Gain {
    pub(super) old: Option<Position>,
    pub(super) place: usize,
    /// Only until the losses are published.
    pub(super) interim: bool,
}

/// A dossier that loses rows to another, or its last row; published after all gains.
pub(super) struct Loss {
    pub(super) old: Option<Position>,
    /// An interim version was published in place of the old one.
    pub(super) after_interim: bool,
    /// `None` when nothing is left.
    pub(super) place: Option<usize>,
    pub(super) number: u64,
}
