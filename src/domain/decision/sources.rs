//! When each authority last registered, and whether it has current rows: what "nobody found" and "too old" are judged by.

use std::collections::HashMap;

use crate::domain::identifier::AuthorityCode;

/// One authority as a source of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The time of its last feed, seconds since 1970; `None` when rows came without one.
    pub last_feed_unix_s: Option<u64>,
    /// Whether any current row is its own: registering rows is taking part.
    pub has_current_rows: bool,
}

/// All authorities that ever were a source.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    by_authority: HashMap<AuthorityCode, Source>,
}

impl Sources {
    /// Sets what is known of one authority.
    pub fn set(&mut self, authority: AuthorityCode, source: Source) {
        self.by_authority.insert(authority, source);
    }

    /// What is known of one authority.
    pub fn of(&self, authority: &AuthorityCode) -> Source {
        self.by_authority.get(authority).copied().unwrap_or_default()
    }

    /// Every authority with what is known of it, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&AuthorityCode, &Source)> {
        self.by_authority.iter()
    }

    pub(super) fn has_current_rows(&self, authority: &AuthorityCode) -> bool {
        self.of(authority).has_current_rows
    }

    /// The newest feed of all.
    pub fn newest_feed_unix_s(&self) -> Option<u64> {
        self.by_authority.values().filter_map(|source| source.last_feed_unix_s).max()
    }

    /// The oldest last feed of any authority that has one.
    pub fn oldest_feed_unix_s(&self) -> Option<u64> {
        self.by_authority.values().filter_map(|source| source.last_feed_unix_s).min()
    }
}
