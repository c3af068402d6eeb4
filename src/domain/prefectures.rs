//! Some of the prefectures (都道府県): whose rows are held, where not all are.

use std::fmt;

/// Some of the 47 prefectures (都道府県). National issuers belong to none of them, and are held with any.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Prefectures(u64);

/// The highest prefecture number (Okinawa's).
const LAST: usize = 47;

/// Numbers that are no set of prefectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prefectures are numbers from 1 to 47, at least one of them")]
pub struct NotPrefectures;

impl Prefectures {
    /// The prefectures of these numbers, 1 to 47.
    pub fn of(numbers: impl IntoIterator<Item = usize>) -> Result<Prefectures, NotPrefectures> {
        let mut mask = 0;
        for number in numbers {
            if !(1..=LAST).contains(&number) {
                return Err(NotPrefectures);
            }
            mask |= 1 << number;
        }
        if mask == 0 { Err(NotPrefectures) } else { Ok(Prefectures(mask)) }
    }

    /// Reads `13,14`.
    pub fn parse(text: &str) -> Result<Prefectures, NotPrefectures> {
        let numbers = text.split(',').map(|number| number.trim().parse::<usize>().map_err(|_| NotPrefectures));
        Prefectures::of(numbers.collect::<Result<Vec<usize>, NotPrefectures>>()?)
    }

    /// Whether rows of an authority of this prefecture are held; 0 is a national issuer, whose rows always are.
    #[inline]
    pub fn hold(self, prefecture: usize) -> bool {
        prefecture == 0 || prefecture <= LAST && self.0 >> prefecture & 1 == 1
    }

    /// The numbers, in order.
    pub fn numbers(self) -> impl Iterator<Item = usize> {
        (1..=LAST).filter(move |number| self.hold(*number))
    }

    /// Whether all of these are among those of `others`.
    pub fn are_among(self, others: Prefectures) -> bool {
        self.0 & !others.0 == 0
    }

    /// A bit for each prefecture, bit 13 for Tokyo.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// From such bits.
    pub fn from_bits(bits: u64) -> Result<Prefectures, NotPrefectures> {
        Prefectures::of((0..64).filter(|number| bits >> number & 1 == 1))
    }
}

impl fmt::Display for Prefectures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers().map(|number| number.to_string()).collect();
        f.write_str(&numbers.join(","))
    }
}

impl fmt::Debug for Prefectures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefectures({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_as_it_is_written_and_holds_national_issuers_besides() {
        let set = Prefectures::parse("14, 13").unwrap();
        assert_eq!(set.to_string(), "13,14");
        assert_eq!(Prefectures::from_bits(set.bits()), Ok(set));
        assert!(set.hold(0) && set.hold(13) && set.hold(14));
        assert!(!set.hold(12) && !set.hold(47) && !set.hold(64) && !set.hold(usize::MAX));
    }

    #[test]
    fn what_is_no_prefecture_is_no_set() {
        for text in ["", "0", "48", "13,", "13,x", "-1", "13,99"] {
            assert_eq!(Prefectures::parse(text), Err(NotPrefectures), "{text}");
        }
        assert_eq!(Prefectures::from_bits(0), Err(NotPrefectures));
        assert_eq!(Prefectures::from_bits(1), Err(NotPrefectures));
        assert_eq!(Prefectures::from_bits(1 << 48), Err(NotPrefectures));
    }

    #[test]
    fn a_part_of_a_set_is_among_it_and_no_other_is() {
        let [kanto, tokyo, osaka] = ["12,13,14", "13", "27"].map(|text| Prefectures::parse(text).unwrap());
        assert!(tokyo.are_among(kanto) && kanto.are_among(kanto));
        assert!(!kanto.are_among(tokyo) && !osaka.are_among(kanto));
    }
}
