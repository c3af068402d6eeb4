//! Throughputs in the JSON of other trials.
//!
//! What each trial writes differs; what is read here is what they have in common: something has a `what`, and in it stand things with
//! a rate. They are called by their own `name`, or else by the one they stand under.

use serde_json::Value;

/// What a rate is called; of peers that know no look-ups it is of keys.
const RATES: [&str; 2] = ["lookups_per_s", "keys_per_s"];

/// Servers that were asked the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    pub(super) what: String,
    /// Name and look-ups a second.
    pub(super) rates: Vec<(String, f64)>,
}

/// All that a trial tells.
pub(super) fn groups(result: &Value) -> Vec<Group> {
    let mut groups = Vec::new();
    walk(result, "measured", &mut groups);
    groups.retain(|group| !group.rates.is_empty());
    groups
}

fn walk(value: &Value, name: &str, groups: &mut Vec<Group>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| walk(value, name, groups)),
        Value::Object(fields) => {
            if let Some(what) = value.get("what").and_then(Value::as_str) {
                groups.push(Group { what: what.to_owned(), rates: Vec::new() });
            }
            let own = value.get("name").and_then(Value::as_str).unwrap_or(name);
            let rate = RATES.into_iter().find_map(|rate| fields.get(rate).and_then(Value::as_f64));
            if let (Some(rate), Some(group)) = (rate, groups.last_mut()) {
                group.rates.push((own.to_owned(), rate));
            }
            fields.iter().for_each(|(field, value)| walk(value, field, groups));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rates_are_found_in_what_trials_write() {
        let compared = json!({ "environment": { "cores": 2 }, "measured": [
            { "what": "single", "appliance": { "lookups_per_s": 97_000.0, "lookups": 5 }, "floor": { "lookups_per_s": 108_000.0 }, "ratio": 0.9 },
            { "what": "batch", "appliance": { "lookups_per_s": 3e6 }, "peers": [{ "name": "redis", "keys_per_s": 1.5e6 }] },
        ] });
        let rates = |pairs: &[(&str, f64)]| pairs.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect::<Vec<_>>();
        let single = Group { what: "single".to_owned(), rates: rates(&[("appliance", 97_000.0), ("floor", 108_000.0)]) };
        let batch = Group { what: "batch".to_owned(), rates: rates(&[("appliance", 3e6), ("redis", 1.5e6)]) };
        assert_eq!(groups(&compared), [single, batch]);
        assert_eq!(groups(&json!({ "what": "nothing", "ratio": 1 })), []);
    }
}
