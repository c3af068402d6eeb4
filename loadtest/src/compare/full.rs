//! What a full run measures before anything is served: the import, the index in process, the restart.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use shikaku::disk::RealDisk;
use shikaku::log::{Fault, FrameKind, LogReader};
use shikaku::record::payload::Changes;

use super::CompareArguments;
use crate::error::LoadError;
use crate::measure::memory::disk_bytes;
use crate::report::complain;
use crate::restart::{self, RestartArguments, Restarts};
use crate::work::Imported;

/// How often the server is killed.
const RESTARTS: u16 = 3;

pub(super) struct Full {
    pub(super) imported: Imported,
    pub(super) disk_bytes: u64,
    /// The archived bytes of all rows that were registered.
    pub(super) row_bytes: u64,
    /// As `loadtest index` reports it.
    pub(super) index: Value,
    pub(super) restarts: Restarts,
}

impl Full {
    pub(super) fn measure(arguments: &CompareArguments, data: &Path, imported: Imported) -> Result<Full, LoadError> {
        let (disk_bytes, row_bytes) = (disk_bytes(data), row_bytes(data)?);
        complain("the index in process …");
        let index = index(arguments, data)?;
        complain("restarts …");
        let restarts = restart::measure(&RestartArguments {
            data: data.to_owned(),
            binary: arguments.binary.clone(),
            population: arguments.population.clone(),
            rounds: RESTARTS,
            ready_within_s: arguments.ready_within_s,
            ready_ms_at_most: None,
            json: false,
        })?;
        Ok(Full { imported, disk_bytes, row_bytes, index, restarts })
    }

    /// Bytes on the disk over the rows' archived bytes.
    #[expect(clippy::cast_precision_loss, reason = "a ratio to be printed")]
    pub(super) fn disk_times(&self) -> f64 {
        self.disk_bytes as f64 / self.row_bytes.max(1) as f64
    }

    /// Nanoseconds of a look-up in process, by the name that `loadtest index` gives it.
    pub(super) fn index_ns(&self, name: &str) -> Option<f64> {
        self.index.get("figures")?.get(name)?.as_f64()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "import_s": self.imported.took.as_secs_f64(),
            "import_file_bytes": self.imported.file_bytes,
            "disk_bytes": self.disk_bytes,
            "row_bytes": self.row_bytes,
            "index": self.index.get("figures"),
            "restart": self.restarts.json(),
        })
    }
}

/// Reads the log once more, and adds up its rows.
fn row_bytes(data: &Path) -> Result<u64, LoadError> {
    let failed = |error: shikaku::log::LogError| LoadError::Server(format!("the log cannot be read back: {error}"));
    let Some(log) = LogReader::open(Arc::new(RealDisk), &data.join("log")).map_err(failed)? else { return Ok(0) };
    let mut total = 0;
    let taken = log.replay(&log.beginning().map_err(failed)?, 0, |frame| {
        if frame.kind == FrameKind::Changes {
            let changes = Changes::validated(frame.payload).map_err(|_| Fault::Payload)?;
            total += changes.iter().map(|change| change.bytes.len() as u64).sum::<u64>();
        }
        Ok(())
    });
    taken.map_err(failed)?;
    Ok(total)
}

/// Measures the index in a process of its own, so that its memory is given back.
fn index(arguments: &CompareArguments, data: &Path) -> Result<Value, LoadError> {
    let program = std::env::current_exe().map_err(LoadError::io("finding this program"))?;
    let population = &arguments.population;
    let mut command = Command::new(program);
    command.arg("index").arg("--json").arg("--data").arg(data);
    command.arg("--recipients").arg(population.recipients.to_string()).arg("--seed").arg(population.seed.to_string());
    command.arg("--as-of").arg(population.as_of.to_string()).arg("--questions").arg(population.questions.to_string());
    command.arg("--question-seed").arg(population.question_seed.to_string());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(LoadError::io("starting `index`"))?;
    if !output.status.success() {
        return Err(LoadError::Server(format!("`loadtest index` ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(|_| LoadError::Server("`loadtest index` reported no JSON".to_owned()))
}
