//! The judge between what comes from a hub and the registry. It knows of no transport: HTTPS, a broker and a stick of memory bring their
//! checkpoints and their bytes to it alike.
//!
//! A checkpoint is *considered*: it is accepted, or refused for one of the reasons in [`Refusal`]. Bytes are *taken*: each frame extends
//! the chain of what the own log holds, and waits in a spool until the chain arrives exactly where the hub signed it. Only then the
//! registry takes the frames. What was not signed is never applied, and because the own log says where to go on, nothing is applied twice.

mod door;
mod earlier;
mod judging;
mod share;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use self::door::{IntakeDeeds, IntakeDoor};
use self::earlier::EarlierPlaces;
pub use self::share::Share;
use super::checkpoint::{Checkpoint, SignedPlace};
use super::key::{HubKey, KeyError};
use super::refusal::Refusal;
use super::remembered::{Quarantine, Remembered};
use super::spool::{Spool, SpoolError};
use crate::disk::Disk;
use crate::limits::FOLLOW_REMEMBER_MS;
use crate::log::{Fault, Frame, Position};
use crate::registry::{Registry, RegistryError};
use crate::sabotage::{Sabotage, sabotaged};

/// The file in which frames wait.
const SPOOL: &str = "spool";

/// Why something was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// What came is not believed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The registry cannot take it: the disk is full, or writing has stopped.
    #[error(transparent)]
    Registry(RegistryError),
    /// A file in the data directory.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key that the directory was begun with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The program is ending.
    #[error("the program is ending")]
    Stopped,
}

/// What a checkpoint asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The own log stands where the hub's does.
    Nothing,
    /// Frames are to come.
    Frames {
        /// The last sequence that is held or spooled.
        after: u64,
        /// The sequence to be reached.
        through: u64,
    },
}

/// A checkpoint as it was accepted.
#[derive(Clone, Debug)]
struct Accepted {
    checkpoint: Checkpoint,
    signed: Bytes,
}

/// The intake of a directory that follows.
pub struct Intake {
    registry: Arc<Registry>,
    key: HubKey,
    remembered: Remembered,
    /// The newest checkpoint that was accepted.
    seen: Option<Accepted>,
    /// It is written down now and then only; since when it was not.
    unwritten_since: Option<Instant>,
    /// The newest whose every frame is applied, with the state it signs.
    applied: Option<Accepted>,
    spool: Spool,
    /// The place behind the last spooled frame.
    arrived: Position,
    /// Signed places that are to be reached, in order.
    places: VecDeque<SignedPlace>,
    /// Places that were signed before the newest checkpoint was, and that are to be passed through.
    earlier: EarlierPlaces,
    /// The beginning of a frame of which the rest has not come.
    partial: Vec<u8>,
    share: Share,
    stop: Arc<AtomicBool>,
    /// A quarantine that the disk has not taken yet; it holds as a written one does.
    pub(super) unwritten_quarantine: Option<Quarantine>,
}

impl Intake {
    /// The intake of an open registry that follows, which goes on where the own log stands. What an earlier process had spooled is
    /// forgotten; what it had accepted is not. `stop` ends applying between two runs.
    pub fn open(
        registry: Arc<Registry>,
        disk: Arc<dyn Disk>,
        share: Share,
        stop: Arc<AtomicBool>,
    ) -> Result<Intake, IntakeError> {
        let path = registry.directory().to_owned();
        let following = registry.following().ok_or(IntakeError::Registry(RegistryError::FollowsNothing { path }))?;
        let key = HubKey::from_bytes(&following.hub_key)?;
        let remembered = Remembered::of(disk.clone(), registry.directory());
        let failed = |source| IntakeError::File { path: remembered.path(""), source };
        remembered.prepare().map_err(failed)?;
        let signed = remembered.checkpoint().map_err(failed)?;
        let seen = signed.and_then(|signed| {
            // One that cannot be read any more says nothing; the own log still does.
            let checkpoint = Checkpoint::verify(&signed, &key).ok()?;
            (checkpoint.stream == registry.stream()).then(|| Accepted { checkpoint, signed: signed.into() })
        });
        let spool = Spool::new(disk, &remembered.path(SPOOL));
        let (arrived, _) = registry.standing();
        let mut intake = Intake {
            registry,
            key,
            remembered,
            seen,
            unwritten_since: None,
            applied: None,
            spool,
            arrived,
            places: VecDeque::new(),
            earlier: EarlierPlaces::default(),
            partial: Vec::new(),
            share,
            stop,
            unwritten_quarantine: None,
        };
        // What was to be reached is known from what was accepted.
        intake.start_over();
        // Where the state differs, the next checkpoint is refused for it.
        let _ = intake.compare_state_when_there();
        Ok(intake)
    }

    /// The same with a smaller spool than [`SPOOL_BYTES_MAX`](crate::limits::SPOOL_BYTES_MAX).
    #[must_use]
    pub fn with_spool_bytes_max(mut self, bytes: u64) -> Intake {
        self.spool = self.spool.with_bytes_max(bytes);
        self
    }

    /// Judges a signed checkpoint. One that is accepted says which frames are to come.
    pub fn consider(&mut self, signed: &[u8]) -> Result<Wanted, IntakeError> {
        let checkpoint = Checkpoint::verify(signed, &self.key).map_err(Refusal::from)?;
        let (own, _) = self.registry.standing();
        judging::judge(&checkpoint, self.registry.stream(), self.seen.as_ref().map(|seen| &seen.checkpoint), &own)?;
        self.earlier.judge(&checkpoint)?;
        let is_newer = self.seen.as_ref().is_none_or(|seen| {
            (checkpoint.sequence, checkpoint.time_unix_ms) > (seen.checkpoint.sequence, seen.checkpoint.time_unix_ms)
        });
        if is_newer {
            self.places = checkpoint.places_behind(self.arrived.sequence).collect();
            let before = self.seen.as_ref().map(|seen| seen.checkpoint.place());
            let is_first = before.is_none();
            if let Some(before) = before.filter(|before| own.sequence < before.sequence && before.sequence < checkpoint.sequence)
            {
                self.earlier.add(before);
            }
            self.seen = Some(Accepted { checkpoint, signed: Bytes::copy_from_slice(signed) });
            self.unwritten_since.get_or_insert_with(Instant::now);
            // The first at once: without it the own log alone would judge after a crash.
            self.remember(Duration::from_millis(if is_first { 0 } else { FOLLOW_REMEMBER_MS }))?;
        }
        self.compare_state_when_there()?;
        Ok(self.wanted())
    }

    /// What the newest accepted checkpoint asks for.
    pub fn wanted(&self) -> Wanted {
        match self.seen.as_ref().map(|seen| seen.checkpoint.sequence) {
            Some(through) if through > self.arrived.sequence => Wanted::Frames { after: self.arrived.sequence, through },
            Some(_) | None => Wanted::Nothing,
        }
    }

    /// Whether the registry could take frames now: there is no use in asking for them otherwise.
    pub fn can_take(&self) -> Result<(), IntakeError> {
        self.registry.can_take_frames().map_err(IntakeError::Registry)
    }

    /// Takes bytes of the stream: frames one behind the other, cut anywhere, which go on where the last call ended. Frames that are held
    /// already are passed over. Gives how many of the bytes belong to frames up to the newest signed place; what lies behind it is left.
    ///
    /// After an error everything that was not applied is forgotten, and frames are to come from behind the own log again.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, IntakeError> {
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let mut partial = std::mem::take(&mut self.partial);
        let taken = self.take_whole_frames(&partial);
        let consumed = match taken {
            Ok(consumed) => consumed,
            Err(error) => {
                self.start_over();
                return Err(error);
            }
        };
        if self.places.is_empty() {
            return Ok(consumed.saturating_sub(before));
        }
        partial.drain(..consumed);
        self.partial = partial;
        Ok(bytes.len())
    }

    /// Takes whole frames that follow the own log and arrive at a place for which the caller holds the hub's signature: each message of a
    /// broker brings its own. What was spooled by another way comes again.
    pub fn take_to(&mut self, place: SignedPlace, bytes: &[u8]) -> Result<(), IntakeError> {
        self.start_over();
        let at = self.places.partition_point(|known| known.sequence < place.sequence);
        match self.places.get(at) {
            Some(known) if known.sequence == place.sequence && known.chain != place.chain => {
                return Err(Refusal::Forked { sequence: place.sequence }.into());
            }
            Some(known) if known.sequence == place.sequence => {}
            Some(_) | None => self.places.insert(at, place),
        }
        let taken = self.take_whole_frames(bytes);
        // Where it stands is known without the place, and others that are behind it stay.
        self.start_over();
        taken.map(|_| ())
    }

    /// Says that the source has nothing behind what it gave, though it should lead to a signed place.
    pub fn source_ended(&mut self) -> Result<(), Refusal> {
        let Wanted::Frames { after, through } = self.wanted() else { return Ok(()) };
        let signed = self.places.front().map_or(through, |place| place.sequence);
        self.start_over();
        Err(Refusal::Truncated { after, signed })
    }

    /// Forgets the part of a frame of which the rest will not come: the line broke. Whole frames stay spooled.
    pub fn line_broke(&mut self) {
        self.partial.clear();
    }

    /// Forgets the newest checkpoint, by an operator's word: what comes next is judged by the own log alone.
    pub fn forget_seen(&mut self) {
        (self.seen, self.applied, self.unwritten_since) = (None, None, None);
        self.earlier.forget();
        self.start_over();
    }

    /// Forgets everything that was not applied.
    pub fn start_over(&mut self) {
        self.spool.clear();
        self.partial.clear();
        (self.arrived, _) = self.registry.standing();
        self.earlier.reached(self.arrived.sequence);
        let places = self.seen.as_ref().map(|seen| seen.checkpoint.places_behind(self.arrived.sequence).collect());
        self.places = places.unwrap_or_default();
    }

    /// The hub's newest checkpoint of which everything is applied, as the hub signed it: what a relay passes on.
    pub fn passable(&self) -> Option<(u64, Bytes)> {
        let applied = if sabotaged(Sabotage::PassOnWhatIsNotApplied) { &self.seen } else { &self.applied };
        applied.as_ref().map(|applied| (applied.checkpoint.sequence, applied.signed.clone()))
    }

    /// The newest checkpoint that was accepted.
    pub fn newest(&self) -> Option<&Checkpoint> {
        self.seen.as_ref().map(|seen| &seen.checkpoint)
    }

    /// The hub's key.
    pub fn key(&self) -> &HubKey {
        &self.key
    }

    /// What is remembered beside the log.
    pub fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// The registry.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Writes the newest checkpoint down, if that was not done for so long.
    pub fn remember(&mut self, unwritten_for: Duration) -> Result<(), IntakeError> {
        let (Some(since), Some(seen)) = (self.unwritten_since, &self.seen) else { return Ok(()) };
        if since.elapsed() < unwritten_for {
            return Ok(());
        }
        let path = self.remembered.path("checkpoint");
        self.remembered.remember(&seen.signed).map_err(|source| IntakeError::File { path, source })?;
        self.unwritten_since = None;
        Ok(())
    }

    /// Takes the whole frames that bytes begin with, up to the last signed place; gives how many bytes they are.
    fn take_whole_frames(&mut self, bytes: &[u8]) -> Result<usize, IntakeError> {
        let mut consumed = 0;
        while let Some(place) = self.places.front().copied() {
            let rest = bytes.get(consumed..).unwrap_or_default();
            let after = self.arrived.sequence;
            let frame = match Frame::first_of(rest) {
                Ok(frame) => frame,
                Err(Fault::Short) => break,
                Err(fault) => return Err(Refusal::NoFrame { after, fault }.into()),
            };
            consumed += frame.bytes.len();
            if frame.sequence <= after {
                continue;
            }
            if frame.sequence != after + 1 {
                return Err(Refusal::Gap { expected: after + 1, found: frame.sequence }.into());
            }
            self.spool(&frame)?;
            if self.arrived.sequence == place.sequence {
                self.arrive_at(place)?;
            }
        }
        Ok(consumed)
    }

    fn spool(&mut self, frame: &Frame<'_>) -> Result<(), IntakeError> {
        if self.spool.spills_before(frame.bytes) {
            // The room that is left is the store's and the audit's.
            self.can_take()?;
        }
        self.spool.add(frame.bytes).map_err(|error| match error {
            SpoolError::Full => {
                let (own, _) = self.registry.standing();
                Refusal::NoPlaceInReach { after: own.sequence, bytes_max: self.spool.bytes_max() }.into()
            }
            SpoolError::Disk(source) => IntakeError::File { path: self.spool.path().to_owned(), source },
        })?;
        self.arrived = self.arrived.behind(frame);
        self.earlier.pass_through(&self.arrived);
        Ok(())
    }

    /// The chain of what is spooled is compared with the signed one, and with what was signed on the way; only then the registry sees any of it.
    fn arrive_at(&mut self, place: SignedPlace) -> Result<(), IntakeError> {
        if self.arrived.chain != place.chain && !sabotaged(Sabotage::TakeWhatLeadsElsewhere) {
            let (own, _) = self.registry.standing();
            return Err(Refusal::NotTheSignedChain { after: own.sequence, signed: place.sequence }.into());
        }
        self.earlier.judge_arrival()?;
        self.places.pop_front();
        let (registry, share, stop, path) = (&self.registry, self.share, &self.stop, self.spool.path().to_owned());
        let applied = self.spool.drain(|run| {
            if stop.load(Ordering::Relaxed) {
                return Err(Applying::Stopped);
            }
            let began = Instant::now();
            registry.take_frames(run).map_err(Applying::Registry)?;
            share.rest_after(began.elapsed(), stop);
            Ok(())
        });
        applied.map_err(|error| match error {
            Applying::Stopped => IntakeError::Stopped,
            Applying::Registry(RegistryError::Diverged { sequence }) => Refusal::Diverged { sequence }.into(),
            Applying::Registry(error) => IntakeError::Registry(error),
            Applying::Spool(source) => IntakeError::File { path, source },
        })?;
        let (own, _) = self.registry.standing();
        if own != self.arrived {
            // What was read back from the spool is not what was spooled, and still passed for frames.
            return Err(Refusal::Forked { sequence: place.sequence }.into());
        }
        self.earlier.reached(own.sequence);
        self.compare_state_when_there()
    }

    /// Compares the state with the signed one where the own log stands at the newest checkpoint.
    fn compare_state_when_there(&mut self) -> Result<(), IntakeError> {
        let Some(seen) = &self.seen else { return Ok(()) };
        let (own, state) = self.registry.standing();
        if own.sequence != seen.checkpoint.sequence {
            return Ok(());
        }
        let prefectures = self.registry.following().and_then(|following| following.prefectures);
        judging::compare_state(&seen.checkpoint, &own, &state, prefectures)?;
        self.applied = Some(seen.clone());
        Ok(())
    }
}

/// Why applying ended early.
enum Applying {
    Stopped,
    Registry(RegistryError),
    Spool(io::Error),
}

impl From<io::Error> for Applying {
    fn from(error: io::Error) -> Applying {
        Applying::Spool(error)
    }
}
