//! A disk that can be filled to its last byte without harm to anybody else.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system in memory, of a size; unmounted when the test lets go of it.
pub struct SmallDisk {
    mounted_on: TempDir,
}

impl SmallDisk {
    /// Mounts one, or says why not: only root may.
    pub fn of_mib(size_mib: u64) -> Result<SmallDisk, String> {
        let mounted_on = tempfile::tempdir().unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size_mib}m"), "shikaku-test"]).arg(mounted_on.path());
        let said = command.output().map_err(|error| format!("mount: {error}"))?;
        if !said.status.success() {
            return Err(String::from_utf8_lossy(&said.stderr).trim().to_owned());
        }
        Ok(SmallDisk { mounted_on })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.mounted_on.path().join(name)
    }

    pub fn free_bytes(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.mounted_on.path()).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Fills the disk until this much is free.
    pub fn fill_to(&self, free_bytes: u64) {
        let mut ballast = File::options().append(true).create(true).open(self.ballast()).unwrap();
        let block = vec![0x5a_u8; 64 << 10];
        while self.free_bytes() > free_bytes {
            let bytes = usize::try_from(self.free_bytes() - free_bytes).unwrap().min(block.len());
            if ballast.write_all(&block[..bytes]).is_err() {
                break;
            }
        }
    }

    /// Lets nobody write any more. No file may be open for writing.
    pub fn make_read_only(&self) {
        let mut command = Command::new("mount");
        assert!(command.args(["-o", "remount,ro"]).arg(self.mounted_on.path()).status().unwrap().success());
    }

    /// Gives back what was filled.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.mounted_on.path() as &Path).status();
    }
}
