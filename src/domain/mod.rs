//! The words of the field. Pure: no I/O, no clock, nothing of how rows are stored.

pub mod day;
pub mod digits;

#[cfg(test)]
pub(crate) mod vectors;
