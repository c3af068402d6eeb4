//! The dossier: the current rows of one insured identity, side by side.
//!
//! ```text
//!  0  u32  length of the whole, bytes, a multiple of 8
//!  4  u8   version    5  u8  branch number (255: none)    6  u16  rows
//!  8  u64  number of the dossier, unique in its store
//! 16  [u8; 8] insurer number    24  u32  birth date, packed    28  u16  length of symbol and number    30  u16  zero
//! 32  a table of rows, 16 bytes each: u64 sequence, u32 time (seconds since 1970), u16 offset (words), u16 length (bytes)
//!  …  folded symbol, 0x1f, folded number, padded to a word
//!  …  the archived rows, each on a word
//! ```

use rkyv::util::AlignedVec;

use super::identity::{self, KeyBytes, KeyHash, KeyKind};
use super::row::{self, ArchivedRow};
use super::{RecordError, padded};
use crate::domain::day::BirthDate;
use crate::domain::decision::{self, Row as _};
use crate::domain::fold;
use crate::domain::identifier::{BranchNumber, InsurerNumber};

/// The version of the dossier's layout.
pub const DOSSIER_VERSION: u8 = 1;

/// The most rows of one insured identity; one more is rejected at the import.
pub const DOSSIER_ROWS_MAX: usize = 64;

const HEAD: usize = 32;
const ENTRY: usize = 16;

/// A dossier read in place, validated.
#[derive(Clone, Copy)]
pub struct DossierRef<'a> {
    bytes: &'a [u8],
}

/// A row in a dossier, with when it became known.
#[derive(Clone, Copy)]
pub struct HeldRow<'a> {
    /// The row.
    pub row: &'a ArchivedRow,
    /// Its archived bytes.
    pub bytes: &'a [u8],
    /// The sequence of the frame that registered it.
    pub sequence: u64,
    /// The time of that frame, seconds since 1970.
    pub time_unix_s: u32,
}

impl<'a> DossierRef<'a> {
    /// Checks everything a dossier's bytes must hold, rows included.
    pub fn validated(bytes: &'a [u8]) -> Result<DossierRef<'a>, RecordError> {
        if bytes.len() < HEAD || !bytes.len().is_multiple_of(8) {
            return Err(RecordError::Length);
        }
        if !bytes.as_ptr().addr().is_multiple_of(8) {
            return Err(RecordError::Alignment);
        }
        let dossier = DossierRef { bytes };
        if dossier.byte(4) != DOSSIER_VERSION {
            return Err(RecordError::Version(dossier.byte(4)));
        }
        let rows = dossier.row_count();
        let length = usize::try_from(dossier.u32_at(0)).map_err(|_| RecordError::Length)?;
        if length != bytes.len() || rows == 0 || rows > DOSSIER_ROWS_MAX {
            return Err(RecordError::Length);
        }
        let texts_end = HEAD + rows * ENTRY + padded(dossier.key_length());
        for place in 0..rows {
            let (start, end) = dossier.row_span(place);
            if start < texts_end || !start.is_multiple_of(8) {
                return Err(RecordError::Length);
            }
            row::validated(bytes.get(start..end).ok_or(RecordError::Length)?)?;
        }
        let well_formed =
            dossier.bytes_at::<8>(16).iter().all(u8::is_ascii_digit) && BirthDate::from_packed(dossier.u32_at(24)).is_ok();
        if well_formed { Ok(dossier) } else { Err(RecordError::Inside) }
    }

    /// Reads a dossier that was validated before.
    ///
    /// # Safety
    /// [`DossierRef::validated`] must have accepted these very bytes, at this or another multiple of eight, or
    /// [`DossierBatch`] must have laid them out; and they must not change while the reference lives.
    pub unsafe fn trusted(bytes: &'a [u8]) -> DossierRef<'a> {
        DossierRef { bytes }
    }

    /// The whole bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The dossier's number.
    #[inline]
    pub fn number(self) -> u64 {
        u64::from_le_bytes(self.bytes_at(8))
    }

    /// How many rows it holds.
    #[inline]
    pub fn row_count(self) -> usize {
        usize::from(u16::from_le_bytes(self.bytes_at(6)))
    }

    /// The row at a place of its table.
    pub fn row_at(self, place: usize) -> Option<HeldRow<'a>> {
        if place < self.row_count() { self.held_row(place) } else { None }
    }

    /// The place of the row of a full identity: a certificate's and a history key.
    pub fn place_of(self, identity: &[u8], scratch: &mut Vec<u8>) -> Option<usize> {
        self.held_rows().position(|held| {
            scratch.clear();
            identity::append_certificate_identity(held.row, scratch);
            identity::append_history_key(held.row, scratch);
            scratch == identity
        })
    }

    /// What makes it this insured identity's: insurer, birth date, symbol and number, branch number.
    pub fn insured_identity(self) -> u128 {
        let key = decision::Dossier::symbol_and_number(self);
        let mut bytes = Vec::with_capacity(13 + key.len());
        bytes.extend_from_slice(&self.bytes_at::<8>(16));
        bytes.extend_from_slice(&self.bytes_at::<4>(24));
        bytes.extend_from_slice(key);
        bytes.push(self.byte(5));
        identity::hash_128(&bytes)
    }

    /// Its rows, with when each became known.
    #[inline]
    pub fn held_rows(self) -> impl Iterator<Item = HeldRow<'a>> {
        let table = self.bytes.get(HEAD..HEAD + self.row_count() * ENTRY).unwrap_or_default();
        table.as_chunks::<ENTRY>().0.iter().filter_map(move |entry| self.row_of(*entry))
    }

    /// Whether it is the dossier of this member key (insurer, birth date, symbol and number).
    #[inline]
    pub fn has_member_key(self, key: &KeyBytes) -> bool {
        // Insurer and birth date lie side by side here as they do in a key.
        key.as_bytes().first_chunk::<12>() == Some(&self.bytes_at::<12>(16))
            && key.tail(KeyKind::Member) == decision::Dossier::symbol_and_number(self)
    }

    /// Whether a row answers to a certificate key (payer and folded recipient number).
    #[inline]
    pub fn has_certificate_key(self, key: &KeyBytes) -> bool {
        let payer = key.as_bytes().first_chunk::<8>();
        let recipient = key.tail(KeyKind::Certificate);
        self.held_rows().any(|held| {
            let own = held.row.payer_number();
            own.is_some_and(|own| Some(own.as_bytes()) == payer)
                && fold::recipient_number_folds_to(held.row.recipient_number(), recipient)
        })
    }

    /// Whether a row carries this card link.
    #[inline]
    pub fn has_card_link(self, key: &KeyBytes) -> bool {
        self.held_rows().any(|held| held.row.card_link().as_bytes() == key.as_bytes())
    }

    /// Collects the hashes of all keys the dossier is found under, each once, the member key first.
    pub fn keys_into(self, scratch: &mut Vec<u8>, keys: &mut Vec<KeyHash>) {
        keys.clear();
        scratch.clear();
        scratch.extend_from_slice(&self.bytes_at::<8>(16));
        scratch.extend_from_slice(&self.bytes_at::<4>(24));
        scratch.extend_from_slice(decision::Dossier::symbol_and_number(self));
        keys.push(KeyHash::of(KeyKind::Member, scratch));
        for held in self.held_rows() {
            row_keys_into(held.row, scratch, |key| {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            });
        }
    }

    #[inline]
    fn held_row(self, place: usize) -> Option<HeldRow<'a>> {
        self.row_of(self.bytes_at(HEAD + place * ENTRY))
    }

    #[inline]
    fn row_of(self, entry: [u8; ENTRY]) -> Option<HeldRow<'a>> {
        let entry = Entry::read(entry);
        let bytes = self.bytes.get(entry.start..entry.end)?;
        // SAFETY: `validated` accepted every row of the dossier at its place in the table, or the batch put a validated row
        // there; dossiers lie on words and rows on words within them, so the alignment is the same wherever the dossier is.
        let row = unsafe { row::trusted(bytes) };
        Some(HeldRow { row, bytes, sequence: entry.sequence, time_unix_s: entry.time_unix_s })
    }

    fn row_span(self, place: usize) -> (usize, usize) {
        let entry = Entry::read(self.bytes_at(HEAD + place * ENTRY));
        (entry.start, entry.end)
    }

    #[inline]
    fn key_length(self) -> usize {
        usize::from(u16::from_le_bytes(self.bytes_at(28)))
    }

    #[inline]
    fn byte(self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    #[inline]
    fn u32_at(self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes_at(at))
    }

    #[inline]
    fn bytes_at<const N: usize>(self, at: usize) -> [u8; N] {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
    }
}

/// A row's entry in the table.
struct Entry {
    sequence: u64,
    time_unix_s: u32,
    /// Where the row lies in the dossier, bytes.
    start: usize,
    end: usize,
}

impl Entry {
    #[inline]
    fn read(bytes: [u8; ENTRY]) -> Entry {
        let [a, b, c, d, e, f, g, h, i, j, k, l, offset @ .., m, n] = bytes;
        let start = usize::from(u16::from_le_bytes(offset)) * 8;
        Entry {
            sequence: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            time_unix_s: u32::from_le_bytes([i, j, k, l]),
            start,
            end: start + usize::from(u16::from_le_bytes([m, n])),
        }
    }
}

impl<'a> decision::Dossier<'a> for DossierRef<'a> {
    type Row = ArchivedRow;

    #[inline]
    fn insurer_number(self) -> InsurerNumber {
        InsurerNumber::from_bytes_trusted(self.bytes_at(16))
    }

    #[inline]
    fn symbol_and_number(self) -> &'a [u8] {
        let start = HEAD + self.row_count() * ENTRY;
        self.bytes.get(start..start + self.key_length()).unwrap_or_default()
    }

    #[inline]
    fn branch_number(self) -> Option<BranchNumber> {
        BranchNumber::from_value(self.byte(5))
    }

    #[inline]
    fn birth_date(self) -> BirthDate {
        BirthDate::from_packed_trusted(self.u32_at(24))
    }

    #[inline]
    fn rows(self) -> impl Iterator<Item = (&'a ArchivedRow, u64)> {
        self.held_rows().map(|held| (held.row, held.sequence))
    }
}

/// Calls `take` with the hash of each key that a row by itself is found under: certificate, card link and identity.
pub fn row_keys_into(row: &ArchivedRow, scratch: &mut Vec<u8>, mut take: impl FnMut(KeyHash)) {
    if let Some(payer) = row.payer_number().filter(|_| !row.recipient_number().is_empty()) {
        scratch.clear();
        scratch.extend_from_slice(payer.as_bytes());
        identity::append_recipient_number(row.recipient_number(), scratch);
        take(KeyHash::of(KeyKind::Certificate, scratch));
    }
    if !row.card_link().is_empty() {
        take(KeyHash::of(KeyKind::Card, row.card_link().as_bytes()));
    }
    scratch.clear();
    identity::append_certificate_identity(row, scratch);
    take(KeyHash::of(KeyKind::Identity, scratch));
}

/// Dossiers laid out from rows, one behind the other in one piece of memory.
#[derive(Default)]
pub struct DossierBatch {
    bytes: AlignedVec<8>,
    ends: Vec<usize>,
    key: Vec<u8>,
}

impl DossierBatch {
    /// An empty batch with room for this many bytes.
    pub fn with_capacity(bytes: usize) -> DossierBatch {
        DossierBatch { bytes: AlignedVec::with_capacity(bytes), ..DossierBatch::default() }
    }

    /// Lays out a dossier of `rows`, all of one insured identity, which the first row says; returns its place in the batch. `None`
    /// for no rows, or for more bytes than a dossier's table can address, which even twice [`DOSSIER_ROWS_MAX`] rows cannot reach.
    pub fn push(&mut self, number: u64, rows: &[HeldRow<'_>]) -> Option<usize> {
        let start = self.bytes.len();
        let laid_out = self.lay_out(start, number, rows);
        if laid_out.is_none() {
            self.bytes.resize(start, 0);
            return None;
        }
        self.ends.push(self.bytes.len());
        Some(self.ends.len() - 1)
    }

    /// The dossier at a place of the batch.
    pub fn dossier(&self, place: usize) -> Option<DossierRef<'_>> {
        let start = if place == 0 { 0 } else { *self.ends.get(place - 1)? };
        let bytes = self.bytes.get(start..*self.ends.get(place)?)?;
        Some(DossierRef { bytes })
    }

    /// How many bytes the dossiers take.
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    fn lay_out(&mut self, start: usize, number: u64, rows: &[HeldRow<'_>]) -> Option<()> {
        let first = rows.first()?.row;
        let row_count = u16::try_from(rows.len()).ok()?;
        let DossierBatch { bytes: out, key, .. } = self;
        out.resize(start + HEAD + rows.len() * ENTRY, 0);
        key.clear();
        identity::append_symbol_and_number(first, key);
        let key_length = u16::try_from(key.len()).ok()?;
        out.extend_from_slice(key);
        out.resize(padded(out.len()), 0);
        for (place, held) in rows.iter().enumerate() {
            let offset = u16::try_from((out.len() - start) / 8).ok()?;
            let length = u16::try_from(held.bytes.len()).ok()?;
            out.extend_from_slice(held.bytes);
            out.resize(padded(out.len()), 0);
            let entry = out.get_mut(start + HEAD + place * ENTRY..)?.first_chunk_mut::<ENTRY>()?;
            write_entry(entry, held, offset, length);
        }
        let length = u32::try_from(out.len() - start).ok()?;
        let head = out.get_mut(start..)?.first_chunk_mut::<HEAD>()?;
        let branch = first.branch_number().map_or(u8::MAX, BranchNumber::value);
        let insurer = first.insurer_number();
        let fields: [&[u8]; 8] = [
            &length.to_le_bytes(),
            &[DOSSIER_VERSION, branch],
            &row_count.to_le_bytes(),
            &number.to_le_bytes(),
            insurer.as_bytes(),
            &first.birth_date().packed().to_le_bytes(),
            &key_length.to_le_bytes(),
            &[0, 0],
        ];
        copy_fields(head, &fields);
        Some(())
    }
}

fn write_entry(entry: &mut [u8; ENTRY], held: &HeldRow<'_>, offset_words: u16, length: u16) {
    let fields: [&[u8]; 4] =
        [&held.sequence.to_le_bytes(), &held.time_unix_s.to_le_bytes(), &offset_words.to_le_bytes(), &length.to_le_bytes()];
    copy_fields(entry, &fields);
}

/// Copies fields one behind the other; what does not fit is a bug that the fixed sizes rule out.
fn copy_fields(out: &mut [u8], fields: &[&[u8]]) {
    let bytes = fields.iter().flat_map(|field| field.iter());
    for (place, byte) in out.iter_mut().zip(bytes) {
        *place = *byte;
    }
}
