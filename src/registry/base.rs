//! The snapshot that a restored directory began with.

use std::path::{Path, PathBuf};

/// Where it lies.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join("snapshots").join("base.snap")
}
