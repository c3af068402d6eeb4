//! A file of tokens, and what a header claims to bear.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shikaku::serve::tokens::Tokens;
use shikaku_fuzz::scratch::Scratch;

thread_local! {
    static SCRATCH: Scratch = Scratch::new();
}

fuzz_target!(|bytes: &[u8]| {
    let (file, header) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    let Ok(tokens) = SCRATCH.with(|scratch| Tokens::read(scratch.holding(file))) else { return };
    assert!(tokens.list().iter().all(|token| token.name.len() == 8));
    if let Some(token) = tokens.bearer(header.strip_prefix(&[0]).unwrap_or(header)) {
        panic!("a token was found whose hash was guessed: {}", token.name);
    }
});
