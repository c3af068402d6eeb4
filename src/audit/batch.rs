//! The entries of a request of many lines, gathered in a buffer of fixed size.

use std::time::Duration;

use super::auditor::{AuditFull, Auditor};
use super::entry::{BatchHead, NOT_ANSWERED, PIECE_HEAD_WORDS, Piece, answer_word, code_of, key_word, line_words};
use crate::domain::day::Day;
use crate::domain::decision::Verdict;
use crate::limits::AUDIT_BATCH_LINES_MAX;
use crate::record::identity::KeyHash;

/// The first word travels by itself.
const HEAD_WORDS: usize = PIECE_HEAD_WORDS - 1;
const WORDS: usize = HEAD_WORDS + line_words(AUDIT_BATCH_LINES_MAX);

/// A batch on its way into the audit, 6 KiB of the caller's stack. Lines go to the ring in pieces; [`BatchEntry::finish`] hands the last
/// one over. A batch that is dropped unfinished keeps its last piece to itself: its request was refused, and nothing was told.
#[derive(Debug)]
#[must_use = "the lines of the last piece reach the audit with `finish`"]
pub struct BatchEntry<'a> {
    auditor: &'a Auditor,
    head: BatchHead,
    max_wait: Duration,
    request: u32,
    first_line: u16,
    count: usize,
    words: [u64; WORDS],
}

impl<'a> BatchEntry<'a> {
    pub(super) fn new(auditor: &'a Auditor, head: BatchHead, max_wait: Duration, request: u32) -> BatchEntry<'a> {
        BatchEntry { auditor, head, max_wait, request, first_line: 0, count: 0, words: [0; WORDS] }
    }

    /// Notes a line and its answer. After an error the request must be refused; what was noted of it so far stays.
    #[inline]
    pub fn line(&mut self, key: KeyHash, service_date: Day, verdict: Verdict) -> Result<(), AuditFull> {
        self.add(key_word(key), answer_word(service_date, code_of(verdict), self.head.consent))
    }

    /// Notes a line that was read and not answered: a day before the horizon.
    pub fn unanswered_line(&mut self, key: KeyHash, service_date: Day) -> Result<(), AuditFull> {
        self.add(key_word(key), answer_word(service_date, NOT_ANSWERED, self.head.consent))
    }

    /// Notes a line that could not be read.
    pub fn malformed_line(&mut self) -> Result<(), AuditFull> {
        self.add(0, NO_DAY | u32::from(self.head.consent) << 31)
    }

    /// Hands the last lines over.
    pub fn finish(mut self) -> Result<(), AuditFull> {
        if self.count == 0 { Ok(()) } else { self.push(true) }
    }

    #[inline]
    fn add(&mut self, key_word: u64, answer_word: u32) -> Result<(), AuditFull> {
        if self.count == AUDIT_BATCH_LINES_MAX {
            self.push(false)?;
        }
        let pair = HEAD_WORDS + self.count / 2 * 3;
        let Some([first, second, answers]) = self.words.get_mut(pair..pair + 3) else { return Err(AuditFull) };
        if self.count.is_multiple_of(2) {
            // Two words for a line without a neighbour: the answers close up when it gets one.
            (*first, *second) = (key_word, u64::from(answer_word));
        } else {
            *answers = *second | u64::from(answer_word) << 32;
            *second = key_word;
        }
        self.count += 1;
        Ok(())
    }

    fn push(&mut self, is_last: bool) -> Result<(), AuditFull> {
        let piece = Piece { request: self.request, first_line: self.first_line, is_last };
        let (first, head) = self.head.words(piece, self.count);
        if let Some(place) = self.words.first_chunk_mut::<HEAD_WORDS>() {
            *place = head;
        }
        let words = self.words.get(..HEAD_WORDS + line_words(self.count)).unwrap_or_default();
        self.auditor.push_waiting(first, words, self.max_wait)?;
        self.first_line = self.first_line.saturating_add(u16::try_from(self.count).unwrap_or(u16::MAX));
        self.count = 0;
        Ok(())
    }
}

/// The answer word of a line that could not be read, without consent: no day, not answered.
const NO_DAY: u32 = NOT_ANSWERED << 27;

const _: () = assert!(AUDIT_BATCH_LINES_MAX.is_multiple_of(2));
