//! How the outside asks.

pub mod fast;
