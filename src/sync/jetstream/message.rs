//! What one message says: a frame with what proves it, or a signed checkpoint.
//!
//! A broker is believed nothing. Each frame comes with the chain before it and the hub's signature over its stream, its sequence and the
//! chain after it, so that every message proves itself, in whatever order it comes and whoever put it there.

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use crate::log::{Chain, FRAME_BYTES_MAX, Fault, Frame, StreamId};
use crate::sabotage::{Sabotage, sabotaged};
use crate::sync::key::{HubKey, HubSigner, Purpose, SIGNATURE_BYTES};
use crate::sync::tail::TailFrame;

/// The header with the chain before the frame, 64 hex digits.
pub(super) const CHAIN: &str = "Shikaku-Chain";
/// The header with the hub's signature, 128 hex digits.
pub(super) const SIGNATURE: &str = "Shikaku-Signature";

/// What a server takes as one message where its configuration says nothing, headers included, bytes.
const BROKER_MESSAGE_BYTES_MAX: usize = 1 << 20;
/// More than all headers of a message are, bytes.
const HEADERS_BYTES_MAX: usize = 1 << 10;

const _: () = assert!(FRAME_BYTES_MAX + HEADERS_BYTES_MAX <= BROKER_MESSAGE_BYTES_MAX);

/// The subjects of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subjects {
    /// One message a frame.
    pub(super) frames: String,
    /// Signed checkpoints.
    pub(super) checkpoint: String,
}

impl Subjects {
    pub(super) fn of(stream: StreamId) -> Subjects {
        Subjects { frames: format!("shikaku.{stream:?}.frames"), checkpoint: format!("shikaku.{stream:?}.checkpoint") }
    }

    /// Both subjects of a stream.
    pub(super) fn all_of(stream: StreamId) -> String {
        format!("shikaku.{stream:?}.*")
    }

    /// The checkpoints of whichever stream.
    pub(super) const ANY_CHECKPOINT: &str = "shikaku.*.checkpoint";
}

/// Why a message is no frame of the hub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    /// A header is not there, or not what it should be.
    #[error("its header {0} is not there, or not well formed")]
    Header(&'static str),
    /// Its content is not one whole frame.
    #[error("it is not one whole frame: {0}")]
    NoFrame(Fault),
    /// The hub did not sign it.
    #[error("its signature is not by the hub's key")]
    Signature,
}

/// A frame that the hub's signature was found right for.
#[derive(Clone, Debug)]
pub(super) struct ProvedFrame {
    pub(super) sequence: u64,
    /// The chain that it continues.
    pub(super) before: Chain,
    /// The chain after it.
    pub(super) after: Chain,
    pub(super) bytes: Bytes,
}

impl ProvedFrame {
    /// Reads a message. Nothing of it is believed before its signature.
    pub(super) fn read(
        stream: StreamId,
        headers: Option<&HeaderMap>,
        content: &Bytes,
        key: &HubKey,
    ) -> Result<ProvedFrame, MessageError> {
        let before = Chain(hex_header(headers, CHAIN)?);
        let signature = hex_header::<SIGNATURE_BYTES>(headers, SIGNATURE)?;
        let frame = Frame::first_of(content).map_err(MessageError::NoFrame)?;
        if frame.bytes.len() != content.len() {
            return Err(MessageError::NoFrame(Fault::Length));
        }
        let after = before.after(frame.bytes);
        let is_the_hubs = key.verifies(Purpose::Frame, &signed(stream, frame.sequence, after), &signature);
        if !is_the_hubs && !sabotaged(Sabotage::BelieveAnyMessage) {
            return Err(MessageError::Signature);
        }
        Ok(ProvedFrame { sequence: frame.sequence, before, after, bytes: content.clone() })
    }
}

/// The message of a frame. Its id is the stream's and the sequence's, so that the broker drops one that is published twice within its
/// window.
pub(super) fn frame_message(stream: StreamId, frame: TailFrame, signer: &HubSigner) -> PublishMessage {
    let signature = signer.sign(Purpose::Frame, &signed(stream, frame.sequence, frame.after));
    PublishMessage::build()
        .message_id(frame_id(stream, frame.sequence))
        .header(CHAIN, hex(&frame.before.0).as_str())
        .header(SIGNATURE, hex(&signature).as_str())
        .payload(frame.bytes.into())
}

/// The id of a frame's message.
pub(super) fn frame_id(stream: StreamId, sequence: u64) -> String {
    format!("{stream:?}:{sequence}")
}

/// The message of a signed checkpoint.
pub(super) fn checkpoint_message(stream: StreamId, sequence: u64, time_unix_ms: u64, signed: Vec<u8>) -> PublishMessage {
    PublishMessage::build().message_id(format!("{stream:?}:{sequence}:{time_unix_ms}")).payload(signed.into())
}

/// What the hub signs of a frame: the stream, the sequence, the chain after it.
fn signed(stream: StreamId, sequence: u64, after: Chain) -> [u8; 56] {
    let mut out = [0; 56];
    let (of_stream, rest) = out.split_at_mut(16);
    let (of_sequence, of_chain) = rest.split_at_mut(8);
    of_stream.copy_from_slice(&stream.0);
    of_sequence.copy_from_slice(&sequence.to_le_bytes());
    of_chain.copy_from_slice(&after.0);
    out
}

fn hex_header<const N: usize>(headers: Option<&HeaderMap>, name: &'static str) -> Result<[u8; N], MessageError> {
    let digits = headers.and_then(|headers| headers.get_last(name)).map(async_nats::HeaderValue::as_str);
    digits.and_then(from_hex).ok_or(MessageError::Header(name))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != 2 * N || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::log::FrameKind;

    const STREAM: StreamId = StreamId([7; 16]);

    fn signer() -> HubSigner {
        HubSigner::read_or_make(&RealDisk, tempfile::tempdir().unwrap().path()).unwrap()
    }

    fn frame(sequence: u64) -> TailFrame {
        let mut bytes = Vec::new();
        let frame = Frame {
            kind: FrameKind::Mark,
            sequence,
            durable_through: 0,
            time_unix_ms: 1,
            state_checksum: 0,
            payload: b"payload",
            bytes: &[],
        };
        frame.encode(&mut bytes);
        let before = Chain([5; 32]);
        TailFrame { sequence, before, after: before.after(&bytes), bytes }
    }

    fn read(message: &PublishMessage, stream: StreamId, key: &HubKey) -> Result<ProvedFrame, MessageError> {
        let message = message.clone().outbound_message("frames");
        ProvedFrame::read(stream, message.headers.as_ref(), &message.payload, key)
    }

    #[test]
    fn a_message_proves_its_frame_its_place_and_its_stream() {
        let (signer, other) = (signer(), signer());
        let message = frame_message(STREAM, frame(12), &signer);
        let proved = read(&message, STREAM, &signer.public()).unwrap();
        assert_eq!((proved.sequence, proved.before, proved.after), (12, frame(12).before, frame(12).after));
        assert_eq!(proved.bytes, frame(12).bytes);
        assert_eq!(read(&message, STREAM, &other.public()).unwrap_err(), MessageError::Signature);
        assert_eq!(read(&message, StreamId([8; 16]), &signer.public()).unwrap_err(), MessageError::Signature);
    }

    #[test]
    fn a_message_of_which_anything_was_changed_is_no_frame_of_the_hubs() {
        let signer = signer();
        let key = signer.public();
        let genuine = frame_message(STREAM, frame(12), &signer);
        let other_frame = genuine.clone().payload(frame(13).bytes.into());
        assert_eq!(read(&other_frame, STREAM, &key).unwrap_err(), MessageError::Signature);
        let other_chain = genuine.clone().header(CHAIN, hex(&[6; 32]).as_str());
        assert_eq!(read(&other_chain, STREAM, &key).unwrap_err(), MessageError::Signature);
        let two = genuine.clone().payload([frame(12).bytes, frame(13).bytes].concat().into());
        assert_eq!(read(&two, STREAM, &key).unwrap_err(), MessageError::NoFrame(Fault::Length));
        let cut = genuine.clone().payload(frame(12).bytes[..40].to_vec().into());
        assert_eq!(read(&cut, STREAM, &key).unwrap_err(), MessageError::NoFrame(Fault::Short));
        for place in 0..frame(12).bytes.len() {
            let mut bytes = frame(12).bytes;
            bytes[place] ^= 1;
            assert!(read(&genuine.clone().payload(bytes.into()), STREAM, &key).is_err(), "byte {place}");
        }
        for wrong in ["", "05", "zz"] {
            let message = genuine.clone().header(SIGNATURE, wrong);
            assert_eq!(read(&message, STREAM, &key).unwrap_err(), MessageError::Header(SIGNATURE));
        }
        assert_eq!(read(&PublishMessage::build(), STREAM, &key).unwrap_err(), MessageError::Header(CHAIN));
    }

    #[test]
    fn the_largest_frame_is_one_message() {
        let signer = signer();
        let message = frame_message(STREAM, frame(u64::MAX), &signer).outbound_message("frames");
        let headers = message.headers.unwrap();
        let bytes: usize = headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.as_str().len())))
            .map(|(name, value)| name.to_string().len() + value + 4)
            .sum();
        assert!(bytes + 64 <= HEADERS_BYTES_MAX, "{bytes}");
    }
}
