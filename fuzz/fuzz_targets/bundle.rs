//! A bundle from a stick: its head, what is signed in it, its frames and its end, as they came or made to agree with each other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shikaku::log::{Chain, Frame, Position};
use shikaku::sync::bundle::Bundle;
use shikaku::sync::checkpoint::Checkpoint;
use shikaku_fuzz::bundle::{Parts, chain_before, fit, seal_bundle, sign};
use shikaku_fuzz::hub::keys;
use shikaku_fuzz::scratch::Scratch;

thread_local! {
    static SCRATCH: Scratch = Scratch::new();
}

/// Its checksums fit.
const SEALED: u8 = 1;
/// The hub signed where its frames end.
const SIGNED: u8 = 2;
/// Its frames reach to its end.
const FITTED: u8 = 4;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let (at, bytes) = bytes.split_at_checked(2).unwrap_or((&[0, 0], bytes));
    let mut file = bytes.to_vec();
    if how & FITTED != 0 {
        fit(&mut file);
    }
    if how & SEALED != 0 {
        seal_bundle(&mut file);
    }
    if how & SIGNED != 0 {
        sign(&mut file, &keys().signer);
        seal_bundle(&mut file);
    }
    SCRATCH.with(|scratch| {
        let Ok(bundle) = Bundle::open(scratch.holding(&file), &keys().key) else { return };
        is_what_was_signed(&bundle, &file);
        assert!(Bundle::open(bundle.path(), &keys().strange).is_err(), "it is believed of another hub");
        let (place, bit) = (usize::from(at[0]) << 5 | usize::from(at[1] >> 3), at[1] & 7);
        let length = file.len();
        file[place % length] ^= 1 << bit;
        assert!(Bundle::open(scratch.holding(&file), &keys().key).is_err(), "it is believed with another bit");
    });
});

/// What is given for applying is the file's own bytes, and leads from where it says to where the hub signed.
fn is_what_was_signed(bundle: &Bundle, file: &[u8]) {
    let parts = Parts::of(file).expect("what is read is laid out as a bundle");
    let before = chain_before(file).expect("it has a head");
    let checkpoint = bundle.checkpoint();
    assert_eq!(bundle.signed_checkpoint(), &file[parts.checkpoint]);
    assert_eq!(Checkpoint::verify(bundle.signed_checkpoint(), &keys().key).as_ref(), Ok(checkpoint));
    assert_eq!(bundle.manifest().map(|manifest| manifest.sign(&keys().signer)).unwrap_or_default(), &file[parts.manifest]);
    let summary = bundle.summary();
    assert_eq!((summary.bytes, summary.through), (file.len() as u64, checkpoint.sequence));
    assert!(bundle.manifest().is_none_or(|manifest| manifest.sequence == bundle.since()));

    let beginning = Position { stream: checkpoint.stream, sequence: bundle.since(), chain: before, state_checksum: 0 };
    let mut given = Vec::new();
    let taken = bundle.frames_behind(&beginning, |run| {
        given.extend_from_slice(run);
        Ok(())
    });
    taken.expect("what was judged is given");
    assert_eq!(given, &file[parts.frames]);
    let (mut chain, mut sequence, mut rest) = (before, bundle.since(), given.as_slice());
    while !rest.is_empty() {
        let frame = Frame::first_of(rest).expect("whole frames are given");
        sequence += 1;
        assert_eq!(frame.sequence, sequence);
        chain = chain.after(frame.bytes);
        rest = &rest[frame.bytes.len()..];
    }
    assert_eq!((sequence, chain), (checkpoint.sequence, checkpoint.chain));
    let elsewhere = Position { chain: Chain([0xee; 32]), ..beginning };
    let forked = bundle.frames_behind(&elsewhere, |_| panic!("frames are given to a log that has parted"));
    assert!(forked.is_err() || given.is_empty());
}
