//! A snapshot, as a restore reads it and the first start behind it loads it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shikaku::registry::fuzzing::restore_into_memory;
use shikaku_fuzz::scratch::Scratch;
use shikaku_fuzz::sealing::seal_snapshot;

thread_local! {
    static SCRATCH: Scratch = Scratch::new();
}

fuzz_target!(|bytes: &[u8]| {
    let Some((how, records)) = bytes.split_first() else { return };
    let mut file = records.to_vec();
    if how & 1 == 0 {
        seal_snapshot(&mut file);
    }
    SCRATCH.with(|scratch| {
        if let Ok(summary) = restore_into_memory(scratch.holding(&file)) {
            assert_eq!(summary.bytes, file.len() as u64);
        }
    });
});
