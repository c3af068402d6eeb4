//! The lines of a batch, in both forms of answer.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use shikaku::serve::fast::{Answer, Method, Reply, Request};
use shikaku_fuzz::appliance::{Door, appliance};

fuzz_target!(|bytes: &[u8]| {
    let Some((how, body)) = bytes.split_first() else { return };
    let appliance = appliance(Door::Loopback);
    let compact = how & 1 == 0;
    let request = Request {
        method: Method::Post,
        path: "/v1/eligibility/batch",
        query: if how & 2 == 0 { "on=2026-11-22&consent=true" } else { "institution=0110113719&consent=true" },
        content_type: Some("text/tab-separated-values"),
        accept: Some(if compact { "text/tab-separated-values" } else { "application/x-ndjson" }),
        authorization: None,
        peer: appliance.peer,
        body,
    };
    let mut out = BytesMut::new();
    let mut reply = Reply::new(&mut out);
    appliance.answer(&request, &mut reply);
    assert_eq!(reply.status_code(), 200, "a malformed line has an error of its own");
    let lines = body.strip_suffix(b"\n").unwrap_or(body);
    let asked = if lines.is_empty() { 0 } else { lines.iter().filter(|byte| **byte == b'\n').count() + 1 };
    let text = std::str::from_utf8(&out).expect("answers are text");
    assert_eq!(text.lines().count(), asked, "an answer a line");
    for line in text.lines() {
        if compact {
            assert!(line.starts_with(['!', 'E', 'R', 'D', 'X', 'F', 'A', 'N', 'P', 'C', 'S']), "{line}");
        } else {
            let answer: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            assert!(answer["verdict"].is_string() || answer["error"]["code"].is_string());
        }
    }
});
