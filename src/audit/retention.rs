//! Removing what is older than the retention, with a note that says so: what is missing without one was taken away.

use super::note::Note;
use super::reader::{list, read_header};
use super::writer::{DAY_MS, Writer};
use super::{AuditError, Step};

/// What was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pruned {
    /// Nothing was old enough.
    Nothing,
    /// The clock jumped, or every segment of the past would go, as a clock that runs years ahead does. The next day tells.
    Doubted,
    /// So many segments.
    Segments(usize),
}

/// How a day came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Daybreak {
    /// It is the first that this process sees.
    Start,
    /// It followed the one before.
    Next,
    /// It did not: the clock was set, or the machine slept.
    Jump,
}

impl Daybreak {
    /// Of a day, and the one that was seen before it, if any.
    pub(super) fn of(today: u64, before: Option<u64>) -> Daybreak {
        match before {
            None => Daybreak::Start,
            Some(before) if today == before + 1 => Daybreak::Next,
            Some(_) => Daybreak::Jump,
        }
    }
}

/// Removes whole segments that were sealed more than `days` ago, as the beginning of the next one tells. The note is durable before the first of them goes.
pub(super) fn prune(writer: &mut Writer, now_unix_ms: u64, days: u32, daybreak: Daybreak) -> Result<Pruned, AuditError> {
    if daybreak == Daybreak::Jump {
        return Ok(Pruned::Doubted);
    }
    let (disk, directory) = (writer.disk().clone(), writer.directory().to_owned());
    let oldest_kept_unix_ms = now_unix_ms.saturating_sub(u64::from(days) * DAY_MS);
    let segments = list(&*disk, &directory)?;
    let (mut prunable, mut undated) = (Vec::new(), Vec::new());
    let mut note = None;
    for (found, next) in segments.iter().zip(segments.iter().skip(1)) {
        // A segment is sealed when the next one begins.
        let Ok(next) = read_header(&*disk, &next.path)? else { break };
        undated.push(found.path.clone());
        if next.created_unix_ms > now_unix_ms {
            // Begun while a clock ran ahead, which says nothing: the segment is at least as old as the next one that says something.
            continue;
        }
        if next.created_unix_ms >= oldest_kept_unix_ms {
            break;
        }
        prunable.append(&mut undated);
        note = Some(Note::Pruned {
            through_segment: next.number - 1,
            through_entry: next.first_entry - 1,
            days: u64::from(days),
            chain: next.chain,
        });
    }
    let Some(note) = note else {
        remove_torn(writer, oldest_kept_unix_ms)?;
        return Ok(Pruned::Nothing);
    };
    // This start has begun the newest segment, and by that dates the one before it: nothing else would be left of the past.
    if daybreak == Daybreak::Start && prunable.len() + 2 >= segments.len() {
        return Ok(Pruned::Doubted);
    }
    writer.note(note, now_unix_ms)?;
    writer.sync(now_unix_ms)?;
    for path in &prunable {
        disk.remove(path).map_err(AuditError::disk(path, Step::Write))?;
    }
    remove_torn(writer, oldest_kept_unix_ms)?;
    disk.sync_directory(&directory).map_err(AuditError::disk(&directory, Step::Sync))?;
    Ok(Pruned::Segments(prunable.len()))
}

/// Bytes that were cut from segments hold entries too.
fn remove_torn(writer: &Writer, oldest_kept_unix_ms: u64) -> Result<(), AuditError> {
    let directory = writer.directory();
    for name in writer.disk().list(directory).map_err(AuditError::disk(directory, Step::Read))? {
        let cut_unix_ms = name.strip_prefix("torn-").and_then(|name| name.strip_suffix(".bin"));
        let cut_unix_ms = cut_unix_ms.and_then(|name| name.split_once('-')).and_then(|(_, time)| time.parse::<u64>().ok());
        if cut_unix_ms.is_some_and(|cut| cut < oldest_kept_unix_ms) {
            let path = directory.join(name);
            writer.disk().remove(&path).map_err(AuditError::disk(&path, Step::Write))?;
        }
    }
    Ok(())
}
