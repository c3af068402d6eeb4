//! Quarantine: nothing more is taken from a hub that was caught at something, by whichever way it comes, until an operator says so.
//!
//! There is one where its file says so: it outlives a restart, and a command ends it from outside by removing the file. One that could not
//! be written down, on a full disk perhaps, holds all the same, and is written as soon as it can be.

use super::intake::{Intake, IntakeError};
use super::remembered::Quarantine;
use super::standing::Standings;
use crate::registry::Trouble;
use crate::serve::clock::now_unix_ms;

/// What a look at the file found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The hub may be asked.
    Free,
    /// The same, since an operator said so a moment ago. What was seen of the hub before is forgotten.
    Released,
    /// Nothing is taken.
    Held,
}

/// Begins a quarantine, durably.
pub(super) fn begin(intake: &mut Intake, standings: &Standings, trouble: Trouble, detail: String) {
    let quarantine = Quarantine { trouble: trouble.word().to_owned(), detail, since_unix_ms: now_unix_ms() };
    let written = intake.remembered().begin_quarantine(&quarantine);
    if let Err(error) = &written {
        tracing::error!(%error, "the quarantine could not be written down yet; a start before it is asks the hub again");
    }
    tracing::error!(trouble = quarantine.trouble, "nothing more is taken from the hub until an operator says so");
    intake.unwritten_quarantine = written.is_err().then(|| quarantine.clone());
    show(intake, standings, Some(quarantine));
}

/// Looks whether there is one, and shows what has changed since the last look.
pub(super) fn look(intake: &mut Intake, standings: &Standings) -> Result<Look, IntakeError> {
    if let Some(unwritten) = &intake.unwritten_quarantine {
        // A file that was never there says nothing by being away: only one that was seen and has gone is an operator's word.
        if intake.remembered().begin_quarantine(unwritten).is_ok() {
            tracing::info!("the quarantine is written down");
            intake.unwritten_quarantine = None;
        }
        return Ok(Look::Held);
    }
    let found = intake.remembered().quarantine();
    let found = found.map_err(|source| IntakeError::File { path: intake.remembered().path(""), source })?;
    let is_held = found.is_some();
    let is_new = found != standings.read().quarantine;
    if is_new {
        show(intake, standings, found);
    }
    Ok(match (is_held, is_new) {
        (true, _) => Look::Held,
        (false, false) => Look::Free,
        (false, true) => {
            tracing::info!("an operator ended the quarantine");
            intake.forget_seen();
            Look::Released
        }
    })
}

/// One trouble of the hub's stands while there is a quarantine, and none when it ends.
fn show(intake: &Intake, standings: &Standings, quarantine: Option<Quarantine>) {
    let troubles = intake.registry().troubles();
    for trouble in Trouble::OF_THE_HUB {
        troubles.lower(trouble);
    }
    if let Some(quarantine) = &quarantine {
        let trouble = Trouble::of_the_hub(&quarantine.trouble).unwrap_or(Trouble::HubRefused);
        troubles.raise(trouble, quarantine.detail.clone());
    }
    standings.change(|standing| standing.quarantine = quarantine);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::disk::faulty::{Faults, FaultyDisk};
    use crate::disk::{Disk, RealDisk};
    use crate::log::StreamId;
    use crate::registry::{Following, OpenOptions, Registry};
    use crate::sync::bundle::{self, BundleError};
    use crate::sync::checkpoint::Checkpoint;
    use crate::sync::intake::Share;
    use crate::sync::key::HubSigner;

    const NOW: u64 = 1_795_273_200_000;

    #[test]
    fn a_quarantine_that_cannot_be_written_down_holds_and_is_no_operators_release() {
        let (hub, house) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let faults = Arc::new(Faults::default());
        let disk: Arc<dyn Disk> = Arc::new(FaultyDisk(faults.clone()));
        let signer = HubSigner::read_or_make(&RealDisk, hub.path()).unwrap();
        let following = Following { stream: StreamId([7; 16]), hub_key: *signer.public().as_bytes(), prefectures: None };
        Registry::begin_following(&disk, house.path(), &following, None, NOW).unwrap();
        let registry = Arc::new(Registry::open(house.path(), &OpenOptions::at(NOW)).unwrap());
        let mut intake = Intake::open(registry.clone(), disk, Share::WHOLE, Arc::new(AtomicBool::new(false))).unwrap();
        let standings = Standings::of("hub".to_owned());
        intake.consider(&Checkpoint::of(&registry, &registry.segments().unwrap(), NOW).sign(&signer)).unwrap();

        faults.full.store(true, Ordering::SeqCst);
        begin(&mut intake, &standings, Trouble::HubForked, "another history".to_owned());
        for _ in 0..3 {
            assert_eq!(look(&mut intake, &standings).unwrap(), Look::Held);
            assert_eq!(registry.troubles().list(), [(Trouble::HubForked, "another history".to_owned())]);
            assert!(standings.read().quarantine.is_some() && intake.remembered().quarantine().unwrap().is_none());
            assert!(intake.newest().is_some(), "what was seen signed is not forgotten");
            let imported = bundle::import(&mut intake, house.path());
            assert!(matches!(imported, Err(BundleError::Quarantined { trouble, .. }) if trouble == "hub_forked"));
        }
        faults.full.store(false, Ordering::SeqCst);
        assert_eq!(look(&mut intake, &standings).unwrap(), Look::Held);
        assert_eq!(intake.remembered().quarantine().unwrap(), standings.read().quarantine, "it is written down");
        assert_eq!(look(&mut intake, &standings).unwrap(), Look::Held);

        intake.remembered().end_quarantine().unwrap();
        assert_eq!(look(&mut intake, &standings).unwrap(), Look::Released);
        assert!(registry.troubles().list().is_empty() && intake.newest().is_none());
    }

    #[test]
    fn a_quarantine_holds_over_a_restart_until_its_file_goes_and_is_shown_as_long() {
        let (hub, house) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let hub_key = *HubSigner::read_or_make(&RealDisk, hub.path()).unwrap().public().as_bytes();
        let following = Following { stream: StreamId([7; 16]), hub_key, prefectures: None };
        Registry::begin_following(&disk, house.path(), &following, None, NOW).unwrap();
        let registry = Arc::new(Registry::open(house.path(), &OpenOptions::at(NOW)).unwrap());
        let open = || Intake::open(registry.clone(), disk.clone(), Share::WHOLE, Arc::new(AtomicBool::new(false))).unwrap();
        let (mut intake, standings) = (open(), Standings::of("hub".to_owned()));
        assert_eq!(look(&mut intake, &standings).unwrap(), Look::Free);

        registry.troubles().raise(Trouble::HubUnreachable, "an hour".to_owned());
        begin(&mut intake, &standings, Trouble::HubForked, "another history".to_owned());
        assert_eq!(look(&mut intake, &standings).unwrap(), Look::Held);
        assert_eq!(registry.troubles().list(), [(Trouble::HubForked, "another history".to_owned())]);
        assert_eq!(standings.read().quarantine.unwrap().trouble, "hub_forked");

        let (mut intake, standings) = (open(), Standings::of("hub".to_owned()));
        assert_eq!(look(&mut intake, &standings).unwrap(), Look::Held, "another process finds it");
        assert!(standings.read().quarantine.is_some());

        intake.remembered().end_quarantine().unwrap();
        assert_eq!(look(&mut intake, &standings).unwrap(), Look::Released);
        assert_eq!(look(&mut intake, &standings).unwrap(), Look::Free);
        assert_eq!((registry.troubles().list(), standings.read().quarantine), (vec![], None));
    }
}
