//! Opening the engine without trusting it to come back.
//!
//! Where its files are damaged, sled may panic inside `open`; while it unwinds, it waits for a flusher that was never started, for
//! ever. So it opens in a thread of its own, whose panic is reported by the panic hook, before anything unwinds. The thread is
//! then left to itself: it and what it holds stay until the process ends, once for every damaged store that is found. So is one that gives
//! no word for long: it was once seen to wait for a flush of its own, in a store that the next start opened and found whole.

use std::cell::RefCell;
use std::sync::Once;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::{OnDisk, StoreError, words_of};

/// What came of opening.
type Opened = Result<Box<OnDisk>, StoreError>;

thread_local! {
    /// Where the panic of this thread is reported.
    static REPORT: RefCell<Option<Sender<Opened>>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Runs `open` in another thread; a panic in it is an error here, and so is a thread that gives no word in time, even if it never ends.
pub(super) fn in_a_thread_of_its_own(timeout: Duration, open: impl FnOnce() -> Opened + Send + 'static) -> Opened {
    HOOK.call_once(report_panics);
    // Room for a panic's report and for what is returned after it.
    let (sender, receiver) = bounded(2);
    let run = move || {
        REPORT.with(|report| *report.borrow_mut() = Some(sender.clone()));
        let opened = open();
        REPORT.with(|report| *report.borrow_mut() = None);
        let _ = sender.send(opened);
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

fn report_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let report = REPORT.try_with(|report| report.try_borrow_mut().ok().and_then(|mut report| report.take()));
        match report.ok().flatten() {
            Some(report) => {
                let _ = report.try_send(Err(StoreError::Panicked(words_of(panic.payload()))));
            }
            None => usual(panic),
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_panics_or_gives_no_word_is_an_error() {
        let panicked = in_a_thread_of_its_own(Duration::from_secs(60), || panic!("a leaf is missing"));
        assert!(matches!(panicked, Err(StoreError::Panicked(words)) if words == "a leaf is missing"));
        let waiting = in_a_thread_of_its_own(Duration::from_millis(1), || {
            loop {
                std::thread::park();
            }
        });
        assert!(matches!(waiting, Err(StoreError::NoWord(0))));
    }
}
