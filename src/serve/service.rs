//! The look-up service: what both listeners answer with. A look-up allocates nothing and makes no system call of its own.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bytes::BytesMut;

use super::clock::Clock;
use super::config::Config;
use super::fast::wire::{
    WireError, parse_json, parse_line, parse_parameters, write_compact, write_compact_error, write_error, write_json,
};
use super::fast::{Answer, ContentType, Method, Reply, Request};
use super::pages::Pages;
use super::tokens::{Role, Tokens};
use crate::domain::decision;
use crate::domain::identifier::InstitutionCode;
use crate::limits::{BATCH_ANSWER_BYTES_MAX, BATCH_BYTES_MAX, BATCH_LINES_MAX};
use crate::record::ArchivedRow;
use crate::registry::lookup::Inquiry;
use crate::registry::{Reader, View};

/// Batch lines go through the three passes in runs of this length: enough to hide the memory's latency, few enough that the
/// questions stay in the first cache.
const RUN: usize = 32;

/// The service.
pub struct Service {
    /// Set once loading is done.
    pub reader: OnceLock<Reader>,
    /// The tokens; without any, only loopback may ask.
    pub tokens: ArcSwap<Tokens>,
    /// The clock look-ups read.
    pub clock: Clock,
    /// Health, status and metrics, written by another thread.
    pub pages: ArcSwap<Pages>,
    config: Config,
}

/// How an answer is to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Compact,
}

impl Service {
    /// A service that is still loading.
    pub fn new(config: Config, tokens: Tokens) -> Service {
        Service {
            reader: OnceLock::new(),
            tokens: ArcSwap::from_pointee(tokens),
            clock: Clock::started(),
            pages: ArcSwap::from_pointee(Pages::loading()),
            config,
        }
    }

    /// Answers one request. `trusted` says that the peer has already shown who it is: it came through the owner's socket.
    pub fn respond(&self, request: &Request<'_>, trusted: bool, reply: &mut Reply<'_>) {
        if let Err(error) = self.try_respond(request, trusted, reply) {
            reply.discard();
            reply.status(error.status);
            reply.content_type(ContentType::Json);
            write_error(&error, reply.body());
            reply.body().extend_from_slice(b"\n");
        }
    }

    fn try_respond(&self, request: &Request<'_>, trusted: bool, reply: &mut Reply<'_>) -> Result<(), WireError> {
        let is_get = matches!(request.method, Method::Get | Method::Head);
        match request.path {
            "/v1/eligibility" => {
                post_only(request)?;
                self.single(request, self.institution_of(request, trusted)?, reply)
            }
            "/v1/eligibility/batch" => {
                post_only(request)?;
                self.batch(request, self.institution_of(request, trusted)?, reply)
            }
            "/v1/health" | "/v1/status" | "/metrics" if !is_get => {
                Err(WireError::refused(405, "method_not_allowed", "only GET is answered here"))
            }
            "/v1/health" => {
                let pages = self.pages.load();
                reply.status(if self.reader.get().is_some() { 200 } else { 503 });
                reply.content_type(ContentType::Json);
                reply.body().extend_from_slice(pages.health.as_bytes());
                Ok(())
            }
            "/v1/status" | "/metrics" => {
                self.may_monitor(request, trusted)?;
                let pages = self.pages.load();
                if request.path == "/metrics" {
                    reply.content_type(ContentType::Prometheus);
                    reply.body().extend_from_slice(pages.metrics.as_bytes());
                } else {
                    reply.content_type(ContentType::Json);
                    reply.body().extend_from_slice(pages.status.as_bytes());
                }
                Ok(())
            }
            _ => Err(WireError::refused(404, "not_found", "there is nothing here; see /v1/eligibility")),
        }
    }

    fn single(
        &self,
        request: &Request<'_>,
        token_institution: Option<InstitutionCode>,
        reply: &mut Reply<'_>,
    ) -> Result<(), WireError> {
        let reader = self.loaded()?;
        let parameters = parse_parameters(request.query)?;
        let today = self.clock.today();
        let (inquiry, consent, named) = match media_type(request.content_type) {
            "application/json" | "" => {
                let parsed = parse_json(request.body, &parameters, today)?;
                (parsed.inquiry, parsed.consent, parsed.institution)
            }
            "text/plain" | "text/tab-separated-values" => {
                let line = request.body.strip_suffix(b"\n").unwrap_or(request.body);
                if line.contains(&b'\n') {
                    return Err(WireError::refused(400, "bad_line", "one line only; several go to /v1/eligibility/batch"));
                }
                (parse_line(line, &parameters, today)?, parameters.consent, parameters.institution)
            }
            _ => return Err(unsupported("application/json or text/plain")),
        };
        let institution = agreed(token_institution, named)?;
        let form = if accepts_compact(request.accept) { Form::Compact } else { Form::Json };
        reply.content_type(if form == Form::Compact { ContentType::Tsv } else { ContentType::Json });
        let view = reader.view();
        check_retention(&inquiry, &view)?;
        if consent {
            let guard = crossbeam_epoch::pin();
            let answer = reader.answer(&guard, &view, &inquiry, institution, self.clock.unix_s());
            write_answer(&answer, form, &view, reply.body());
        } else {
            let answer = decision::Answer::no_information(inquiry.service_date);
            write_answer(&answer, form, &view, reply.body());
        }
        reply.body().extend_from_slice(b"\n");
        Ok(())
    }

    fn batch(
        &self,
        request: &Request<'_>,
        token_institution: Option<InstitutionCode>,
        reply: &mut Reply<'_>,
    ) -> Result<(), WireError> {
        let reader = self.loaded()?;
        let parameters = parse_parameters(request.query)?;
        if !matches!(media_type(request.content_type), "text/tab-separated-values" | "text/plain") {
            return Err(unsupported("text/tab-separated-values"));
        }
        if request.body.len() > BATCH_BYTES_MAX {
            return Err(WireError::refused(413, "batch_too_large", "a batch is at most 1 MiB; send several"));
        }
        let institution = agreed(token_institution, parameters.institution)?;
        let form = if accepts_compact(request.accept) { Form::Compact } else { Form::Json };
        reply.content_type(if form == Form::Compact { ContentType::Tsv } else { ContentType::Ndjson });
        let body = request.body.strip_suffix(b"\n").unwrap_or(request.body);
        if body.is_empty() {
            return Ok(());
        }
        let today = self.clock.today();
        let view = reader.view();
        let guard = crossbeam_epoch::pin();
        let mut lines = body.split(|byte| *byte == b'\n');
        let mut count = 0;
        let mut run: arrayvec::ArrayVec<Result<Inquiry, WireError>, RUN> = arrayvec::ArrayVec::new();
        loop {
            run.clear();
            for line in lines.by_ref().take(RUN) {
                let read = parse_line(line, &parameters, today);
                let read = read.and_then(|inquiry| check_retention(&inquiry, &view).map(|()| inquiry));
                if let (Ok(inquiry), true) = (&read, parameters.consent) {
                    reader.prefetch_slots(&guard, inquiry);
                }
                run.push(read);
            }
            if run.is_empty() {
                return Ok(());
            }
            count += run.len();
            if count > BATCH_LINES_MAX {
                return Err(WireError::refused(413, "too_many_lines", "a batch is at most 10,000 lines; send several"));
            }
            if parameters.consent {
                for inquiry in run.iter().flatten() {
                    reader.prefetch_dossier(&guard, inquiry);
                }
            }
            for read in &run {
                self.write_line(reader, &guard, read, parameters.consent, institution, form, &view, reply.body());
            }
            if reply.body().len() > BATCH_ANSWER_BYTES_MAX {
                return Err(WireError::refused(413, "answer_too_large", "the answer is over 8 MiB; send fewer lines"));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one line of a batch, in a loop whose every part is needed")]
    fn write_line(
        &self,
        reader: &Reader,
        guard: &crossbeam_epoch::Guard,
        read: &Result<Inquiry, WireError>,
        consent: bool,
        institution: Option<InstitutionCode>,
        form: Form,
        view: &View,
        out: &mut BytesMut,
    ) {
        match read {
            Ok(inquiry) if consent => {
                let answer = reader.answer(guard, view, inquiry, institution, self.clock.unix_s());
                write_answer(&answer, form, view, out);
            }
            Ok(inquiry) => {
                write_answer(&decision::Answer::no_information(inquiry.service_date), form, view, out);
            }
            Err(error) if form == Form::Compact => write_compact_error(error, out),
            Err(error) => write_error(error, out),
        }
        out.extend_from_slice(b"\n");
    }

    fn loaded(&self) -> Result<&Reader, WireError> {
        self.reader.get().ok_or(WireError::refused(503, "loading", "the register is being loaded; ask again shortly"))
    }

    /// The institution that a look-up counts as, by its token. Without any token configured, loopback alone may ask, and says so
    /// itself.
    fn institution_of(&self, request: &Request<'_>, trusted: bool) -> Result<Option<InstitutionCode>, WireError> {
        if trusted {
            return Ok(None);
        }
        self.check_network(request.peer)?;
        let tokens = self.tokens.load();
        if tokens.is_empty() {
            return if request.peer.to_canonical().is_loopback() { Ok(None) } else { Err(UNAUTHORIZED) };
        }
        let token = request.authorization.and_then(|header| tokens.bearer(header)).ok_or(UNAUTHORIZED)?;
        if token.role == Role::Lookup { Ok(Some(token.institution)) } else { Err(FORBIDDEN_ROLE) }
    }

    fn may_monitor(&self, request: &Request<'_>, trusted: bool) -> Result<(), WireError> {
        if trusted || request.peer.to_canonical().is_loopback() {
            return Ok(());
        }
        self.check_network(request.peer)?;
        let tokens = self.tokens.load();
        request.authorization.and_then(|header| tokens.bearer(header)).map(|_| ()).ok_or(UNAUTHORIZED)
    }

    fn check_network(&self, peer: IpAddr) -> Result<(), WireError> {
        if self.config.accepts_plaintext_from(peer) {
            Ok(())
        } else {
            Err(WireError::refused(403, "network_not_accepted", "plain text is not accepted from this network"))
        }
    }
}

const UNAUTHORIZED: WireError = WireError::refused(401, "unauthorized", "a valid token is needed: Authorization: Bearer …");
const FORBIDDEN_ROLE: WireError = WireError::refused(403, "forbidden", "this token may not look up");

/// The service on the fast listener.
pub struct FastService(pub Arc<Service>);

impl Answer for FastService {
    fn answer(&self, request: &Request<'_>, reply: &mut Reply<'_>) {
        self.0.respond(request, false, reply);
    }
}

#[inline]
fn write_answer(answer: &decision::Answer<'_, ArchivedRow>, form: Form, view: &View, out: &mut BytesMut) {
    match form {
        Form::Json => write_json(answer, view, out),
        Form::Compact => write_compact(answer, out),
    }
}

fn post_only(request: &Request<'_>) -> Result<(), WireError> {
    if request.method == Method::Post {
        Ok(())
    } else {
        Err(WireError::refused(405, "method_not_allowed", "look-ups are asked with POST, so that no identifier stands in a URL"))
    }
}

fn check_retention(inquiry: &Inquiry, view: &View) -> Result<(), WireError> {
    if inquiry.service_date < view.horizon {
        Err(WireError::bad("before_retention", "the service date lies before what is kept (24 months)", "service_date"))
    } else {
        Ok(())
    }
}

/// A token's institution is the institution; another one in the question is refused.
fn agreed(token: Option<InstitutionCode>, named: Option<InstitutionCode>) -> Result<Option<InstitutionCode>, WireError> {
    match (token, named) {
        (Some(token), Some(named)) if token != named => Err(WireError {
            status: 403,
            code: "institution_mismatch",
            message: "the institution is not the token's",
            field: Some("institution"),
        }),
        (Some(token), _) => Ok(Some(token)),
        (None, named) => Ok(named),
    }
}

fn unsupported(expected: &'static str) -> WireError {
    let message = match expected {
        "text/tab-separated-values" => "the body must be text/tab-separated-values",
        _ => "the body must be application/json or text/plain",
    };
    WireError::refused(415, "unsupported_media_type", message)
}

/// A media type without its parameters.
fn media_type(header: Option<&str>) -> &str {
    header.and_then(|header| header.split(';').next()).map_or("", str::trim)
}

fn accepts_compact(accept: Option<&str>) -> bool {
    accept.is_some_and(|accept| accept.contains("text/tab-separated-values"))
}
