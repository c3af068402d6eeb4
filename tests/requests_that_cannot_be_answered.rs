//! Errors over HTTP: their statuses, their codes, and that no message repeats an identifier.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::io::Read;

use common::{FAR_HOSPITAL, HOSPITAL, INFANTS, Place, Row, Server, ask_member, day, eventually, member_json};
use serde_json::json;

const TSV: (&str, &str) = ("Content-Type", "text/tab-separated-values");
const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn a_malformed_question_is_told_what_is_wrong_and_never_what_it_said() {
    let place = Place::new();
    let server = place.serve();
    let number = "SECRET77";
    let member = |insurer: &str, number: &str, branch: &str, birth: &str| {
        let member = json!({ "insurer_number": insurer, "number": number, "branch_number": branch, "birth_date": birth });
        json!({ "member": member, "consent": true }).to_string()
    };
    let long = "7".repeat(65);
    let cases = [
        (member("0613201", number, "", "1980-01-01"), "bad_insurer_number", "member.insurer_number"),
        (member("06132013", "", "", "1980-01-01"), "bad_number", "member.number"),
        (member("06132013", number, "777", "1980-01-01"), "bad_branch_number", "member.branch_number"),
        (member("06132013", number, "", "1980-02-30"), "bad_birth_date", "member.birth_date"),
        (
            json!({ "certificate": { "payer_number": "777", "recipient_number": number } }).to_string(),
            "bad_payer_number",
            "certificate.payer_number",
        ),
        (
            json!({ "certificate": { "payer_number": INFANTS, "recipient_number": "" } }).to_string(),
            "bad_recipient_number",
            "certificate.recipient_number",
        ),
        (json!({ "card_link": long }).to_string(), "bad_card_link", "card_link"),
        (json!({ "card_link": number, "service_date": "7 July" }).to_string(), "bad_service_date", "service_date"),
        (json!({ "card_link": number, "institution": "777" }).to_string(), "bad_institution", "institution"),
        (
            json!({ "card_link": number, "certificate": { "payer_number": INFANTS, "recipient_number": "1" } }).to_string(),
            "bad_question",
            "",
        ),
        (json!({ "card_link": number, "SECRET77": 1 }).to_string(), "bad_question", ""),
        (json!({ "card_link": 777 }).to_string(), "bad_question", ""),
        (format!("{{\"card_link\":\"{number}\""), "bad_json", ""),
        (String::new(), "bad_json", ""),
    ];
    let mut http = server.connect();
    let tried = cases.len();
    for (body, code, field) in cases {
        let answer = http.question(&body);
        assert_eq!(answer.error(), (400, code.to_owned()), "{body}");
        assert_eq!(answer.json()["error"]["field"].as_str().unwrap_or(""), field, "{body}");
        assert!(!answer.body.contains("77"), "{}", answer.body);
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
    }
    println!(
        "proof: an error says what is wrong and repeats nothing of the question | malformed questions | a_malformed_question_is_told_what_is_wrong_and_never_what_it_said | {tried}"
    );
}

#[test]
fn methods_media_types_targets_and_parameters_are_held_to() {
    let place = Place::new();
    let server = place.serve();
    let mut http = server.connect();
    let code = |answer: common::Answer| answer.error();
    let is = |status: u16, code: &str| (status, code.to_owned());
    for target in ["/v1/eligibility", "/v1/eligibility/batch"] {
        assert_eq!(code(http.ask("GET", target, &[], b"")), is(405, "method_not_allowed"));
        let html = [("Content-Type", "text/html")];
        assert_eq!(code(http.ask("POST", target, &html, b"k\ta")), is(415, "unsupported_media_type"));
        assert_eq!(code(http.ask("POST", &format!("{target}?card=1"), &[TSV], b"k\ta")), is(400, "unknown_parameter"));
        assert_eq!(code(http.ask("POST", &format!("{target}?on=today"), &[TSV], b"k\ta")), is(400, "bad_service_date"));
        assert_eq!(code(http.ask("POST", &format!("{target}?consent=yes"), &[TSV], b"k\ta")), is(400, "bad_consent"));
        assert_eq!(code(http.ask("POST", &format!("{target}?institution=1"), &[TSV], b"k\ta")), is(400, "bad_institution"));
    }
    assert_eq!(code(http.ask("POST", "/v1/eligibility/batch", &[JSON], b"{}")), is(415, "unsupported_media_type"));
    assert_eq!(code(http.ask("GET", "/v1/nothing", &[], b"")), is(404, "not_found"));
    assert_eq!(code(http.ask("GET", "/control/standing", &[], b"")), is(404, "not_found"));
    for target in ["/v1/health", "/v1/status", "/metrics"] {
        assert_eq!(code(http.ask("POST", target, &[], b"")), is(405, "method_not_allowed"));
        http.ask("GET", target, &[], b"").succeeds();
    }
    assert!(http.ask("GET", "/metrics", &[], b"").body.contains("shikaku_ready 1\n"));
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_closed() {
    let place = Place::new();
    let server = place.serve();
    let whole = |request: &str| {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let status = |answer: &str| answer.get(9..12).unwrap_or("").to_owned();
    let post = "POST /v1/eligibility HTTP/1.1\r\nHost: test\r\n";
    assert_eq!(status(&whole(&format!("{post}Content-Length: 9999999\r\n\r\n"))), "413");
    assert_eq!(status(&whole(&format!("{post}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))), "501");
    assert_eq!(status(&whole(&format!("{post}Content-Length: 2\r\nExpect: miracles\r\n\r\n{{}}"))), "417");
    assert_eq!(status(&whole(&format!("{post}\r\n"))), "411");
    assert_eq!(status(&whole(&format!("{post}Content-Length: many\r\n\r\n"))), "400");
    // These only close the connection, with an answer or without.
    let many: String = (0..17).map(|place| format!("X-{place}: 1\r\n")).collect();
    for request in [format!("GET /v1/health HTTP/1.1\r\n{many}\r\n"), "SECRET77 is no request line\r\n\r\n".to_owned()] {
        assert!(!whole(&request).starts_with("HTTP/1.1 200"), "{request}");
    }
    server.get("/v1/health").succeeds();
}

#[test]
fn a_batch_answers_each_line_and_refuses_to_grow_without_bound() {
    let place = Place::new();
    let row = Row::of(1);
    place.import("rows.csv", [&row], &[]).ends(0);
    let server = place.serve();
    let good = ask_member(&row);
    let lines = format!("{good}\nm\t777\t1980-01-01\n{good}\r\n\nk\tcard-1\t{}\nz\tcard-1\n{good}\ta\tb\nk\tcard-1\n", day(0));
    let eligible = format!("E\t{INFANTS}/R1/{}/E", day(365));
    let good_answer = eligible.as_str();
    let expected = [
        good_answer,
        "!\tbad_member",
        good_answer,
        "!\tbad_line",
        good_answer,
        "!\tbad_line",
        "!\tbad_service_date",
        good_answer,
    ];
    assert_eq!(server.batch("consent=true", &lines), expected);
    let ndjson = server.connect().ask("POST", "/v1/eligibility/batch?consent=true", &[TSV], lines.as_bytes()).succeeds();
    let objects: Vec<serde_json::Value> = ndjson.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), expected.len());
    for (object, expected) in objects.iter().zip(expected) {
        match expected.strip_prefix("!\t") {
            Some(code) => assert_eq!(object["error"]["code"], code),
            None => assert_eq!(object["verdict"], "eligible"),
        }
    }

    let batch = |lines: &str| server.connect().ask("POST", "/v1/eligibility/batch?consent=true", &[TSV], lines.as_bytes());
    let largest = batch(&"k\ta\n".repeat(10_000)).succeeds();
    assert_eq!(largest.body.lines().count(), 10_000);
    // So large an answer ends its connection, and says so.
    assert_eq!(largest.header("Connection"), Some("close"));
    assert_eq!(batch(&"k\ta\n".repeat(10_001)).error(), (413, "too_many_lines".to_owned()));
    // With four certificates each, the answers of 10,000 lines are over 8 MiB.
    let others: Vec<Row> = (2..=4).map(|history| row.clone().with("sub_key", history.to_string())).collect();
    place.import("more.csv", &others, &[]).ends(0);
    assert_eq!(batch(&"k\tcard-1\n".repeat(10_000)).error(), (413, "answer_too_large".to_owned()));
    let large = format!("k\t{}\n", "x".repeat(120)).repeat(9_000);
    assert!(large.len() > 1 << 20);
    assert_eq!(batch(&large).status, 413);
}

fn bearing(token: &str) -> String {
    format!("Bearer {}", token.trim())
}

fn ask_with(server: &Server, authorization: Option<&str>, body: &str) -> common::Answer {
    let mut headers = vec![JSON];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    server.connect().ask("POST", "/v1/eligibility", &headers, body.as_bytes())
}

#[test]
fn tokens_are_made_listed_and_revoked_under_a_running_server() {
    let place = Place::new();
    let row = Row::of(1).with("designated_institutions", HOSPITAL);
    place.import("rows.csv", [&row], &[]).ends(0);
    let server = place.serve();
    let body = member_json(&row, &day(0));
    // Without tokens, loopback may ask.
    ask_with(&server, None, &body).succeeds();

    let token = place.run("token add", &["--institution", HOSPITAL, "--role", "lookup"]).ends(0).out;
    let other = place.run("token add", &["--institution", FAR_HOSPITAL, "--role", "monitor"]).ends(0).out;
    eventually("the tokens are reread", || ask_with(&server, None, &body).status == 401);
    assert_eq!(ask_with(&server, None, &body).error(), (401, "unauthorized".to_owned()));
    assert_eq!(ask_with(&server, Some("Bearer shk_wrong"), &body).error(), (401, "unauthorized".to_owned()));
    assert_eq!(ask_with(&server, Some(token.trim()), &body).status, 401);
    eventually("the second token is reread", || ask_with(&server, Some(&bearing(&other)), &body).status == 403);
    assert_eq!(ask_with(&server, Some(&bearing(&other)), &body).error(), (403, "forbidden".to_owned()));

    // The token's institution is the institution.
    let answer = ask_with(&server, Some(&bearing(&token)), &body).succeeds().json();
    assert_eq!(answer["verdict"], "eligible");
    let named = |code: &str| body.replace("\"consent\"", &format!("\"institution\":\"{code}\",\"consent\""));
    ask_with(&server, Some(&bearing(&token)), &named(HOSPITAL)).succeeds();
    let mismatch = ask_with(&server, Some(&bearing(&token)), &named(FAR_HOSPITAL));
    assert_eq!(mismatch.error(), (403, "institution_mismatch".to_owned()));
    assert!(!mismatch.body.contains(FAR_HOSPITAL));
    let bearer = bearing(&token);
    let headers = [TSV, ("Authorization", bearer.as_str())];
    let target = format!("/v1/eligibility/batch?consent=true&institution={FAR_HOSPITAL}");
    assert_eq!(server.connect().ask("POST", &target, &headers, b"k\tcard-1").status, 403);

    // The data directory's own commands need no token.
    place.run("lookup --card card-1 --consent", &["--on", &day(0)]).ends(0);

    let list = place.run("token list", &[]).ends(0).out;
    let names: Vec<&str> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert!(list.contains(HOSPITAL) && list.contains(" institution") && list.contains(" operator"), "{list}");
    let stored = place.read("data/tokens");
    assert!(!list.contains(token.trim()) && !stored.contains(token.trim()), "a token is shown once");

    let name = list.lines().find(|line| line.ends_with("institution")).unwrap().split(' ').next().unwrap();
    place.run("token revoke", &[name]).ends(0);
    eventually("the revoked token is refused", || ask_with(&server, Some(&bearer), &body).status == 401);
    place.run("token revoke", &[name]).ends(1);
    place.run("token add", &["--institution", "12345", "--role", "lookup"]).ends(1);
    place.run("token add", &["--institution", HOSPITAL, "--role", "king"]).ends(2);
    // An institution is its code; a machine may have a name. The words of before are still understood.
    let unnamed = place.run("token add", &["--name", "north", "--role", "institution"]).ends(1);
    assert!(unnamed.err.contains("institution code of 10 digits"), "{}", unnamed.err);
    place.run("token add", &["--name", "kokuho-13", "--role", "clearing_house"]).ends(0);
    for word in ["lookup", "register", "follow", "monitor"] {
        place.run("token add", &["--institution", HOSPITAL, "--role", word]).ends(0);
    }
    let list = place.run("token list", &[]).ends(0).out;
    for who in ["kokuho-13 clearing_house", "0110113719 institution", "0110113719 authority", "0110113719 replica"] {
        assert!(list.contains(who), "{list}");
    }
}

#[test]
fn tokens_may_stand_in_another_file_and_the_shell_look_up_bears_one() {
    let place = Place::new();
    place.import("rows.csv", [&Row::of(1)], &[]).ends(0);
    let elsewhere = place.path("elsewhere");
    let elsewhere = elsewhere.to_str().unwrap();
    let token = place.run("token add", &["--tokens", elsewhere, "--institution", HOSPITAL, "--role", "lookup"]).ends(0).out;
    let server = Server::start_with(&place.data(), &["--tokens", elsewhere]);
    let url = format!("http://{}", server.address);
    let look_up = |token: Option<&str>| {
        let mut command = common::program();
        command.args(["lookup", "--url", &url, "--card", "card-1", "--consent"]);
        command.envs(token.map(|token| ("SHIKAKU_TOKEN", token)));
        common::Said::of(&command.output().unwrap())
    };
    assert_eq!(look_up(None).ends(1).json()["error"]["code"], "unauthorized");
    assert_eq!(look_up(Some(token.trim())).ends(0).json()["verdict"], "eligible");
}

#[test]
fn off_loopback_it_serves_only_with_tokens_and_a_named_network() {
    let place = Place::new();
    let config = place.write("open.toml", "plaintext_networks = [\"10.0.0.0/8\"]\n");
    let config = config.to_str().unwrap();
    let off_loopback = ["--listen", "0.0.0.0:0"];
    let without_tokens = place.run("serve", &off_loopback).ends(1);
    assert!(without_tokens.err.contains("token"), "{}", without_tokens.err);
    place.run("serve", &["--listen", "0.0.0.0:0", "--config", config]).ends(1);
    place.run("token add", &["--institution", HOSPITAL, "--role", "lookup"]).ends(0);
    let without_network = place.run("serve", &off_loopback).ends(1);
    assert!(without_network.err.contains("plaintext_networks"), "{}", without_network.err);
    let wrong = place.write("wrong.toml", "plaintext_network = []\n");
    let misspelt = place.run("serve", &["--listen", "127.0.0.1:0", "--config", wrong.to_str().unwrap()]).ends(1);
    assert!(misspelt.err.contains("plaintext_network"), "{}", misspelt.err);
}

#[test]
fn while_a_large_register_is_loaded_health_says_so_and_questions_wait() {
    // Loading begins after the port is open; whatever is seen before "ready" must be 503, and afterwards 200.
    let place = Place::new();
    let rows: Vec<Row> = (0..3000).map(Row::of).collect();
    place.import("rows.csv", &rows, &[]).ends(0);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let data = place.data();
    let arguments = ["serve", "--data", data.to_str().unwrap(), "--listen", &listen];
    let process = common::Running::start(arguments);
    let address: std::net::SocketAddr = listen.parse().unwrap();
    // The socket that claims the port lets go of who came too early.
    let answers = || -> std::io::Result<usize> {
        use std::io::{Read, Write};
        let mut early = std::net::TcpStream::connect(address)?;
        early.write_all(b"GET /v1/health HTTP/1.1\r\n\r\n")?;
        early.read(&mut [0])
    };
    eventually("the port is open", || answers().is_ok_and(|read| read > 0));
    let mut http = common::Http::to(address);
    eventually("it is loaded", || {
        let health = http.ask("GET", "/v1/health", &[], b"");
        let question = http.question("{\"card_link\":\"card-1\",\"consent\":true}");
        match health.status {
            503 => {
                assert!(question.status == 200 || question.error() == (503, "loading".to_owned()), "{question:?}");
                false
            }
            status => {
                assert_eq!((status, question.status), (200, 200));
                true
            }
        }
    });
    let server = Server::of(process);
    assert_eq!(server.get("/v1/health").json()["status"], "ok");
}
