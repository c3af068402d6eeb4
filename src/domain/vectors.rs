//! The executed test vectors of the domain notes (`data/domain_vectors.json`).

use serde_json::Value;

fn all() -> Value {
    serde_json::from_str(include_str!("../../data/domain_vectors.json")).expect("the vectors are JSON")
}

/// The strings of one list.
pub(crate) fn list(name: &str) -> Vec<String> {
    let items = all()[name].as_array().expect("a list").clone();
    items.iter().map(|item| item.as_str().expect("a string").to_owned()).collect()
}

/// The pairs of one table.
pub(crate) fn map(name: &str) -> Vec<(String, String)> {
    let table = all()[name].as_object().expect("a table").clone();
    table.iter().map(|(key, value)| (key.clone(), value.as_str().expect("a string").to_owned())).collect()
}
