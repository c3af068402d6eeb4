//! Work that may take what look-ups leave: it runs at a low priority, so that on a busy machine it gets about a tenth of what a look-up's
//! worker gets, and on an idle one all there is.

use std::thread::JoinHandle;

/// Not the lowest there is: some of this work holds what registering may come to wait for, and must not be starved.
const LOW: i32 = 10;

/// Starts a thread of a low priority.
pub(crate) fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> std::io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        give_way();
        work()
    })
}

/// Lowers the priority of this thread for as long as it lives.
fn give_way() {
    // On Linux this is the calling thread's own, whatever its name says.
    if let Err(error) = rustix::process::setpriority_process(None, LOW) {
        tracing::warn!(%error, "a background thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_gives_way_and_the_thread_that_asked_for_it_does_not() {
        let before = rustix::process::getpriority_process(None).unwrap();
        let inside = spawn("work", || rustix::process::getpriority_process(None).unwrap()).unwrap().join().unwrap();
        assert_eq!(inside, LOW);
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
    }
}
