//! How many look-ups a second, by the time of day.
//!
//! Hospitals and clinics open their doors at 08:30 to those who wait; a pharmacy sees the same people half an hour later, so that the
//! day's crest is at 09:00, when the pharmacies' first hour falls onto the clinics'. The shapes are what is generally known of such days;
//! the kinds' parts of the day are counted (domain notes §7.1). The busiest hour comes out at about a fifth of the day, which the notes
//! put at 18 %.

use clap::ValueEnum;

use super::institution::Institution;

/// Minutes since midnight.
pub(crate) type Minute = f64;

pub(crate) const MINUTES_OF_A_DAY: u16 = 24 * 60;

/// How long after the clinic the pharmacy asks.
pub(crate) const PHARMACY_AFTER_MINUTES: f64 = 30.0;

/// The day of the week, as far as it matters: on Mondays come those who fell ill on a Sunday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Weekday {
    /// The busiest day, and the one whose crest is asked for
    Monday,
    /// A Monday without its factor of 1.25
    Other,
}

const MONDAY_FACTOR: f64 = 1.25;

const fn at(hour: u16, minute: u16) -> u16 {
    hour * 60 + minute
}

/// What a kind asks at each time, in parts of its own busiest minute; straight between the points.
const HOSPITAL: [(u16, f64); 14] = [
    (at(8, 0), 0.0),
    (at(8, 29), 0.3),
    (at(8, 30), 1.0),
    (at(9, 0), 1.0),
    (at(10, 0), 0.8),
    (at(11, 0), 0.5),
    (at(11, 30), 0.25),
    (at(12, 0), 0.1),
    (at(13, 0), 0.1),
    (at(13, 30), 0.35),
    (at(15, 0), 0.3),
    (at(16, 0), 0.15),
    (at(17, 0), 0.05),
    (at(17, 15), 0.0),
];
const CLINIC: [(u16, f64); 19] = [
    (at(8, 20), 0.0),
    (at(8, 29), 0.05),
    (at(8, 30), 1.0),
    (at(8, 45), 0.95),
    (at(9, 0), 0.9),
    (at(9, 30), 0.62),
    (at(10, 0), 0.55),
    (at(11, 0), 0.45),
    (at(11, 30), 0.35),
    (at(12, 0), 0.15),
    (at(12, 30), 0.05),
    (at(13, 30), 0.03),
    (at(14, 59), 0.1),
    (at(15, 0), 0.6),
    (at(16, 0), 0.5),
    (at(17, 0), 0.5),
    (at(18, 0), 0.25),
    (at(18, 30), 0.05),
    (at(19, 0), 0.0),
];
const DENTAL: [(u16, f64); 11] = [
    (at(8, 55), 0.0),
    (at(9, 0), 0.9),
    (at(9, 30), 1.0),
    (at(11, 30), 0.9),
    (at(12, 0), 0.3),
    (at(12, 30), 0.1),
    (at(13, 30), 0.1),
    (at(14, 0), 0.9),
    (at(17, 0), 1.0),
    (at(18, 30), 0.6),
    (at(19, 0), 0.0),
];

/// A day whose crest has the rate asked for.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Look-ups a second of each kind, for a shape of 1.
    scales: [f64; 4],
}

impl Profile {
    /// On a Monday the crest has `crest_per_s` look-ups a second; on another day it is lower by the Monday's factor.
    pub(crate) fn new(crest_per_s: f64, weekday: Weekday) -> Profile {
        let parts = Institution::ALL.map(|kind| kind.share() / integral(kind));
        let day = Profile { scales: parts };
        let factor = if weekday == Weekday::Monday { 1.0 } else { 1.0 / MONDAY_FACTOR };
        let scale = crest_per_s * factor / day.total(f64::from(day.crest_minute()));
        Profile { scales: parts.map(|part| part * scale) }
    }

    /// Look-ups a second that institutions of a kind ask at that time.
    pub(crate) fn rate(&self, kind: Institution, minute: Minute) -> f64 {
        self.scales.get(kind.place()).copied().unwrap_or(0.0) * shape(kind, minute)
    }

    /// Look-ups a second of all.
    pub(crate) fn total(&self, minute: Minute) -> f64 {
        Institution::ALL.into_iter().map(|kind| self.rate(kind, minute)).sum()
    }

    /// The busiest minute. All points of all shapes lie on whole minutes, and between points they are straight, so that no other moment
    /// can be busier than the busiest whole minute.
    pub(crate) fn crest_minute(&self) -> u16 {
        let busier = |one: &u16, other: &u16| self.total(f64::from(*one)).total_cmp(&self.total(f64::from(*other)));
        (0..MINUTES_OF_A_DAY).max_by(busier).unwrap_or(0)
    }

    /// The largest rate of a kind between two whole minutes, both included.
    pub(crate) fn busiest(&self, kind: Institution, from: u16, to: u16) -> f64 {
        (from..=to).map(|minute| self.rate(kind, f64::from(minute))).fold(0.0, f64::max)
    }
}

/// In parts of the kind's busiest minute, or nearly: a pharmacy's is a mixture of who sent its patients.
fn shape(kind: Institution, minute: Minute) -> f64 {
    match kind {
        Institution::Hospital => straight(&HOSPITAL, minute),
        Institution::Clinic => straight(&CLINIC, minute),
        Institution::Dental => straight(&DENTAL, minute),
        Institution::Pharmacy => {
            let before = minute - PHARMACY_AFTER_MINUTES;
            let [hospitals, clinics] =
                [Institution::Hospital, Institution::Clinic].map(|kind| f64::from(kind.checks_thousands()));
            (hospitals * straight(&HOSPITAL, before) + clinics * straight(&CLINIC, before)) / (hospitals + clinics)
        }
    }
}

/// The shape's area over the day, in seconds. The trapezoids are exact, because the shape is straight within each minute.
fn integral(kind: Institution) -> f64 {
    let minute = |minute: u16| shape(kind, f64::from(minute));
    (0..MINUTES_OF_A_DAY).map(|first| 60.0 * (minute(first) + minute(first + 1)) / 2.0).sum()
}

fn straight(points: &[(u16, f64)], minute: Minute) -> f64 {
    let after = points.partition_point(|(time, _)| f64::from(*time) <= minute);
    let (Some((from, low)), Some((to, high))) = (after.checked_sub(1).and_then(|place| points.get(place)), points.get(after))
    else {
        return 0.0;
    };
    let part = (minute - f64::from(*from)) / f64::from(to - from);
    low + (high - low) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monday() -> Profile {
        Profile::new(50_000.0, Weekday::Monday)
    }

    fn area(profile: &Profile, from: u16, to: u16) -> f64 {
        let rate = |minute: u16| profile.total(f64::from(minute));
        (from..to).map(|minute| 30.0 * (rate(minute) + rate(minute + 1))).sum()
    }

    #[test]
    fn the_crest_is_at_nine_and_has_the_rate_asked_for() {
        let profile = monday();
        assert_eq!(profile.crest_minute(), at(9, 0));
        assert!((profile.total(540.0) - 50_000.0).abs() < 1e-6);
        for tenth in 0..MINUTES_OF_A_DAY * 10 {
            assert!(profile.total(f64::from(tenth) / 10.0) < 50_000.001, "{tenth}");
        }
    }

    #[test]
    fn another_day_is_a_monday_without_its_factor() {
        let (monday, other) = (monday(), Profile::new(50_000.0, Weekday::Other));
        for minute in [510.0, 540.0, 700.0, 900.0] {
            assert!((monday.total(minute) / other.total(minute) - 1.25).abs() < 1e-9);
        }
    }

    #[test]
    fn each_kind_asks_its_part_of_the_day() {
        let profile = monday();
        let all = area(&profile, 0, MINUTES_OF_A_DAY);
        for kind in Institution::ALL {
            let rate = |minute: u16| profile.rate(kind, f64::from(minute));
            let own: f64 = (0..MINUTES_OF_A_DAY).map(|minute| 30.0 * (rate(minute) + rate(minute + 1))).sum();
            assert!((own / all - kind.share()).abs() < 1e-9, "{kind:?}");
        }
        assert!((Institution::ALL.into_iter().map(Institution::share).sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_busiest_hour_is_about_a_fifth_of_the_day() {
        let profile = monday();
        let hours = (0..MINUTES_OF_A_DAY - 60).map(|from| area(&profile, from, from + 60));
        let share = hours.fold(0.0, f64::max) / area(&profile, 0, MINUTES_OF_A_DAY);
        assert!((0.15..0.22).contains(&share), "{share}");
    }

    #[test]
    fn it_rises_to_the_doors_falls_from_the_crest_and_dips_at_lunch() {
        let profile = monday();
        let total = |minute: u16| profile.total(f64::from(minute));
        assert!((at(7, 0)..at(8, 30)).all(|minute| total(minute) <= total(minute + 1)));
        assert!(total(at(8, 30)) > 5.0 * total(at(8, 29)), "the doors open at 08:30");
        assert!((at(9, 0)..at(11, 30)).all(|minute| total(minute) >= total(minute + 1)));
        assert!(total(at(13, 15)) < 0.15 * total(at(9, 0)));
        assert!(total(at(15, 30)) > 3.0 * total(at(13, 15)), "the afternoon is busier than lunch");
        assert!(total(at(3, 0)) == 0.0 && total(at(23, 0)) == 0.0);
    }

    #[test]
    fn pharmacies_follow_by_half_an_hour() {
        let profile = monday();
        let busiest = |kind| {
            let busier =
                |one: &u16, other: &u16| profile.rate(kind, f64::from(*one)).total_cmp(&profile.rate(kind, f64::from(*other)));
            (0..MINUTES_OF_A_DAY).max_by(busier).unwrap()
        };
        assert_eq!(busiest(Institution::Clinic) + 30, busiest(Institution::Pharmacy));
    }
}
