//! How the outside asks: look-ups on the fast listener, everything else on the API.

pub mod api;
mod batch;
pub mod clock;
pub mod config;
mod desk;
pub mod fast;
pub mod misses;
pub mod pages;
pub mod roles;
pub mod schedule;
pub mod service;
pub mod snapshots;
pub mod tokens;
