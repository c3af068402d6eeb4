//! The look-up service: what both listeners answer with. A look-up allocates nothing and makes no system call of its own.

use std::sync::{Arc, OnceLock};

use super::admission::{Admission, TOO_MANY_MISSES};
use super::asker::{Asker, Door};
use super::batch;
use super::clock::Clock;
use super::config::Config;
use super::desk::{AUDIT_BEHIND, Desk, Form, check_retention};
use super::fast::wire::{WireError, parse_json, parse_line, parse_parameters, write_error};
use super::fast::{Answer, ContentType, Method, Reply, Request};
use super::misses::Misses;
use super::pages::Pages;
use super::roles::Deed;
use super::tokens::Tokens;
use crate::audit::{self, AuditFull, Auditor, BatchHead, Entry};
use crate::index::Place;
use crate::registry::Reader;
use crate::registry::lookup::Inquiry;
use arc_swap::ArcSwap;

/// The service.
pub struct Service {
    /// Set once loading is done.
    pub reader: OnceLock<Reader>,
    /// Who may ask.
    pub admission: Admission,
    /// The clock look-ups read.
    pub clock: Clock,
    /// Health, status and metrics, written by another thread.
    pub pages: ArcSwap<Pages>,
    /// Set before the reader, unless the operator turned it off: every look-up leaves an entry there.
    pub audit: OnceLock<Auditor>,
    config: Arc<Config>,
}

impl Service {
    /// A service that is still loading.
    pub fn new(config: Config, tokens: Tokens) -> Service {
        let config = Arc::new(config);
        Service {
            reader: OnceLock::new(),
            admission: Admission::new(config.clone(), tokens),
            clock: Clock::started(),
            pages: ArcSwap::from_pointee(Pages::loading()),
            audit: OnceLock::new(),
            config,
        }
    }

    /// Who asks, if they may do the deed.
    pub fn admit(&self, request: &Request<'_>, door: Door<'_>, deed: Deed) -> Result<Asker, WireError> {
        self.admission.admit(request, door, deed, self.clock.unix_s())
    }

    /// Answers one request that came by a door, and gives back why it was refused where it was.
    pub fn respond(&self, request: &Request<'_>, door: Door<'_>, reply: &mut Reply<'_>) -> Option<WireError> {
        let error = self.try_respond(request, door, reply).err()?;
        reply.discard();
        reply.status(error.status);
        reply.content_type(ContentType::Json);
        if error == TOO_MANY_MISSES {
            reply.retry_after_s(Misses::retry_after_s(self.clock.unix_s()));
        }
        write_error(&error, reply.body());
        Some(error)
    }

    fn try_respond(&self, request: &Request<'_>, door: Door<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
        let is_get = matches!(request.method, Method::Get | Method::Head);
        match request.path {
            "/v1/eligibility" => {
                post_only(request)?;
                self.single(request, &self.admit(request, door, Deed::LookUp)?, reply)
            }
            "/v1/eligibility/batch" => {
                post_only(request)?;
                self.batch(request, &self.admit(request, door, Deed::LookUpMany)?, reply)
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
                self.admit(request, door, Deed::ReadStatus)?;
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

    fn single(&self, request: &Request<'_>, asker: &Asker, reply: &mut Reply<'_>) -> Result<(), WireError> {
        let reader = self.loaded()?;
        let parameters = parse_parameters(request.query)?;
        let today = self.clock.today();
        let mut inquiry = Inquiry::blank();
        let (consent, named) = match media_type(request.content_type) {
            "application/json" | "" => {
                let said = parse_json(request.body, &parameters, today, &mut inquiry)?;
                (said.consent, said.institution)
            }
            "text/plain" | "text/tab-separated-values" => {
                parse_line(only_line(request.body)?, &parameters, today, &mut inquiry)?;
                (parameters.consent, parameters.institution)
            }
            _ => return Err(unsupported("application/json or text/plain")),
        };
        let guard = crossbeam_epoch::pin();
        if consent {
            reader.prefetch(&guard, &inquiry);
        }
        let institution = asker.agreed(named)?;
        let view = reader.view();
        check_retention(&inquiry, &view)?;
        let form = if accepts_compact(request.accept) { Form::Compact } else { Form::Json };
        reply.content_type(if form == Form::Compact { ContentType::Tsv } else { ContentType::Json });
        let desk = Desk { reader, view: &view, consent, institution, form, now_unix_s: self.clock.unix_s() };
        let verdict = desk.answer(&guard, (&inquiry, Place::ToBeFound), reply.body());
        // What follows may wait for the audit, and nothing is held back for that.
        drop(guard);
        if let Some(audit) = self.audit.get() {
            let entry = Entry {
                unix_ms: self.clock.unix_ms(),
                institution,
                token: asker.credential,
                key: inquiry.key_hash(),
                service_date: inquiry.service_date,
                consent,
                verdict,
                sequence: view.sequence,
                via: asker.via,
            };
            let max_wait = self.config.audit_when_behind.max_wait();
            audit.note_waiting(&entry, max_wait).map_err(|AuditFull| AUDIT_BEHIND)?;
        }
        self.admission.count_misses(asker, u32::from(audit::is_miss(verdict)), self.clock.unix_s());
        Ok(())
    }

    fn batch(&self, request: &Request<'_>, asker: &Asker, reply: &mut Reply<'_>) -> Result<(), WireError> {
        let reader = self.loaded()?;
        let parameters = parse_parameters(request.query)?;
        if !matches!(media_type(request.content_type), "text/tab-separated-values" | "text/plain") {
            return Err(unsupported("text/tab-separated-values"));
        }
        let institution = asker.agreed(parameters.institution)?;
        let form = if accepts_compact(request.accept) { Form::Compact } else { Form::Json };
        reply.content_type(if form == Form::Compact { ContentType::Tsv } else { ContentType::Ndjson });
        let (view, consent) = (reader.view(), parameters.consent);
        let desk = Desk { reader, view: &view, consent, institution, form, now_unix_s: self.clock.unix_s() };
        let noted = self.audit.get().map(|audit| {
            let (unix_ms, token, via) = (self.clock.unix_ms(), asker.credential, asker.via);
            let head = BatchHead { unix_ms, institution, token, consent, sequence: view.sequence, via };
            audit.batch(head, self.config.audit_when_behind.max_wait())
        });
        let misses = batch::answer(&desk, request.body, &parameters, self.clock.today(), noted, reply.body())?;
        self.admission.count_misses(asker, misses, self.clock.unix_s());
        Ok(())
    }

    fn loaded(&self) -> Result<&Reader, WireError> {
        self.reader.get().ok_or(WireError::refused(503, "loading", "the register is being loaded; ask again shortly"))
    }
}

/// The service on the fast listener.
pub struct FastService(pub Arc<Service>);

impl Answer for FastService {
    fn answer(&self, request: &Request<'_>, reply: &mut Reply<'_>) {
        self.0.respond(request, Door::Fast, reply);
    }
}

fn post_only(request: &Request<'_>) -> Result<(), WireError> {
    if request.method == Method::Post {
        Ok(())
    } else {
        Err(WireError::refused(405, "method_not_allowed", "look-ups are asked with POST, so that no identifier stands in a URL"))
    }
}

/// The body of a single question in the line form.
fn only_line(body: &[u8]) -> Result<&[u8], WireError> {
    let line = body.strip_suffix(b"\n").unwrap_or(body);
    if memchr::memchr(b'\n', line).is_some() {
        return Err(WireError::refused(400, "bad_line", "one line only; several go to /v1/eligibility/batch"));
    }
    Ok(line)
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
    let header = header.unwrap_or("");
    match header.as_bytes().iter().position(|byte| *byte == b';') {
        Some(end) => header.get(..end).unwrap_or(header).trim(),
        None => header,
    }
}

fn accepts_compact(accept: Option<&str>) -> bool {
    const COMPACT: &str = "text/tab-separated-values";
    accept.is_some_and(|accept| accept == COMPACT || accept.contains(COMPACT))
}
