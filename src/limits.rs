//! Every limit of the appliance, its unit in its name. Reaching one is a clear error, never a slow death.

/// One record of a registration file, with its line end. The widest well-formed record is under 4 KiB; what is longer has most
/// likely lost a closing quote, and reading on would only gather the rest of the file in memory.
pub const INGEST_RECORD_BYTES_MAX: usize = 64 * 1024;

/// How much of a registration file is read at a time. A chunk ends on a record's end, so it may exceed this by one record.
pub const INGEST_CHUNK_BYTES: usize = 1024 * 1024;

/// Chunks that may be read but not yet taken by the ordered consumer, for each worker.
pub const INGEST_CHUNKS_IN_FLIGHT_PER_WORKER: usize = 3;

/// Columns of a header that are looked at before it is called no header at all.
pub const INGEST_HEADER_COLUMNS_MAX: usize = 256;

const _: () = assert!(INGEST_RECORD_BYTES_MAX <= INGEST_CHUNK_BYTES);
