//! The servers that are loaded: ones that run already, and ones that are started and ended here.

pub(crate) mod appliance;
pub(crate) mod child;
pub(crate) mod floor;
mod pages;

pub(crate) use pages::{dossier_bytes, status};

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::error::LoadError;

/// An address on loopback that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr, LoadError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(LoadError::io("a free port"))?;
    listener.local_addr().map_err(LoadError::io("a free port"))
}
