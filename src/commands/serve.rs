//! `shikaku serve`: answers look-ups until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{CommandError, Ended, now};
use crate::audit::{AUDIT_DIRECTORY, AuditOptions, Auditor};
use crate::background;
use crate::domain::day::Day;
use crate::limits::{SCRUB_PAUSE_S_DEFAULT, SNAPSHOT_STOP_TIMEOUT_MS};
use crate::registry::view::today_in_japan;
use crate::registry::{OpenOptions, Registry, Trouble};
use crate::serve::api::counters::ApiCounters;
use crate::serve::api::remote::{RemoteApi, RemoteOptions};
use crate::serve::api::{CONTROL_SOCKET, control};
use crate::serve::config::Config;
use crate::serve::fast::{Counters, FastListener, ListenerLimits};
use crate::serve::pages::Pages;
use crate::serve::service::{FastService, Service};
use crate::serve::snapshots::SnapshotKeeper;
use crate::serve::tokens::Tokens;
use crate::sync::follow::{self, FollowError, FollowOptions};
use crate::sync::intake::IntakeDoor;
use crate::sync::jetstream::{self, BrokerBeginError, BrokerFollowOptions, PublishConfig};
use crate::sync::station::{Station, TravelStandings, Ways};

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// The data directory
    #[arg(long)]
    data: PathBuf,
    /// Where look-ups are answered
    #[arg(long, default_value = "127.0.0.1:8470")]
    listen: SocketAddr,
    /// The file of tokens [default: DATA/tokens]
    #[arg(long)]
    tokens: Option<PathBuf>,
    /// Where the API answers other machines over TLS, by the certificates named in the configuration [default: nowhere]
    #[arg(long)]
    api: Option<SocketAddr>,
    /// The hub, or a relay of it, whose log is followed: https://hub.example:8471; or the broker that it publishes to:
    /// nats://one:4222,nats://other:4222 [default: nobody]
    #[arg(long)]
    follow: Option<String>,
    /// The broker that the log is published to: nats://one:4222,nats://other:4222 [default: none]
    #[arg(long)]
    publish: Option<String>,
    /// Of which prefectures rows are held, when a directory begins to follow: 13,14 [default: all]
    #[arg(long, requires = "follow")]
    prefectures: Option<String>,
    /// A configuration file (TOML)
    #[arg(long)]
    config: Option<PathBuf>,
}

/// What a server is started with.
pub(super) struct Serving<'s> {
    pub(super) data: &'s Path,
    pub(super) listen: SocketAddr,
    pub(super) tokens: PathBuf,
    pub(super) api: Option<RemoteOptions>,
    pub(super) ways: Ways,
    pub(super) config: Config,
}

pub(super) fn run(arguments: &ServeArguments) -> Result<Ended, CommandError> {
    let config = arguments.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    let tokens = arguments.tokens.clone().unwrap_or_else(|| arguments.data.join("tokens"));
    let api = RemoteOptions::of(&config.api, arguments.api)?;
    let ways = ways(arguments, &config, api.is_some())?;
    let serving = Serving { data: &arguments.data, listen: arguments.listen, tokens, api, ways, config };
    serve(&serving, |registry, address| {
        tracing::info!(%address, recipients = registry.figures().dossiers.load(Ordering::Relaxed), "ready");
    })
}

/// On which ways the log is to travel.
fn ways(arguments: &ServeArguments, config: &Config, hands_on: bool) -> Result<Ways, CommandError> {
    let (urls, prefectures) = (arguments.follow.as_deref(), arguments.prefectures.as_deref());
    let hub = urls.filter(|urls| !BrokerFollowOptions::are_for(urls));
    Ok(Ways {
        follow: FollowOptions::of(&config.follow, hub, prefectures)?,
        broker: BrokerFollowOptions::of(&config.follow, urls, prefectures)?,
        publish: PublishConfig::of(&config.publish, arguments.publish.as_deref())?,
        hands_on,
    })
}

/// Serves until INT or TERM; `ready` is called once look-ups are answered.
pub(super) fn serve(serving: &Serving<'_>, ready: impl FnOnce(&Registry, SocketAddr)) -> Result<Ended, CommandError> {
    let started = Instant::now();
    let signals = Signals::new([SIGINT, SIGTERM]);
    let mut signals = signals.map_err(|error| CommandError::new(format!("signals: {error}")))?;
    let tokens = Tokens::read(&serving.tokens)?;
    check_policy(serving, &tokens)?;
    let service = Arc::new(Service::new(serving.config.clone(), tokens));
    let mut limits = ListenerLimits::default();
    if let Some(connections_max) = serving.config.listener.connections_max {
        limits.connections_max = connections_max;
    }
    if let Some(idle_timeout_ms) = serving.config.listener.idle_timeout_ms {
        limits.idle_timeout = Duration::from_millis(idle_timeout_ms);
    }
    let listener = FastListener::start(serving.listen, limits, &Arc::new(FastService(service.clone())))
        .map_err(|error| CommandError::new(error.to_string()))?;
    let address = listener.local_addr();
    let options = OpenOptions {
        data_age_max_s: serving.config.data_age_max_hours.map(|hours| u64::from(hours) * 3600),
        ..OpenOptions::at(now())
    };
    if !begin_to_follow(serving)? {
        listener.stop();
        return Ok(Ended::Done);
    }
    let registry = Arc::new(Registry::open(serving.data, &options)?);
    for note in registry.notes() {
        tracing::info!("{note}");
    }
    if registry.following().is_none() && registry.troubles().stops_writing().is_none() {
        prune_at_start(&registry)?;
    }
    if serving.config.audit {
        let _ = service.audit.set(open_audit(serving)?);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (station, log) = Station::start(&registry, &serving.ways, &stop)?;
    let api_counters = ApiCounters::default();
    let housekeeping = Housekeeping {
        registry: registry.clone(),
        service: service.clone(),
        counters: listener.counters(),
        api: serving.api.is_some().then(|| api_counters.clone()),
        travels: station.standings(),
        tokens: serving.tokens.clone(),
        scrub_pause: Duration::from_secs(serving.config.scrub_pause_s.unwrap_or(SCRUB_PAUSE_S_DEFAULT)),
        started,
        stop: stop.clone(),
    };
    housekeeping.write_pages();
    let threads = housekeeping.start()?;
    let mut snapshots = SnapshotKeeper::new(registry.clone(), &serving.config.snapshots, stop.clone());
    if serving.api.is_some() && is_without_a_beginning(&registry)? {
        snapshots.take_one_at_once();
    }
    let snapshots = background::spawn("snapshots", move || snapshots.run());
    let snapshots = snapshots.map_err(|error| CommandError::new(format!("a thread: {error}")))?;
    let control = start_control(serving.data, registry.clone(), service.clone(), station.door())?;
    let api = start_api(serving, &service, log, api_counters)?;
    // Answering begins when everything else stands.
    let _ = service.reader.set(registry.reader());
    notify(&[sd_notify::NotifyState::Ready]);
    ready(&registry, address);

    let signal = signals.forever().next();
    tracing::info!(signal, "stopping");
    notify(&[sd_notify::NotifyState::Stopping]);
    stop.store(true, Ordering::Relaxed);
    listener.stop();
    if let Some(api) = api {
        api.stop();
    }
    control.stop();
    station.join();
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the housekeeping panicked");
        }
    }
    leave_behind(snapshots);
    // The last look-up was answered: what the audit still holds is written and sealed.
    let closed = service.audit.get().map_or(Ok(()), Auditor::close);
    registry.finish(now())?;
    closed.map_err(|error| CommandError::new(error.to_string()))?;
    Ok(Ended::Done)
}

/// The API for other machines, where one is asked for.
fn start_api(
    serving: &Serving<'_>,
    service: &Arc<Service>,
    log: Router,
    counters: ApiCounters,
) -> Result<Option<RemoteApi>, CommandError> {
    let Some(options) = &serving.api else { return Ok(None) };
    let api = RemoteApi::start(options, service.clone(), log, counters)?;
    tracing::info!(address = %api.local_addr(), tls12 = options.tls.tls12, "the API listens");
    Ok(Some(api))
}

/// Makes an empty directory one that follows, where somebody is to be followed; waits for the hub as long as it takes. False where the
/// program was told to stop meanwhile.
fn begin_to_follow(serving: &Serving<'_>) -> Result<bool, CommandError> {
    let ways = &serving.ways;
    if ways.follow.is_none() && ways.broker.is_none() {
        return Ok(true);
    }
    let ending = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let registered = signal_hook::flag::register(signal, ending.clone());
        registered.map_err(|error| CommandError::new(format!("signals: {error}")))?;
    }
    // The hub itself has snapshots to begin with.
    let begun = match (&ways.follow, &ways.broker) {
        (Some(options), _) => follow::begin(serving.data, options, &ending).map_err(|error| match error {
            FollowError::Stopping => None,
            error => Some(error.into()),
        }),
        (None, Some(options)) => jetstream::begin(serving.data, options, &ending).map_err(|error| match error {
            BrokerBeginError::Stopping => None,
            error => Some(error.into()),
        }),
        (None, None) => Ok(()),
    };
    begun.map_or_else(|error| error.map_or(Ok(false), Err), |()| Ok(true))
}

/// Whether those who would follow could not begin: the log does not go back to where its stream begins, and there is no snapshot.
fn is_without_a_beginning(registry: &Registry) -> Result<bool, CommandError> {
    let is_hub = registry.following().is_none() && registry.troubles().stops_writing().is_none();
    Ok(is_hub && registry.newest_snapshot().is_none() && registry.oldest_sequence()? > 1)
}

/// Waits a little for a snapshot that is under way. One that takes longer ends with the process: it has no name yet.
fn leave_behind(snapshots: JoinHandle<()>) {
    let until = Instant::now() + Duration::from_millis(SNAPSHOT_STOP_TIMEOUT_MS);
    while !snapshots.is_finished() {
        if Instant::now() > until {
            tracing::info!("a snapshot under way is left unfinished");
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    if snapshots.join().is_err() {
        tracing::error!("the thread of the snapshots panicked");
    }
}

/// Moves the horizon before the first answer. On a full disk it stays where it is until there is room: look-ups go on.
fn prune_at_start(registry: &Registry) -> Result<(), CommandError> {
    match registry.prune_to(today_in_japan(now() / 1000), now()) {
        Err(error) if registry.troubles().has(Trouble::DiskFull) => {
            tracing::warn!(%error, "the horizon stays where it is");
            Ok(())
        }
        pruned => Ok(pruned.map(|_| ())?),
    }
}

/// Opens the audit; without it nothing is answered, unless the operator turned it off.
fn open_audit(serving: &Serving<'_>) -> Result<Auditor, CommandError> {
    let options = AuditOptions {
        retention_days: serving.config.audit_retention_days,
        sync_ms: serving.config.audit_sync_ms,
        ..AuditOptions::default()
    };
    let audit = Auditor::open(&serving.data.join(AUDIT_DIRECTORY), &options);
    let audit = audit.map_err(|error| {
        CommandError::new(format!("{error}; look-ups are answered only when they can be audited (or with `audit = false`)"))
    })?;
    for note in audit.notes() {
        tracing::info!("{note}");
    }
    Ok(audit)
}

/// Off loopback, plain text needs tokens and a named network.
fn check_policy(serving: &Serving<'_>, tokens: &Tokens) -> Result<(), CommandError> {
    if serving.listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if tokens.is_empty() {
        return Err(CommandError::new(format!(
            "{} is not loopback: look-ups from other machines need tokens. Make one with `shikaku token add`, or listen on 127.0.0.1",
            serving.listen
        )));
    }
    if serving.config.plaintext_networks.is_empty() {
        return Err(CommandError::new(format!(
            "{} is not loopback, and this listener speaks plain text: name the networks where that is acceptable under \
             `plaintext_networks` in the configuration, or listen on 127.0.0.1",
            serving.listen
        )));
    }
    Ok(())
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}

/// The pause between two looks at whether the image is to be written.
const IMAGE_PAUSE: Duration = Duration::from_secs(5);

/// The pause after it could not be.
const IMAGE_RETRY_PAUSE: Duration = Duration::from_secs(600);

/// The owner's work beside look-ups.
#[derive(Clone)]
struct Housekeeping {
    registry: Arc<Registry>,
    service: Arc<Service>,
    counters: Counters,
    /// Where there is an API.
    api: Option<ApiCounters>,
    travels: TravelStandings,
    tokens: PathBuf,
    scrub_pause: Duration,
    started: Instant,
    stop: Arc<AtomicBool>,
}

impl Housekeeping {
    /// Three threads: one for what must happen many times a second, one that reads the disk and one that writes there.
    fn start(self) -> Result<Vec<JoinHandle<()>>, CommandError> {
        let (scrubbing, keeping_image) = (self.clone(), self.clone());
        let threads = [
            std::thread::Builder::new().name("housekeeping".to_owned()).spawn(move || self.keep()),
            background::spawn("scrubber", move || scrubbing.scrub()),
            background::spawn("image", move || keeping_image.keep_image()),
        ];
        let failed = |error| CommandError::new(format!("a thread: {error}"));
        threads.into_iter().collect::<std::io::Result<_>>().map_err(failed)
    }

    fn keep(&self) {
        let mut turn = 0u64;
        let mut tokens_changed = modified(&self.tokens);
        let mut last_day: Option<Day> = None;
        while !self.stop.load(Ordering::Relaxed) {
            self.service.clock.tick();
            if turn.is_multiple_of(4)
                && let Err(error) = self.registry.maintain(now())
            {
                tracing::error!(%error, "maintenance failed");
            }
            if turn.is_multiple_of(10) {
                self.write_pages();
            }
            if turn.is_multiple_of(20) {
                self.reread_tokens(&mut tokens_changed);
                self.prune_on_a_new_day(&mut last_day);
            }
            turn += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn write_pages(&self) {
        let audit = self.service.audit.get().map(Auditor::status);
        let api = self.api.as_ref().map(ApiCounters::read);
        let pages = Pages::of(&self.registry, Some(&self.counters), api, audit, self.travels.read(), self.started);
        self.service.pages.store(Arc::new(pages));
    }

    fn reread_tokens(&self, last: &mut Option<SystemTime>) {
        let changed = modified(&self.tokens);
        if changed == *last {
            return;
        }
        *last = changed;
        match Tokens::read(&self.tokens) {
            Ok(tokens) => {
                tracing::info!(tokens = tokens.list().len(), "tokens reread");
                self.service.admission.tokens.store(Arc::new(tokens));
            }
            Err(error) => tracing::error!(%error, "the tokens stay as they were"),
        }
    }

    fn prune_on_a_new_day(&self, last: &mut Option<Day>) {
        let today = self.service.clock.today();
        if *last == Some(today) {
            return;
        }
        if self.registry.troubles().has(Trouble::DiskFull) {
            return;
        }
        *last = Some(today);
        if self.registry.following().is_some() || self.registry.troubles().stops_writing().is_some() {
            return;
        }
        match self.registry.prune_to(today, now()) {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "rows that ended before the horizon became history"),
            Err(error) => tracing::error!(%error, "the horizon could not be moved"),
        }
    }

    /// Reads the log's sealed segments, one after the other, for ever.
    fn scrub(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            // What it found is a trouble of the registry's by now.
            let _ = self.registry.scrub(|| !self.stop.load(Ordering::Relaxed));
            self.pause(self.scrub_pause);
        }
    }

    /// Writes the image now and then, so that the next start is quick.
    fn keep_image(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            if let Err(error) = self.registry.write_image(|| !self.stop.load(Ordering::Relaxed)) {
                tracing::warn!(%error, "the image could not be written; the next start takes longer");
                self.pause(IMAGE_RETRY_PAUSE);
            }
            self.pause(IMAGE_PAUSE);
        }
    }

    fn pause(&self, length: Duration) {
        let until = Instant::now() + length;
        while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100).min(length));
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// The owner's socket, on a runtime of its own.
struct Control {
    stop: tokio::sync::oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Control {
    fn stop(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the owner's socket panicked");
        }
    }
}

fn start_control(
    data: &Path,
    registry: Arc<Registry>,
    service: Arc<Service>,
    door: Option<IntakeDoor>,
) -> Result<Control, CommandError> {
    let socket = data.join(CONTROL_SOCKET);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let failed = |error: std::io::Error| CommandError::new(format!("{}: {error}", socket.display()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let listening = socket.clone();
    let run = move || {
        let served = runtime.block_on(async {
            let stop = async {
                // A dropped sender stops as well.
                let _ = stopped.await;
            };
            tokio::select! {
                served = control::serve(&listening, registry, service, door, std::future::pending()) => served,
                () = stop => Ok(()),
            }
        });
        if let Err(error) = served {
            tracing::error!(%error, "the owner's socket failed");
        }
        let _ = std::fs::remove_file(&listening);
        runtime.shutdown_timeout(Duration::from_secs(3));
    };
    let thread = std::thread::Builder::new().name("control".to_owned()).spawn(run).map_err(failed)?;
    wait_for(&socket)?;
    Ok(Control { stop, thread })
}

/// The socket is there before anybody is told that the server is ready.
fn wait_for(socket: &Path) -> Result<(), CommandError> {
    let until = Instant::now() + Duration::from_secs(5);
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        if Instant::now() > until {
            return Err(CommandError::new(format!("{}: nobody answers there", socket.display())));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
