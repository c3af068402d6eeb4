//! HTTP/1.1 over raw TCP, as little of it as a client needs that knows its server.

mod connection;
mod inbox;
mod response;

pub(crate) use connection::{Connection, Received};
pub(crate) use inbox::Inbox;
pub(crate) use response::HeadReader;
