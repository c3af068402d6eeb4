//! How the outside asks: look-ups on the fast listener, everything else on the API.

pub mod api;
pub mod clock;
pub mod config;
pub mod fast;
pub mod pages;
pub mod service;
pub mod tokens;
