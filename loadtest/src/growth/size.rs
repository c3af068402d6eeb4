//! One size.

use std::time::Duration;

use serde_json::{Value, json};

use super::{GrowthArguments, megabytes};
use crate::arguments::{Form, Shape};
use crate::error::LoadError;
use crate::measure::memory::{disk_bytes, resident_bytes};
use crate::report::{Figures, median, thousands};
use crate::server::appliance::Appliance;
use crate::server::{dossier_bytes, status};
use crate::trial::{Manner, measure, prepare};
use crate::work::{Work, register};

/// What a number of recipients costs.
pub(super) struct Size {
    pub(super) recipients: u64,
    import: Duration,
    disk_bytes: u64,
    start: Duration,
    /// After the runs, so that all that is ever touched is counted.
    pub(super) resident_bytes: u64,
    dossier_bytes: u64,
    pipeline: Option<Figures>,
    batch: Option<Figures>,
}

impl Size {
    /// Makes, registers, serves and asks; what was made is removed.
    pub(super) fn measure(arguments: &GrowthArguments, recipients: u64) -> Result<Size, LoadError> {
        let work = Work::below(&arguments.work)?;
        let (data, imported) = register(&arguments.binary, &arguments.population(recipients), &work)?;
        let disk_bytes = disk_bytes(&data);
        let appliance = Appliance::start(&arguments.binary, &data, arguments.ready_within())?;
        let pipeline = asked(arguments, recipients, &appliance, Shape::Pipeline)?;
        let batch = asked(arguments, recipients, &appliance, Shape::Batch)?;
        Ok(Size {
            recipients,
            import: imported.took,
            disk_bytes,
            start: appliance.ready_after,
            resident_bytes: resident_bytes(appliance.pid())?,
            dossier_bytes: dossier_bytes(appliance.address)?,
            pipeline,
            batch,
        })
    }

    pub(super) fn pipeline_cpu_ns(&self) -> Option<f64> {
        self.pipeline.as_ref()?.server_cpu_ns_per_lookup
    }

    pub(super) fn batch_cpu_ns(&self) -> Option<f64> {
        self.batch.as_ref()?.server_cpu_ns_per_lookup
    }

    pub(super) fn line(&self) -> String {
        let speed = |figures: &Option<Figures>| {
            figures.as_ref().map_or("-".to_owned(), |figures| format!("{}/s", thousands(figures.lookups_per_s)))
        };
        let cpu = |ns: Option<f64>| ns.map_or("-".to_owned(), |ns| format!("{ns:.0} ns"));
        let columns = [
            self.recipients.to_string(),
            format!("{:.1} s", self.import.as_secs_f64()),
            megabytes(self.disk_bytes),
            format!("{:.1} s", self.start.as_secs_f64()),
            megabytes(self.resident_bytes),
            megabytes(self.dossier_bytes),
            speed(&self.pipeline),
            cpu(self.pipeline_cpu_ns()),
            speed(&self.batch),
            cpu(self.batch_cpu_ns()),
        ];
        format!("| {} |", columns.join(" | "))
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "recipients": self.recipients,
            "import_s": self.import.as_secs_f64(),
            "disk_bytes": self.disk_bytes,
            "start_s": self.start.as_secs_f64(),
            "resident_bytes": self.resident_bytes,
            "dossier_bytes": self.dossier_bytes,
            "pipeline": self.pipeline.as_ref().map(Figures::json),
            "batch": self.batch.as_ref().map(Figures::json),
        })
    }

    #[cfg(test)]
    pub(super) fn with_resident(recipients: u64, resident_bytes: u64) -> Size {
        Size {
            recipients,
            import: Duration::ZERO,
            disk_bytes: 0,
            start: Duration::ZERO,
            resident_bytes,
            dossier_bytes: 0,
            pipeline: None,
            batch: None,
        }
    }
}

/// Compact look-ups; the median of the runs.
fn asked(
    arguments: &GrowthArguments,
    recipients: u64,
    appliance: &Appliance,
    shape: Shape,
) -> Result<Option<Figures>, LoadError> {
    let manner = Manner::usual(shape, Form::Compact);
    let horizon = status(appliance.address)?.horizon;
    let plan = prepare(&arguments.population(recipients), Some(horizon), manner)?;
    let mut runs = Vec::new();
    for _ in 0..arguments.runs {
        let figures = measure(&plan, manner, appliance.address, arguments.clock, Some(appliance.pid()))?;
        arguments.thresholds().trust(&manner.name(), &figures)?;
        runs.push(figures);
    }
    Ok(median(runs))
}
