//! The line that says what a test has proved, for the table of faults and promises.

/// Prints it.
pub(crate) fn proved(promise: &str, fault: &str, test: &str, count: u64) {
    println!("proof: {promise} | {fault} | {test} | {count}");
}
