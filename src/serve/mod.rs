//! How the outside asks: look-ups on the fast listener, everything else on the API.

mod admission;
pub mod api;
mod asker;
mod batch;
pub mod clock;
pub mod config;
pub mod credential;
mod desk;
mod exposition;
pub mod fast;
pub mod misses;
pub mod pages;
pub mod roles;
pub mod schedule;
pub mod service;
pub mod snapshots;
pub mod tokens;

use admission::FORBIDDEN;
pub use asker::{Asker, Door};
