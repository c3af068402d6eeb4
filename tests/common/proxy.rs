//! A line that does to bytes what lines do: between those who call it and an address that may change.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::crash::random;

/// What a line does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is cut after so many bytes of each connection.
    Cut(u64),
    /// Each piece takes so long.
    Delay(Duration),
    /// It carries so many bytes a second.
    Slow(u64),
    /// One byte in about so many is altered.
    Corrupt(u64),
    /// Two pieces change places now and then.
    Reorder,
    /// It takes what comes and carries nothing.
    Drop,
}

/// How much is carried at once.
const PIECE: usize = 4096;

/// The line. It ends when the test lets go of it.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: Mutex<SocketAddr>,
    fault: Mutex<Fault>,
    /// How often the fault was applied.
    applied: AtomicU64,
    /// Connections of an earlier fault are cut when it changes.
    turn: AtomicU64,
    ended: AtomicBool,
}

impl Proxy {
    pub fn to(address: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            to: Mutex::new(address),
            fault: Mutex::new(Fault::None),
            applied: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let proxy = Proxy { address: listener.local_addr().unwrap(), shared: shared.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.ended.load(Ordering::Relaxed) {
                    return;
                }
                // Where nobody listens the caller's connection ends.
                let to = *shared.to.lock().unwrap();
                if let Ok(other) = TcpStream::connect(to) {
                    carry_both_ways(&shared, &stream, &other);
                }
            }
        });
        proxy
    }

    /// Leads elsewhere from the next connection on; those that are open are cut.
    pub fn lead_to(&self, address: SocketAddr) {
        *self.shared.to.lock().unwrap() = address;
        self.shared.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// From the next connection on this goes wrong; those that are open are cut.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
        self.shared.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something was done to bytes.
    pub fn applied(&self) -> u64 {
        self.shared.applied.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.shared.turn.fetch_add(1, Ordering::Relaxed);
        // The acceptor waits for one more.
        let _ = TcpStream::connect(self.address);
    }
}

fn carry_both_ways(shared: &Arc<Shared>, one: &TcpStream, other: &TcpStream) {
    let (fault, turn) = (*shared.fault.lock().unwrap(), shared.turn.load(Ordering::Relaxed));
    for (from, to) in [(one, other), (other, one)] {
        let (from, to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), shared.clone());
        std::thread::spawn(move || {
            carry(&shared, turn, fault, &from, &to);
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }
}

/// Carries until an end closes, the fault cuts, or another turn begins.
fn carry(shared: &Shared, turn: u64, fault: Fault, mut from: &TcpStream, mut to: &TcpStream) {
    from.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (mut carried, mut piece) = (0, [0; PIECE]);
    let mut held: Option<Vec<u8>> = None;
    while shared.turn.load(Ordering::Relaxed) == turn {
        let mut bytes = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => piece[..length].to_vec(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // What was held back for another order does not wait for ever.
                match held.take() {
                    Some(held) if to.write_all(&held).is_err() => break,
                    Some(_) | None => continue,
                }
            }
            Err(_) => break,
        };
        let apply = || shared.applied.fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::None => {}
            Fault::Cut(after) if carried + bytes.len() as u64 > after => {
                apply();
                let _ = to.write_all(&bytes[..usize::try_from(after - carried).unwrap()]);
                break;
            }
            Fault::Cut(_) => {}
            Fault::Delay(delay) => {
                apply();
                std::thread::sleep(delay);
            }
            Fault::Slow(bytes_a_second) => {
                apply();
                std::thread::sleep(Duration::from_micros(bytes.len() as u64 * 1_000_000 / bytes_a_second));
            }
            Fault::Corrupt(one_in) => {
                if random(one_in) < bytes.len() as u64 {
                    apply();
                    let place = usize::try_from(random(bytes.len() as u64)).unwrap();
                    bytes[place] ^= 1 << random(8);
                }
            }
            Fault::Reorder => match held.take() {
                Some(held) => {
                    apply();
                    bytes.extend_from_slice(&held);
                }
                None if random(4) == 0 => {
                    held = Some(bytes);
                    continue;
                }
                None => {}
            },
            Fault::Drop => {
                apply();
                continue;
            }
        }
        carried += bytes.len() as u64;
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
}
