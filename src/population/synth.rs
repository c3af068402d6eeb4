//! The population as a registration file, and a later day's change file.
//!
//! Two threads make the lines, a block of recipients each in turn; the caller's thread writes the blocks in order. A few blocks are
//! under way at any time, however large the population.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};

use super::encoding::Cp932Encoder;
pub use super::encoding::Encoding;
use super::{HEADER, Population};

/// How far the writing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Recipients whose lines are written.
    pub recipients: u64,
    /// Lines written, the header apart.
    pub lines: u64,
    /// Bytes written.
    pub bytes: u64,
}

const THREADS: u64 = 2;
const RECIPIENTS_OF_A_BLOCK: u64 = 2_048;
/// Blocks that a thread may be ahead.
const BLOCKS_AHEAD: usize = 2;

struct Block {
    recipients: u64,
    lines: u64,
    text: Vec<u8>,
}

/// Writes the registration file; `progress` hears of every block.
pub fn write_registrations(
    population: &Population,
    out: &mut dyn Write,
    encoding: Encoding,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<Progress> {
    write(population, out, encoding, progress, |index, lines| population.write_registrations(index..index + 1, lines))
}

/// Writes the change file: moves, withdrawals and renewals.
pub fn write_changes(
    population: &Population,
    out: &mut dyn Write,
    encoding: Encoding,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<Progress> {
    write(population, out, encoding, progress, |index, lines| population.write_changes(index, lines))
}

fn write(
    population: &Population,
    out: &mut dyn Write,
    encoding: Encoding,
    progress: &mut dyn FnMut(Progress),
    lines_of: impl Fn(u64, &mut Vec<u8>) + Sync,
) -> io::Result<Progress> {
    let blocks = population.size().div_ceil(RECIPIENTS_OF_A_BLOCK);
    let make = |block: u64, encoder: &mut Option<Cp932Encoder>| {
        let first = block * RECIPIENTS_OF_A_BLOCK;
        let end = (first + RECIPIENTS_OF_A_BLOCK).min(population.size());
        let mut text = Vec::with_capacity(1 << 20);
        (first..end).for_each(|index| lines_of(index, &mut text));
        // No field holds a line end, so lines are line feeds.
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        Ok::<_, io::Error>(Block {
            recipients: end - first,
            lines: u64::try_from(lines).unwrap_or(u64::MAX),
            text: encode(text, encoder.as_mut())?,
        })
    };
    let make = &make;
    out.write_all(HEADER.as_bytes())?;
    std::thread::scope(|scope| {
        let mut lanes: Vec<Receiver<io::Result<Block>>> = Vec::new();
        for thread in 0..THREADS {
            let (sender, receiver) = sync_channel(BLOCKS_AHEAD);
            lanes.push(receiver);
            // When the writing has failed nobody receives any more, and the thread ends with the failed send.
            scope.spawn(move || {
                let mut encoder = encoder(encoding);
                (thread..blocks).step_by(2).try_for_each(|block| sender.send(make(block, &mut encoder)))
            });
        }
        let mut done = Progress { bytes: HEADER.len() as u64, ..Progress::default() };
        for block in 0..blocks {
            let lane = usize::try_from(block % THREADS).ok().and_then(|lane| lanes.get(lane));
            let received = lane.and_then(|lane| lane.recv().ok());
            let made = received.ok_or_else(|| io::Error::other("a thread that makes the lines has ended"))??;
            out.write_all(&made.text)?;
            done.recipients += made.recipients;
            done.lines += made.lines;
            done.bytes += made.text.len() as u64;
            progress(done);
        }
        out.flush()?;
        Ok(done)
    })
}

const _: () = assert!(THREADS == 2, "the threads step over each other's blocks by two");

/// A thread's encoder; `None` where the text is written as it is.
fn encoder(encoding: Encoding) -> Option<Cp932Encoder> {
    (encoding == Encoding::Cp932).then(Cp932Encoder::new)
}

fn encode(text: Vec<u8>, encoder: Option<&mut Cp932Encoder>) -> io::Result<Vec<u8>> {
    let Some(encoder) = encoder else { return Ok(text) };
    let text = std::str::from_utf8(&text).map_err(|_| io::Error::other("a line is not UTF-8"))?;
    encoder.encode(text).ok_or_else(|| io::Error::other("a character has no place in CP932"))
}
