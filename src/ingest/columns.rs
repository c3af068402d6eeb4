//! The columns of a registration file, and where a header puts them.

use super::encoding::Encoding;
use super::error::IngestError;
use super::reader::UTF8_MARK;
use super::records::Records;
use crate::domain::fold::Folded;
use crate::limits::INGEST_HEADER_COLUMNS_MAX;

macro_rules! columns {
    ($($name:ident = $text:literal $required:literal,)*) => {
        /// A column of the registration file. The contract says what each holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "a column is its name")]
        pub enum Column {
            $($name,)*
        }

        impl Column {
            /// All columns, in the order in which this project writes them.
            pub const ALL: [Column; Column::COUNT] = [$(Column::$name,)*];

            /// How many there are.
            pub const COUNT: usize = [$($required,)*].len();

            /// Its name in the header.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Column::$name => $text,)*
                }
            }

            /// Whether the header must have it.
            pub const fn is_required(self) -> bool {
                match self {
                    $(Column::$name => $required,)*
                }
            }
        }
    };
}

columns! {
    Op = "op" true,
    AuthorityCode = "authority_code" true,
    CertificateTypeId = "certificate_type_id" true,
    CertificateName = "certificate_name" true,
    InsurerNumber = "insurer_number" true,
    Symbol = "symbol" false,
    Number = "number" true,
    BranchNumber = "branch_number" false,
    BirthDate = "birth_date" true,
    Sex = "sex" false,
    PayerNumber = "payer_number" false,
    RecipientNumber = "recipient_number" false,
    SubKey = "sub_key" false,
    HistoryKey = "history_key" true,
    Segment = "segment" false,
    IncomeSegment = "income_segment" false,
    AdditionalConditions = "additional_conditions" false,
    DesignatedInstitutions = "designated_institutions" false,
    AlwaysReimbursement = "always_reimbursement" true,
    NotDisclosed = "not_disclosed" true,
    RatePercent = "rate_percent" false,
    OutpatientVisitYen = "outpatient_visit_yen" false,
    InpatientDayYen = "inpatient_day_yen" false,
    PharmacyVisitYen = "pharmacy_visit_yen" false,
    MonthlyCapYen = "monthly_cap_yen" false,
    MonthlyVisitsCap = "monthly_visits_cap" false,
    ValidFrom = "valid_from" true,
    ValidTo = "valid_to" true,
    CardLink = "card_link" false,
}

/// Which column stands at which place of a file's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    places: Vec<Column>,
}

impl Columns {
    /// Reads a header: every required column, none that is unknown, none twice, none of individual numbers.
    pub fn of(header: &[u8], encoding: Encoding) -> Result<Columns, IngestError> {
        let header = match header.strip_prefix(UTF8_MARK) {
            Some(_) if encoding != Encoding::Utf8 => return Err(IngestError::UnexpectedMark { encoding: encoding.name() }),
            Some(rest) => rest,
            None => header,
        };
        let names = names(header, encoding)?;
        // The gravest first: a file with such a column is refused for that, whatever else is wrong with it.
        if let Some(place) = names.iter().position(|name| names_the_individual_number(name)) {
            return Err(IngestError::IndividualNumberColumn { position: place + 1 });
        }
        let mut places: Vec<Column> = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            let position = place + 1;
            let column = Column::ALL.into_iter().find(|column| column.name() == name);
            let column = column.ok_or_else(|| IngestError::UnknownColumn { position, name: harmless(name) })?;
            if places.contains(&column) {
                return Err(IngestError::RepeatedColumn { position, column: column.name() });
            }
            places.push(column);
        }
        match Column::ALL.into_iter().find(|column| column.is_required() && !places.contains(column)) {
            Some(missing) => Err(IngestError::MissingColumn(missing.name())),
            None => Ok(Columns { places }),
        }
    }

    /// The columns, in the file's order.
    pub fn places(&self) -> &[Column] {
        &self.places
    }
}

fn names(header: &[u8], encoding: Encoding) -> Result<Vec<String>, IngestError> {
    let record = Records::of(header, 1).next().ok_or(IngestError::Empty)?;
    let mut names = Vec::new();
    for (place, raw) in record.body().split(|byte| *byte == b',').enumerate() {
        if place >= INGEST_HEADER_COLUMNS_MAX {
            return Err(IngestError::HeaderTooWide { columns_max: INGEST_HEADER_COLUMNS_MAX });
        }
        // No column's name holds a comma or a quote, so a header needs no more than the quotes around a name taken off.
        let name = match raw {
            [b'"', name @ .., b'"'] => name,
            name => name,
        };
        if name.contains(&b'"') {
            return Err(IngestError::HeaderQuotes);
        }
        let mut text = String::new();
        let position = place + 1;
        let decoded = encoding.decode_into(name, &mut text);
        decoded.map_err(|_| IngestError::HeaderEncoding { position, encoding: encoding.name() })?;
        names.push(text);
    }
    Ok(names)
}

/// Whether a column is called after the individual number (個人番号, My Number), however it is written.
fn names_the_individual_number(name: &str) -> bool {
    let Ok(folded) = Folded::of(name) else { return false };
    let letters: Vec<u8> = folded.as_bytes().iter().copied().filter(|byte| !matches!(byte, b'_' | b'-' | b'.')).collect();
    let names = ["MYNUMBER", "INDIVIDUALNUMBER", "個人番号", "マイナンバー"];
    names.iter().any(|name| memchr::memmem::find(&letters, name.as_bytes()).is_some())
}

/// A name that cannot be a person's data: in a file without a header, the first row would be taken for one.
fn harmless(name: &str) -> Option<String> {
    let harmless = name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    (harmless && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Vec<&'static str> {
        Column::ALL.map(Column::name).to_vec()
    }

    fn of(names: &[&str]) -> Result<Columns, IngestError> {
        Columns::of(names.join(",").as_bytes(), Encoding::Utf8)
    }

    #[test]
    fn columns_may_stand_in_any_order_and_optional_ones_may_be_missing() {
        let mut names = header();
        names.reverse();
        assert_eq!(of(&names).unwrap().places()[0], Column::CardLink);
        let required: Vec<&str> = Column::ALL.into_iter().filter(|column| column.is_required()).map(Column::name).collect();
        assert_eq!(of(&required).unwrap().places().len(), 12);
    }

    #[test]
    fn a_mark_line_ends_and_quotes_around_names_are_accepted() {
        for text in [format!("\u{feff}{}\r\n", header().join(",")), format!("\"{}\"\n", header().join("\",\""))] {
            assert_eq!(Columns::of(text.as_bytes(), Encoding::Utf8).unwrap(), of(&header()).unwrap());
        }
    }

    #[test]
    fn every_required_column_is_missed() {
        for column in Column::ALL.into_iter().filter(|column| column.is_required()) {
            let names: Vec<&str> = header().into_iter().filter(|name| *name != column.name()).collect();
            let error = of(&names).unwrap_err();
            assert!(matches!(error, IngestError::MissingColumn(name) if name == column.name()), "{error}");
        }
    }

    #[test]
    fn an_unknown_or_repeated_column_is_named_by_its_place() {
        let mut names = header();
        names.insert(2, "nickname");
        assert_eq!(of(&names).unwrap_err().to_string(), "line 1, column 3: no such column: nickname");
        names[2] = "op";
        assert_eq!(of(&names).unwrap_err().to_string(), "line 1, column 3: op stands there twice");
    }

    #[test]
    fn a_first_row_taken_for_a_header_is_not_repeated() {
        for value in ["1234567", "山田", "2026-01-01", "1985-02"] {
            let mut names = header();
            names[1] = value;
            let message = of(&names).unwrap_err().to_string();
            assert!(!message.contains(value), "{message}");
        }
    }

    #[test]
    fn a_column_of_individual_numbers_is_refused_however_it_is_written() {
        for name in [
            "myNumber",
            "my_number",
            "MYNUMBER",
            "ｍｙＮｕｍｂｅｒ",
            "個人番号",
            "マイナンバー",
            "ﾏｲﾅﾝﾊﾞｰ",
            "individual_number",
            "individualNumber",
            "\"個人番号\"",
            "マイ ナンバー",
            "個人番号（12桁）",
        ] {
            let mut names = header();
            names.push(name);
            let error = of(&names).unwrap_err();
            assert!(matches!(error, IngestError::IndividualNumberColumn { position: 30 }), "{name}: {error}");
        }
        for column in Column::ALL {
            assert!(!names_the_individual_number(column.name()), "{column:?}");
        }
    }

    #[test]
    fn a_header_in_another_encoding_than_declared_is_told() {
        let kanji = [&[0x8c, 0xc2, 0x90, 0x6c, 0x94, 0xd4, 0x8d, 0x86][..], b",op"].concat();
        assert!(matches!(Columns::of(&kanji, Encoding::Utf8), Err(IngestError::HeaderEncoding { position: 1, .. })));
        assert!(matches!(Columns::of(&kanji, Encoding::Cp932), Err(IngestError::IndividualNumberColumn { position: 1 })));
        let marked = format!("\u{feff}{}", header().join(","));
        assert!(matches!(Columns::of(marked.as_bytes(), Encoding::Cp932), Err(IngestError::UnexpectedMark { .. })));
    }

    #[test]
    fn a_header_that_is_none_is_limited() {
        let wide = "a,".repeat(300);
        assert!(matches!(Columns::of(wide.as_bytes(), Encoding::Utf8), Err(IngestError::HeaderTooWide { .. })));
    }
}
