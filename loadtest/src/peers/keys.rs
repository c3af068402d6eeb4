//! What the peers hold: for each recipient the text one asks by, and the answer as of the population's day.

use shikaku::population::{Population, Recipient};

/// memcached's limit, and no key comes near it.
const KEY_BYTES_MAX: usize = 250;

/// Keys and values of the first recipients of a population.
#[derive(Clone)]
pub(crate) struct Keys {
    population: Population,
    count: u64,
    /// Where values are not the answers: their length.
    value_bytes: Option<usize>,
}

impl Keys {
    /// Of the first `count` recipients, or of all if there are fewer.
    pub(crate) fn of(population: Population, count: u64) -> Keys {
        let count = count.min(population.size());
        Keys { population, count, value_bytes: None }
    }

    /// The same keys with values of another length.
    pub(crate) fn with_values_of(&self, value_bytes: usize) -> Keys {
        Keys { value_bytes: Some(value_bytes), ..self.clone() }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// A key.
    pub(crate) fn key(&self, index: u64) -> String {
        key(&self.population.recipient(index))
    }

    /// A key and its value. No two recipients have the same key: insurer and number tell them apart, and twins' branch numbers do.
    pub(super) fn pair(&self, index: u64) -> (String, String) {
        let recipient = self.population.recipient(index);
        let value = match self.value_bytes {
            Some(bytes) => "x".repeat(bytes),
            None => recipient.expected_member(true, self.population.as_of(), None).compact_line(),
        };
        (key(&recipient), value)
    }

    /// Hands over runs of pairs, all of them in the end.
    pub(super) fn each_block<E>(&self, block: u64, mut take: impl FnMut(&[(String, String)]) -> Result<(), E>) -> Result<(), E> {
        let mut first = 0;
        while first < self.count {
            let end = (first + block).min(self.count);
            let pairs: Vec<_> = (first..end).map(|index| self.pair(index)).collect();
            take(&pairs)?;
            first = end;
        }
        Ok(())
    }
}

/// The text of a batch line that asks about the member, without what a key may not hold.
fn key(recipient: &Recipient) -> String {
    let line = recipient.ask_member(true).line(None);
    let text = line.strip_prefix("m\t").unwrap_or(&line);
    let key: String = text.chars().map(|letter| if letter.is_ascii_whitespace() { ':' } else { letter }).collect();
    debug_assert!(key.len() <= KEY_BYTES_MAX, "a member's texts are short");
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use shikaku::domain::day::Day;
    use std::collections::HashSet;

    fn keys(size: u64, count: u64) -> Keys {
        Keys::of(Population::new(1, size, Day::parse(b"2026-11-22").unwrap()).unwrap(), count)
    }

    #[test]
    fn no_two_recipients_share_a_key_and_every_key_can_be_held_by_every_peer() {
        let mut seen = HashSet::new();
        let all: Result<(), ()> = keys(20_000, 20_000).each_block(300, |pairs| {
            for (key, value) in pairs {
                assert!(key.len() <= KEY_BYTES_MAX && !key.bytes().any(|byte| byte <= b' '), "{key}");
                assert!(!value.is_empty());
                assert!(seen.insert(key.clone()), "{key}");
            }
            Ok(())
        });
        all.unwrap();
        assert_eq!(seen.len(), 20_000);
    }

    #[test]
    fn fewer_keys_than_recipients_are_the_first_of_them() {
        assert_eq!((keys(100, 10).count(), keys(100, 1_000).count()), (10, 100));
        assert_eq!(keys(100, 10).pair(3), keys(100, 100).pair(3));
        assert_eq!(keys(100, 10).with_values_of(500).pair(3).1.len(), 500);
    }
}
