//! Files that are written once.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::PkiError;

/// A file to be written.
#[derive(Debug)]
pub struct NewFile {
    /// Its name in the directory.
    pub name: String,
    /// What stands in it.
    pub content: String,
    /// Whether others may not read it.
    pub is_secret: bool,
}

/// Writes files that are not there into a directory, which is made if need be. If one is there, with other content or secret, none is
/// written; a public file with the same content stays as it is.
pub fn write_new(directory: &Path, files: &[NewFile]) -> Result<(), PkiError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: std::io::Error| match source.kind() {
            ErrorKind::AlreadyExists => PkiError::Exists { path },
            _ => PkiError::File { path, source },
        }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed(directory))?;
    let mut missing = Vec::new();
    for file in files {
        let path = directory.join(&file.name);
        match std::fs::read(&path) {
            Ok(content) if !file.is_secret && content == file.content.as_bytes() => {}
            Err(error) if error.kind() == ErrorKind::NotFound => missing.push((path, file)),
            Ok(_) => return Err(PkiError::Exists { path }),
            Err(source) => return Err(PkiError::File { path, source }),
        }
    }
    for (path, file) in missing {
        write(&path, file).map_err(failed(&path))?;
    }
    std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed(directory))
}

fn write(path: &PathBuf, file: &NewFile) -> std::io::Result<()> {
    let mode = if file.is_secret { 0o600 } else { 0o644 };
    let mut written = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    written.write_all(file.content.as_bytes())?;
    written.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(name: &str, content: &str, is_secret: bool) -> NewFile {
        NewFile { name: name.to_owned(), content: content.to_owned(), is_secret }
    }

    #[test]
    fn nothing_is_written_where_anything_stands_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("new/inner");
        write_new(&inner, &[file("public", "one", false), file("secret", "two", true)]).unwrap();
        let mode = |name: &str| std::fs::metadata(inner.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("secret"), 0o600);
        for in_the_way in [file("public", "other", false), file("secret", "two", true), file("secret", "other", true)] {
            let result = write_new(&inner, &[file("further", "three", false), in_the_way]);
            assert!(matches!(result, Err(PkiError::Exists { .. })), "{result:?}");
            assert!(!inner.join("further").exists());
        }
        write_new(&inner, &[file("public", "one", false), file("further", "three", false)]).unwrap();
        assert_eq!(std::fs::read_to_string(inner.join("further")).unwrap(), "three");
        assert_eq!(std::fs::read_to_string(inner.join("secret")).unwrap(), "two");
    }
}
