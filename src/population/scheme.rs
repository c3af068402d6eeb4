//! The schemes (制度) that recipients hold certificates of, in roughly the pilot's proportions.

use super::random::Dice;

/// The law code (法別番号): two digits with one meaning in the country, or a use that each prefecture gives a code of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Law {
    National(u8),
    Local(Local),
}

/// The local schemes (地方単独).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    Children,
    Disability,
    SingleParent,
    Maternity,
}

/// Who issues the certificates of a scheme.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer {
    Municipality,
    Prefecture,
    /// The prefecture, or a designated city for its own people.
    PrefectureOrDesignated,
    /// The prefecture, or a designated or core city for its own people.
    PrefectureOrCore,
    /// A body of the state, by its code in `national_issuers.csv`.
    National(&'static str),
}

/// What a patient pays, by the tables of domain notes §2.3 and §2.4.
#[derive(Clone, Copy)]
pub(super) enum CopayRule {
    /// So much a visit and an in-patient day, or nothing at all; the municipality decides.
    Visit,
    /// A share, up to a monthly cap by income.
    Capped {
        rate_percent: u32,
        bands: &'static [Band; 6],
    },
    /// A cap of ten or twenty thousand yen.
    Hepatitis,
    Share(u32),
    Nothing,
}

/// An income band (所得区分) and its monthly cap in yen.
pub(super) type Band = (&'static str, u32);

pub(super) struct Scheme {
    pub(super) law: Law,
    /// The last letter of the certificate type.
    pub(super) letter: char,
    pub(super) names: [&'static str; 3],
    pub(super) issuer: Issuer,
    /// Years of age from and to, inclusive, with the weight of each range.
    pub(super) ages: &'static [(u32, u32, u32)],
    /// How long a certificate runs.
    pub(super) months: u32,
    /// Of a thousand recipients, how many hold it as their first certificate.
    weight: u32,
    pub(super) designated_percent: u32,
    pub(super) segment_percent: u32,
    pub(super) copay: CopayRule,
}

const INDEPENDENCE: &[Band; 6] = &[
    ("生活保護", 0),
    ("低所得１", 2_500),
    ("低所得２", 5_000),
    ("中間所得１", 5_000),
    ("中間所得２", 10_000),
    ("一定所得以上", 20_000),
];
const INTRACTABLE: &[Band; 6] = &[
    ("生活保護", 0),
    ("低所得Ⅰ", 2_500),
    ("低所得Ⅱ", 5_000),
    ("一般所得Ⅰ", 10_000),
    ("一般所得Ⅱ", 20_000),
    ("上位所得", 30_000),
];
const CHILD_CHRONIC: &[Band; 6] =
    &[("生活保護", 0), ("低所得Ⅰ", 1_250), ("低所得Ⅱ", 2_500), ("一般所得Ⅰ", 5_000), ("一般所得Ⅱ", 10_000), ("上位所得", 15_000)];

const EVERY_AGE: &[(u32, u32, u32)] = &[(1, 17, 15), (18, 64, 65), (65, 74, 13), (75, 90, 7)];
const CHILDREN: &[(u32, u32, u32)] = &[(0, 17, 1)];
const ADULTS: &[(u32, u32, u32)] = &[(20, 64, 80), (65, 74, 14), (75, 90, 6)];

pub(super) static SCHEMES: [Scheme; 16] = [
    Scheme {
        law: Law::Local(Local::Children),
        letter: 'K',
        names: ["こども医療証", "乳幼児医療証", "こども医療費受給者証"],
        issuer: Issuer::Municipality,
        ages: CHILDREN,
        months: 12,
        weight: 450,
        designated_percent: 3,
        segment_percent: 20,
        copay: CopayRule::Visit,
    },
    Scheme {
        law: Law::Local(Local::Disability),
        letter: 'S',
        names: ["障害者医療証", "重度障害者医療証", "重度心身障害者医療費受給者証"],
        issuer: Issuer::Municipality,
        ages: EVERY_AGE,
        months: 12,
        weight: 180,
        designated_percent: 8,
        segment_percent: 35,
        copay: CopayRule::Visit,
    },
    Scheme {
        law: Law::Local(Local::SingleParent),
        letter: 'H',
        names: ["ひとり親医療証", "ひとり親家庭等医療証", "ひとり親家庭等医療費受給者証"],
        issuer: Issuer::Municipality,
        ages: &[(0, 17, 60), (20, 50, 40)],
        months: 12,
        weight: 110,
        designated_percent: 3,
        segment_percent: 35,
        copay: CopayRule::Visit,
    },
    Scheme {
        law: Law::National(54),
        letter: 'N',
        names: ["特定医療費受給者証", "特定医療費受給者証", "特定医療費（指定難病）受給者証"],
        issuer: Issuer::PrefectureOrDesignated,
        ages: ADULTS,
        months: 12,
        weight: 80,
        designated_percent: 70,
        segment_percent: 80,
        copay: CopayRule::Capped { rate_percent: 20, bands: INTRACTABLE },
    },
    Scheme {
        law: Law::National(21),
        letter: 'P',
        names: ["精神通院医療受給者証", "精神通院受給者証", "自立支援医療受給者証（精神通院）"],
        issuer: Issuer::PrefectureOrDesignated,
        ages: ADULTS,
        months: 12,
        weight: 90,
        designated_percent: 95,
        segment_percent: 80,
        copay: CopayRule::Capped { rate_percent: 10, bands: INDEPENDENCE },
    },
    Scheme {
        law: Law::National(52),
        letter: 'C',
        names: ["小児慢性医療受給者証", "小児慢性医療受給者証", "小児慢性特定疾病医療受給者証"],
        issuer: Issuer::PrefectureOrCore,
        ages: &[(1, 19, 1)],
        months: 12,
        weight: 24,
        designated_percent: 70,
        segment_percent: 80,
        copay: CopayRule::Capped { rate_percent: 20, bands: CHILD_CHRONIC },
    },
    Scheme {
        law: Law::National(15),
        letter: 'R',
        names: ["更生医療受給者証", "更生医療券", "自立支援医療受給者証（更生医療）"],
        issuer: Issuer::Municipality,
        ages: ADULTS,
        months: 12,
        weight: 15,
        designated_percent: 95,
        segment_percent: 80,
        copay: CopayRule::Capped { rate_percent: 10, bands: INDEPENDENCE },
    },
    Scheme {
        law: Law::National(16),
        letter: 'I',
        names: ["育成医療受給者証", "育成医療券", "自立支援医療受給者証（育成医療）"],
        issuer: Issuer::Municipality,
        ages: CHILDREN,
        months: 6,
        weight: 5,
        designated_percent: 95,
        segment_percent: 80,
        copay: CopayRule::Capped { rate_percent: 10, bands: INDEPENDENCE },
    },
    Scheme {
        law: Law::National(38),
        letter: 'L',
        names: ["肝炎治療受給者証", "肝炎治療受給者証", "肝がん・重度肝硬変治療研究促進事業参加者証"],
        issuer: Issuer::Prefecture,
        ages: ADULTS,
        months: 12,
        weight: 10,
        designated_percent: 50,
        segment_percent: 60,
        copay: CopayRule::Hepatitis,
    },
    Scheme {
        law: Law::National(10),
        letter: 'T',
        names: ["結核医療費患者票", "患者票", "結核医療費公費負担患者票"],
        issuer: Issuer::PrefectureOrCore,
        ages: ADULTS,
        months: 6,
        weight: 6,
        designated_percent: 80,
        segment_percent: 10,
        copay: CopayRule::Share(5),
    },
    Scheme {
        law: Law::National(51),
        letter: 'G',
        names: ["特定疾患受給者証", "特定疾患医療受給者証", "先天性血液凝固因子障害等受給者証"],
        issuer: Issuer::Prefecture,
        ages: ADULTS,
        months: 12,
        weight: 6,
        designated_percent: 40,
        segment_percent: 30,
        copay: CopayRule::Nothing,
    },
    Scheme {
        law: Law::National(79),
        letter: 'J',
        names: ["障害児入所医療受給者証", "肢体不自由児医療受給者証", "障害児医療受給者証"],
        issuer: Issuer::PrefectureOrDesignated,
        ages: &[(2, 17, 1)],
        months: 12,
        weight: 4,
        designated_percent: 90,
        segment_percent: 60,
        copay: CopayRule::Capped { rate_percent: 10, bands: INDEPENDENCE },
    },
    Scheme {
        law: Law::National(23),
        letter: 'Y',
        names: ["養育医療券", "養育医療券", "未熟児養育医療券"],
        issuer: Issuer::Municipality,
        ages: &[(0, 0, 1)],
        months: 6,
        weight: 6,
        designated_percent: 95,
        segment_percent: 40,
        copay: CopayRule::Nothing,
    },
    Scheme {
        law: Law::National(12),
        letter: 'W',
        names: ["医療券", "医療券", "生活保護医療券"],
        issuer: Issuer::Municipality,
        ages: &[(18, 74, 1)],
        months: 12,
        weight: 5,
        designated_percent: 60,
        segment_percent: 20,
        copay: CopayRule::Nothing,
    },
    Scheme {
        law: Law::National(62),
        letter: 'B',
        names: ["定期検査費等受給者証", "定期検査費等受給者証", "特定Ｂ型肝炎定期検査費等受給者証"],
        issuer: Issuer::National("N00002"),
        ages: &[(20, 74, 1)],
        months: 12,
        weight: 2,
        designated_percent: 10,
        segment_percent: 10,
        copay: CopayRule::Nothing,
    },
    Scheme {
        law: Law::Local(Local::Maternity),
        letter: 'M',
        names: ["妊産婦医療証", "妊産婦医療証", "妊産婦医療費受給者証"],
        issuer: Issuer::Municipality,
        ages: &[(18, 42, 1)],
        months: 12,
        weight: 7,
        designated_percent: 2,
        segment_percent: 10,
        copay: CopayRule::Visit,
    },
];

impl Scheme {
    /// The scheme of a recipient's first certificate.
    pub(super) fn first(dice: &mut Dice) -> &'static Scheme {
        let [fallback, ..] = &SCHEMES;
        let total: u32 = SCHEMES.iter().map(|scheme| scheme.weight).sum();
        let mut lot = dice.small(total);
        for scheme in &SCHEMES {
            if lot < scheme.weight {
                return scheme;
            }
            lot -= scheme.weight;
        }
        fallback
    }

    /// The scheme of a further certificate: one for that age and sex, whose law is not among those held.
    pub(super) fn further(dice: &mut Dice, age: u32, female: bool, held: impl Fn(Law) -> bool) -> Option<&'static Scheme> {
        let fits = |scheme: &Scheme| scheme.admits(age, female) && !held(scheme.law);
        for _ in 0..8 {
            let scheme = Scheme::first(dice);
            if fits(scheme) {
                return Some(scheme);
            }
        }
        SCHEMES.iter().find(|scheme| fits(scheme))
    }

    pub(super) fn admits(&self, age: u32, female: bool) -> bool {
        let expecting = matches!(self.law, Law::Local(Local::Maternity));
        (female || !expecting) && self.ages.iter().any(|(low, high, _)| (*low..=*high).contains(&age))
    }

    /// An age in whole years.
    pub(super) fn age(&self, dice: &mut Dice) -> u32 {
        let total: u32 = self.ages.iter().map(|(_, _, weight)| weight).sum();
        let mut lot = dice.small(total);
        for (low, high, weight) in self.ages {
            if lot < *weight {
                return low + dice.small(high - low + 1);
            }
            lot -= weight;
        }
        0
    }
}

impl Law {
    /// The two digits in a prefecture (1 to 47). Tokyo's and Aomori's uses are published (§2.2), the others are plausible.
    pub(super) fn code(self, prefecture: u32) -> u8 {
        let local = match self {
            Law::National(code) => return code,
            Law::Local(local) => local,
        };
        let [children, disability, single_parent, maternity] = match prefecture {
            13 => [88, 80, 81, 84],
            2 => [81, 80, 43, 44],
            7 => [45, 46, 80, 44],
            other if other.is_multiple_of(3) => [83, 80, 85, 44],
            other if other % 3 == 1 => [81, 80, 82, 84],
            _ => [90, 89, 91, 92],
        };
        match local {
            Local::Children => children,
            Local::Disability => disability,
            Local::SingleParent => single_parent,
            Local::Maternity => maternity,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn laws_letters_and_local_codes_are_distinct() {
        assert_eq!(SCHEMES.iter().map(|scheme| scheme.letter).collect::<HashSet<_>>().len(), SCHEMES.len());
        for prefecture in 1..=47 {
            let codes: HashSet<u8> = SCHEMES.iter().map(|scheme| scheme.law.code(prefecture)).collect();
            assert_eq!(codes.len(), SCHEMES.len(), "prefecture {prefecture}");
        }
    }

    #[test]
    fn at_every_age_anybody_can_hold_three() {
        for age in 0..=90 {
            let scheme_count = SCHEMES.iter().filter(|scheme| scheme.admits(age, false)).count();
            assert!(scheme_count >= 3, "{age}");
        }
    }
}
