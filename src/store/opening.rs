//! Opening the engine without trusting it to come back.
//!
//! Where its files are damaged, sled may panic inside `open`; while it unwinds, it waits for a flusher that was never started, for
//! ever. Or a flush of its own fails, which it only logs, and the next waits for that one, for ever. So it opens in a thread of its own,
//! whose panic is reported by the panic hook, before anything unwinds, and whose failed flush by the log. The thread is then left to
//! itself: it and what it holds stay until the process ends, once for every damaged store that is found. So is one that gives no word for
//! long, whatever it waits for.

use std::cell::RefCell;
use std::sync::Once;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use log::{Level, Log, Metadata, Record};
use tracing_log::{AsLog, LogTracer};

use super::{OnDisk, StoreError, words_of};

/// What came of opening.
type Opened = Result<Box<OnDisk>, StoreError>;

thread_local! {
    /// Where the panic of this thread is reported, or its failed flush.
    static REPORT: RefCell<Option<Sender<Opened>>> = const { RefCell::new(None) };
}

/// Runs `open` in another thread; a panic in it is an error here, and so is a thread that gives no word in time, even if it never ends.
pub(super) fn in_a_thread_of_its_own(timeout: Duration, open: impl FnOnce() -> Opened + Send + 'static) -> Opened {
    static HOOK: Once = Once::new();
    HOOK.call_once(report_panics);
    hear_engine();
    // Room for a report and for what is returned after it.
    let (sender, receiver) = bounded(2);
    let run = move || {
        REPORT.with(|report| *report.borrow_mut() = Some(sender.clone()));
        let opened = open();
        if taken_report().is_some() {
            let _ = sender.send(opened);
        } else {
            // It came back after it was given up. What it holds would still write where another store may lie by now.
            std::mem::forget(opened);
        }
    };
    let spawned = std::thread::Builder::new().name("store-open".to_owned()).spawn(run);
    spawned.map_err(|error| StoreError::Engine(error.to_string()))?;
    receiver.recv_timeout(timeout).unwrap_or_else(|error| {
        Err(match error {
            RecvTimeoutError::Timeout => StoreError::NoWord(timeout.as_secs()),
            RecvTimeoutError::Disconnected => StoreError::Panicked("the opening thread ended without a word".to_owned()),
        })
    })
}

/// Hears what the engine logs and says nowhere else; everything that is logged goes on to `tracing`. In a process that has a logger of its
/// own nothing is heard, and a store that cannot be opened is given up when the time is over.
pub fn hear_engine() {
    static EAR: Once = Once::new();
    EAR.call_once(|| {
        if log::set_boxed_logger(Box::new(EngineLog(LogTracer::new()))).is_ok() {
            log::set_max_level(tracing::level_filters::LevelFilter::current().as_log().max(log::LevelFilter::Error));
        }
    });
}

/// The process's logger.
struct EngineLog(LogTracer);

impl Log for EngineLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() == Level::Error || self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if record.level() == Level::Error && record.target().starts_with("sled") {
            let words = record.args().to_string();
            if words.contains("failed to flush")
                && let Some(report) = taken_report()
            {
                let _ = report.try_send(Err(failed_flush(words)));
            }
        }
        if self.0.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {}
}

/// The kind of the failure is in its words only.
fn failed_flush(words: String) -> StoreError {
    if ["StorageFull", "QuotaExceeded"].iter().any(|kind| words.contains(kind)) {
        StoreError::NoRoom(words)
    } else {
        StoreError::Engine(words)
    }
}

fn report_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match taken_report() {
        Some(report) => {
            let _ = report.try_send(Err(StoreError::Panicked(words_of(panic.payload()))));
        }
        None => usual(panic),
    }));
}

/// Where this thread's first report goes; `None` where it opens nothing, or has reported already.
fn taken_report() -> Option<Sender<Opened>> {
    let report = REPORT.try_with(|report| report.try_borrow_mut().ok().and_then(|mut report| report.take()));
    report.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn wait_for_ever() -> Opened {
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn an_engine_that_panics_or_gives_no_word_is_an_error() {
        let panicked = in_a_thread_of_its_own(LONG, || panic!("a leaf is missing"));
        assert!(matches!(panicked, Err(StoreError::Panicked(words)) if words == "a leaf is missing"));
        let waiting = in_a_thread_of_its_own(Duration::from_millis(1), wait_for_ever);
        assert!(matches!(waiting, Err(StoreError::NoWord(0))));
    }

    #[test]
    fn an_engine_that_waits_for_a_flush_that_failed_is_an_error() {
        let failing = |words: &'static str| {
            in_a_thread_of_its_own(LONG, move || {
                log::error!(target: "sled::tree", "failed to flush Db on Drop: {words}");
                wait_for_ever()
            })
        };
        assert!(
            matches!(failing("Custom { kind: InvalidData }"), Err(StoreError::Engine(words)) if words.contains("InvalidData"))
        );
        assert!(matches!(failing("Custom { kind: StorageFull }"), Err(StoreError::NoRoom(_))));
        // What it says besides is no reason to give it up.
        let said = in_a_thread_of_its_own(LONG, || {
            log::error!(target: "sled::tree", "something else");
            Err(StoreError::Earlier)
        });
        assert!(matches!(said, Err(StoreError::Earlier)));
    }
}
