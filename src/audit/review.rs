//! Looking for what should not be: who asks about very many, at night, by trying numbers out; and who is asked about by everybody.

use std::collections::{BTreeMap, HashMap};

use arrayvec::ArrayVec;

use super::contents::LookedUp;
use super::entry::{TokenId, is_miss};
use super::pseudonym::Pseudonym;
use super::writer::DAY_MS;
use crate::domain::decision::Verdict;
use crate::domain::identifier::InstitutionCode;
use crate::limits::AUDIT_REVIEW_PEOPLE_MAX;

/// Where a review draws its lines.
#[derive(Clone, Copy, Debug)]
pub struct ReviewOptions {
    /// Look-ups of one asker in a clock hour.
    pub look_ups_per_hour: u64,
    /// Minutes of the day in Japan between which one is expected to ask; the second may lie before the first.
    pub hours: (u64, u64),
    /// Misses of one asker in a row.
    pub misses_in_a_row: u64,
    /// Misses of one asker, of at least a hundred look-ups.
    pub miss_rate_percent: u64,
    /// Institutions that ask about one pseudonym; at most [`INSTITUTIONS_COUNTED_MAX`].
    pub institutions_per_person: usize,
}

/// Above this, the institutions that ask about one person are not counted further.
pub const INSTITUTIONS_COUNTED_MAX: usize = 16;

/// A miss rate says something from here on.
const RATED_LOOK_UPS_MIN: u64 = 100;

const HOUR_MS: u64 = 3_600_000;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asker {
    /// The institution.
    pub institution: Option<InstitutionCode>,
    /// The token.
    pub token: Option<TokenId>,
}

/// Something to ask a person about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Very many look-ups in an hour.
    Mass {
        /// Who.
        asker: Asker,
        /// When the hour began, ms since 1970.
        hour_unix_ms: u64,
        /// How many.
        look_ups: u64,
    },
    /// Look-ups outside hours.
    OutsideHours {
        /// Who.
        asker: Asker,
        /// How many.
        look_ups: u64,
        /// The first, ms since 1970.
        first_unix_ms: u64,
        /// The last, ms since 1970.
        last_unix_ms: u64,
    },
    /// Many misses.
    Misses {
        /// Who.
        asker: Asker,
        /// How many look-ups were answered with consent.
        look_ups: u64,
        /// How many of them found nobody.
        misses: u64,
        /// How many of these in a row.
        in_a_row: u64,
    },
    /// One person, asked about by many.
    ManyInstitutions {
        /// The person, by one kind of key.
        pseudonym: Pseudonym,
        /// How many institutions; [`INSTITUTIONS_COUNTED_MAX`] stands for more, too.
        institutions: usize,
    },
}

/// What a review found.
#[derive(Clone, Debug, Default)]
pub struct Review {
    /// Look-ups reviewed.
    pub look_ups: u64,
    /// Askers among them.
    pub askers: usize,
    /// Whether there were too many people to count the institutions for all of them.
    pub people_left_out: bool,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Reviews look-ups as they come, roughly in order. Its memory grows with the people asked about, to a limit.
#[derive(Debug)]
pub struct Reviewer {
    options: ReviewOptions,
    look_ups: u64,
    askers: HashMap<Asker, Counts>,
    institutions: HashMap<InstitutionCode, u32>,
    people: HashMap<Pseudonym, ArrayVec<u32, INSTITUTIONS_COUNTED_MAX>>,
    people_max: usize,
    people_left_out: bool,
    mass: Vec<Finding>,
}

#[derive(Debug, Default)]
struct Counts {
    /// The hours that may still gain look-ups.
    hours: BTreeMap<u64, u64>,
    outside: u64,
    first_outside_unix_ms: u64,
    last_outside_unix_ms: u64,
    answered: u64,
    misses: u64,
    row: u64,
    longest_row: u64,
}

/// Entries of several threads come a little out of order.
const HOURS_OPEN: usize = 3;

impl Reviewer {
    /// A review of nothing yet.
    pub fn new(options: ReviewOptions) -> Reviewer {
        Reviewer {
            options,
            look_ups: 0,
            askers: HashMap::new(),
            institutions: HashMap::new(),
            people: HashMap::new(),
            people_max: AUDIT_REVIEW_PEOPLE_MAX,
            people_left_out: false,
            mass: Vec::new(),
        }
    }

    /// Reviews one look-up.
    pub fn add(&mut self, look_up: &LookedUp) {
        self.look_ups += 1;
        let asker = Asker { institution: look_up.institution, token: look_up.token };
        let counts = self.askers.entry(asker).or_default();
        *counts.hours.entry(look_up.unix_ms / HOUR_MS).or_default() += 1;
        if counts.hours.len() > HOURS_OPEN
            && let Some((hour, look_ups)) = counts.hours.pop_first()
        {
            self.mass.extend(mass(asker, hour, look_ups, self.options.look_ups_per_hour));
        }
        counts.count_hours(look_up.unix_ms, self.options.hours);
        counts.count_misses(look_up.verdict);
        self.count_institutions(look_up);
    }

    /// Gives what was found: mass look-ups first, then the others by asker, then people.
    pub fn finish(mut self) -> Review {
        let mut askers: Vec<(Asker, Counts)> = self.askers.drain().collect();
        askers.sort_by_key(|(asker, _)| *asker);
        let mut findings = self.mass;
        for (asker, counts) in &askers {
            findings.extend(
                counts.hours.iter().filter_map(|(hour, look_ups)| mass(*asker, *hour, *look_ups, self.options.look_ups_per_hour)),
            );
        }
        findings.extend(askers.iter().filter_map(|(asker, counts)| counts.outside_hours(*asker)));
        findings.extend(askers.iter().filter_map(|(asker, counts)| counts.many_misses(*asker, &self.options)));
        let wanted = self.options.institutions_per_person.clamp(1, INSTITUTIONS_COUNTED_MAX);
        let mut people: Vec<Finding> = self
            .people
            .iter()
            .filter(|(_, institutions)| institutions.len() >= wanted)
            .map(|(pseudonym, institutions)| Finding::ManyInstitutions {
                pseudonym: *pseudonym,
                institutions: institutions.len(),
            })
            .collect();
        people.sort_by_key(|finding| match finding {
            Finding::ManyInstitutions { pseudonym, institutions } => (usize::MAX - institutions, Some(*pseudonym)),
            _ => (0, None),
        });
        findings.append(&mut people);
        Review { look_ups: self.look_ups, askers: askers.len(), people_left_out: self.people_left_out, findings }
    }

    fn count_institutions(&mut self, look_up: &LookedUp) {
        let (Some(institution), Some(pseudonym)) = (look_up.institution, look_up.pseudonym) else { return };
        let number = u32::try_from(self.institutions.len()).unwrap_or(u32::MAX);
        let number = *self.institutions.entry(institution).or_insert(number);
        if self.people.len() >= self.people_max && !self.people.contains_key(&pseudonym) {
            self.people_left_out = true;
            return;
        }
        let asked_by = self.people.entry(pseudonym).or_default();
        if !asked_by.contains(&number) {
            // Beyond the counted maximum it is only known that there are more.
            let _ = asked_by.try_push(number);
        }
    }
}

impl Counts {
    fn count_hours(&mut self, unix_ms: u64, (from, to): (u64, u64)) {
        let minute = (unix_ms + 9 * HOUR_MS) % DAY_MS / 60_000;
        let is_inside = if from <= to { from <= minute && minute < to } else { from <= minute || minute < to };
        if !is_inside {
            self.first_outside_unix_ms = if self.outside == 0 { unix_ms } else { self.first_outside_unix_ms.min(unix_ms) };
            self.last_outside_unix_ms = self.last_outside_unix_ms.max(unix_ms);
            self.outside += 1;
        }
    }

    /// Without consent the index is not touched: that is neither a hit nor a miss. A malformed line breaks no row either.
    fn count_misses(&mut self, verdict: Option<Verdict>) {
        let Some(verdict) = verdict.filter(|verdict| *verdict != Verdict::NoInformation) else { return };
        self.answered += 1;
        let is_miss = is_miss(verdict);
        self.misses += u64::from(is_miss);
        self.row = if is_miss { self.row + 1 } else { 0 };
        self.longest_row = self.longest_row.max(self.row);
    }

    fn outside_hours(&self, asker: Asker) -> Option<Finding> {
        let (first_unix_ms, last_unix_ms) = (self.first_outside_unix_ms, self.last_outside_unix_ms);
        (self.outside > 0).then_some(Finding::OutsideHours { asker, look_ups: self.outside, first_unix_ms, last_unix_ms })
    }

    fn many_misses(&self, asker: Asker, options: &ReviewOptions) -> Option<Finding> {
        let (look_ups, misses, in_a_row) = (self.answered, self.misses, self.longest_row);
        let rate = look_ups >= RATED_LOOK_UPS_MIN && misses * 100 >= options.miss_rate_percent * look_ups;
        (rate || in_a_row >= options.misses_in_a_row).then_some(Finding::Misses { asker, look_ups, misses, in_a_row })
    }
}

fn mass(asker: Asker, hour: u64, look_ups: u64, wanted: u64) -> Option<Finding> {
    (look_ups >= wanted).then_some(Finding::Mass { asker, hour_unix_ms: hour * HOUR_MS, look_ups })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22, 10:00 in Japan.
    const MORNING: u64 = 1_795_273_200_000 + 10 * HOUR_MS;

    fn options() -> ReviewOptions {
        ReviewOptions {
            look_ups_per_hour: 50,
            hours: (8 * 60, 19 * 60),
            misses_in_a_row: 10,
            miss_rate_percent: 30,
            institutions_per_person: 3,
        }
    }

    fn hospital(number: u32) -> InstitutionCode {
        InstitutionCode::parse(format!("{number:010}").as_bytes()).unwrap()
    }

    fn look_up(institution: u32, unix_ms: u64, person: u64, verdict: Verdict) -> LookedUp {
        LookedUp {
            entry: 1,
            unix_ms,
            institution: Some(hospital(institution)),
            token: None,
            via: None,
            sequence: 1,
            pseudonym: Some(Pseudonym::from_word(person)),
            service_date: None,
            consent: true,
            verdict: Some(verdict),
            line: None,
        }
    }

    fn findings(look_ups: impl IntoIterator<Item = LookedUp>) -> Vec<Finding> {
        let mut reviewer = Reviewer::new(options());
        look_ups.into_iter().for_each(|look_up| reviewer.add(&look_up));
        reviewer.finish().findings
    }

    fn asker(institution: u32) -> Asker {
        Asker { institution: Some(hospital(institution)), token: None }
    }

    #[test]
    fn an_hour_with_very_many_look_ups_is_told_and_a_busy_day_is_not() {
        let busy = (0..10 * 49).map(|number| look_up(1, MORNING + number / 49 * HOUR_MS / 2, number, Verdict::Eligible));
        let mass: Vec<_> = findings(busy).into_iter().filter(|finding| matches!(finding, Finding::Mass { .. })).collect();
        assert_eq!(mass.len(), 5, "98 an hour");
        let quiet = (0..8 * 49).map(|number| look_up(1, MORNING + number / 49 * HOUR_MS, number, Verdict::Eligible));
        assert_eq!(findings(quiet), []);
        let one = (0..50).map(|number| look_up(1, MORNING, number, Verdict::Eligible));
        assert_eq!(findings(one), [Finding::Mass { asker: asker(1), hour_unix_ms: MORNING, look_ups: 50 }]);
    }

    #[test]
    fn only_look_ups_outside_hours_are_told_also_where_the_hours_go_over_midnight() {
        let at = |hour: u64| look_up(1, MORNING - 10 * HOUR_MS + hour * HOUR_MS, 1, Verdict::Eligible);
        assert_eq!(findings([at(8), at(18)]), []);
        let (first_unix_ms, last_unix_ms) = (at(7).unix_ms, at(19).unix_ms);
        let expected = Finding::OutsideHours { asker: asker(1), look_ups: 2, first_unix_ms, last_unix_ms };
        assert_eq!(findings([at(7), at(12), at(19)]), [expected]);
        let mut night = Reviewer::new(ReviewOptions { hours: (22 * 60, 6 * 60), ..options() });
        [at(23), at(2), at(12)].iter().for_each(|look_up| night.add(look_up));
        assert!(matches!(night.finish().findings[..], [Finding::OutsideHours { look_ups: 1, .. }]));
    }

    #[test]
    fn misses_are_told_in_a_row_or_by_rate_and_refused_consent_is_none() {
        let row = |misses: usize| {
            let mut verdicts = vec![Verdict::Eligible];
            verdicts.extend(std::iter::repeat_n(Verdict::NotRegistered, misses));
            verdicts.insert(misses / 2, Verdict::NoInformation);
            verdicts.push(Verdict::Expired);
            findings(verdicts.into_iter().map(|verdict| look_up(1, MORNING, 1, verdict)))
        };
        assert_eq!(row(9), []);
        assert_eq!(row(10), [Finding::Misses { asker: asker(1), look_ups: 12, misses: 10, in_a_row: 10 }]);
        let spread = |each: u64| {
            let verdict =
                |number: u64| if number.is_multiple_of(each) { Verdict::AuthorityNotParticipating } else { Verdict::Eligible };
            findings((0..120).map(|number| look_up(1, MORNING + number * HOUR_MS / 40, number, verdict(number))))
        };
        assert_eq!(spread(4), []);
        assert_eq!(spread(3), [Finding::Misses { asker: asker(1), look_ups: 120, misses: 40, in_a_row: 1 }]);
    }

    #[test]
    fn a_person_asked_about_by_many_institutions_is_told_once_each_institution_counting_once() {
        let by = |institutions: [u32; 4]| institutions.map(|institution| look_up(institution, MORNING, 7, Verdict::Eligible));
        assert_eq!(findings(by([1, 2, 1, 2])), []);
        let expected = Finding::ManyInstitutions { pseudonym: Pseudonym::from_word(7), institutions: 3 };
        assert_eq!(findings(by([1, 2, 3, 1])), [expected]);
    }

    #[test]
    fn people_beyond_the_limit_are_said_to_be_left_out() {
        let mut reviewer = Reviewer { people_max: 2, ..Reviewer::new(options()) };
        for (institution, person) in [(1, 1), (1, 2), (2, 1), (3, 1), (1, 3)] {
            reviewer.add(&look_up(institution, MORNING, person, Verdict::Eligible));
        }
        let review = reviewer.finish();
        assert!(review.people_left_out && review.findings.len() == 1 && review.askers == 3 && review.look_ups == 5);
    }
}
