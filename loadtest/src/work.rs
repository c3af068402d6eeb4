//! A population made and registered for a run, in a directory that vanishes with it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::arguments::PopulationArguments;
use crate::error::LoadError;

/// Any other status says that rows were left out or held back, and a synthetic file has none that may be.
const DONE: i32 = 0;

/// A directory of the run's own; what is in it is removed when it is dropped.
pub(crate) struct Work {
    path: PathBuf,
}

impl Work {
    /// Makes one below `parent`, which must be there.
    pub(crate) fn below(parent: &Path) -> Result<Work, LoadError> {
        for attempt in 0..1_000 {
            let path = parent.join(format!("loadtest-{}-{attempt}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Work { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(LoadError::io("making a directory to work in; see --work")(error)),
            }
        }
        Err(LoadError::Usage("the directory to work in is full of others; see --work".to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A registration file and its import.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Imported {
    pub(crate) took: Duration,
    pub(crate) file_bytes: u64,
}

/// Writes the population's registration file.
pub(crate) fn synthesize(binary: &Path, population: &PopulationArguments, file: &Path) -> Result<(), LoadError> {
    let mut command = Command::new(binary);
    command.arg("synth").arg("--recipients").arg(population.recipients.to_string());
    command.arg("--seed").arg(population.seed.to_string()).arg("--as-of").arg(population.as_of.to_string());
    run(command.arg("--out").arg(file), "synth")
}

/// Registers a file in a directory that nobody serves, until it is durable and in the store.
pub(crate) fn import(binary: &Path, data: &Path, file: &Path) -> Result<Imported, LoadError> {
    let file_bytes = std::fs::metadata(file).map_err(LoadError::io("the registration file"))?.len();
    let began = Instant::now();
    run(Command::new(binary).arg("import").arg("--data").arg(data).arg(file), "import")?;
    Ok(Imported { took: began.elapsed(), file_bytes })
}

/// Makes a population's data directory below `work`; the registration file does not stay.
pub(crate) fn register(binary: &Path, population: &PopulationArguments, work: &Work) -> Result<(PathBuf, Imported), LoadError> {
    let (file, data) = (work.path().join("registrations.csv"), work.path().join("data"));
    synthesize(binary, population, &file)?;
    let imported = import(binary, &data, &file)?;
    std::fs::remove_file(&file).map_err(LoadError::io("removing the registration file"))?;
    Ok((data, imported))
}

fn run(command: &mut Command, what: &str) -> Result<(), LoadError> {
    command.env("SHIKAKU_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null());
    let status: ExitStatus = command.status().map_err(LoadError::io("starting shikaku; see --binary"))?;
    if status.code() == Some(DONE) { Ok(()) } else { Err(LoadError::Server(format!("shikaku {what} ended with {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_to_work_in_is_its_own_and_vanishes() {
        let parent = tempfile::tempdir().unwrap();
        let (one, other) = (Work::below(parent.path()).unwrap(), Work::below(parent.path()).unwrap());
        assert_ne!(one.path(), other.path());
        std::fs::write(one.path().join("file"), "x").unwrap();
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && other.path().exists());
        assert!(Work::below(&parent.path().join("absent")).is_err());
    }
}
