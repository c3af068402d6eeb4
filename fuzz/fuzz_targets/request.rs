//! Bytes as they arrive on a connection: heads, bodies, one request behind the other.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use shikaku::serve::fast::fuzzing::{Fate, ParsedHead, serve};
use shikaku_fuzz::appliance::{Door, appliance};

/// Headers that the engine takes.
const HEADERS_MAX: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    let Some((door, mut rest)) = bytes.split_first() else { return };
    let appliance = appliance(if door & 1 == 0 { Door::Loopback } else { Door::Network });
    let mut out = BytesMut::new();
    loop {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(head_bytes)) = parsed.parse(rest) else { return };
        let headers: Vec<(&str, &[u8])> = parsed.headers.iter().map(|field| (field.name, field.value)).collect();
        let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else { return };
        let head = ParsedHead { method, target, version, headers: &headers };
        rest = &rest[head_bytes..];
        match serve(appliance, appliance.peer, &head, rest, &mut out) {
            Fate::Refused { status } => {
                check_error(status, &out);
                return;
            }
            Fate::Waits { body_bytes } => {
                assert!(body_bytes > rest.len() && body_bytes <= shikaku::limits::LISTENER_BODY_BYTES_MAX);
                return;
            }
            Fate::Answered { status, body_bytes, close } => {
                if status != 200 && status != 503 {
                    check_error(status, &out);
                }
                if close {
                    return;
                }
                rest = &rest[body_bytes..];
            }
        }
    }
});

fn check_error(status: u16, body: &[u8]) {
    assert!((400..=503).contains(&status), "status {status}");
    let body: serde_json::Value = serde_json::from_slice(body).expect("an error is JSON");
    assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string());
}
