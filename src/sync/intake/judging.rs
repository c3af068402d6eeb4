//! What is held against a checkpoint whose signature is the hub's.

use crate::limits::FOLLOW_UNREMEMBERED_MS_MAX;
use crate::log::{Position, StreamId};
use crate::record::StateChecksum;
use crate::registry::Prefectures;
use crate::sabotage::{Sabotage, sabotaged};
use crate::sync::checkpoint::Checkpoint;
use crate::sync::refusal::Refusal;

/// Judges a checkpoint by what was seen before and by the place where the own log stands.
///
/// A checkpoint that ends earlier than one seen before was signed before it, and is shown again; or was signed after it, and then the
/// hub has lost what it had. Only the hub's own clock tells the two apart.
pub(super) fn judge(offered: &Checkpoint, stream: StreamId, seen: Option<&Checkpoint>, own: &Position) -> Result<(), Refusal> {
    if offered.stream != stream {
        return Err(Refusal::OtherStream { ours: stream, offered: offered.stream });
    }
    if let Some(seen) = seen {
        if offered.sequence < seen.sequence && !sabotaged(Sabotage::ForgetWhatWasSigned) {
            return Err(if offered.time_unix_ms > seen.time_unix_ms {
                Refusal::RolledBack { seen: seen.sequence, offered: offered.sequence }
            } else {
                Refusal::Replayed { seen: seen.sequence, offered: offered.sequence }
            });
        }
        same_history(offered, seen.sequence, seen.chain)?;
    }
    if offered.sequence < own.sequence {
        let (ours, ends) = (own.sequence, offered.sequence);
        // The own log is ahead of what is remembered as signed where a crash came before that was written down, a moment later. What was
        // signed in that moment may come from a source that is behind; what was signed later, from a hub that lost its frames.
        let may_be_older =
            seen.is_some_and(|seen| offered.time_unix_ms.saturating_sub(seen.time_unix_ms) <= FOLLOW_UNREMEMBERED_MS_MAX);
        return Err(if may_be_older {
            Refusal::Replayed { seen: ours, offered: ends }
        } else {
            Refusal::EndsBeforeOurs { ours, offered: ends }
        });
    }
    same_history(offered, own.sequence, own.chain)
}

fn same_history(offered: &Checkpoint, sequence: u64, chain: crate::log::Chain) -> Result<(), Refusal> {
    match offered.chain_at(sequence) {
        Some(signed) if signed != chain => Err(Refusal::Forked { sequence }),
        Some(_) | None => Ok(()),
    }
}

/// Compares the state after a checkpoint's last frame with the one that is signed: whole, and by prefecture as far as they are held.
pub(super) fn compare_state(
    signed: &Checkpoint,
    own: &Position,
    state: &StateChecksum,
    prefectures: Option<Prefectures>,
) -> Result<(), Refusal> {
    let held = |prefecture: usize| prefectures.is_none_or(|prefectures| prefectures.hold(prefecture));
    let mut parts = state.parts().iter().zip(signed.state.parts()).enumerate();
    let agree = parts.all(|(prefecture, (own, signed))| !held(prefecture) || own == signed);
    if sabotaged(Sabotage::SkipTheSignedState) || agree && own.state_checksum == signed.state.total() {
        Ok(())
    } else {
        Err(Refusal::Diverged { sequence: signed.sequence })
    }
}
