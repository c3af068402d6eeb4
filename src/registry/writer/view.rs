//! What others see without asking the writer: what a look-up reads besides the index, and the figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Writer;
use crate::registry::view::View;
use crate::registry::write_behind::WriteBehind;

/// Figures that others read without asking the writer.
#[derive(Debug, Default)]
pub struct Figures {
    /// Dossiers: insured identities with a current row.
    pub dossiers: AtomicU64,
    /// Current rows.
    pub rows: AtomicU64,
    /// Last durable sequence.
    pub sequence: AtomicU64,
    /// Sequence the store stands at.
    pub store_sequence: AtomicU64,
    /// Memory of the index, bytes.
    pub index_bytes: AtomicU64,
    /// Of it, dossiers that are alive.
    pub live_bytes: AtomicU64,
}

impl Writer {
    /// Publishes what a look-up reads besides the index, and the figures.
    pub(in crate::registry) fn publish_view(&mut self, sources_too: bool) {
        let current = self.view.load_full();
        let sources = if sources_too || self.authorities_changed(&current) {
            Arc::new(self.ledger.sources(&self.tally.by_authority))
        } else {
            current.sources.clone()
        };
        let view = View::new(
            self.ledger.masters.clone(),
            sources,
            (self.position.sequence, self.total()),
            self.ledger.horizon,
            self.data_unix_ms,
            self.held(),
        );
        drop(current);
        self.old_views.push(self.view.swap(Arc::new(view)));
        self.old_views.retain(|view| Arc::strong_count(view) > 1);
        self.publish_figures();
    }

    pub(in crate::registry) fn publish_figures(&self) {
        // First: whoever knows a sequence is handed the log up to it.
        if let Some(standing) = self.standing() {
            self.acknowledged.set(standing);
        }
        let figures = &self.figures;
        figures.sequence.store(self.position.sequence, Ordering::Release);
        figures.dossiers.store(self.dossiers, Ordering::Relaxed);
        figures.rows.store(self.tally.rows, Ordering::Relaxed);
        let applied = self.behind.as_ref().map_or(0, WriteBehind::applied);
        figures.store_sequence.store(applied, Ordering::Relaxed);
        figures.index_bytes.store(self.index.memory_bytes(), Ordering::Relaxed);
        figures.live_bytes.store(self.index.live_bytes(), Ordering::Relaxed);
    }

    /// Whether an authority registered its first current row, or lost its last.
    fn authorities_changed(&self, view: &View) -> bool {
        let mut rows = self.tally.by_authority.iter();
        rows.any(|(authority, rows)| view.sources.of(authority).has_current_rows != (*rows > 0))
    }
}
