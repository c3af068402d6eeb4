//! Bytes that a process and a directory hold.

use std::path::Path;

use crate::error::LoadError;

/// Resident memory of a process.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64, LoadError> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(LoadError::io("the server's memory"))?;
    resident(&status).ok_or_else(|| LoadError::Server("its memory cannot be read".to_owned()))
}

/// Bytes that a directory's files take on the disk, below it too. Files that vanish meanwhile count as nothing.
pub(crate) fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let bytes_of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => disk_bytes(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(bytes_of).sum()
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_its_line() {
        assert_eq!(resident("Name:\tx\nVmHWM:\t  90 kB\nVmRSS:\t    12 kB\n"), Some(12 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
    }

    #[test]
    fn files_below_count_too() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("below")).unwrap();
        std::fs::write(directory.path().join("below/file"), vec![1; 100_000]).unwrap();
        std::fs::write(directory.path().join("file"), vec![1; 100_000]).unwrap();
        assert!(disk_bytes(directory.path()) >= 200_000);
        assert_eq!(disk_bytes(&directory.path().join("absent")), 0);
    }
}
