//! What the hub signs and everybody may show: checkpoints, and the manifests of snapshots.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shikaku::sync::checkpoint::Checkpoint;
use shikaku::sync::key::{HubKey, Purpose};
use shikaku::sync::manifest::SnapshotManifest;
use shikaku_fuzz::hub::keys;

/// The hub signs whatever the content is.
const SIGNED: u8 = 1;
/// It is a manifest.
const MANIFEST: u8 = 2;
/// It is signed, but for something else.
const FOR_SOMETHING_ELSE: u8 = 4;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let (at, bytes) = bytes.split_at_checked(2).unwrap_or((&[0, 0], bytes));
    let purpose = match (how & FOR_SOMETHING_ELSE != 0, how & MANIFEST != 0) {
        (true, _) => Purpose::Frame,
        (false, true) => Purpose::Snapshot,
        (false, false) => Purpose::Checkpoint,
    };
    let mut signed = bytes.to_vec();
    if how & (SIGNED | FOR_SOMETHING_ELSE) != 0 {
        let signature = keys().signer.sign(purpose, &signed);
        signed.extend_from_slice(&signature);
    }
    let is_manifest = how & MANIFEST != 0;
    let Some(again) = signed_again(&signed, &keys().key, is_manifest) else { return };
    assert_eq!(how & FOR_SOMETHING_ELSE, 0, "a signature for one thing is none for another");
    // A key gives one signature for one content: what is believed is byte for byte what the hub would write.
    assert_eq!(again, signed);
    assert!(signed_again(&signed, &keys().strange, is_manifest).is_none(), "it is believed of another hub");
    let (place, bit) = (usize::from(at[0]) << 5 | usize::from(at[1] >> 3), at[1] & 7);
    let length = signed.len();
    signed[place % length] ^= 1 << bit;
    assert!(signed_again(&signed, &keys().key, is_manifest).is_none(), "it is believed with another bit");
});

/// What was believed, as the hub would write it.
fn signed_again(signed: &[u8], key: &HubKey, is_manifest: bool) -> Option<Vec<u8>> {
    if is_manifest {
        let manifest = SnapshotManifest::verify(signed, key).ok()?;
        assert!(manifest.name().ends_with(".snap") && !manifest.name().contains('/'));
        return Some(manifest.sign(&keys().signer));
    }
    let checkpoint = Checkpoint::verify(signed, key).ok()?;
    assert!(checkpoint.segments.capacity() * 40 <= signed.len(), "no more is held than came");
    for behind in [0, checkpoint.oldest_sequence, checkpoint.sequence] {
        let places: Vec<_> = checkpoint.places_behind(behind).collect();
        assert!(places.is_sorted_by(|one, next| one.sequence < next.sequence), "places go on");
        assert!(places.iter().all(|place| place.sequence > behind && checkpoint.chain_at(place.sequence) == Some(place.chain)));
        assert_eq!(places.last().map(|place| place.sequence), (checkpoint.sequence > behind).then_some(checkpoint.sequence));
    }
    Some(checkpoint.sign(&keys().signer))
}
