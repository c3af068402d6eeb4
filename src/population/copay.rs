//! What a patient pays (自己負担), by the tables of domain notes §2.3 and §2.4.

use super::random::Dice;
use super::scheme::CopayRule;

/// The copay columns of a registration; `None` is "not stated", which is never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copay {
    /// The patient's share.
    pub rate_percent: Option<u32>,
    /// Yen an out-patient visit.
    pub outpatient_visit_yen: Option<u32>,
    /// Yen an in-patient day.
    pub inpatient_day_yen: Option<u32>,
    /// Yen a visit to a pharmacy.
    pub pharmacy_visit_yen: Option<u32>,
    /// The monthly cap across institutions.
    pub monthly_cap_yen: Option<u32>,
    /// How many visits a month are paid for.
    pub monthly_visits_cap: Option<u32>,
}

impl Copay {
    /// The copay, and the income band (所得区分) it comes from.
    pub(super) fn by(rule: CopayRule, dice: &mut Dice) -> (Copay, &'static str) {
        let none = Copay::default();
        match rule {
            CopayRule::Visit => (Copay::of_a_visit(dice), dice.pick(&["", "", "", "課税世帯", "非課税世帯"])),
            CopayRule::Capped { rate_percent, bands } => {
                let (band, cap) = dice.pick(bands);
                (Copay { rate_percent: Some(rate_percent), monthly_cap_yen: Some(cap), ..none }, band)
            }
            CopayRule::Hepatitis => {
                let (band, cap) = dice.pick(&[("甲", 20_000), ("乙", 10_000)]);
                (Copay { monthly_cap_yen: Some(cap), ..none }, band)
            }
            CopayRule::Share(rate_percent) => (Copay { rate_percent: Some(rate_percent), ..none }, ""),
            CopayRule::Nothing => (Copay { rate_percent: Some(0), ..none }, ""),
        }
    }

    fn of_a_visit(dice: &mut Dice) -> Copay {
        let none = Copay::default();
        let visit = |yen, day, visits| Copay {
            outpatient_visit_yen: Some(yen),
            inpatient_day_yen: Some(day),
            pharmacy_visit_yen: Some(0),
            monthly_visits_cap: visits,
            ..none
        };
        match dice.small(10) {
            0..4 => visit(0, 0, None),
            4 => visit(200, 0, None),
            5 => visit(300, 300, None),
            6 => visit(500, 500, Some(2)),
            7 => visit(600, 1_200, Some(4)),
            8 => Copay { rate_percent: Some(10), monthly_cap_yen: Some(18_000), ..none },
            _ => none,
        }
    }
}
