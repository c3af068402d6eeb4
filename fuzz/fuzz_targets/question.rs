//! The body of one question in JSON.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use shikaku::serve::fast::{Answer, Method, Reply, Request};
use shikaku_fuzz::appliance::{Door, appliance};

fuzz_target!(|body: &[u8]| {
    let appliance = appliance(Door::Loopback);
    let request = Request {
        method: Method::Post,
        path: "/v1/eligibility",
        query: "on=2026-11-22",
        content_type: Some("application/json"),
        accept: None,
        authorization: None,
        peer: appliance.peer,
        body,
    };
    let mut out = BytesMut::new();
    let mut reply = Reply::new(&mut out);
    appliance.answer(&request, &mut reply);
    let status = reply.status_code();
    let answer: serde_json::Value = serde_json::from_slice(&out).expect("an answer is JSON");
    if status == 200 {
        let asked: serde_json::Value = serde_json::from_slice(body).expect("what is answered was JSON");
        assert!(answer["verdict"].is_string() && answer["action"].is_string() && answer["entitlements"].is_array());
        assert!(asked["consent"] == true || answer["verdict"] == "no_information", "answered without consent");
    } else {
        assert!(status == 400 && answer["error"]["code"].is_string(), "status {status}");
    }
});
