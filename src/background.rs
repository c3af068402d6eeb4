//! Work that may take what look-ups leave.
//!
//! It runs at a low priority, so that on a busy machine it gets a part of what a look-up's worker gets, and on an idle one all there is.
//! Following is work that nobody waits for, and has the lowest.

use std::io;
use std::thread::JoinHandle;

/// Not the lowest there is: some of this work holds what registering may come to wait for, and must not be starved.
const LOW: i32 = 10;

/// A seventieth of a look-up's worker's share. Not the policy that runs only while nothing else does (`SCHED_IDLE`): the kernel takes a
/// processor with nothing but such threads for a free one, and sends a look-up's worker there rather than to one that is free.
const LOWEST: i32 = 19;

/// Starts a thread of a low priority.
pub(crate) fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    spawn_at(LOW, name, work)
}

/// Starts a thread of the lowest priority; the threads that it starts have it as well.
pub(crate) fn spawn_behind<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    spawn_at(LOWEST, name, work)
}

/// Gives the engine's own threads the lowest priority, which pack and write the store's leaves: they are shared by the whole process, and
/// are as whoever asks first leaves them.
pub(crate) fn keep_engine_behind() {
    if let Err(error) = rayon::ThreadPoolBuilder::new().start_handler(|_| give_way(LOWEST)).build_global() {
        tracing::debug!(%error, "the engine's threads run already");
    }
}

fn spawn_at<T: Send + 'static>(
    priority: i32,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let lowered = move || {
        give_way(priority);
        work()
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(lowered)
}

/// Lowers the priority of this thread for as long as it lives.
fn give_way(priority: i32) {
    // On Linux this is the calling thread's own, whatever its name says.
    if let Err(error) = rustix::process::setpriority_process(None, priority) {
        tracing::warn!(%error, "a background thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[test]
    fn the_work_gives_way_and_the_thread_that_asked_for_it_does_not() {
        let before = priority();
        assert_eq!(spawn("work", priority).unwrap().join().unwrap(), LOW);
        assert_eq!(priority(), before);
    }

    #[test]
    fn work_that_stands_behind_all_other_takes_what_it_starts_with_it() {
        let before = priority();
        let inside = spawn_behind("work", || (priority(), std::thread::spawn(priority).join().unwrap())).unwrap().join().unwrap();
        assert_eq!(inside, (LOWEST, LOWEST));
        assert_eq!(priority(), before);
    }
}
