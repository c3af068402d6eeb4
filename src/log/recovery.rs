//! What to do about a frame that cannot be read: the table of `docs/format.md`.

/// What is known about a frame that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrame {
    /// It lies in the last segment.
    pub in_last_segment: bool,
    /// A valid frame behind it says that it was durable.
    pub was_durable: bool,
    /// The store has applied its sequence.
    pub store_applied: bool,
    /// A second read gave the same bytes.
    pub second_read_agrees: bool,
}

/// What a frame that cannot be read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Never acknowledged: cut it off, keep its bytes aside, report it.
    TornTail,
    /// Something that was once whole: name it, cut nothing.
    Corrupt,
}

/// Judges. Only what can never have been acknowledged is a torn tail.
pub fn judge(bad: BadFrame) -> Judgement {
    match bad {
        BadFrame { in_last_segment: true, was_durable: false, store_applied: false, second_read_agrees: true } => {
            Judgement::TornTail
        }
        BadFrame { in_last_segment: false, .. }
        | BadFrame { was_durable: true, .. }
        | BadFrame { store_applied: true, .. }
        | BadFrame { second_read_agrees: false, .. } => Judgement::Corrupt,
    }
}
