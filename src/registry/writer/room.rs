//! Whether the disk has room for what is registered. A full disk stops registering and nothing else, and only as long as it is full.

use super::Writer;
use crate::limits::DISK_ROOM_BYTES_MIN;
use crate::log::{LogError, LogWriter};
use crate::registry::RegistryError;
use crate::registry::troubles::Trouble;

impl Writer {
    /// Refuses a frame where too little room is left behind it for the store and the audit.
    pub(super) fn check_room(&self) -> Result<(), RegistryError> {
        let room_bytes = self.room_bytes();
        if room_bytes >= DISK_ROOM_BYTES_MIN {
            self.troubles.lower(Trouble::DiskFull);
            return Ok(());
        }
        let detail = format!(
            "{} MiB are left on the disk, and registering needs {}; once there is room it goes on by itself",
            room_bytes >> 20,
            DISK_ROOM_BYTES_MIN >> 20,
        );
        self.troubles.raise(Trouble::DiskFull, detail.clone());
        Err(RegistryError::NotWritable { trouble: Trouble::DiskFull.word(), detail })
    }

    /// Says why a frame could not be written, where the disk was full. The log has cut off what it wrote of it.
    pub(super) fn note_full_disk(&self, error: &LogError) {
        if error.is_out_of_room() {
            self.troubles.raise(Trouble::DiskFull, format!("{error}; once there is room registering goes on by itself"));
        }
    }

    /// Notices that there is room again.
    pub(in crate::registry) fn look_for_room(&self) {
        if self.troubles.has(Trouble::DiskFull) && self.room_bytes() >= DISK_ROOM_BYTES_MIN {
            self.troubles.lower(Trouble::DiskFull);
            tracing::info!("the disk has room again; registering goes on");
        }
    }

    fn room_bytes(&self) -> u64 {
        self.log.as_ref().map_or(u64::MAX, LogWriter::room_bytes)
    }
}
