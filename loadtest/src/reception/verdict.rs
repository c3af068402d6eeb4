//! Whether the run counts, and what it missed.

use serde_json::{Value, json};

/// One thing that had to hold.
#[derive(Clone, Debug)]
pub(crate) struct Requirement {
    pub(crate) name: &'static str,
    /// The same in the field's language, for the page.
    pub(crate) japanese: &'static str,
    pub(crate) measured: f64,
    pub(crate) at_most: f64,
    pub(crate) unit: &'static str,
    /// What it means when it is missed.
    pub(crate) else_means: &'static str,
}

impl Requirement {
    pub(crate) fn is_met(&self) -> bool {
        self.measured <= self.at_most
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "japanese": self.japanese,
            "measured": self.measured,
            "at_most": self.at_most,
            "unit": self.unit,
            "met": self.is_met(),
            "else_means": self.else_means,
        })
    }

    fn missed(&self) -> String {
        let Requirement { name, measured, at_most, unit, else_means, .. } = self;
        let digits = if measured.fract() == 0.0 { 0 } else { 3 };
        format!("{name} {measured:.digits$}{unit} (at most {at_most}{unit}): {else_means}")
    }
}

/// What was missed, in words.
pub(crate) fn missed(requirements: &[Requirement]) -> Vec<String> {
    requirements.iter().filter(|requirement| !requirement.is_met()).map(Requirement::missed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(measured: f64) -> Requirement {
        let (name, japanese, unit, else_means) = ("p99", "", " ms", "patients wait");
        Requirement { name, japanese, measured, at_most: 2.0, unit, else_means }
    }

    #[test]
    fn what_is_missed_is_named_with_its_figures_and_what_is_not_a_number_is_missed() {
        assert!(missed(&[requirement(2.0), requirement(0.1)]).is_empty());
        let said = missed(&[requirement(0.5), requirement(2.25)]);
        assert_eq!(said, ["p99 2.250 ms (at most 2 ms): patients wait"]);
        assert_eq!(missed(&[requirement(3.0)]), ["p99 3 ms (at most 2 ms): patients wait"]);
        assert_eq!(missed(&[requirement(f64::NAN)]).len(), 1);
    }
}
