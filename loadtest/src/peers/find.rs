//! Where a program lies.

use std::path::PathBuf;

/// Debian keeps PostgreSQL's programs beside its versions, out of the path.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

/// A program of the path, or of the newest PostgreSQL.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.extend(newest_first());
    places.into_iter().map(|place| place.join(name)).find(|program| program.is_file())
}

fn newest_first() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(POSTGRES_VERSIONS).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))).collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_path_is_found_and_what_is_nowhere_is_not() {
        assert!(program("sh").is_some());
        assert_eq!(program("no-program-has-this-name"), None);
    }
}
