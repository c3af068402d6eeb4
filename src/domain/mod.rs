//! The words of the field. Pure: no I/O, no clock, nothing of how rows are stored.

pub mod day;
pub mod decision;
pub mod digits;
pub mod fold;
pub mod identifier;
pub mod masters;
pub mod prefectures;
pub mod registration;

#[cfg(test)]
pub(crate) mod vectors;
