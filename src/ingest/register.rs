//! What an import needs of a registry: the one in this process, or the one of a running server behind its socket.

use crate::domain::identifier::AuthorityCode;
use crate::domain::masters::{MasterKind, Masters, built_in};
use crate::record::payload::{Changes, FeedRecord};
use crate::registry::tally::CountMap;
use crate::registry::{Applied, Fill, KnownFile, Registry, RegistryError};

/// Where registrations go.
pub trait Register {
    /// What the examination compares the file with.
    fn standing(&self) -> Result<Standing, RegisterError>;
    /// What is known of a file with this hash and these authorities.
    fn known_file(&self, hash: &str, authorities: &[AuthorityCode]) -> Result<KnownFile, RegisterError>;
    /// Whether the row of each change is current.
    fn are_current(&self, changes: &Changes) -> Result<Vec<bool>, RegisterError>;
    /// Makes room for this many rows.
    fn reserve_rows(&self, rows: u64) -> Result<(), RegisterError>;
    /// Records that the file began or ended; returns the sequence.
    fn record_feed(&self, feed: &FeedRecord) -> Result<u64, RegisterError>;
    /// Registers and withdraws; durable when it returns.
    fn apply(&self, changes: &Changes) -> Result<Applied, RegisterError>;
}

/// The registry as it stands before the file.
#[derive(Default)]
pub struct Standing {
    /// The masters.
    pub masters: Masters,
    /// How full the columns are, by authority and certificate type.
    pub fill: CountMap<u64, Fill>,
    /// Current rows by authority.
    pub rows: CountMap<AuthorityCode, u64>,
}

/// The registry said no.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The registry in this process.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The server that owns the directory.
    #[error("{0}")]
    Server(String),
    /// There is nothing to register in.
    #[error("nothing can be registered: only an examination was asked for")]
    OnlyExamined,
}

/// A register in which nothing stands yet, as a new stream would begin it: what a dry run compares with where there is none. It takes
/// nothing.
pub struct BlankRegister;

impl Register for BlankRegister {
    fn standing(&self) -> Result<Standing, RegisterError> {
        let mut standing = Standing::default();
        for kind in MasterKind::ALL {
            standing.masters.replace(kind, &built_in(kind)).map_err(RegistryError::from)?;
        }
        Ok(standing)
    }

    fn known_file(&self, _hash: &str, _authorities: &[AuthorityCode]) -> Result<KnownFile, RegisterError> {
        Ok(KnownFile::New)
    }

    fn are_current(&self, changes: &Changes) -> Result<Vec<bool>, RegisterError> {
        Ok(vec![false; changes.count()])
    }

    fn reserve_rows(&self, _rows: u64) -> Result<(), RegisterError> {
        Err(RegisterError::OnlyExamined)
    }

    fn record_feed(&self, _feed: &FeedRecord) -> Result<u64, RegisterError> {
        Err(RegisterError::OnlyExamined)
    }

    fn apply(&self, _changes: &Changes) -> Result<Applied, RegisterError> {
        Err(RegisterError::OnlyExamined)
    }
}

/// The registry of this process, with its clock.
pub struct LocalRegister<'r> {
    registry: &'r Registry,
    now_unix_ms: fn() -> u64,
}

impl<'r> LocalRegister<'r> {
    /// The registry, and what tells the time in ms since 1970.
    pub fn new(registry: &'r Registry, now_unix_ms: fn() -> u64) -> LocalRegister<'r> {
        LocalRegister { registry, now_unix_ms }
    }
}

impl Register for LocalRegister<'_> {
    fn standing(&self) -> Result<Standing, RegisterError> {
        let baseline = self.registry.baseline();
        Ok(Standing { masters: (*baseline.ledger.masters).clone(), fill: baseline.fill, rows: baseline.rows })
    }

    fn known_file(&self, hash: &str, authorities: &[AuthorityCode]) -> Result<KnownFile, RegisterError> {
        Ok(self.registry.known_file(hash, authorities))
    }

    fn are_current(&self, changes: &Changes) -> Result<Vec<bool>, RegisterError> {
        Ok(self.registry.are_current(changes))
    }

    fn reserve_rows(&self, rows: u64) -> Result<(), RegisterError> {
        Ok(self.registry.reserve_rows(usize::try_from(rows).unwrap_or(usize::MAX))?)
    }

    fn record_feed(&self, feed: &FeedRecord) -> Result<u64, RegisterError> {
        Ok(self.registry.record_feed(feed, (self.now_unix_ms)())?)
    }

    fn apply(&self, changes: &Changes) -> Result<Applied, RegisterError> {
        Ok(self.registry.apply(changes, (self.now_unix_ms)())?)
    }
}
