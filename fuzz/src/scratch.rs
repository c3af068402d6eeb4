//! A file that lives in memory, for what reads files by their paths.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};

/// One file in memory, with a path by which this process can open it.
pub struct Scratch {
    file: File,
    path: PathBuf,
}

impl Scratch {
    /// An empty one.
    pub fn new() -> Scratch {
        let file = File::from(memfd_create("scratch", MemfdFlags::CLOEXEC).expect("a file in memory"));
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Scratch { file, path }
    }

    /// The path of the file, which holds these bytes.
    pub fn holding(&self, bytes: &[u8]) -> &Path {
        self.file.set_len(0).expect("a file in memory can be cut");
        self.file.write_all_at(bytes, 0).expect("a file in memory can be written");
        &self.path
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}
