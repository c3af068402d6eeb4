//! What a peer is asked and what must come back, prepared before the clock starts.

use std::collections::BTreeMap;
use std::net::TcpStream;

use super::{Keys, Language, Peer, memcached, postgres, redis};
use crate::arguments::ClockArguments;
use crate::client::{Load, drive};
use crate::error::LoadError;
use crate::plan::mean;
use crate::report::{Figures, complain};
use crate::slices::Slices;
use crate::wire::{Framing, Head, Judge, Script};

/// Requests of one or more keys each, and the answers to the byte.
pub(crate) struct PeerPlan {
    requests: Slices,
    answers: Slices,
    value_bytes_total: usize,
    lookups_per_request: usize,
    language: Language,
}

impl PeerPlan {
    /// `questions` keys, each drawn from all with equal probability, `lines` of them a request.
    pub(crate) fn new(language: Language, keys: &Keys, questions: u32, lines: u16, seed: u64) -> Result<PeerPlan, LoadError> {
        let mut plan = PeerPlan {
            requests: Slices::default(),
            answers: Slices::default(),
            value_bytes_total: 0,
            lookups_per_request: usize::from(lines),
            language,
        };
        let mut dice = Dice(seed);
        for _ in 0..questions / u32::from(lines) {
            let pairs: Vec<_> = (0..lines).map(|_| keys.pair(dice.below(keys.count()))).collect();
            plan.value_bytes_total += pairs.iter().map(|(_, value)| value.len()).sum::<usize>();
            let (request, answer) = match language {
                Language::Resp => redis::get(&pairs),
                Language::Memcached => memcached::get(&pairs),
                Language::Postgres => postgres::select(&pairs),
            };
            plan.requests.push(&request);
            plan.answers.push(&answer);
        }
        if plan.requests.len() == 0 || keys.count() == 0 {
            return Err(LoadError::Usage(format!("{questions} questions do not fill a request of {lines} keys")));
        }
        Ok(plan)
    }

    /// Bytes of a request, on average.
    pub(crate) fn request_bytes_mean(&self) -> f64 {
        mean(self.requests.bytes_total(), self.requests.len())
    }

    /// Bytes of a value, on average.
    pub(crate) fn value_bytes_mean(&self) -> f64 {
        mean(self.value_bytes_total, self.requests.len() * self.lookups_per_request)
    }
}

/// Asks a peer and checks every answer.
pub(crate) fn ask(
    peer: &Peer,
    plan: &PeerPlan,
    connections: u16,
    depth: u16,
    clock: ClockArguments,
) -> Result<Figures, LoadError> {
    let mut judge = PeerJudge { plan, checked: 0, wrong: BTreeMap::new() };
    let load = Load { address: peer.address, connections, depth, clock, server_pid: Some(peer.pid()) };
    let driven = drive(plan, &load, &mut judge);
    if !judge.wrong.is_empty() {
        judge.wrong.iter().for_each(|(what, count)| complain(&format!("{count} × {}: {what}", peer.name())));
        return Err(LoadError::WrongAnswers { wrong: judge.wrong.values().sum(), checked: judge.checked });
    }
    Ok(Figures { answer_bytes: plan.value_bytes_mean(), ..Figures::of(&driven?) })
}

impl Script for PeerPlan {
    type Framing = Language;

    fn requests(&self) -> &Slices {
        &self.requests
    }

    fn lookups_per_request(&self) -> usize {
        self.lookups_per_request
    }

    fn framing(&self) -> Language {
        self.language
    }

    fn greet(&self, stream: &mut TcpStream) -> Result<(), LoadError> {
        if self.language == Language::Postgres { postgres::greet(stream) } else { Ok(()) }
    }
}

impl Framing for Language {
    fn read(&self, bytes: &[u8]) -> Result<Option<Head>, LoadError> {
        Ok(self.answer_bytes(bytes)?.map(|body_bytes| Head { status: 200, head_bytes: 0, body_bytes }))
    }
}

/// Compares answers, byte for byte.
struct PeerJudge<'p> {
    plan: &'p PeerPlan,
    checked: u64,
    /// Look-ups, by what was wrong.
    wrong: BTreeMap<&'static str, u64>,
}

impl Judge for PeerJudge<'_> {
    fn check(&mut self, request: usize, _status: u16, body: &[u8]) {
        let lookups = self.plan.lookups_per_request as u64;
        self.checked += lookups;
        let expected = self.plan.answers.slice(request);
        if body != expected {
            let what = if body.first() == expected.first() { "another answer than was stored" } else { "another kind of answer" };
            *self.wrong.entry(what).or_insert(0) += lookups;
        }
    }
}

/// Numbers that look random and are the same every time (splitmix64).
struct Dice(u64);

impl Dice {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, by the high half of a product, whose bias cannot be seen at these sizes.
    fn below(&mut self, end: u64) -> u64 {
        u64::try_from((u128::from(self.draw()) * u128::from(end)) >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shikaku::domain::day::Day;
    use shikaku::population::Population;

    fn keys() -> Keys {
        Keys::of(Population::new(1, 1_000, Day::parse(b"2026-11-22").unwrap()).unwrap(), 1_000)
    }

    #[test]
    fn the_answer_that_is_awaited_is_one_whole_answer_in_each_language() {
        for language in [Language::Resp, Language::Memcached, Language::Postgres] {
            let lines = if language == Language::Postgres { 1 } else { 10 };
            let plan = PeerPlan::new(language, &keys(), 100, lines, 1).unwrap();
            for nth in 0..plan.answers.len() {
                let answer = plan.answers.slice(nth);
                assert_eq!(language.answer_bytes(answer).unwrap(), Some(answer.len()), "{language:?}");
                let twice = [answer, answer].concat();
                assert_eq!(language.answer_bytes(&twice).unwrap(), Some(answer.len()), "{language:?}");
                for cut in 0..answer.len() {
                    assert_eq!(language.answer_bytes(&answer[..cut]).unwrap(), None, "{language:?}, {cut}");
                }
            }
        }
    }

    #[test]
    fn an_answer_that_is_not_what_was_stored_is_wrong() {
        let plan = PeerPlan::new(Language::Resp, &keys(), 10, 1, 1).unwrap();
        let mut judge = PeerJudge { plan: &plan, checked: 0, wrong: BTreeMap::new() };
        judge.check(0, 200, plan.answers.slice(0));
        assert!(judge.wrong.is_empty());
        judge.check(1, 200, b"$-1\r\n");
        judge.check(2, 200, b"-ERR\r\n");
        assert_eq!((judge.checked, judge.wrong.len()), (3, 2));
    }

    #[test]
    fn keys_are_drawn_from_all_of_them_evenly() {
        let mut dice = Dice(1);
        let mut counts = [0_u32; 10];
        (0..100_000).for_each(|_| counts[dice.below(10) as usize] += 1);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn too_few_questions_for_a_request_are_said() {
        assert!(PeerPlan::new(Language::Resp, &keys(), 10, 11, 1).is_err());
    }
}
