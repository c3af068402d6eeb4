//! What is asked, and what must come back.

use shikaku::domain::day::Day;
use shikaku::population::workload::Asker;

use super::arrivals::Arrival;
use super::institution::Institution;
use crate::arguments::{Form, PopulationArguments};
use crate::check::Checker;
use crate::error::LoadError;
use crate::plan::{Plan, batch_institution, singles, workload};

/// The same people twice: as a hospital, clinic or dentist asks about them, and as a pharmacy does half an hour later. A workload draws
/// whom it asks about before it looks at who asks, so that question n of both is about one person on one day.
pub(crate) struct Questions {
    visits: Plan,
    pharmacies: Plan,
}

impl Questions {
    /// Prepares them, on two threads.
    pub(crate) fn prepare(population: &PopulationArguments, horizon: Day, form: Form) -> Result<Questions, LoadError> {
        let pharmacy = if population.no_institution { Asker::Nobody } else { Asker::Always(batch_institution(population)?) };
        let visitor = if population.no_institution { Asker::Nobody } else { Asker::Visited };
        let plan = |asker| Ok(singles(workload(population, Some(horizon), asker)?, population.questions, form));
        std::thread::scope(|scope| {
            let visits = scope.spawn(|| plan(visitor));
            let pharmacies = plan(pharmacy);
            let visits = visits.join().map_err(|_| LoadError::Usage("the questions could not be prepared".to_owned()))?;
            Ok(Questions { visits: visits?, pharmacies: pharmacies? })
        })
    }

    /// The bytes that ask.
    pub(crate) fn request(&self, arrival: &Arrival) -> &[u8] {
        self.plan(arrival).requests.slice(place(arrival))
    }

    /// The verdict's letter of the right answer.
    pub(crate) fn letter(&self, arrival: &Arrival) -> char {
        self.plan(arrival).expected.slice(place(arrival)).first().map_or('?', |letter| char::from(*letter))
    }

    pub(crate) fn request_bytes_mean(&self) -> f64 {
        self.visits.request_bytes_mean()
    }

    fn plan(&self, arrival: &Arrival) -> &Plan {
        if arrival.institution == Institution::Pharmacy { &self.pharmacies } else { &self.visits }
    }

    #[cfg(test)]
    pub(crate) fn plans(&self) -> [&Plan; 2] {
        [&self.visits, &self.pharmacies]
    }
}

fn place(arrival: &Arrival) -> usize {
    usize::try_from(arrival.question).unwrap_or(usize::MAX)
}

/// Checks the answers to both kinds.
pub(crate) struct Answers<'q> {
    visits: Checker<'q>,
    pharmacies: Checker<'q>,
}

impl<'q> Answers<'q> {
    pub(crate) fn new(questions: &'q Questions) -> Answers<'q> {
        Answers { visits: Checker::new(&questions.visits), pharmacies: Checker::new(&questions.pharmacies) }
    }

    pub(crate) fn check(&mut self, arrival: &Arrival, status: u16, body: &[u8]) {
        let checker = if arrival.institution == Institution::Pharmacy { &mut self.pharmacies } else { &mut self.visits };
        checker.check(place(arrival), status, body);
    }

    pub(crate) fn checked(&self) -> u64 {
        self.visits.checked() + self.pharmacies.checked()
    }

    pub(crate) fn wrong(&self) -> u64 {
        self.visits.wrong() + self.pharmacies.wrong()
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        [self.visits.complaints(), self.pharmacies.complaints()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake;

    #[test]
    fn the_pharmacy_asks_about_the_same_people_on_the_same_days() {
        let questions = fake::questions(2_000);
        let [visits, pharmacies] = questions.plans();
        let mut other_institutions = 0;
        for nth in 0..2_000 {
            let [visit, pharmacy] = [visits, pharmacies].map(|plan| plan.workload.question(nth));
            assert_eq!((visit.day, visit.consent), (pharmacy.day, pharmacy.consent));
            let [visit_line, pharmacy_line] = [&visit, &pharmacy].map(|question| question.asked.narrowed().line(None));
            assert_eq!(visit_line, pharmacy_line);
            other_institutions += u32::from(visit.institution != pharmacy.institution);
        }
        assert!(other_institutions > 1_500);
    }
}
