//! A message of a broker, to whose stream somebody else may write: two headers and a frame.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use shikaku::log::{Chain, StreamId};
use shikaku::sync::jetstream::fuzzing::{Message, Proved, read, write};
use shikaku_fuzz::hub::keys;
use shikaku_fuzz::sealing::seal_frames;

const STREAM: StreamId = StreamId([3; 16]);
/// The hub publishes whatever frame it is; otherwise the headers come with it.
const PUBLISHED: u8 = 1;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let Some((at, bytes)) = bytes.split_first_chunk::<2>() else { return };
    let message = if how & PUBLISHED == 0 { as_it_came(*at, bytes) } else { published(bytes) };
    let Some(message) = message else { return };
    let Some(proved) = read(STREAM, &message, &keys().key) else {
        assert_eq!(how & PUBLISHED, 0, "what the hub publishes is believed");
        return;
    };
    is_the_hubs(&message, &proved);
    assert!(read(STREAM, &message, &keys().strange).is_none(), "it is believed of another hub");
    assert!(read(StreamId([4; 16]), &message, &keys().key).is_none(), "it is believed of another stream");
    let mut altered = message.content.to_vec();
    let (place, bit) = (usize::from(at[0]) << 5 | usize::from(at[1] >> 3), at[1] & 7);
    let length = altered.len();
    altered[place % length] ^= 1 << bit;
    // A checksum that fits again changes nothing.
    for is_sealed in [false, true] {
        if is_sealed {
            seal_frames(&mut altered);
        }
        let is_other = altered != message.content;
        let other = Message { content: Bytes::from(altered.clone()), ..message.clone() };
        assert!(!is_other || read(STREAM, &other, &keys().key).is_none(), "it is believed with another bit");
    }
});

/// Two headers, their lengths first, and a content.
fn as_it_came(lengths: [u8; 2], bytes: &[u8]) -> Option<Message> {
    let (chain, bytes) = bytes.split_at_checked(lengths[0].into())?;
    let (signature, content) = bytes.split_at_checked(lengths[1].into())?;
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    Some(Message { chain: text(chain)?, signature: text(signature)?, content: Bytes::copy_from_slice(content) })
}

/// The chain before a frame and the frame, whose checksum is made to fit.
fn published(bytes: &[u8]) -> Option<Message> {
    let (before, frame) = bytes.split_first_chunk::<32>()?;
    let mut frame = frame.to_vec();
    seal_frames(&mut frame);
    write(STREAM, Chain(*before), &frame, &keys().signer)
}

/// What is believed is byte for byte what the hub would publish, but for the case of hexadecimal digits.
fn is_the_hubs(message: &Message, proved: &Proved) {
    assert_eq!(proved.bytes, message.content);
    assert_eq!(proved.after, proved.before.after(&proved.bytes));
    let again = write(STREAM, proved.before, &proved.bytes, &keys().signer).expect("what was proved is a frame");
    assert!(again.chain.eq_ignore_ascii_case(&message.chain) && again.signature.eq_ignore_ascii_case(&message.signature));
}
