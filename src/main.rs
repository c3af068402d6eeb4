//! The command line: one match, one call each.

fn main() {}
