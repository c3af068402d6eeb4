//! How far an import is, told after every chunk.

/// How far an import is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The second pass.
    pub applying: bool,
    /// Bytes of the file done in this pass.
    pub bytes_done: u64,
    /// Bytes of the file.
    pub bytes_total: u64,
    /// The last line done.
    pub line: u64,
    /// While applying: every row up to `line` is durable, with this sequence.
    pub sequence: Option<u64>,
}
