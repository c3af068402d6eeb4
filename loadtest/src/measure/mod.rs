//! What is measured besides time: processors, memory, disks, and what machine this is.

pub(crate) mod cpu;
pub(crate) mod environment;
pub(crate) mod memory;
