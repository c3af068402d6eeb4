//! The archived row.

use rkyv::api::low;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::{self, Fallible};
use rkyv::rend::{u16_le, u32_le};
use rkyv::ser::allocator::SubAllocator;
use rkyv::ser::{Allocator, Writer};
use rkyv::string::{ArchivedString, StringResolver};
use rkyv::util::AlignedVec;
use rkyv::vec::ArchivedVec;
use rkyv::{Archive, Place, Portable, Serialize};

use super::RecordError;
use crate::domain::day::{BirthDate, Day};
use crate::domain::decision::{self, Copay};
use crate::domain::identifier::{AuthorityCode, BranchNumber, InstitutionCode, InsurerNumber, PayerNumber, Sex};
use crate::domain::registration::Registration;

/// The version of the row's shape, its last byte. The reader of each version stays.
pub const ROW_VERSION: u8 = 1;

/// The longest archived row, bytes: the fixed part and every text at its limit, four bytes a character.
pub const ROW_BYTES_MAX: usize = 4096;

const NOT_STATED_U32: u32 = u32::MAX;
const NOT_STATED_U16: u16 = u16::MAX;
const NOT_STATED_U8: u8 = u8::MAX;
const NO_BRANCH: u8 = u8::MAX;
const NO_PAYER: [u8; 8] = [0; 8];

const FLAG_ALWAYS_REIMBURSEMENT: u8 = 1;
const FLAG_NOT_DISCLOSED: u8 = 1 << 1;
const SEX_SHIFT: u8 = 2;
const SEX_MASK: u8 = 0b11 << SEX_SHIFT;

/// An archived row, flat: what was not stated is a value that cannot occur, so that no field costs a discriminant.
#[derive(Debug, Portable, CheckBytes)]
#[bytecheck(crate = rkyv::bytecheck)]
#[repr(C)]
pub struct ArchivedRow {
    birth_date: u32_le,
    valid_from: u32_le,
    valid_to: u32_le,
    outpatient_visit_yen: u32_le,
    inpatient_day_yen: u32_le,
    pharmacy_visit_yen: u32_le,
    monthly_cap_yen: u32_le,
    symbol: ArchivedString,
    number: ArchivedString,
    recipient_number: ArchivedString,
    certificate_type: ArchivedString,
    certificate_name: ArchivedString,
    sub_key: ArchivedString,
    history_key: ArchivedString,
    segment: ArchivedString,
    income_segment: ArchivedString,
    additional_conditions: ArchivedString,
    card_link: ArchivedString,
    designated_institutions: ArchivedVec<[u8; 10]>,
    monthly_visits_cap: u16_le,
    insurer: [u8; 8],
    payer: [u8; 8],
    authority: [u8; 6],
    rate_percent: u8,
    branch: u8,
    flags: u8,
    version: u8,
}

const ROW_FIXED_BYTES: usize = size_of::<ArchivedRow>();
// The version is the very last byte of an archived row, so that a reader can tell it before it knows the shape.
const _: () = assert!(std::mem::offset_of!(ArchivedRow, version) == ROW_FIXED_BYTES - 1);
const _: () = assert!(align_of::<ArchivedRow>() <= 8);

/// A registration on its way into the archive: it lends its texts, so that a registration that is used again and again costs no
/// allocation.
#[derive(Archive, Serialize)]
#[rkyv(as = ArchivedRow, serialize_bounds(__S: Writer + Allocator, __S::Error: rancor::Source))]
pub struct Row<'r> {
    birth_date: u32,
    valid_from: u32,
    valid_to: u32,
    outpatient_visit_yen: u32,
    inpatient_day_yen: u32,
    pharmacy_visit_yen: u32,
    monthly_cap_yen: u32,
    #[rkyv(omit_bounds)]
    symbol: Text<'r>,
    #[rkyv(omit_bounds)]
    number: Text<'r>,
    #[rkyv(omit_bounds)]
    recipient_number: Text<'r>,
    #[rkyv(omit_bounds)]
    certificate_type: Text<'r>,
    #[rkyv(omit_bounds)]
    certificate_name: Text<'r>,
    #[rkyv(omit_bounds)]
    sub_key: Text<'r>,
    #[rkyv(omit_bounds)]
    history_key: Text<'r>,
    #[rkyv(omit_bounds)]
    segment: Text<'r>,
    #[rkyv(omit_bounds)]
    income_segment: Text<'r>,
    #[rkyv(omit_bounds)]
    additional_conditions: Text<'r>,
    #[rkyv(omit_bounds)]
    card_link: Text<'r>,
    designated_institutions: Vec<[u8; 10]>,
    monthly_visits_cap: u16,
    insurer: [u8; 8],
    payer: [u8; 8],
    authority: [u8; 6],
    rate_percent: u8,
    branch: u8,
    flags: u8,
    version: u8,
}

/// A text that is archived as a `String` is, without being one.
struct Text<'r>(&'r str);

impl Archive for Text<'_> {
    type Archived = ArchivedString;
    type Resolver = StringResolver;

    fn resolve(&self, resolver: StringResolver, out: Place<ArchivedString>) {
        ArchivedString::resolve_from_str(self.0, resolver, out);
    }
}

impl<S> Serialize<S> for Text<'_>
where
    S: Fallible + Writer + ?Sized,
    S::Error: rancor::Source,
{
    fn serialize(&self, serializer: &mut S) -> Result<StringResolver, S::Error> {
        ArchivedString::serialize_from_str(self.0, serializer)
    }
}

impl<'r> Row<'r> {
    /// The row of a registration.
    pub fn of(registration: &'r Registration) -> Row<'r> {
        let copay = registration.copay;
        let mut flags = registration.sex.map_or(0, |sex| sex.value() << SEX_SHIFT);
        if registration.always_reimbursement {
            flags |= FLAG_ALWAYS_REIMBURSEMENT;
        }
        if registration.not_disclosed {
            flags |= FLAG_NOT_DISCLOSED;
        }
        let designated = registration.designated_institutions.iter().map(|code| *code.as_bytes()).collect();
        Row {
            birth_date: registration.birth_date.packed(),
            valid_from: registration.valid_from.packed(),
            valid_to: registration.valid_to.packed(),
            outpatient_visit_yen: copay.outpatient_visit_yen.unwrap_or(NOT_STATED_U32),
            inpatient_day_yen: copay.inpatient_day_yen.unwrap_or(NOT_STATED_U32),
            pharmacy_visit_yen: copay.pharmacy_visit_yen.unwrap_or(NOT_STATED_U32),
            monthly_cap_yen: copay.monthly_cap_yen.unwrap_or(NOT_STATED_U32),
            symbol: Text(&registration.symbol),
            number: Text(&registration.number),
            recipient_number: Text(&registration.recipient_number),
            certificate_type: Text(&registration.certificate_type),
            certificate_name: Text(&registration.certificate_name),
            sub_key: Text(&registration.sub_key),
            history_key: Text(&registration.history_key),
            segment: Text(&registration.segment),
            income_segment: Text(&registration.income_segment),
            additional_conditions: Text(&registration.additional_conditions),
            card_link: Text(&registration.card_link),
            designated_institutions: designated,
            monthly_visits_cap: copay.monthly_visits_cap.unwrap_or(NOT_STATED_U16),
            insurer: *registration.insurer.as_bytes(),
            payer: registration.payer.map_or(NO_PAYER, |payer| *payer.as_bytes()),
            authority: *registration.authority.as_bytes(),
            rate_percent: copay.rate_percent.unwrap_or(NOT_STATED_U8),
            branch: registration.branch.map_or(NO_BRANCH, BranchNumber::value),
            flags,
            version: ROW_VERSION,
        }
    }

    /// Appends the archived bytes to `out`, whose length must be a multiple of eight; returns how many they are.
    pub(super) fn archive_into(&self, out: &mut AlignedVec<8>) -> Result<usize, RecordError> {
        debug_assert!(out.len().is_multiple_of(8), "rows start on a word");
        let start = out.len();
        // Texts and bytes need no memory beside the output, and nothing in a row is shared.
        let written = low::to_bytes_in_with_alloc::<_, _, rancor::Failure>(self, &mut *out, SubAllocator::empty());
        written.map_err(|_| RecordError::Inside)?;
        let length = out.len() - start;
        if length > ROW_BYTES_MAX { Err(RecordError::Length) } else { Ok(length) }
    }
}

/// Validates archived bytes and gives the row in them. Done once, on the way in.
pub fn validated(bytes: &[u8]) -> Result<&ArchivedRow, RecordError> {
    if bytes.len() < ROW_FIXED_BYTES || bytes.len() > ROW_BYTES_MAX {
        return Err(RecordError::Length);
    }
    match bytes.last() {
        Some(&ROW_VERSION) => {}
        other => return Err(RecordError::Version(other.copied().unwrap_or(0))),
    }
    if !bytes.as_ptr().addr().is_multiple_of(align_of::<ArchivedRow>()) {
        return Err(RecordError::Alignment);
    }
    let row = rkyv::access::<ArchivedRow, rancor::Failure>(bytes).map_err(|_| RecordError::Inside)?;
    if row.is_well_formed() { Ok(row) } else { Err(RecordError::Inside) }
}

/// Gives the row in bytes that were validated before.
///
/// # Safety
/// [`validated`] must have accepted these very bytes, and they must lie at a multiple of eight.
pub(super) unsafe fn trusted(bytes: &[u8]) -> &ArchivedRow {
    debug_assert!(validated(bytes).is_ok(), "trusted bytes were validated before");
    // SAFETY: by the caller's promise `validated` accepted these bytes, so a valid `ArchivedRow` lies at the root position,
    // its relative pointers stay inside the slice, and the address is aligned as it was then.
    unsafe { rkyv::access_unchecked::<ArchivedRow>(bytes) }
}

impl ArchivedRow {
    /// Insurer number.
    pub fn insurer_number(&self) -> InsurerNumber {
        InsurerNumber::from_bytes_trusted(self.insurer)
    }

    /// Symbol as printed.
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// Number as printed.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Branch number.
    pub fn branch_number(&self) -> Option<BranchNumber> {
        BranchNumber::from_value(self.branch)
    }

    /// Birth date.
    pub fn birth_date(&self) -> BirthDate {
        BirthDate::from_packed_trusted(self.birth_date.to_native())
    }

    /// Certificate name.
    #[inline]
    pub fn certificate_name(&self) -> &str {
        &self.certificate_name
    }

    /// Segment.
    #[inline]
    pub fn segment(&self) -> &str {
        &self.segment
    }

    /// Income segment.
    #[inline]
    pub fn income_segment(&self) -> &str {
        &self.income_segment
    }

    /// Additional conditions.
    #[inline]
    pub fn additional_conditions(&self) -> &str {
        &self.additional_conditions
    }

    /// Card link; empty when there is none.
    #[inline]
    pub fn card_link(&self) -> &str {
        &self.card_link
    }

    /// Institutions at which alone the certificate is good.
    pub fn designated_institutions(&self) -> &[[u8; 10]] {
        &self.designated_institutions
    }

    /// What the patient pays.
    #[inline]
    pub fn copay(&self) -> Copay {
        let yen = |value: u32_le| Some(value.to_native()).filter(|yen| *yen != NOT_STATED_U32);
        Copay {
            rate_percent: Some(self.rate_percent).filter(|rate| *rate != NOT_STATED_U8),
            outpatient_visit_yen: yen(self.outpatient_visit_yen),
            inpatient_day_yen: yen(self.inpatient_day_yen),
            pharmacy_visit_yen: yen(self.pharmacy_visit_yen),
            monthly_cap_yen: yen(self.monthly_cap_yen),
            monthly_visits_cap: Some(self.monthly_visits_cap.to_native()).filter(|visits| *visits != NOT_STATED_U16),
        }
    }

    /// Appends everything that was registered, field by field, in a form that does not depend on the archive's layout: the
    /// state checksum and "nothing changed" are judged by it.
    pub fn append_content(&self, out: &mut Vec<u8>) {
        for text in self.texts() {
            // A text's length is limited far below 65,536, so the prefix never wraps and no two rows run together.
            out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        for number in [
            self.birth_date,
            self.valid_from,
            self.valid_to,
            self.outpatient_visit_yen,
            self.inpatient_day_yen,
            self.pharmacy_visit_yen,
            self.monthly_cap_yen,
        ] {
            out.extend_from_slice(&number.to_native().to_le_bytes());
        }
        out.extend_from_slice(&self.monthly_visits_cap.to_native().to_le_bytes());
        out.extend_from_slice(&self.insurer);
        out.extend_from_slice(&self.payer);
        out.extend_from_slice(&self.authority);
        out.extend_from_slice(&[self.rate_percent, self.branch, self.flags]);
        for code in self.designated_institutions.iter() {
            out.extend_from_slice(code);
        }
    }

    /// Which optional columns are filled, one bit each in the order of [`FILLABLE_COLUMNS`]: what the blank-column gate counts.
    pub fn filled_columns(&self) -> u32 {
        let copay = self.copay();
        let filled = [
            !self.symbol.is_empty(),
            self.branch != NO_BRANCH,
            self.flags & SEX_MASK != 0,
            self.payer != NO_PAYER,
            !self.recipient_number.is_empty(),
            !self.sub_key.is_empty(),
            !self.segment.is_empty(),
            !self.income_segment.is_empty(),
            !self.additional_conditions.is_empty(),
            !self.designated_institutions.is_empty(),
            copay.rate_percent.is_some(),
            copay.outpatient_visit_yen.is_some(),
            copay.inpatient_day_yen.is_some(),
            copay.pharmacy_visit_yen.is_some(),
            copay.monthly_cap_yen.is_some(),
            copay.monthly_visits_cap.is_some(),
            !self.card_link.is_empty(),
        ];
        filled.iter().enumerate().fold(0, |bits, (place, filled)| bits | (u32::from(*filled) << place))
    }

    fn texts(&self) -> [&str; 11] {
        [
            &self.symbol,
            &self.number,
            &self.recipient_number,
            &self.certificate_type,
            &self.certificate_name,
            &self.sub_key,
            &self.history_key,
            &self.segment,
            &self.income_segment,
            &self.additional_conditions,
            &self.card_link,
        ]
    }

    /// What the types of the domain promise and bytes alone cannot: digits are digits, days are days.
    fn is_well_formed(&self) -> bool {
        let digits = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_digit);
        digits(&self.insurer)
            && (self.payer == NO_PAYER || digits(&self.payer))
            && AuthorityCode::parse(&self.authority).is_ok()
            && (self.branch == NO_BRANCH || self.branch <= 99)
            && Day::from_packed(self.valid_from.to_native()).is_ok()
            && Day::from_packed(self.valid_to.to_native()).is_ok()
            && BirthDate::from_packed(self.birth_date.to_native()).is_ok()
            && self.designated_institutions.iter().all(|code| digits(code))
    }
}

/// The optional columns of a registration file, in the order of the bits of [`ArchivedRow::filled_columns`].
pub const FILLABLE_COLUMNS: [&str; 17] = [
    "symbol",
    "branch_number",
    "sex",
    "payer_number",
    "recipient_number",
    "sub_key",
    "segment",
    "income_segment",
    "additional_conditions",
    "designated_institutions",
    "rate_percent",
    "outpatient_visit_yen",
    "inpatient_day_yen",
    "pharmacy_visit_yen",
    "monthly_cap_yen",
    "monthly_visits_cap",
    "card_link",
];

impl decision::Row for ArchivedRow {
    #[inline]
    fn authority(&self) -> AuthorityCode {
        AuthorityCode::from_bytes_trusted(self.authority)
    }

    #[inline]
    fn certificate_type(&self) -> &str {
        &self.certificate_type
    }

    #[inline]
    fn payer_number(&self) -> Option<PayerNumber> {
        (self.payer != NO_PAYER).then(|| PayerNumber::from_bytes_trusted(self.payer))
    }

    #[inline]
    fn recipient_number(&self) -> &str {
        &self.recipient_number
    }

    #[inline]
    fn sub_key(&self) -> &str {
        &self.sub_key
    }

    #[inline]
    fn history_key(&self) -> &str {
        &self.history_key
    }

    #[inline]
    fn sex(&self) -> Option<Sex> {
        Sex::from_value((self.flags & SEX_MASK) >> SEX_SHIFT)
    }

    #[inline]
    fn valid_from(&self) -> Day {
        Day::from_packed_trusted(self.valid_from.to_native())
    }

    #[inline]
    fn valid_to(&self) -> Day {
        Day::from_packed_trusted(self.valid_to.to_native())
    }

    #[inline]
    fn names_institutions(&self) -> bool {
        !self.designated_institutions.is_empty()
    }

    #[inline]
    fn names_institution(&self, institution: &InstitutionCode) -> bool {
        self.designated_institutions.iter().any(|code| code == institution.as_bytes())
    }

    #[inline]
    fn always_reimbursement(&self) -> bool {
        self.flags & FLAG_ALWAYS_REIMBURSEMENT != 0
    }

    #[inline]
    fn not_disclosed(&self) -> bool {
        self.flags & FLAG_NOT_DISCLOSED != 0
    }

    #[inline]
    fn has_monthly_cap(&self) -> bool {
        self.monthly_cap_yen.to_native() != NOT_STATED_U32
    }
}
