//! The operator's configuration file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shikaku::serve::config::Config;
use shikaku_fuzz::scratch::Scratch;

thread_local! {
    static SCRATCH: Scratch = Scratch::new();
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = SCRATCH.with(|scratch| Config::read(scratch.holding(bytes))) else { return };
    assert!((1..=36_500).contains(&config.audit_retention_days) && (10..=60_000).contains(&config.audit_sync_ms));
    assert!(config.accepts_plaintext_from([127, 0, 0, 1].into()));
    let _ = config.accepts_plaintext_from([10, 1, 2, 3].into());
    let _ = config.accepts_plaintext_from([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].into());
});
