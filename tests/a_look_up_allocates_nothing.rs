//! From the request's body to the rendered answer a look-up takes no memory, in whichever form it is asked and answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/counting.rs"]
mod counting;

use std::net::{IpAddr, Ipv4Addr};

use bytes::BytesMut;
use shikaku::registry::{OpenOptions, Registry};
use shikaku::serve::Door;
use shikaku::serve::config::Config;
use shikaku::serve::fast::{Method, Reply, Request};
use shikaku::serve::service::Service;
use shikaku::serve::tokens::Tokens;

use counting::{Counting, allocations_of_this_thread};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MEMBER: &str = r#"{"member":{"insurer_number":"06132013","symbol":"品１","number":"5678901","branch_number":"00","birth_date":"1980-01-01"},"consent":true}"#;
const CERTIFICATE: &str = r#"{"certificate": {"payer_number": "54136015", "recipient_number": "1234567"}, "consent": true}"#;
const LINES: &str = "m\t06132013:品１:5678901:00\t1980-01-01\nc\t54136015\t1234567\nk\tab-12\n";

#[test]
fn a_look_up_allocates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::open(directory.path(), &OpenOptions::at(1_795_316_400_000)).unwrap();
    let service = Service::new(Config::default(), Tokens::default());
    let _ = service.reader.set(registry.reader());
    let mut body = BytesMut::with_capacity(1 << 16);
    let mut ask = |path: &str, content_type: &str, accept: &str, asked: &str| {
        let request = Request {
            method: Method::Post,
            path,
            query: "consent=true",
            content_type: Some(content_type),
            accept: Some(accept),
            authorization: None,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            body: asked.as_bytes(),
        };
        // The first one of a thread makes what the thread keeps.
        let mut counts = [0; 2];
        for count in &mut counts {
            let before = allocations_of_this_thread();
            let mut reply = Reply::new(&mut body);
            service.respond(&request, Door::Fast, &mut reply);
            assert_eq!(reply.status_code(), 200);
            *count = allocations_of_this_thread() - before;
        }
        assert_eq!(counts[1], 0, "{path} {content_type} {accept}");
    };
    for accept in ["application/json", "text/tab-separated-values"] {
        ask("/v1/eligibility", "application/json", accept, MEMBER);
        ask("/v1/eligibility", "application/json", accept, CERTIFICATE);
        ask("/v1/eligibility", "text/plain", accept, "k\tab-12");
        ask("/v1/eligibility/batch", "text/tab-separated-values", accept, LINES);
    }
}
