//! Every look-up of the morning, with the moment at which it is meant to be sent; the same for the same seed.

use super::chance::Chance;
use super::institution::Institution;
use super::profile::{PHARMACY_AFTER_MINUTES, Profile};
use crate::error::LoadError;

/// Sixteen bytes each: above this a run wants more memory than it should.
const ARRIVALS_MAX: f64 = 100_000_000.0;

/// Of a clinic's visits, families; a visit of a family is two to four look-ups.
const FAMILIES_PERMILLE: u32 = 100;
const FAMILY_OTHERS_MAX: u32 = 3;
/// One member after the other, in seconds of the day.
const FAMILY_GAP_S: (f64, f64) = (8.0, 20.0);

/// Of a pharmacy's look-ups, those about somebody whom a clinic asked about half an hour before.
const REPEATS_PERMILLE: u32 = 600;
/// How far from the half hour, in minutes of the day.
const REPEAT_SPREAD_MINUTES: f64 = 2.0;

/// Machines whose clocks agree send within this, in seconds of the run.
const MINUTE_BURST_S: f64 = 0.010;
/// The people at the door are entered within this, in seconds of the run.
const DOOR_BURST_S: f64 = 0.020;
/// When doors open: hospitals and clinics, then dentists and pharmacies.
pub(crate) const DOORS: [(u16, [Institution; 2]); 2] =
    [(8 * 60 + 30, [Institution::Hospital, Institution::Clinic]), (9 * 60, [Institution::Dental, Institution::Pharmacy])];

/// What brought a look-up about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Somebody came.
    Visit,
    /// Somebody came along.
    Family,
    /// The pharmacy asks about whom the clinic asked about.
    Repeat,
    /// Many asked at the same moment.
    Burst,
}

/// One look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When it is meant to be sent, in nanoseconds since the window began.
    pub(crate) at_ns: u64,
    /// Which of the prepared questions.
    pub(crate) question: u32,
    /// The gateway that the institution's connection goes through.
    pub(crate) gateway: u8,
    pub(crate) institution: Institution,
    pub(crate) occasion: Occasion,
    /// Asked on a connection of its own.
    pub(crate) short: bool,
}

/// The part of the day that is played, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Whole minutes of the day.
    pub(crate) from: u16,
    pub(crate) to: u16,
    /// How many seconds of the day pass in a second of the run. Rates are per second of the run: only the day's shape is compressed.
    pub(crate) compress: u16,
}

impl Window {
    /// How long the run takes.
    pub(crate) fn seconds(self) -> f64 {
        self.seconds_to(f64::from(self.to))
    }

    /// From the beginning to a minute of the day.
    pub(crate) fn seconds_to(self, minute: f64) -> f64 {
        (minute - f64::from(self.from)) * 60.0 / f64::from(self.compress)
    }

    /// The minute of the day that a moment of the run is.
    pub(crate) fn minute(self, seconds: f64) -> f64 {
        f64::from(self.from) + seconds * f64::from(self.compress) / 60.0
    }
}

/// Everything that the arrivals depend on.
#[derive(Clone, Debug)]
pub(crate) struct Morning {
    pub(crate) profile: Profile,
    pub(crate) window: Window,
    pub(crate) seed: u64,
    /// How many questions are prepared; they are used in turn.
    pub(crate) questions: u32,
    pub(crate) gateways: u8,
    /// Of the look-ups of clinics and dentists, those on a connection of their own.
    pub(crate) short_permille: u32,
    /// Sent together at each full minute, in thousandths of what a second brings.
    pub(crate) minute_burst_permille: u32,
    /// Sent together when doors open.
    pub(crate) door_burst: u32,
}

/// All look-ups in the order of their moments.
pub(crate) fn arrivals(morning: &Morning) -> Result<Vec<Arrival>, LoadError> {
    let rate = morning.profile.total(f64::from(morning.profile.crest_minute()));
    if rate * morning.window.seconds() > ARRIVALS_MAX {
        let advice = "compress the day more, or ask for a lower crest or a shorter window";
        return Err(LoadError::Usage(format!("more than {ARRIVALS_MAX:.0} look-ups cannot be prepared; {advice}")));
    }
    let mut drawing = Drawing { morning, chance: Chance::new(morning.seed, 0), next_question: 0 };
    let mut made = Vec::new();
    for institution in [Institution::Hospital, Institution::Clinic, Institution::Dental] {
        drawing.visits(institution, &mut made);
    }
    drawing.bursts(&mut made);
    sort(&mut made);
    drawing.give_questions(&mut made);
    let pharmacies = drawing.pharmacies(&made);
    made.extend(pharmacies);
    sort(&mut made);
    Ok(made)
}

fn sort(arrivals: &mut [Arrival]) {
    // Ties keep the order in which they were drawn, so that it is the same on every run.
    arrivals.sort_by_key(|arrival| arrival.at_ns);
}

struct Drawing<'m> {
    morning: &'m Morning,
    chance: Chance,
    next_question: u32,
}

impl Drawing<'_> {
    /// People who come by themselves, some with their families. The followers are counted into the profile's rate.
    fn visits(&mut self, institution: Institution, made: &mut Vec<Arrival>) {
        self.chance = Chance::new(self.morning.seed, 1 + institution.place() as u64);
        let families = if institution.is_small() { FAMILIES_PERMILLE } else { 0 };
        let lookups_per_visit = 1.0 + f64::from(families) / 1_000.0 * f64::from(1 + FAMILY_OTHERS_MAX) / 2.0;
        for seconds in self.moments(institution, 1.0 / lookups_per_visit) {
            let first = self.arrival(institution, seconds, Occasion::Visit);
            made.push(first);
            if !self.chance.permille(families) {
                continue;
            }
            let mut later = seconds;
            for _ in 0..=self.chance.below(FAMILY_OTHERS_MAX) {
                let (shortest, longest) = FAMILY_GAP_S;
                let gap = shortest + self.chance.part() * (longest - shortest);
                later += gap / f64::from(self.morning.window.compress);
                if later < self.morning.window.seconds() {
                    made.push(Arrival { at_ns: nanoseconds(later), occasion: Occasion::Family, ..first });
                }
            }
        }
    }

    /// Moments by themselves, by thinning: drawn at the kind's largest rate, and each kept with the part that its own moment's rate is
    /// of that.
    fn moments(&mut self, institution: Institution, part: f64) -> Vec<f64> {
        let Morning { profile, window, .. } = self.morning;
        let busiest = profile.busiest(institution, window.from, window.to) * part;
        let (mut moments, mut seconds) = (Vec::new(), 0.0);
        if busiest <= 0.0 {
            return moments;
        }
        loop {
            seconds += self.chance.until_next(busiest);
            if seconds >= window.seconds() {
                return moments;
            }
            if self.chance.part() * busiest < profile.rate(institution, window.minute(seconds)) * part {
                moments.push(seconds);
            }
        }
    }

    /// What clocks bring about: the hospitals' machines at each full minute, and the people before a door when it opens.
    fn bursts(&mut self, made: &mut Vec<Arrival>) {
        self.chance = Chance::new(self.morning.seed, 5);
        let Morning { profile, window, .. } = self.morning;
        for minute in window.from..window.to {
            let second = profile.total(f64::from(minute));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a rate")]
            let count = (second * f64::from(self.morning.minute_burst_permille) / 1_000.0).round() as u32;
            self.burst(minute, count, MINUTE_BURST_S, &[Institution::Hospital], made);
        }
        for (minute, kinds) in DOORS.iter().filter(|(minute, _)| (window.from..window.to).contains(minute)) {
            self.burst(*minute, self.morning.door_burst, DOOR_BURST_S, kinds, made);
        }
    }

    fn burst(&mut self, minute: u16, count: u32, within_s: f64, kinds: &[Institution], made: &mut Vec<Arrival>) {
        let begin = self.morning.window.seconds_to(f64::from(minute));
        for _ in 0..count {
            let place = usize::try_from(self.chance.below(u32::try_from(kinds.len()).unwrap_or(1))).unwrap_or(0);
            let Some(kind) = kinds.get(place) else { continue };
            let seconds = begin + self.chance.part() * within_s;
            if seconds < self.morning.window.seconds() {
                made.push(self.arrival(*kind, seconds, Occasion::Burst));
            }
        }
    }

    /// Those about whom others asked half an hour before, and those who come with a paper prescription from elsewhere.
    fn pharmacies(&mut self, visits: &[Arrival]) -> Vec<Arrival> {
        self.chance = Chance::new(self.morning.seed, 6);
        let minute_ns = 60e9 / f64::from(self.morning.window.compress);
        let moments = self.moments(Institution::Pharmacy, 1.0);
        let mut made = Vec::with_capacity(moments.len());
        for seconds in moments {
            let mut arrival = self.arrival(Institution::Pharmacy, seconds, Occasion::Visit);
            let spread = (self.chance.part() * 2.0 - 1.0) * REPEAT_SPREAD_MINUTES;
            let before = seconds * 1e9 - (PHARMACY_AFTER_MINUTES + spread) * minute_ns;
            let seen = visits.partition_point(|visit| nanoseconds(before / 1e9) > visit.at_ns);
            let seen = visits.get(seen).filter(|_| before > 0.0);
            match seen.filter(|visit| visit.institution != Institution::Pharmacy && self.chance.permille(REPEATS_PERMILLE)) {
                Some(visit) => (arrival.question, arrival.occasion) = (visit.question, Occasion::Repeat),
                None => arrival.question = self.question(),
            }
            made.push(arrival);
        }
        made
    }

    /// In the order of the moments, so that the requests lie in memory as they are needed.
    fn give_questions(&mut self, made: &mut [Arrival]) {
        for arrival in made {
            arrival.question = self.question();
        }
    }

    fn question(&mut self) -> u32 {
        let question = self.next_question;
        self.next_question = (question + 1) % self.morning.questions.max(1);
        question
    }

    fn arrival(&mut self, institution: Institution, seconds: f64, occasion: Occasion) -> Arrival {
        // Each institution has its gateway, and a gateway has many: neighbours in number are neighbours in the region.
        let number = self.chance.below(institution.count());
        let gateway = u64::from(number) * u64::from(self.morning.gateways) / u64::from(institution.count());
        let short = institution.is_small() && occasion != Occasion::Burst && self.chance.permille(self.morning.short_permille);
        Arrival {
            at_ns: nanoseconds(seconds),
            question: 0,
            gateway: u8::try_from(gateway).unwrap_or(0),
            institution,
            occasion,
            short,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "moments of a run of hours")]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

#[cfg(test)]
mod tests;
