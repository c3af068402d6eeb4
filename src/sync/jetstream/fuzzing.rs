//! The fuzzer's door to a broker's messages, without a broker.

use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;

use super::message::{CHAIN, ProvedFrame, SIGNATURE, frame_message};
use crate::log::{Chain, Frame, StreamId};
use crate::sync::key::{HubKey, HubSigner};
use crate::sync::tail::TailFrame;

/// A message as it travels: its two headers and its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `Shikaku-Chain`.
    pub chain: String,
    /// `Shikaku-Signature`.
    pub signature: String,
    /// The content.
    pub content: Bytes,
}

/// A frame that a message proves, and the chain before and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// Its sequence.
    pub sequence: u64,
    /// The chain that it continues.
    pub before: Chain,
    /// The chain after it.
    pub after: Chain,
    /// The whole frame.
    pub bytes: Bytes,
}

/// What a follower finds in a message; `None` where it is refused, or could not travel at all.
pub fn read(stream: StreamId, message: &Message, key: &HubKey) -> Option<Proved> {
    let mut headers = HeaderMap::new();
    for (name, value) in [(CHAIN, &message.chain), (SIGNATURE, &message.signature)] {
        headers.insert(name, value.parse::<HeaderValue>().ok()?);
    }
    let ProvedFrame { sequence, before, after, bytes } = ProvedFrame::read(stream, Some(&headers), &message.content, key).ok()?;
    Some(Proved { sequence, before, after, bytes })
}

/// What the hub publishes of a frame; `None` where that is none.
pub fn write(stream: StreamId, before: Chain, frame: &[u8], signer: &HubSigner) -> Option<Message> {
    let sequence = Frame::first_of(frame).ok().filter(|found| found.bytes.len() == frame.len())?.sequence;
    let tail = TailFrame { sequence, before, after: before.after(frame), bytes: frame.to_vec() };
    let published = frame_message(stream, tail, signer).outbound_message("frames");
    let headers = published.headers?;
    let [chain, signature] = [CHAIN, SIGNATURE].map(|name| headers.get(name).map(|value| value.as_str().to_owned()));
    Some(Message { chain: chain?, signature: signature?, content: published.payload })
}
