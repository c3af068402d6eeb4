//! What a test proved, in a line that a program may gather: the table of faults and promises is made of these.

/// Says that a promise was kept under a fault, by which test, and how often.
#[allow(clippy::print_stdout, reason = "the line is the suite's output")]
pub fn proof(promise: &str, fault: &str, test: &str, count: impl std::fmt::Display) {
    println!("proof: {promise} | {fault} | {test} | {count}");
}
