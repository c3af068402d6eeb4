//! The reception: the morning of a region, with the clock running whether anybody keeps up or not.
//!
//! A day's [`profile`] says how many look-ups a second hospitals, clinics, dentists and pharmacies ask; [`arrivals`] draws from it the
//! moment of every single one; [`questions`] says what each asks and what must come back. All of that exists before the clock starts.
//! Then one thread ([`peak`]) sends each request at its moment, or at once where it is late, over the connections of the region's
//! gateways ([`desks`], [`terminals`]), and counts how long each was waited for **from the moment it was meant to be sent**
//! ([`record`]). A server that stalls cannot slow the questions down, and so cannot hide the stall.
//!
//! Before the doors the appointments of the day are asked about in batches ([`overnight`]); while they stand open, files of newly
//! registered people come in ([`changes`]). What must hold for the run to count is in [`verdict`].

mod arguments;
mod arrivals;
mod asked;
mod chance;
mod changes;
mod clock;
mod desks;
#[cfg(test)]
mod fake;
mod institution;
mod overnight;
mod peak;
mod profile;
mod questions;
mod record;
mod report;
mod run;
mod terminals;
mod verdict;

pub(crate) use arguments::{DayArguments, ReceptionArguments};
pub(crate) use run::{measured, run};
