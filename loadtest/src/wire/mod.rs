//! Raw TCP, and as little of HTTP/1.1 as a client needs that knows its server.

mod connection;
mod exchange;
mod inbox;
mod response;

pub(crate) use connection::{Connection, Received};
pub(crate) use inbox::Inbox;
pub(crate) use response::HeadReader;

pub(crate) use exchange::{Framing, Judge, Script};
pub(crate) use response::Head;
