//! The masters: which authorities exist and take part, who stands behind a payer number, which national schemes there are.
//!
//! Masters are data, not code: they travel in the log as CSV texts, and every machine that read the same log decides alike.
//! A table is replaced whole. What a text says wrongly is refused with its line, before it reaches the log.

use std::collections::HashMap;

use super::day::{Day, DayError};
use super::identifier::{AuthorityCode, CheckPolicy, IdentifierError, InstitutionCode, LawCode, PayerNumber};

/// Which table a master text fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MasterKind {
    /// All local authorities (地方公共団体): `code,prefecture,name,kana,kind`.
    Authorities = 1,
    /// National bodies that issue certificates: `code,name`.
    Issuers = 2,
    /// National schemes and the order in which payers apply (§2.1): `law_code,name,rank`.
    Schemes = 3,
    /// Which authorities register, from when to when: `authority_code,valid_from,valid_to`.
    Participation = 4,
    /// Payer numbers: `payer_number,authority_code,scheme,area,check,valid_from,valid_to`.
    Payers = 5,
}

impl MasterKind {
    /// All kinds, in the order in which a new stream carries them.
    pub const ALL: [MasterKind; 5] =
        [MasterKind::Authorities, MasterKind::Issuers, MasterKind::Schemes, MasterKind::Participation, MasterKind::Payers];

    /// The kind of a stored byte.
    pub fn from_byte(byte: u8) -> Option<MasterKind> {
        MasterKind::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// The header row its text must have.
    pub const fn header(self) -> &'static str {
        match self {
            MasterKind::Authorities => "code,prefecture,name,kana,kind",
            MasterKind::Issuers => "code,name",
            MasterKind::Schemes => "law_code,name,rank",
            MasterKind::Participation => "authority_code,valid_from,valid_to",
            MasterKind::Payers => "payer_number,authority_code,scheme,area,check,valid_from,valid_to",
        }
    }

    /// The name a person uses for it.
    pub const fn name(self) -> &'static str {
        match self {
            MasterKind::Authorities => "authorities",
            MasterKind::Issuers => "issuers",
            MasterKind::Schemes => "schemes",
            MasterKind::Participation => "participation",
            MasterKind::Payers => "payers",
        }
    }
}

/// What is wrong with a master text, and on which line (1 is the header).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} master, line {line}: {what}", kind.name())]
pub struct MasterError {
    /// The table it was meant for.
    pub kind: MasterKind,
    /// Line in the text.
    pub line: usize,
    /// What is wrong.
    pub what: MasterFault,
}

/// The ways in which a line of a master text can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasterFault {
    /// The header row is not the table's.
    #[error("the header must read \"{0}\"")]
    Header(&'static str),
    /// Too few or too many columns.
    #[error("{got} columns, expected {expected}")]
    Columns {
        /// How many there are.
        got: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A code or number is malformed.
    #[error("{column}: {why}")]
    Identifier {
        /// The column.
        column: &'static str,
        /// Why.
        why: IdentifierError,
    },
    /// A date is malformed.
    #[error("{column}: {why}")]
    Date {
        /// The column.
        column: &'static str,
        /// Why.
        why: DayError,
    },
    /// A value that is none of those allowed.
    #[error("{column}: must be {expected}")]
    Value {
        /// The column.
        column: &'static str,
        /// What is allowed.
        expected: &'static str,
    },
    /// The authority is in no master.
    #[error("{0}: no such authority")]
    UnknownAuthority(&'static str),
    /// The text names nothing at all.
    #[error("the table is empty")]
    Empty,
}

/// A local authority or national issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its code.
    pub code: AuthorityCode,
    /// Its prefecture's name; empty for a national issuer.
    pub prefecture: String,
    /// Its name.
    pub name: String,
}

/// A payer number in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payer {
    /// The authority behind it.
    pub authority: AuthorityCode,
    /// The scheme's name; empty when not stated.
    pub scheme: String,
    /// Institution-code prefixes within which benefits in kind are given; empty when not known.
    pub area: Vec<String>,
    /// What to do about wrong check digits in its numbers.
    pub check: CheckPolicy,
    /// First day.
    pub valid_from: Day,
    /// Last day, inclusive.
    pub valid_to: Day,
}

impl Payer {
    /// Whether an institution lies in the scheme's area; `None` when the area is not known.
    pub fn covers(&self, institution: &InstitutionCode) -> Option<bool> {
        if self.area.is_empty() {
            return None;
        }
        Some(self.area.iter().any(|prefix| institution.as_bytes().starts_with(prefix.as_bytes())))
    }
}

/// A national scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Its name.
    pub name: String,
    /// Its place in the order of payers, 1 first.
    pub rank: u8,
}

/// All masters together, as they stand at one point of the log.
#[derive(Clone, Debug, Default)]
pub struct Masters {
    authorities: Vec<Authority>,
    issuers: Vec<Authority>,
    /// By the first five digits of an authority code, one more than its place in `authorities`; 0 where there is none.
    places: Vec<u16>,
    /// By law code.
    schemes: Vec<Option<Scheme>>,
    participation: HashMap<AuthorityCode, Vec<(Day, Day)>>,
    payers: HashMap<PayerNumber, Vec<Payer>>,
}

/// Five digits reach 99,999, and the table of places has one entry for each.
const PLACES: usize = 100_000;

impl Masters {
    /// Replaces one table by what `text` says; on an error nothing has changed.
    pub fn replace(&mut self, kind: MasterKind, text: &str) -> Result<(), MasterError> {
        let lines = Lines::of(kind, text)?;
        match kind {
            MasterKind::Authorities => {
                let authorities = lines.read(authority)?;
                let mut places = vec![0u16; PLACES];
                for (place, authority) in authorities.iter().enumerate() {
                    if let Some(slot) = five_digits(&authority.code).and_then(|at| places.get_mut(at)) {
                        *slot = u16::try_from(place + 1).unwrap_or(0);
                    }
                }
                self.authorities = authorities;
                self.places = places;
            }
            MasterKind::Issuers => self.issuers = lines.read(issuer)?,
            MasterKind::Schemes => {
                let mut schemes = vec![None; 100];
                for (code, scheme) in lines.read(scheme)? {
                    if let Some(place) = schemes.get_mut(usize::from(code)) {
                        *place = Some(scheme);
                    }
                }
                self.schemes = schemes;
            }
            MasterKind::Participation => {
                let mut table: HashMap<AuthorityCode, Vec<(Day, Day)>> = HashMap::new();
                for (code, period) in lines.read(|columns| participation(columns, self))? {
                    table.entry(code).or_default().push(period);
                }
                self.participation = table;
            }
            MasterKind::Payers => {
                let mut table: HashMap<PayerNumber, Vec<Payer>> = HashMap::new();
                for (number, entry) in lines.read(|columns| payer(columns, self))? {
                    table.entry(number).or_default().push(entry);
                }
                self.payers = table;
            }
        }
        Ok(())
    }

    /// The authority or national issuer of a code.
    #[inline]
    pub fn authority(&self, code: &AuthorityCode) -> Option<&Authority> {
        match five_digits(code) {
            Some(at) => {
                let place = usize::from(*self.places.get(at)?);
                self.authorities.get(place.checked_sub(1)?).filter(|authority| authority.code == *code)
            }
            None => self.issuers.iter().find(|issuer| issuer.code == *code),
        }
    }

    /// The national scheme of a law code.
    #[inline]
    pub fn scheme(&self, code: LawCode) -> Option<&Scheme> {
        self.schemes.get(usize::from(code.value()))?.as_ref()
    }

    /// The payer number's entry on a day.
    #[inline]
    pub fn payer(&self, number: &PayerNumber, on: Day) -> Option<&Payer> {
        if self.payers.is_empty() {
            return None;
        }
        self.payers.get(number)?.iter().find(|payer| payer.valid_from <= on && on <= payer.valid_to)
    }

    /// The authority behind a payer number on a day, or by its latest entry when none covers the day; `None` when the number
    /// is in no master.
    pub fn payer_authority(&self, number: &PayerNumber, on: Day) -> Option<AuthorityCode> {
        let latest = || self.payers.get(number)?.iter().max_by_key(|payer| payer.valid_from);
        self.payer(number, on).or_else(latest).map(|payer| payer.authority)
    }

    /// What to do about wrong check digits in rows of this payer number, on its latest entry's word.
    pub fn check_policy(&self, number: &PayerNumber) -> CheckPolicy {
        let latest = self.payers.get(number).and_then(|entries| entries.iter().max_by_key(|entry| entry.valid_from));
        latest.map_or(CheckPolicy::default(), |payer| payer.check)
    }

    /// Whether the master says that the authority registers on that day.
    pub fn participates(&self, code: &AuthorityCode, on: Day) -> bool {
        let periods = self.participation.get(code);
        periods.is_some_and(|periods| periods.iter().any(|(from, to)| *from <= on && on <= *to))
    }

    /// How many lines each table has, in the order of [`MasterKind::ALL`].
    pub fn counts(&self) -> [usize; 5] {
        let participation = self.participation.values().map(Vec::len).sum();
        let payers = self.payers.values().map(Vec::len).sum();
        [self.authorities.len(), self.issuers.len(), self.schemes.iter().flatten().count(), participation, payers]
    }
}

/// The texts that a new stream starts with.
pub fn built_in(kind: MasterKind) -> String {
    match kind {
        MasterKind::Authorities => include_str!("../../data/authorities.csv").to_owned(),
        MasterKind::Issuers => include_str!("../../data/national_issuers.csv").to_owned(),
        MasterKind::Schemes => include_str!("../../data/national_schemes.csv").to_owned(),
        MasterKind::Participation => pilot_participation(),
        MasterKind::Payers => format!("{}\n", kind.header()),
    }
}

/// The pilot's authorities as participants. The pilot ran in the fiscal years 2023 and 2024 and none is known to have left.
fn pilot_participation() -> String {
    let mut text = format!("{}\n", MasterKind::Participation.header());
    for line in include_str!("../../data/pilot_authorities.csv").lines().skip(1) {
        if let Some(code) = line.split(',').next() {
            text.push_str(code);
            text.push_str(",2023-04-01,9999-12-31\n");
        }
    }
    text
}

fn five_digits(code: &AuthorityCode) -> Option<usize> {
    let body = code.as_bytes().get(..5)?;
    body.iter().try_fold(0usize, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + usize::from(digit - b'0')))
}

/// The lines below a checked header, split into columns. Master texts have no quoted columns: none of their values holds a comma.
struct Lines<'a> {
    kind: MasterKind,
    text: &'a str,
    columns: usize,
}

impl<'a> Lines<'a> {
    fn of(kind: MasterKind, text: &'a str) -> Result<Lines<'a>, MasterError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let header = kind.header();
        if text.lines().next() != Some(header) {
            return Err(MasterError { kind, line: 1, what: MasterFault::Header(header) });
        }
        Ok(Lines { kind, text, columns: header.split(',').count() })
    }

    fn read<T>(&self, mut read: impl FnMut(&[&'a str]) -> Result<T, MasterFault>) -> Result<Vec<T>, MasterError> {
        let mut rows = Vec::new();
        for (place, line) in self.text.lines().enumerate().skip(1) {
            if line.is_empty() {
                continue;
            }
            let columns: Vec<&str> = line.split(',').collect();
            let row = if columns.len() == self.columns {
                read(&columns)
            } else {
                Err(MasterFault::Columns { got: columns.len(), expected: self.columns })
            };
            rows.push(row.map_err(|what| MasterError { kind: self.kind, line: place + 1, what })?);
        }
        if rows.is_empty() && !matches!(self.kind, MasterKind::Payers | MasterKind::Participation) {
            return Err(MasterError { kind: self.kind, line: 1, what: MasterFault::Empty });
        }
        Ok(rows)
    }
}

fn authority(columns: &[&str]) -> Result<Authority, MasterFault> {
    let [code, prefecture, name, _kana, _kind] = columns else { return Err(MasterFault::Empty) };
    let code = authority_code("code", code)?;
    if code.prefecture() == 0 {
        return Err(MasterFault::Value { column: "code", expected: "a local authority's" });
    }
    Ok(Authority { code, prefecture: (*prefecture).to_owned(), name: (*name).to_owned() })
}

fn issuer(columns: &[&str]) -> Result<Authority, MasterFault> {
    let [code, name] = columns else { return Err(MasterFault::Empty) };
    let code = authority_code("code", code)?;
    if code.prefecture() != 0 {
        return Err(MasterFault::Value { column: "code", expected: "N and five digits" });
    }
    Ok(Authority { code, prefecture: String::new(), name: (*name).to_owned() })
}

fn scheme(columns: &[&str]) -> Result<(u8, Scheme), MasterFault> {
    let [code, name, rank] = columns else { return Err(MasterFault::Empty) };
    let code = LawCode::parse(code.as_bytes()).map_err(|why| MasterFault::Identifier { column: "law_code", why })?;
    let rank = rank.parse::<u8>().ok().filter(|rank| (1..=99).contains(rank));
    let rank = rank.ok_or(MasterFault::Value { column: "rank", expected: "1 to 99" })?;
    Ok((code.value(), Scheme { name: (*name).to_owned(), rank }))
}

fn participation(columns: &[&str], masters: &Masters) -> Result<(AuthorityCode, (Day, Day)), MasterFault> {
    let [code, from, to] = columns else { return Err(MasterFault::Empty) };
    Ok((known_authority(code, masters)?, period(from, to)?))
}

fn payer(columns: &[&str], masters: &Masters) -> Result<(PayerNumber, Payer), MasterFault> {
    let [number, code, scheme, area, check, from, to] = columns else { return Err(MasterFault::Empty) };
    let number = PayerNumber::parse(number.as_bytes());
    let number = number.map_err(|why| MasterFault::Identifier { column: "payer_number", why })?;
    let authority = known_authority(code, masters)?;
    let area: Vec<String> = area.split(';').filter(|prefix| !prefix.is_empty()).map(str::to_owned).collect();
    if !area.iter().all(|prefix| prefix.len() <= 10 && prefix.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(MasterFault::Value { column: "area", expected: "prefixes of institution codes, joined by ;" });
    }
    let check = match *check {
        "strict" => CheckPolicy::Strict,
        "warn" | "" => CheckPolicy::Warn,
        "off" => CheckPolicy::Off,
        _ => return Err(MasterFault::Value { column: "check", expected: "strict, warn or off" }),
    };
    let (valid_from, valid_to) = period(from, to)?;
    Ok((number, Payer { authority, scheme: (*scheme).to_owned(), area, check, valid_from, valid_to }))
}

fn authority_code(column: &'static str, text: &str) -> Result<AuthorityCode, MasterFault> {
    AuthorityCode::parse(text.as_bytes()).map_err(|why| MasterFault::Identifier { column, why })
}

fn known_authority(text: &str, masters: &Masters) -> Result<AuthorityCode, MasterFault> {
    let code = authority_code("authority_code", text)?;
    masters.authority(&code).map(|_| code).ok_or(MasterFault::UnknownAuthority("authority_code"))
}

fn period(from: &str, to: &str) -> Result<(Day, Day), MasterFault> {
    let from = Day::parse(from.as_bytes()).map_err(|why| MasterFault::Date { column: "valid_from", why })?;
    let to = match to {
        "" => Day::OPEN_END,
        to => Day::parse(to.as_bytes()).map_err(|why| MasterFault::Date { column: "valid_to", why })?,
    };
    if to < from {
        return Err(MasterFault::Value { column: "valid_to", expected: "no earlier than valid_from" });
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built() -> Masters {
        let mut masters = Masters::default();
        for kind in MasterKind::ALL {
            masters.replace(kind, &built_in(kind)).unwrap();
        }
        masters
    }

    #[test]
    fn the_built_in_masters_are_whole() {
        let masters = built();
        assert_eq!(masters.counts(), [1963, 3, 27, 183, 0]);
        let tokyo = AuthorityCode::parse(b"130001").unwrap();
        assert_eq!(masters.authority(&tokyo).unwrap().name, "東京都");
        let fund = AuthorityCode::parse(b"N00002").unwrap();
        assert_eq!(masters.authority(&fund).unwrap().name, "社会保険診療報酬支払基金");
        assert_eq!(masters.scheme(LawCode::parse(b"54").unwrap()).unwrap().rank, 20);
    }

    #[test]
    fn a_pilot_authority_takes_part_and_another_does_not() {
        let masters = built();
        let day = Day::parse(b"2026-11-22").unwrap();
        assert!(masters.participates(&AuthorityCode::parse(b"012076").unwrap(), day));
        assert!(!masters.participates(&AuthorityCode::parse(b"132012").unwrap(), day));
    }

    #[test]
    fn a_payer_is_known_in_its_period_and_area_only() {
        let mut masters = built();
        let text = format!("{}\n88138243,132012,乳幼児,13;0110,strict,2020-04-01,2027-03-31\n", MasterKind::Payers.header());
        masters.replace(MasterKind::Payers, &text).unwrap();
        let number = PayerNumber::parse(b"88138243").unwrap();
        let payer = masters.payer(&number, Day::parse(b"2027-03-31").unwrap()).unwrap();
        assert_eq!(payer.covers(&InstitutionCode::parse(b"1310000000").unwrap()), Some(true));
        assert_eq!(payer.covers(&InstitutionCode::parse(b"0110113719").unwrap()), Some(true));
        assert_eq!(payer.covers(&InstitutionCode::parse(b"1410113719").unwrap()), Some(false));
        assert!(masters.payer(&number, Day::parse(b"2027-04-01").unwrap()).is_none());
        assert_eq!(masters.check_policy(&number), CheckPolicy::Strict);
    }

    #[test]
    fn a_faulty_text_is_refused_with_its_line_and_changes_nothing() {
        let mut masters = built();
        for (line, what) in [
            ("88138243,132013,x,,,2020-04-01,", "check digit"),
            ("88138243,132012,x,13x,,2020-04-01,", "prefixes"),
            ("88138243,132012,x,,maybe,2020-04-01,", "strict"),
            ("88138243,132012,x,,,2020-04-31,", "calendar"),
            ("88138243,132012,x,,,2020-04-02,2020-04-01", "earlier"),
            ("88138243,132012", "columns"),
        ] {
            let text = format!("{}\n{line}\n", MasterKind::Payers.header());
            let error = masters.replace(MasterKind::Payers, &text).unwrap_err();
            assert_eq!(error.line, 2);
            assert!(error.to_string().contains(what), "{error}");
        }
        assert!(masters.replace(MasterKind::Issuers, "name,code\n").is_err());
        assert_eq!(masters.counts(), [1963, 3, 27, 183, 0]);
    }
}
