//! What is done to a registry and to its model alike.

use shikaku::domain::masters::MasterKind;
use shikaku::domain::registration::Operation;
use shikaku::record::payload::{FeedPhase, FeedRecord};
use shikaku::registry::{Keeping, Registry, RegistryError};

use crate::machine::{NOW, backup, file_name};
use crate::model::Model;
use crate::rows::{self, Row, RowChange, today};

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Apply(Vec<RowChange>),
    Prune {
        months: u8,
    },
    SetPayers {
        version: u8,
    },
    Feed {
        file: u8,
        ended: bool,
    },
    Mark,
    Snapshot,
    /// A round of the shelf: a snapshot there, and the log trimmed as far as two of them cover it.
    Keep,
    /// Writes the image, where the machine keeps one.
    Image,
}

impl Deed {
    /// Registers rows in one batch.
    pub(crate) fn register(rows: &[Row]) -> Deed {
        Deed::Apply(rows.iter().map(|row| (Operation::Upsert, *row)).collect())
    }

    pub(crate) fn withdraw(row: Row) -> Deed {
        Deed::Apply(vec![(Operation::Withdraw, row)])
    }

    /// Does it, and says how what the registry says of it differs from what the model does.
    pub(crate) fn done(&self, registry: &Registry, model: &mut Model) -> Result<(), RegistryError> {
        let mut after = model.clone();
        let expected = self.imagine(&mut after);
        match self {
            Deed::Apply(rows) => {
                let applied = registry.apply(&rows::changes(rows), NOW)?;
                assert_eq!(Some(applied.counts), expected, "{self:?}");
            }
            Deed::Prune { months } => {
                registry.prune_to(ahead(*months), NOW)?;
            }
            Deed::SetPayers { version } => {
                registry.set_master(MasterKind::Payers, &payers(*version), NOW)?;
            }
            Deed::Feed { file, ended } => {
                registry.record_feed(&feed(*file, *ended), NOW)?;
            }
            Deed::Mark => registry.maintain(NOW)?,
            Deed::Snapshot => {
                let summary = registry.create_snapshot(backup())?;
                assert_eq!(summary.rows, model.rows().count() as u64);
            }
            Deed::Keep => {
                registry.keep_snapshots(&Keeping { snapshots: 2, log_retention_ms: 0 }, NOW + 1_000)?;
            }
            Deed::Image => {
                registry.write_image(|| true)?;
            }
        }
        *model = after;
        Ok(())
    }

    /// What there is after each frame that it takes.
    pub(crate) fn stages(&self, model: &Model) -> Vec<Model> {
        if let Deed::Apply(rows) = self {
            return model.stages(rows);
        }
        let mut after = model.clone();
        self.imagine(&mut after);
        vec![after]
    }

    /// Does it to the model alone; what became of rows, where there are any.
    fn imagine(&self, model: &mut Model) -> Option<shikaku::registry::Counts> {
        match self {
            Deed::Apply(rows) => return Some(model.apply(rows)),
            Deed::Prune { months } => {
                model.prune(ahead(*months));
            }
            Deed::SetPayers { version } => model.payers = Some(payers(*version)),
            Deed::Feed { file, ended } => {
                model.files.insert(file_name(*file), *ended);
            }
            Deed::Mark | Deed::Snapshot | Deed::Keep | Deed::Image => {}
        }
        None
    }
}

fn ahead(months: u8) -> shikaku::domain::day::Day {
    today().plus_months(i64::from(months))
}

fn payers(version: u8) -> String {
    let header = MasterKind::Payers.header();
    format!("{header}\n88131016,131016,子ども {version},13,warn,2020-04-01,9999-12-31\n")
}

fn feed(file: u8, ended: bool) -> FeedRecord {
    FeedRecord {
        phase: if ended { FeedPhase::Ended } else { FeedPhase::Began },
        file_name: format!("{}.csv", file_name(file)),
        file_hash: file_name(file),
        authorities: vec!["131016".to_owned()],
        rows: 3,
        rejects: 0,
        gates_overridden: Vec::new(),
        accepted_by: None,
    }
}
