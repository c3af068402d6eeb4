//! Identifiers as types that cannot hold a malformed value.
//!
//! Each is ASCII digits in a fixed array; leading zeros count, so none is ever a number. Whether the check digit must hold is a
//! policy of the scheme ([`CheckPolicy`]): official samples fail it (domain notes §1.1), so form and check digit are told apart.

use super::digits;

/// Why a text is not an identifier of the wanted kind. Never carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Too few or too many characters.
    #[error("wrong length")]
    Length,
    /// Something other than half-width digits.
    #[error("not half-width digits")]
    NotDigits,
    /// The last digit is not the check digit of the others.
    #[error("wrong check digit")]
    CheckDigit,
}

/// What to do about a wrong check digit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckPolicy {
    /// Reject the row.
    Strict,
    /// Keep the row and count it.
    #[default]
    Warn,
    /// Do not look.
    Off,
}

macro_rules! digits_type {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Reads exactly this many half-width digits.
            #[inline]
            pub fn parse(text: &[u8]) -> Result<Self, IdentifierError> {
                let digits: [u8; $length] = text.try_into().map_err(|_| IdentifierError::Length)?;
                if digits::are_digits(&digits) { Ok(Self(digits)) } else { Err(IdentifierError::NotDigits) }
            }

            /// Trusts that `digits` were once read by [`Self::parse`]; used for archived rows, validated on their way in.
            #[inline]
            pub const fn from_bytes_trusted(digits: [u8; $length]) -> Self {
                Self(digits)
            }

            /// The digits, ASCII.
            #[inline]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// Whether the common check digit holds.
            pub fn check_digit_is_right(&self) -> bool {
                digits::check_digit_is_right(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

digits_type! {
    /// Public payer number (公費負担者番号): law code 2, prefecture 2, implementing body 3, check digit 1 (§1.2).
    PayerNumber, 8
}

digits_type! {
    /// Insurer number (保険者番号), six digits padded with zeros to eight (§1.4).
    InsurerNumber, 8
}

digits_type! {
    /// Institution code (医療機関コード): prefecture 2, fee table 1, institution 7; the check digit covers all ten (§1.5).
    InstitutionCode, 10
}

impl PayerNumber {
    /// Law code (法別番号), the first two digits.
    #[inline]
    pub const fn law_code(&self) -> LawCode {
        LawCode([self.0[0], self.0[1]])
    }
}

impl InsurerNumber {
    /// Reads 8 digits, or 6 padded on the left by spaces or zeros or not at all.
    #[inline]
    pub fn parse_padded(text: &[u8]) -> Result<InsurerNumber, IdentifierError> {
        InsurerNumber::parse(text).or_else(|_| InsurerNumber::parse_short(text))
    }

    fn parse_short(text: &[u8]) -> Result<InsurerNumber, IdentifierError> {
        let digits = text.trim_ascii_start();
        match digits.len() {
            8 => InsurerNumber::parse(digits),
            6 => {
                let mut padded = [b'0'; 8];
                padded[2..].copy_from_slice(digits);
                InsurerNumber::parse(&padded)
            }
            _ => Err(IdentifierError::Length),
        }
    }
}

/// Law code (法別番号), two digits: the scheme family a payer number belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LawCode([u8; 2]);

impl LawCode {
    /// Reads two half-width digits.
    pub fn parse(text: &[u8]) -> Result<LawCode, IdentifierError> {
        let digits: [u8; 2] = text.try_into().map_err(|_| IdentifierError::Length)?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(LawCode(digits)) } else { Err(IdentifierError::NotDigits) }
    }

    /// 0 to 99.
    #[inline]
    pub const fn value(&self) -> u8 {
        (self.0[0] - b'0') * 10 + (self.0[1] - b'0')
    }

    /// The digits, ASCII.
    #[inline]
    pub const fn as_bytes(&self) -> &[u8; 2] {
        &self.0
    }

    /// Whether the code has a meaning only within a prefecture (地方単独: 41–49 and 80–99, §2.2).
    #[inline]
    pub const fn is_local(&self) -> bool {
        matches!(self.value(), 41..=49 | 80..=99)
    }
}

/// Authority code (全国地方公共団体コード, six digits with their own check digit, §1.7), or a national issuer's code (`N` and five
/// digits, this project's own).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AuthorityCode([u8; 6]);

impl AuthorityCode {
    /// Reads six digits with a right check digit, or a national issuer's code.
    pub fn parse(text: &[u8]) -> Result<AuthorityCode, IdentifierError> {
        let code: [u8; 6] = text.try_into().map_err(|_| IdentifierError::Length)?;
        let [first, body @ ..] = code;
        if first == b'N' && body.iter().all(u8::is_ascii_digit) {
            return Ok(AuthorityCode(code));
        }
        if !code.iter().all(u8::is_ascii_digit) {
            return Err(IdentifierError::NotDigits);
        }
        let [a, b, c, d, e, check] = code;
        if digits::authority_check_digit(&[a, b, c, d, e]) == Some(check) {
            Ok(AuthorityCode(code))
        } else {
            Err(IdentifierError::CheckDigit)
        }
    }

    /// Trusts that `code` was once read by [`AuthorityCode::parse`]; used for archived rows.
    #[inline]
    pub const fn from_bytes_trusted(code: [u8; 6]) -> AuthorityCode {
        AuthorityCode(code)
    }

    /// The code, ASCII.
    #[inline]
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// The prefecture number (都道府県番号), 1 to 47; 0 for a national issuer.
    pub fn prefecture(&self) -> usize {
        match self.0 {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => {
                let number = usize::from(tens - b'0') * 10 + usize::from(ones - b'0');
                if number <= 47 { number } else { 0 }
            }
            _ => 0,
        }
    }
}

/// Branch number (枝番), 00 to 99. Absent is not 00 (§1.4): where it may be absent it is an `Option`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchNumber(u8);

impl BranchNumber {
    /// Reads one or two half-width digits; an empty text is no branch number, and the caller's to tell.
    pub fn parse(text: &[u8]) -> Result<BranchNumber, IdentifierError> {
        match text {
            [ones] if ones.is_ascii_digit() => Ok(BranchNumber(ones - b'0')),
            [tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => {
                Ok(BranchNumber((tens - b'0') * 10 + (ones - b'0')))
            }
            [_] | [_, _] => Err(IdentifierError::NotDigits),
            _ => Err(IdentifierError::Length),
        }
    }

    /// 0 to 99.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// The branch number of a value up to 99.
    pub const fn from_value(value: u8) -> Option<BranchNumber> {
        if value <= 99 { Some(BranchNumber(value)) } else { None }
    }
}

impl std::fmt::Debug for BranchNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BranchNumber(…)")
    }
}

/// Sex (性別) as registered: 1 male, 2 female, 3 not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sex(u8);

impl Sex {
    /// Reads `1`, `2` or `3`.
    pub fn parse(text: &[u8]) -> Result<Sex, IdentifierError> {
        match text {
            [digit @ b'1'..=b'3'] => Ok(Sex(digit - b'0')),
            [_] => Err(IdentifierError::NotDigits),
            _ => Err(IdentifierError::Length),
        }
    }

    /// The sex of 1, 2 or 3.
    pub const fn from_value(value: u8) -> Option<Sex> {
        if matches!(value, 1..=3) { Some(Sex(value)) } else { None }
    }

    /// 1, 2 or 3.
    pub const fn value(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_of_the_right_length_become_numbers() {
        assert!(PayerNumber::parse(b"54136015").is_ok());
        assert_eq!(PayerNumber::parse(b"5413601"), Err(IdentifierError::Length));
        assert_eq!(PayerNumber::parse("５41360".as_bytes()), Err(IdentifierError::NotDigits));
        assert_eq!(InstitutionCode::parse(b"011011371x"), Err(IdentifierError::NotDigits));
        assert!(InstitutionCode::parse(b"0110113719").unwrap().check_digit_is_right());
    }

    #[test]
    fn a_short_insurer_number_is_the_same_however_it_is_padded() {
        let plain = InsurerNumber::parse_padded(b"138057").unwrap();
        assert_eq!(InsurerNumber::parse_padded(b"  138057"), Ok(plain));
        assert_eq!(InsurerNumber::parse_padded(b"00138057"), Ok(plain));
        assert_eq!(plain.as_bytes(), b"00138057");
        assert!(InsurerNumber::parse_padded(b"1380577").is_err());
        assert!(InsurerNumber::parse_padded(b"").is_err());
    }

    #[test]
    fn an_authority_code_needs_its_check_digit_and_a_national_issuer_its_letter() {
        assert_eq!(AuthorityCode::parse(b"131016").unwrap().prefecture(), 13);
        assert_eq!(AuthorityCode::parse(b"131017"), Err(IdentifierError::CheckDigit));
        assert_eq!(AuthorityCode::parse(b"N00002").unwrap().prefecture(), 0);
        assert_eq!(AuthorityCode::parse(b"X00002"), Err(IdentifierError::NotDigits));
    }

    #[test]
    fn an_absent_branch_number_is_not_00() {
        assert!(BranchNumber::parse(b"").is_err());
        assert_eq!(BranchNumber::parse(b"0").unwrap(), BranchNumber::parse(b"00").unwrap());
        assert!(BranchNumber::parse(b"100").is_err());
    }

    #[test]
    fn law_codes_know_which_are_local() {
        let code = |text: &[u8]| LawCode::parse(text).unwrap();
        assert!(code(b"88").is_local() && code(b"41").is_local() && code(b"99").is_local());
        assert!(!code(b"54").is_local() && !code(b"40").is_local() && !code(b"50").is_local());
    }
}
