//! The giving end of HTTPS: checkpoints, segments and snapshots under `/v1/log/`. `docs/sync-protocol.md` describes the routes.
//!
//! Nothing here waits for the registry's writer, and no file is held in memory. What a hub signs it says itself; a relay passes on what
//! its hub signed and it has applied, and signs nothing.

mod answer;
mod checkpoint;
mod newest;
mod pieces;
mod range;
mod segments;
mod snapshots;

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use tokio::sync::watch;

pub use newest::{Published, sign_what_comes};
pub use snapshots::Offered;

use crate::registry::{Registry, Trouble};

/// What the routes answer from.
struct Publisher {
    registry: Arc<Registry>,
    newest: watch::Receiver<Option<Published>>,
    offered: Offered,
}

/// The routes under `/v1/log/`, for a listener that has judged who asks.
pub fn router(registry: Arc<Registry>, newest: watch::Receiver<Option<Published>>, offered: Offered) -> Router {
    Router::new()
        .route("/v1/log/checkpoint", get(checkpoint::newest))
        .route("/v1/log/place", get(segments::place))
        .route("/v1/log/segments", get(segments::list))
        .route("/v1/log/segments/{name}", get(segments::one))
        .route("/v1/log/snapshot", get(snapshots::manifest))
        .route("/v1/log/snapshots/{name}", get(snapshots::file))
        .with_state(Arc::new(Publisher { registry, newest, offered }))
}

impl Publisher {
    /// What is answered instead while there is a trouble with the log: nobody is fed from it.
    fn stopped(&self) -> Option<Response> {
        let stops = |trouble: &Trouble| trouble.stops_writing() && !Trouble::OF_A_START.contains(trouble);
        let (trouble, _) = self.registry.troubles().list().into_iter().find(|(trouble, _)| stops(trouble))?;
        Some(answer::unavailable(trouble.word(), "the log is not handed on while there is this trouble"))
    }
}
