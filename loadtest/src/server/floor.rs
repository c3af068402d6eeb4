//! The floor: a bare server on the appliance's engine that reads each request's body and gives one fixed answer.

use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{BorrowedFd, RawFd};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};

use super::child::Ended;
use super::free_address;
use crate::arguments::FloorServerArguments;
use crate::error::LoadError;

/// The appliance's stacks, in words.
const STACK_WORDS: usize = 0x8000;
const READY_WITHIN: Duration = Duration::from_secs(10);

/// A running floor in a process of its own, so that its CPU time can be told from the client's. Dropping it ends it.
pub(crate) struct Floor {
    child: Ended,
    pub(crate) address: SocketAddr,
    /// Its end, however it comes about, ends the floor.
    _lifeline: ChildStdin,
}

impl Floor {
    /// Starts one that answers `answer` under the header line `header`.
    pub(crate) fn start(header: &str, answer: &[u8]) -> Result<Floor, LoadError> {
        let address = free_address()?;
        let program = std::env::current_exe().map_err(LoadError::io("finding this program"))?;
        let mut command = Command::new(program);
        command.args(["floor-server", "--header", header, "--listen", &address.to_string()]);
        command.args(["--answer-bytes", &answer.len().to_string()]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().map_err(LoadError::io("starting the floor"))?;
        let lifeline = child.stdin.take();
        let mut child = Ended { child, within: Duration::from_secs(1) };
        let mut lifeline = lifeline.ok_or_else(|| LoadError::Server("the floor has no standard input".to_owned()))?;
        lifeline.write_all(answer).and_then(|()| lifeline.flush()).map_err(LoadError::io("telling the floor its answer"))?;
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if child.has_ended() || began.elapsed() > READY_WITHIN {
                return Err(LoadError::Server("the floor did not start".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Floor { child, address, _lifeline: lifeline })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.child.id()
    }
}

/// Is the floor, until standard input ends.
pub(crate) fn serve(arguments: &FloorServerArguments) -> Result<(), LoadError> {
    let mut input = std::io::stdin().lock();
    let mut answer = vec![0; arguments.answer_bytes];
    input.read_exact(&mut answer).map_err(LoadError::io("the floor's answer"))?;
    let answer = String::from_utf8(answer).map_err(|_| LoadError::Usage("the floor's answer is not UTF-8".to_owned()))?;
    // The engine wants both for as long as the process lives, which is how long they are needed.
    let (answer, header): (&str, &str) = (answer.leak(), arguments.header.clone().leak());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    may::config().set_workers(workers).set_stack_size(STACK_WORDS).set_worker_pin(false);
    for _ in 0..workers {
        drop(Reception { answer, header }.start(arguments.listen).map_err(LoadError::io("the floor's listener"))?);
    }
    std::io::copy(&mut input, &mut std::io::sink()).map_err(LoadError::io("the floor's lifeline"))?;
    Ok(())
}

struct Reception {
    answer: &'static str,
    header: &'static str,
}

impl HttpServiceFactory for Reception {
    type Service = Bare;

    fn new_service(&self, id: usize) -> Bare {
        let number = RawFd::try_from(id).ok().filter(|number| *number >= 0);
        if let Some(number) = number {
            // SAFETY: the engine calls this with the number of a stream that it has just accepted and holds open meanwhile.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            // Answers that are held back would only make the floor slower, and be seen.
            let _ = rustix::net::sockopt::set_tcp_nodelay(fd, true);
        }
        Bare { answer: self.answer, header: self.header }
    }
}

struct Bare {
    answer: &'static str,
    header: &'static str,
}

impl HttpService for Bare {
    fn call(&mut self, request: Request<'_, '_, '_>, response: &mut Response<'_>) -> std::io::Result<()> {
        let mut body = request.body();
        loop {
            let count = std::hint::black_box(body.fill_buf()?).len();
            if count == 0 {
                break;
            }
            body.consume(count);
        }
        response.header(self.header);
        response.body(self.answer);
        Ok(())
    }
}
