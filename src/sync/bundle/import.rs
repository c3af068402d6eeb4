//! A bundle as it is taken in.

use std::path::Path;
use std::sync::Arc;

use super::parts::Bundle;
use super::{BundleError, Imported};
use crate::disk::Disk;
use crate::log::Position;
use crate::registry::{Following, Prefectures, Registry};
use crate::serve::clock::now_unix_ms;
use crate::sync::intake::{Intake, IntakeError};
use crate::sync::key::HubKey;
use crate::sync::refusal::Refusal;
use crate::sync::remembered::Quarantine;

/// The name under which a snapshot lies while a directory is begun from it.
const SNAPSHOT: &str = "bundle.snap.tmp";

/// Takes a bundle into a directory that follows. Everything of it is judged before anything is applied; one that holds nothing new
/// changes nothing.
pub fn import(intake: &mut Intake, path: &Path) -> Result<Imported, BundleError> {
    let registry = intake.registry().clone();
    let unread = |source| BundleError::File { path: registry.directory().to_owned(), source };
    let written = intake.remembered().quarantine().map_err(unread)?;
    if let Some(Quarantine { trouble, detail, .. }) = written.or(intake.unwritten_quarantine.clone()) {
        return Err(BundleError::Quarantined { path: registry.directory().to_owned(), trouble, detail });
    }
    let bundle = Bundle::open(path, intake.key())?;
    let (own, _) = registry.standing();
    let stood = own.sequence;
    if bundle.checkpoint().stream != own.stream {
        return Err(bundle.refused(Refusal::OtherStream { ours: own.stream, offered: bundle.checkpoint().stream }));
    }
    if bundle.since() > stood {
        let holds_snapshot = bundle.manifest().is_some();
        return Err(BundleError::Gap { begins: bundle.since() + 1, stands: stood, holds_snapshot });
    }
    let is_older = bundle.checkpoint().sequence < stood;
    if !is_older {
        take(intake, &bundle, &own)?;
    }
    Ok(Imported { bundle: bundle.summary(), stood, stands: registry.standing().0.sequence })
}

fn take(intake: &mut Intake, bundle: &Bundle, own: &Position) -> Result<(), BundleError> {
    let refused = |error| match error {
        IntakeError::Refused(refusal) => bundle.refused(refusal),
        IntakeError::Registry(error) => BundleError::Registry(error),
        IntakeError::File { path, source } => BundleError::File { path, source },
        IntakeError::Key(error) => BundleError::Key(error),
        IntakeError::Stopped => BundleError::Stopped,
    };
    // What came by a line and has not arrived at a signed place comes again, from here or from there.
    intake.start_over();
    intake.consider(bundle.signed_checkpoint()).map_err(refused)?;
    bundle.frames_behind(own, |run| intake.take(run).map(|_| ()).map_err(refused))?;
    intake.source_ended().map_err(|refusal| bundle.refused(refusal))?;
    intake.remember(std::time::Duration::ZERO).map_err(refused)
}

/// Makes an empty directory one that follows the hub whose key this is, from a bundle's snapshot, or from one that begins at the stream's
/// beginning. The bundle is to be imported afterwards.
pub fn begin_from(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    path: &Path,
    key: &HubKey,
    prefectures: Option<Prefectures>,
) -> Result<Position, BundleError> {
    let bundle = Bundle::open(path, key)?;
    let following = Following { stream: bundle.checkpoint().stream, hub_key: *key.as_bytes(), prefectures };
    let failed = |source| BundleError::File { path: directory.to_owned(), source };
    disk.create_directory(directory).map_err(failed)?;
    let begin = |snapshot: Option<&Path>| Registry::begin_following(disk, directory, &following, snapshot, now_unix_ms());
    if bundle.manifest().is_some() {
        let snapshot = directory.join(SNAPSHOT);
        let begun = bundle.copy_snapshot(&**disk, &snapshot).and_then(|()| Ok(begin(Some(&snapshot))?));
        disk.remove(&snapshot).map_err(|source| BundleError::File { path: snapshot, source })?;
        return begun;
    }
    // A stream that was restored does not begin where an empty one does, though its sequences may.
    let begins = Position::beginning(following.stream);
    if bundle.since() > 0 || bundle.chain() != begins.chain {
        return Err(BundleError::NothingToBeginFrom { begins: bundle.since() + 1 });
    }
    Ok(begin(None)?)
}
