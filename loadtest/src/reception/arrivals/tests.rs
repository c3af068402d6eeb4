//! Statistics have wide bounds and a fixed seed: they fail when the drawing changes, not by chance.

use super::super::profile::Weekday;
use super::*;

fn morning(seed: u64) -> Morning {
    Morning {
        profile: Profile::new(4_000.0, Weekday::Monday),
        window: Window { from: 8 * 60 + 20, to: 10 * 60, compress: 60 },
        seed,
        questions: 1_000_000,
        gateways: 12,
        short_permille: 40,
        minute_burst_permille: 0,
        door_burst: 0,
    }
}

fn count(arrivals: &[Arrival], occasion: Occasion) -> usize {
    arrivals.iter().filter(|arrival| arrival.occasion == occasion).count()
}

#[test]
fn the_same_seed_makes_the_same_morning_and_another_one_another() {
    let made = arrivals(&morning(7)).unwrap();
    assert_eq!(made, arrivals(&morning(7)).unwrap());
    assert_ne!(made, arrivals(&morning(8)).unwrap());
    assert!(made.is_sorted_by_key(|arrival| arrival.at_ns));
    assert!(size_of::<Arrival>() == 16);
}

#[test]
fn each_minute_brings_what_the_profile_says_give_or_take_chance() {
    let morning = morning(1);
    let made = arrivals(&morning).unwrap();
    // Compressed sixtyfold, a minute of the day is a second of the run.
    for second in 0_u16..100 {
        let from = f64::from(morning.window.from + second);
        let expected = (0..100).map(|part| morning.profile.total(from + f64::from(part) / 100.0) / 100.0).sum::<f64>();
        let begin = u64::from(second) * 1_000_000_000;
        let came = made.iter().filter(|arrival| (begin..begin + 1_000_000_000).contains(&arrival.at_ns)).count() as f64;
        // Families come in threes and a little later, which is more scatter than chance alone has.
        assert!((came - expected).abs() < 6.0 * expected.sqrt() + 0.03 * expected + 12.0, "{second}: {came} of {expected}");
    }
}

#[test]
fn chance_scatters_as_much_as_it_should() {
    // At the crest's plateau of hospitals the rate is constant: counts of equal slots have their mean as variance.
    let mut drawing = Drawing { morning: &morning(3), chance: Chance::new(3, 0), next_question: 0 };
    let moments = drawing.moments(Institution::Hospital, 1.0);
    let before = |seconds: f64| moments.partition_point(|moment| *moment < seconds) as f64;
    let slots: Vec<f64> = (200..800).map(|nth| before(f64::from(nth + 1) / 20.0) - before(f64::from(nth) / 20.0)).collect();
    let mean = slots.iter().sum::<f64>() / 600.0;
    let variance = slots.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 600.0;
    assert!((0.8..1.25).contains(&(variance / mean)), "{mean} {variance}");
}

#[test]
fn a_pharmacy_asks_about_whom_a_clinic_asked_about_half_an_hour_before() {
    let made = arrivals(&morning(2)).unwrap();
    let mut asked = std::collections::HashMap::new();
    let mut repeats = 0;
    for arrival in &made {
        if arrival.occasion == Occasion::Repeat {
            assert_eq!(arrival.institution, Institution::Pharmacy);
            let before: u64 = asked[&arrival.question];
            let minutes = (arrival.at_ns - before) as f64 / 1e9;
            assert!((27.5..32.5).contains(&minutes), "{minutes}");
            repeats += 1;
        } else {
            asked.insert(arrival.question, arrival.at_ns);
        }
    }
    let pharmacies = made.iter().filter(|arrival| arrival.institution == Institution::Pharmacy).count();
    let share = f64::from(repeats) / pharmacies as f64;
    assert!((0.55..0.65).contains(&share), "{share}");
}

#[test]
fn a_family_is_asked_about_one_after_the_other_from_one_place() {
    let mut drawing = Drawing { morning: &morning(2), chance: Chance::new(2, 0), next_question: 0 };
    let mut made = Vec::new();
    drawing.visits(Institution::Clinic, &mut made);
    let (visits, others) = (count(&made, Occasion::Visit), count(&made, Occasion::Family));
    assert!((0.18..0.22).contains(&(others as f64 / visits as f64)), "one in ten brings two more on average");
    let mut size = 1;
    for pair in made.windows(2) {
        if pair[1].occasion != Occasion::Family {
            size = 1;
            continue;
        }
        size += 1;
        let gap = (pair[1].at_ns - pair[0].at_ns) as f64 / 1e9 * 60.0;
        assert!(size <= 4 && pair[0].gateway == pair[1].gateway && (7.9..20.1).contains(&gap), "{size} {gap}");
    }
}

#[test]
fn bursts_come_at_once_and_only_small_places_open_a_connection_for_each() {
    let bursting = Morning { minute_burst_permille: 10, door_burst: 300, ..morning(4) };
    let made = arrivals(&bursting).unwrap();
    let doors = 10 * 1_000_000_000..10 * 1_000_000_000 + 20_000_000;
    let at_the_door = |arrival: &&Arrival| arrival.occasion == Occasion::Burst && doors.contains(&arrival.at_ns);
    assert!(made.iter().filter(at_the_door).count() >= 300);
    assert_eq!(count(&arrivals(&morning(4)).unwrap(), Occasion::Burst), 0);
    assert!(made.iter().filter(|arrival| arrival.short).all(|arrival| arrival.institution.is_small()));
    let small = made.iter().filter(|arrival| arrival.institution.is_small()).count();
    let short = made.iter().filter(|arrival| arrival.short).count() as f64 / small as f64;
    assert!((0.03..0.05).contains(&short), "{short}");
    assert!((0..12).all(|gateway| made.iter().any(|arrival| arrival.gateway == gateway)));
}

#[test]
fn more_than_can_be_prepared_is_said() {
    let endless = Morning { window: Window { compress: 1, ..morning(1).window }, ..morning(1) };
    let endless = Morning { profile: Profile::new(50_000.0, Weekday::Monday), ..endless };
    assert!(arrivals(&endless).unwrap_err().to_string().contains("compress"));
}
