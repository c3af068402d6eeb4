//! One record becomes one registration, or a reject with its reason.
//!
//! Values go straight into the types of the domain, which cannot hold a malformed one. The first thing wrong, in the order of
//! [`Column`], is the reason. Texts are kept as they are printed; only their length, their characters and whether they can be
//! folded into a key are looked at.

use super::columns::{Column, Columns};
use super::encoding::Encoding;
use super::individual_number::IndividualNumberTallies;
use super::records::Record;
use super::rejects::{Fault, Reject};
use super::values::Values;
use crate::domain::day::{BirthDate, DateForm, Day};
use crate::domain::decision::Copay;
use crate::domain::digits::check_digit_is_right;
use crate::domain::fold::{FOLDED_BYTES_MAX, Folded};
use crate::domain::identifier::{AuthorityCode, BranchNumber, CheckPolicy, InstitutionCode, InsurerNumber, PayerNumber, Sex};
use crate::domain::masters::Masters;
use crate::domain::registration::{Operation, Registration};

const SYMBOL_CHARACTERS_MAX: usize = 40;
const NUMBER_CHARACTERS_MAX: usize = 40;
const RECIPIENT_NUMBER_CHARACTERS_MAX: usize = 30;
const CERTIFICATE_TYPE_CHARACTERS_MAX: usize = 50;
const CERTIFICATE_NAME_CHARACTERS_MAX: usize = 100;
const KEY_CHARACTERS_MAX: usize = 50;
const SEGMENT_CHARACTERS_MAX: usize = 50;
const CONDITIONS_CHARACTERS_MAX: usize = 200;
const CARD_LINK_CHARACTERS_MAX: usize = 64;
const INSTITUTIONS_MAX: usize = 16;
const RATE_PERCENT_MAX: u32 = 100;
const YEN_MAX: u32 = 99_999_999;
const VISITS_MAX: u32 = 999;

/// The insurer number of a withdrawal that is identified by its recipient number: nobody's.
const NO_INSURER: InsurerNumber = InsurerNumber::from_bytes_trusted(*b"00000000");
/// A payer number that no scheme has: an archived row means "none" by it.
const NO_PAYER: &[u8] = b"00000000";

/// How a file is written, as declared by whoever sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// How its text is encoded.
    pub encoding: Encoding,
    /// How its dates are written.
    pub dates: DateForm,
}

/// What is odd about rows that were taken all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowWarnings {
    /// Insurer numbers with a wrong check digit.
    pub insurer_check_digits: u64,
    /// Payer numbers with a wrong check digit, where the scheme's policy is to warn.
    pub payer_check_digits: u64,
    /// Seven-digit recipient numbers with a wrong check digit, where the scheme's policy is to warn.
    pub recipient_check_digits: u64,
    /// Private-use characters (外字, U+E000–U+F8FF): each means something else in the next city.
    pub private_use_characters: u64,
}

impl RowWarnings {
    /// Adds what another worker counted.
    pub const fn merge(&mut self, other: &RowWarnings) {
        self.insurer_check_digits += other.insurer_check_digits;
        self.payer_check_digits += other.payer_check_digits;
        self.recipient_check_digits += other.recipient_check_digits;
        self.private_use_characters += other.private_use_characters;
    }
}

/// A registration to parse into: well formed, and nobody's.
pub const fn blank_registration() -> Registration {
    Registration {
        authority: AuthorityCode::from_bytes_trusted(*b"N00000"),
        certificate_type: String::new(),
        certificate_name: String::new(),
        insurer: NO_INSURER,
        symbol: String::new(),
        number: String::new(),
        branch: None,
        birth_date: BirthDate::from_packed_trusted(19_000_000),
        sex: None,
        payer: None,
        recipient_number: String::new(),
        sub_key: String::new(),
        history_key: String::new(),
        segment: String::new(),
        income_segment: String::new(),
        additional_conditions: String::new(),
        designated_institutions: Vec::new(),
        always_reimbursement: false,
        not_disclosed: false,
        copay: Copay {
            rate_percent: None,
            outpatient_visit_yen: None,
            inpatient_day_yen: None,
            pharmacy_visit_yen: None,
            monthly_cap_yen: None,
            monthly_visits_cap: None,
        },
        valid_from: Day::OPEN_END,
        valid_to: Day::OPEN_END,
        card_link: String::new(),
    }
}

/// Reads records of one file. Each worker has its own, and its counts are merged.
#[derive(Debug)]
pub struct RowParser<'a> {
    columns: &'a Columns,
    masters: &'a Masters,
    options: ParseOptions,
    warnings: RowWarnings,
    individual_numbers: IndividualNumberTallies,
    /// What the record under way is warned for; it counts only once the record is taken.
    pending: RowWarnings,
    unquoted: Vec<u8>,
    /// Neighbouring rows mostly share authority and payer, so the last answers of the masters are kept.
    last_authority: Option<AuthorityCode>,
    last_policy: Option<(PayerNumber, CheckPolicy)>,
}

impl<'a> RowParser<'a> {
    /// A parser for records of a file with these columns.
    pub fn new(columns: &'a Columns, masters: &'a Masters, options: ParseOptions) -> RowParser<'a> {
        RowParser {
            columns,
            masters,
            options,
            warnings: RowWarnings::default(),
            individual_numbers: IndividualNumberTallies::default(),
            pending: RowWarnings::default(),
            unquoted: Vec::new(),
            last_authority: None,
            last_policy: None,
        }
    }

    /// Reads a record.
    pub fn parse(&mut self, record: &Record<'_>) -> Result<(Operation, Registration), Reject> {
        let mut registration = blank_registration();
        self.parse_into(record, &mut registration).map(|operation| (operation, registration))
    }

    /// Reads a record into `out`, whose texts keep their room: a reused one costs no allocation. After a reject its contents
    /// are a mixture that means nothing.
    ///
    /// A withdrawal has the columns of its identity and is blank otherwise. With a recipient number its insurer number is eight
    /// zeros, and symbol, number and branch number are absent, whatever the record says of them.
    pub fn parse_into(&mut self, record: &Record<'_>, out: &mut Registration) -> Result<Operation, Reject> {
        let mut unquoted = std::mem::take(&mut self.unquoted);
        self.pending = RowWarnings::default();
        let encoding = self.options.encoding;
        let read = Values::read(record, self.columns, encoding, &mut unquoted).and_then(|values| {
            // Rejected rows count here as well: they are as much a part of the file as the others.
            self.individual_numbers.observe(&values, record.line, encoding);
            self.read(&values, out)
        });
        self.unquoted = unquoted;
        match read {
            Ok(operation) => {
                self.warnings.merge(&self.pending);
                Ok(operation)
            }
            Err(fault) => Err(fault.on_line(record.line)),
        }
    }

    /// What was counted since it was asked last.
    pub fn take_counts(&mut self) -> (RowWarnings, IndividualNumberTallies) {
        (std::mem::take(&mut self.warnings), std::mem::take(&mut self.individual_numbers))
    }

    /// What was counted.
    pub const fn warnings(&self) -> &RowWarnings {
        &self.warnings
    }

    /// What the guarded columns were seen to hold.
    pub const fn individual_numbers(&self) -> &IndividualNumberTallies {
        &self.individual_numbers
    }

    fn read(&mut self, values: &Values<'_>, out: &mut Registration) -> Result<Operation, Fault> {
        match values.of(Column::Op) {
            b"upsert" => self.read_upsert(values, out).map(|()| Operation::Upsert),
            b"delete" => self.read_withdrawal(values, out).map(|()| Operation::Withdraw),
            b"" => Err(Fault::missing(Column::Op)),
            _ => Err(Fault::new(Column::Op, "bad_operation", "must be upsert or delete")),
        }
    }

    fn read_upsert(&mut self, values: &Values<'_>, out: &mut Registration) -> Result<(), Fault> {
        self.read_certificate(values, out)?;
        let required = Presence::Required;
        self.text(values, Column::CertificateName, CERTIFICATE_NAME_CHARACTERS_MAX, required, &mut out.certificate_name)?;
        self.read_insured(values, out)?;
        self.read_birth_date(values, out)?;
        out.sex = optional(values, Column::Sex, |value| {
            Sex::parse(value).map_err(|_| Fault::new(Column::Sex, "bad_sex", "must be 1, 2 or 3"))
        })?;
        self.read_payer(values, out)?;
        self.read_recipient_number(values, &mut out.recipient_number)?;
        self.judge_recipient_number(out)?;
        self.read_keys(values, out)?;
        let optional = Presence::Optional;
        self.text(values, Column::Segment, SEGMENT_CHARACTERS_MAX, optional, &mut out.segment)?;
        self.text(values, Column::IncomeSegment, SEGMENT_CHARACTERS_MAX, optional, &mut out.income_segment)?;
        let conditions = &mut out.additional_conditions;
        self.text(values, Column::AdditionalConditions, CONDITIONS_CHARACTERS_MAX, optional, conditions)?;
        read_institutions(values, &mut out.designated_institutions)?;
        out.always_reimbursement = flag(values, Column::AlwaysReimbursement)?;
        out.not_disclosed = flag(values, Column::NotDisclosed)?;
        out.copay = copay(values)?;
        self.read_validity(values, out)?;
        self.text(values, Column::CardLink, CARD_LINK_CHARACTERS_MAX, optional, &mut out.card_link)
    }

    fn read_withdrawal(&mut self, values: &Values<'_>, out: &mut Registration) -> Result<(), Fault> {
        make_blank(out);
        self.read_certificate(values, out)?;
        if values.of(Column::RecipientNumber).is_empty() {
            self.read_insured(values, out)?;
        }
        self.read_birth_date(values, out)?;
        self.read_recipient_number(values, &mut out.recipient_number)?;
        self.read_keys(values, out)
    }

    fn read_certificate(&mut self, values: &Values<'_>, out: &mut Registration) -> Result<(), Fault> {
        out.authority = self.authority(values)?;
        let column = Column::CertificateTypeId;
        let value = required(values, column)?;
        if !value.iter().all(u8::is_ascii_alphanumeric) {
            return Err(Fault::new(column, "bad_certificate_type", "must be half-width letters and digits"));
        }
        self.text(values, column, CERTIFICATE_TYPE_CHARACTERS_MAX, Presence::Required, &mut out.certificate_type)
    }

    fn authority(&mut self, values: &Values<'_>) -> Result<AuthorityCode, Fault> {
        let column = Column::AuthorityCode;
        let value = required(values, column)?;
        if let Some(last) = self.last_authority.filter(|last| last.as_bytes() == value) {
            return Ok(last);
        }
        let code = AuthorityCode::parse(value).map_err(|error| Fault::identifier(column, "bad_authority_code", error))?;
        if self.masters.authority(&code).is_none() {
            return Err(Fault::new(column, "unknown_authority", "stands in no master"));
        }
        self.last_authority = Some(code);
        Ok(code)
    }

    fn read_insured(&mut self, values: &Values<'_>, out: &mut Registration) -> Result<(), Fault> {
        let column = Column::InsurerNumber;
        let insurer = InsurerNumber::parse_padded(required(values, column)?);
        out.insurer = insurer.map_err(|error| Fault::identifier(column, "bad_insurer_number", error))?;
        self.pending.insurer_check_digits += u64::from(!out.insurer.check_digit_is_right());
        self.text(values, Column::Symbol, SYMBOL_CHARACTERS_MAX, Presence::Optional, &mut out.symbol)?;
        require_foldable(Column::Symbol, &out.symbol, Presence::Optional)?;
        self.text(values, Column::Number, NUMBER_CHARACTERS_MAX, Presence::Required, &mut out.number)?;
        require_foldable(Column::Number, &out.number, Presence::Required)?;
        out.branch = optional(values, Column::BranchNumber, |value| {
            let branch = BranchNumber::parse(value);
            branch.map_err(|error| Fault::identifier(Column::BranchNumber, "bad_branch_number", error))
        })?;
        Ok(())
    }

    fn read_birth_date(&self, values: &Values<'_>, out: &mut Registration) -> Result<(), Fault> {
        let column = Column::BirthDate;
        let date = BirthDate::parse_as(required(values, column)?, self.options.dates);
        out.birth_date = date.map_err(|error| Fault::day(column, "bad_birth_date", error))?;
        Ok(())
    }

    fn read_payer(&mut self, values: &Values<'_>, out: &mut Registration) -> Result<(), Fault> {
        let column = Column::PayerNumber;
        out.payer = optional(values, column, |value| match PayerNumber::parse(value) {
            Ok(_) if value == NO_PAYER => Err(Fault::new(column, "bad_payer_number", "all zeros is nobody's number")),
            payer => payer.map_err(|error| Fault::identifier(column, "bad_payer_number", error)),
        })?;
        if out.payer.is_some_and(|payer| !payer.check_digit_is_right()) {
            self.pending.payer_check_digits += self.warn_or_reject(column, out.payer)?;
        }
        Ok(())
    }

    fn read_recipient_number(&mut self, values: &Values<'_>, out: &mut String) -> Result<(), Fault> {
        let column = Column::RecipientNumber;
        self.text(values, column, RECIPIENT_NUMBER_CHARACTERS_MAX, Presence::Optional, out)?;
        // One of nothing but spaces would pass for another row's identity, so it is not taken for an absent one.
        if out.is_empty() { Ok(()) } else { require_foldable(column, out, Presence::Required) }
    }

    /// A recipient number has a check digit only where it follows the national rule of seven digits (§1.3).
    fn judge_recipient_number(&mut self, out: &Registration) -> Result<(), Fault> {
        let number = out.recipient_number.as_bytes();
        if number.len() == 7 && number.iter().all(u8::is_ascii_digit) && !check_digit_is_right(number) {
            self.pending.recipient_check_digits += self.warn_or_reject(Column::RecipientNumber, out.payer)?;
        }
        Ok(())
    }

    /// What a wrong check digit means under the payer's policy: a reject, or how many warnings to count.
    fn warn_or_reject(&mut self, column: Column, payer: Option<PayerNumber>) -> Result<u64, Fault> {
        let policy = match (payer, self.last_policy) {
            (None, _) => CheckPolicy::default(),
            (Some(payer), Some((last, policy))) if last == payer => policy,
            (Some(payer), _) => {
                let policy = self.masters.check_policy(&payer);
                self.last_policy = Some((payer, policy));
                policy
            }
        };
        match policy {
            CheckPolicy::Strict => Err(Fault::new(column, "bad_check_digit", "wrong check digit")),
            CheckPolicy::Warn => Ok(1),
            CheckPolicy::Off => Ok(0),
        }
    }

    fn read_keys(&mut self, values: &Values<'_>, out: &mut Registration) -> Result<(), Fault> {
        self.text(values, Column::SubKey, KEY_CHARACTERS_MAX, Presence::Optional, &mut out.sub_key)?;
        self.text(values, Column::HistoryKey, KEY_CHARACTERS_MAX, Presence::Required, &mut out.history_key)
    }

    fn read_validity(&self, values: &Values<'_>, out: &mut Registration) -> Result<(), Fault> {
        let column = Column::ValidFrom;
        let from = Day::parse_as(required(values, column)?, self.options.dates);
        out.valid_from = from.map_err(|error| Fault::day(column, "bad_date", error))?;
        let column = Column::ValidTo;
        out.valid_to = match values.of(column) {
            b"" | b"9999-12-31" | b"99991231" | b"99999999" => Day::OPEN_END,
            value => {
                let to = Day::parse_as(value, self.options.dates);
                to.map_err(|error| Fault::day(column, "bad_date", error))?
            }
        };
        if out.valid_to < out.valid_from {
            return Err(Fault::new(column, "ends_before_it_starts", "must not be before valid_from"));
        }
        Ok(())
    }

    fn text(
        &mut self,
        values: &Values<'_>,
        column: Column,
        characters_max: usize,
        presence: Presence,
        out: &mut String,
    ) -> Result<(), Fault> {
        let value = values.of(column);
        if value.is_empty() {
            out.clear();
            return if presence == Presence::Required { Err(Fault::missing(column)) } else { Ok(()) };
        }
        match values.text_of(column) {
            Some(text) => {
                out.clear();
                out.push_str(text);
            }
            None => {
                let decoded = self.options.encoding.decode_into(value, out);
                decoded.map_err(|error| Fault::new(column, "bad_encoding", error.to_string()))?;
            }
        }
        if may_hold_strange_characters(out) {
            if out.chars().any(char::is_control) {
                return Err(Fault::new(column, "control_character", "holds a control character, such as a tab or a line end"));
            }
            self.pending.private_use_characters += private_use_characters(out);
        }
        // No text has more characters than bytes, so most need not be counted.
        if out.len() > characters_max && out.chars().count() > characters_max {
            return Err(Fault::new(column, "too_long", format!("longer than {characters_max} characters")));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

fn make_blank(out: &mut Registration) {
    let mut texts = [
        &mut out.certificate_name,
        &mut out.symbol,
        &mut out.number,
        &mut out.segment,
        &mut out.income_segment,
        &mut out.additional_conditions,
        &mut out.card_link,
    ];
    texts.iter_mut().for_each(|text| text.clear());
    out.insurer = NO_INSURER;
    out.branch = None;
    out.sex = None;
    out.payer = None;
    out.designated_institutions.clear();
    out.always_reimbursement = false;
    out.not_disclosed = false;
    out.copay = Copay::default();
    out.valid_from = Day::OPEN_END;
    out.valid_to = Day::OPEN_END;
}

fn required<'a>(values: &Values<'a>, column: Column) -> Result<&'a [u8], Fault> {
    let value = values.of(column);
    if value.is_empty() { Err(Fault::missing(column)) } else { Ok(value) }
}

fn optional<T>(values: &Values<'_>, column: Column, read: impl FnOnce(&[u8]) -> Result<T, Fault>) -> Result<Option<T>, Fault> {
    let value = values.of(column);
    if value.is_empty() { Ok(None) } else { read(value).map(Some) }
}

fn flag(values: &Values<'_>, column: Column) -> Result<bool, Fault> {
    match required(values, column)? {
        b"0" => Ok(false),
        b"1" => Ok(true),
        _ => Err(Fault::new(column, "bad_flag", "must be 0 or 1")),
    }
}

fn copay(values: &Values<'_>) -> Result<Copay, Fault> {
    let rate = whole_number(values, Column::RatePercent, RATE_PERCENT_MAX)?;
    let yen = |column| whole_number(values, column, YEN_MAX);
    Ok(Copay {
        rate_percent: rate.and_then(|rate| u8::try_from(rate).ok()),
        outpatient_visit_yen: yen(Column::OutpatientVisitYen)?,
        inpatient_day_yen: yen(Column::InpatientDayYen)?,
        pharmacy_visit_yen: yen(Column::PharmacyVisitYen)?,
        monthly_cap_yen: yen(Column::MonthlyCapYen)?,
        monthly_visits_cap: whole_number(values, Column::MonthlyVisitsCap, VISITS_MAX)?
            .and_then(|visits| u16::try_from(visits).ok()),
    })
}

const _: () = assert!(RATE_PERCENT_MAX <= u8::MAX as u32 && VISITS_MAX <= u16::MAX as u32);

fn whole_number(values: &Values<'_>, column: Column, max: u32) -> Result<Option<u32>, Fault> {
    optional(values, column, |value| {
        let read = value.iter().try_fold(0u32, |sum, digit| {
            let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        });
        let read = read.filter(|number| *number <= max);
        read.ok_or_else(|| Fault::new(column, "bad_whole_number", format!("must be a whole number up to {max}, or empty")))
    })
}

fn read_institutions(values: &Values<'_>, out: &mut Vec<InstitutionCode>) -> Result<(), Fault> {
    let column = Column::DesignatedInstitutions;
    out.clear();
    let value = values.of(column);
    if value.is_empty() {
        return Ok(());
    }
    for code in value.split(|byte| *byte == b';') {
        if out.len() == INSTITUTIONS_MAX {
            return Err(Fault::new(column, "too_many_institutions", format!("more than {INSTITUTIONS_MAX}")));
        }
        let code = InstitutionCode::parse(code);
        out.push(code.map_err(|error| Fault::identifier(column, "bad_institution_code", error))?);
    }
    Ok(())
}

/// A text that becomes part of a key must fold to no more than a key can hold, and a required one to something.
fn require_foldable(column: Column, text: &str, presence: Presence) -> Result<(), Fault> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let plain = |character: char| character.is_ascii_graphic() || folds_to_three_bytes(character);
    // No text is longer than the longest of these, so one of plain characters fits without being folded here.
    const _: () = assert!(SYMBOL_CHARACTERS_MAX * 3 <= FOLDED_BYTES_MAX && NUMBER_CHARACTERS_MAX * 3 <= FOLDED_BYTES_MAX);
    const _: () = assert!(RECIPIENT_NUMBER_CHARACTERS_MAX * 3 <= FOLDED_BYTES_MAX);
    if text.chars().all(plain) {
        return Ok(());
    }
    match Folded::of(text) {
        Err(_) => Err(Fault::new(column, "too_long", "too long once it is brought to its plain form")),
        Ok(folded) if presence == Presence::Required && folded.as_bytes().is_empty() => Err(Fault::missing(column)),
        Ok(_) => Ok(()),
    }
}

/// Kanji, kana and full-width forms: what nearly every other text is made of. Each folds to one character or a part of one.
fn folds_to_three_bytes(character: char) -> bool {
    matches!(character, '\u{4e00}'..='\u{9fff}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fb}' | '\u{30fc}' | '\u{ff01}'..='\u{ff5e}')
}

/// A first look at the bytes, without a branch for each: C0 controls and DEL are themselves, C1 controls begin with C2,
/// private-use characters with EE or EF.
fn may_hold_strange_characters(text: &str) -> bool {
    let strange = |byte: u8| byte < 0x20 || byte == 0x7f || byte == 0xc2 || byte >= 0xee;
    text.bytes().fold(false, |found, byte| found | strange(byte))
}

fn private_use_characters(text: &str) -> u64 {
    let count = text.chars().filter(|character| matches!(character, '\u{e000}'..='\u{f8ff}')).count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
