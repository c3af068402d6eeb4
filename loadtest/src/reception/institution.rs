//! Who asks.

/// The kinds of institution, in the proportions of the country's online checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Institution {
    /// 病院
    Hospital,
    /// 医科診療所
    Clinic,
    /// 歯科診療所
    Dental,
    /// 薬局
    Pharmacy,
}

impl Institution {
    pub(crate) const ALL: [Institution; 4] =
        [Institution::Hospital, Institution::Clinic, Institution::Dental, Institution::Pharmacy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Institution::Hospital => "hospital",
            Institution::Clinic => "clinic",
            Institution::Dental => "dental",
            Institution::Pharmacy => "pharmacy",
        }
    }

    /// Its place in tables of all kinds.
    pub(crate) const fn place(self) -> usize {
        self as usize
    }

    /// Online checks of July 2024, in thousands (domain notes §7.1); they add up to 204,975.
    pub(crate) const fn checks_thousands(self) -> u32 {
        match self {
            Institution::Hospital => 12_067,
            Institution::Clinic => 86_122,
            Institution::Dental => 14_187,
            Institution::Pharmacy => 92_599,
        }
    }

    /// Its part of a day's look-ups.
    pub(crate) fn share(self) -> f64 {
        let all: u32 = Institution::ALL.into_iter().map(Institution::checks_thousands).sum();
        f64::from(self.checks_thousands()) / f64::from(all)
    }

    /// How many there are in a region of ten million people: 8 % of the country's (domain notes §7.1).
    pub(crate) const fn count(self) -> u32 {
        match self {
            Institution::Hospital => 660,
            Institution::Clinic => 7_230,
            Institution::Dental => 5_670,
            Institution::Pharmacy => 4_960,
        }
    }

    /// Whether families come together, and whether its system may open a connection for every question.
    pub(crate) const fn is_small(self) -> bool {
        matches!(self, Institution::Clinic | Institution::Dental)
    }
}
