//! Files that were moved or copied aside for an operator to look at, few of which are kept.

use std::io;
use std::path::Path;

use super::Disk;

/// Keeps the oldest of the files that have such a name, which shows what began it, and the newest, which show how it stands; those between
/// go, or a program that goes on on a failing disk would fill it. By name they must be in order of their age.
pub(crate) fn keep_few(disk: &dyn Disk, directory: &Path, kept_max: usize, is_one: impl Fn(&str) -> bool) -> io::Result<()> {
    let names: Vec<String> = disk.list(directory)?.into_iter().filter(|name| is_one(name)).collect();
    let surplus = names.len().saturating_sub(kept_max);
    for between in names.iter().skip(1).take(surplus) {
        disk.remove(&directory.join(between))?;
    }
    Ok(())
}
