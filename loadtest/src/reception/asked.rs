//! What was asked, counted: whether a morning was like a morning can be seen from it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::arrivals::{Arrival, Occasion};
use super::questions::Questions;

/// What was asked, counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    lookups: u64,
    institutions: BTreeMap<&'static str, u64>,
    occasions: BTreeMap<&'static str, u64>,
    short_connections: u64,
    /// By the right answer's letter.
    verdicts: BTreeMap<char, u64>,
}

impl Asked {
    pub(crate) fn count(arrivals: &[Arrival], questions: &Questions) -> Asked {
        let mut asked = Asked { lookups: arrivals.len() as u64, ..Asked::default() };
        for arrival in arrivals {
            let occasion = match arrival.occasion {
                Occasion::Visit => "visit",
                Occasion::Family => "family",
                Occasion::Repeat => "repeat",
                Occasion::Burst => "burst",
            };
            *asked.occasions.entry(occasion).or_default() += 1;
            *asked.institutions.entry(arrival.institution.name()).or_default() += 1;
            *asked.verdicts.entry(questions.letter(arrival)).or_default() += 1;
            asked.short_connections += u64::from(arrival.short);
        }
        asked
    }

    pub(crate) fn json(&self) -> Value {
        let verdicts: BTreeMap<String, u64> = self.verdicts.iter().map(|(letter, count)| (letter.to_string(), *count)).collect();
        json!({
            "lookups": self.lookups,
            "institutions": self.institutions,
            "occasions": self.occasions,
            "short_connections": self.short_connections,
            "right_answers": verdicts,
        })
    }
}
