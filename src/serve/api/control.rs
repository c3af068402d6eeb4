//! The owner's side of the socket.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Json, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use tokio::net::UnixListener;

use super::look_up::{answer, request_of};
use super::{AppliedBody, ExportBody, FailureBody, KnownFileQuestion, MasterBody, SnapshotBody, StandingBody};
use crate::background;
use crate::disk::{Disk, RealDisk};
use crate::domain::identifier::AuthorityCode;
use crate::domain::masters::MasterKind;
use crate::ingest::register::{LocalRegister, Register};
use crate::limits::CONTROL_BODY_BYTES_MAX;
use crate::record::payload::{Changes, FeedRecord};
use crate::registry::{Registry, RegistryError};
use crate::serve::Door;
use crate::serve::clock::now_unix_ms;
use crate::serve::service::Service;
use crate::sync::bundle::{self, BundleError, BundleSummary, Imported};
use crate::sync::intake::IntakeDoor;

#[derive(Clone)]
struct Owner {
    registry: Arc<Registry>,
    service: Arc<Service>,
    /// The way to the intake of a directory that follows.
    door: Option<IntakeDoor>,
}

/// Serves the owner's socket until `stop` completes. The file is removed first if a crash left it behind: the caller owns the
/// directory, so nobody listens there.
pub async fn serve(
    socket: &Path,
    registry: Arc<Registry>,
    service: Arc<Service>,
    door: Option<IntakeDoor>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    if socket.exists() {
        std::fs::remove_file(socket)?;
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    let served = axum::serve(listener, router(Owner { registry, service, door })).with_graceful_shutdown(stop).await;
    let _ = std::fs::remove_file(socket);
    served
}

fn router(owner: Owner) -> Router {
    Router::new()
        .route("/control/standing", get(standing))
        .route("/control/known-file", post(known_file))
        .route("/control/are-current", post(are_current))
        .route("/control/reserve", post(reserve))
        .route("/control/feed", post(feed))
        .route("/control/apply", post(apply))
        .route("/control/verify", post(verify))
        .route("/control/snapshot", post(snapshot))
        .route("/control/bundle/export", post(export_bundle))
        .route("/control/bundle/import", post(import_bundle))
        .route("/control/masters", get(masters).post(set_master))
        .fallback(look_up)
        .layer(DefaultBodyLimit::max(CONTROL_BODY_BYTES_MAX))
        .with_state(owner)
}

/// What failed, in words for the command that asked.
struct Failure(String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::UNPROCESSABLE_ENTITY, Json(FailureBody { failure: self.0 })).into_response()
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Failure {
        Failure(error.to_string())
    }
}

/// Runs what may take long, or wait for the writer, beside the workers of the socket.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<Json<T>, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map(Json),
        Err(_) => Err(Failure("the owner failed while it worked; see its log".to_owned())),
    }
}

fn register_failure(error: &crate::ingest::register::RegisterError) -> Failure {
    Failure(error.to_string())
}

async fn standing(State(owner): State<Owner>) -> Result<Json<StandingBody>, Failure> {
    beside(move || Ok(StandingBody::of(&owner.registry.baseline()))).await
}

async fn known_file(
    State(owner): State<Owner>,
    Json(question): Json<KnownFileQuestion>,
) -> Result<Json<crate::registry::KnownFile>, Failure> {
    beside(move || {
        let authorities: Result<Vec<AuthorityCode>, _> =
            question.authorities.iter().map(|code| AuthorityCode::parse(code.as_bytes())).collect();
        let authorities = authorities.map_err(|error| Failure(format!("an authority code: {error}")))?;
        let register = LocalRegister::new(&owner.registry, now_unix_ms);
        register.known_file(&question.hash, &authorities).map_err(|error| register_failure(&error))
    })
    .await
}

fn changes(body: &[u8]) -> Result<Changes, Failure> {
    Changes::validated(body).map_err(|error| Failure(format!("not a payload of changes: {error}")))
}

async fn are_current(State(owner): State<Owner>, body: Bytes) -> Result<Json<Vec<bool>>, Failure> {
    beside(move || Ok(owner.registry.are_current(&changes(&body)?))).await
}

async fn reserve(State(owner): State<Owner>, Json(rows): Json<u64>) -> Result<Json<()>, Failure> {
    beside(move || Ok(owner.registry.reserve_rows(usize::try_from(rows).unwrap_or(0))?)).await
}

async fn feed(State(owner): State<Owner>, Json(feed): Json<FeedRecord>) -> Result<Json<u64>, Failure> {
    beside(move || Ok(owner.registry.record_feed(&feed, now_unix_ms())?)).await
}

async fn apply(State(owner): State<Owner>, body: Bytes) -> Result<Json<AppliedBody>, Failure> {
    beside(move || Ok(AppliedBody::of(&owner.registry.apply(&changes(&body)?, now_unix_ms())?))).await
}

async fn verify(State(owner): State<Owner>) -> Result<Json<crate::registry::verify::VerifyReport>, Failure> {
    beside(move || {
        // It reads everything, and look-ups come first.
        let registry = owner.registry;
        let thread = background::spawn("verify", move || registry.verify_running());
        let thread = thread.map_err(|error| Failure(format!("a thread: {error}")))?;
        let verified = thread.join().map_err(|_| Failure("verifying failed; see the owner's log".to_owned()))?;
        Ok(verified?)
    })
    .await
}

async fn snapshot(
    State(owner): State<Owner>,
    Json(body): Json<SnapshotBody>,
) -> Result<Json<crate::registry::snapshot::SnapshotSummary>, Failure> {
    beside(move || Ok(owner.registry.create_snapshot(&body.file)?)).await
}

async fn export_bundle(State(owner): State<Owner>, Json(body): Json<ExportBody>) -> Result<Json<BundleSummary>, Failure> {
    beside(move || {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let passable = owner.door.and_then(|door| door.ask(|intake| intake.passable())).flatten();
        let passable = passable.map(|(_, signed)| signed);
        let exported = bundle::export(&owner.registry, &disk, &body.file, body.options(), passable);
        exported.map_err(|error| Failure(error.to_string()))
    })
    .await
}

async fn import_bundle(State(owner): State<Owner>, Json(body): Json<SnapshotBody>) -> Result<Json<Imported>, Failure> {
    beside(move || {
        let Some(door) = owner.door else {
            if owner.registry.following().is_some() {
                return Err(Failure("the owner can take no bundle in; its log says why".to_owned()));
            }
            let (path, stream) = (owner.registry.directory().to_owned(), owner.registry.stream());
            return Err(Failure(BundleError::RegistersItself { path, stream }.to_string()));
        };
        let imported = door.ask(move |intake| bundle::import(intake, &body.file));
        let imported = imported.ok_or_else(|| Failure("the server is ending; try again when it runs".to_owned()))?;
        imported.map_err(|error| Failure(error.to_string()))
    })
    .await
}

async fn masters(State(owner): State<Owner>) -> Result<Json<Vec<(u8, String)>>, Failure> {
    beside(move || {
        let texts = MasterKind::ALL.into_iter();
        Ok(texts.filter_map(|kind| owner.registry.master_text(kind).map(|text| (kind as u8, text))).collect())
    })
    .await
}

async fn set_master(State(owner): State<Owner>, Json(body): Json<MasterBody>) -> Result<Json<u64>, Failure> {
    beside(move || {
        let kind = MasterKind::from_byte(body.kind).ok_or_else(|| Failure("no such master table".to_owned()))?;
        Ok(owner.registry.set_master(kind, &body.text, now_unix_ms())?)
    })
    .await
}

/// Everything else is what the fast listener answers, asked by somebody who could open the socket.
async fn look_up(State(owner): State<Owner>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let body = body.to_bytes();
    let request = request_of(&parts, IpAddr::V4(Ipv4Addr::LOCALHOST), &body);
    answer(&owner.service, &request, Door::Control).0
}
