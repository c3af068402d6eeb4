//! Every verdict of the contract's table, in every form in which it can be asked for and answered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use common::{FAR_HOSPITAL, HACHIOJI, HOSPITAL, INFANTS, Place, Row, Server, ask_member, day, eventually, member_json};
use serde_json::{Value, json};

/// Payer numbers with right check digits: one with an area, one of an authority that does not take part, one in no master.
const WITH_AREA: &str = "89131247";
const NOT_TAKING_PART: &str = "81136244";
const IN_NO_MASTER: &str = "81137242";
/// An authority that these tests let take part in the year 2000 only.
const KOFU: &str = "192015";

fn masters(place: &Place) {
    let payers = place.write(
        "payers.csv",
        format!(
            "payer_number,authority_code,scheme,area,check,valid_from,valid_to\n\
             {INFANTS},{HACHIOJI},八王子市 乳幼児医療費助成,,warn,2000-04-01,\n\
             {WITH_AREA},{HACHIOJI},八王子市 高校生等医療費助成,01;13,warn,2000-04-01,9999-12-31\n\
             {NOT_TAKING_PART},{KOFU},甲府市 ひとり親,,off,2000-04-01,\n"
        ),
    );
    let participation = place.write(
        "participation.csv",
        format!("authority_code,valid_from,valid_to\n{HACHIOJI},2023-04-01,9999-12-31\n{KOFU},2000-01-01,2000-12-31\n"),
    );
    let files = ["--payers", payers.to_str().unwrap(), "--participation", participation.to_str().unwrap()];
    let said = place.run("masters set", &files).ends(0);
    assert!(said.out.contains("payers") && said.out.contains("participation"), "{}", said.out);
}

fn letter(verdict: &str) -> (char, &'static str) {
    match verdict {
        "eligible" => ('E', "apply"),
        "eligible_reimburse" => ('R', "collect_then_reimburse"),
        "not_designated" => ('D', "treat_without_and_tell_patient"),
        "expired" => ('X', "ask_for_new_certificate"),
        "future" => ('F', "not_yet"),
        "ambiguous" => ('A', "ask_for_"),
        "not_registered" => ('N', "ask_for_paper_certificate"),
        "authority_not_participating" => ('P', "ask_for_paper_certificate"),
        "no_information" => ('C', "ask_for_paper_certificate"),
        "stale" => ('S', "ask_for_paper_certificate"),
        other => panic!("no such verdict: {other}"),
    }
}

/// The line of the compact form that says the same as an answer in JSON.
fn compact_of(answer: &Value) -> String {
    let mut line = letter(answer["verdict"].as_str().unwrap()).0.to_string();
    for entry in answer["entitlements"].as_array().unwrap() {
        let field = |name: &str| entry[name].as_str().unwrap_or("").to_owned();
        let letter = letter(entry["verdict"].as_str().unwrap()).0;
        line.push_str(&format!("\t{}/{}/{}/{letter}", field("payer_number"), field("recipient_number"), field("valid_to")));
    }
    line
}

/// A question in its batch form.
struct Question {
    line: String,
    institution: Option<&'static str>,
}

fn asked(line: impl Into<String>) -> Question {
    Question { line: line.into(), institution: None }
}

impl Question {
    fn at(self, institution: &'static str) -> Question {
        Question { institution: Some(institution), ..self }
    }

    fn query(&self) -> String {
        let institution = self.institution.map(|code| format!("&institution={code}")).unwrap_or_default();
        format!("on={}&consent=true{institution}", day(0))
    }

    /// The same as a JSON body.
    fn json(&self) -> String {
        let fields: Vec<&str> = self.line.split('\t').collect();
        let mut body = match fields[0] {
            "m" => {
                let parts: Vec<&str> = fields[1].split(':').collect();
                json!({ "member": {
                    "insurer_number": parts[0], "symbol": parts[1], "number": parts[2], "branch_number": parts[3],
                    "birth_date": fields[2],
                } })
            }
            "c" => json!({ "certificate": { "payer_number": fields[1], "recipient_number": fields[2] } }),
            _ => json!({ "card_link": fields[1] }),
        };
        body["service_date"] = json!(day(0));
        body["consent"] = json!(true);
        if let Some(institution) = self.institution {
            body["institution"] = json!(institution);
        }
        body.to_string()
    }

    /// Asks in all six forms, which must agree; gives the answer in JSON.
    #[track_caller]
    fn answer(&self, server: &Server) -> Value {
        let answer = server.question(&self.json()).succeeds().json();
        let compact = compact_of(&answer);
        let tsv = ("Accept", "text/tab-separated-values");
        let single = |headers: &[(&str, &str)], target: &str, body: &str| {
            server.connect().ask("POST", target, headers, body.as_bytes()).succeeds().body
        };
        let plain = format!("/v1/eligibility?{}", self.query());
        let batch = format!("/v1/eligibility/batch?{}", self.query());
        let as_json = ("Content-Type", "application/json");
        assert_eq!(single(&[as_json, tsv], "/v1/eligibility", &self.json()), format!("{compact}\n"));
        assert_eq!(single(&[("Content-Type", "text/plain"), tsv], &plain, &self.line), format!("{compact}\n"));
        let from_line = single(&[("Content-Type", "text/plain")], &plain, &self.line);
        assert_eq!(serde_json::from_str::<Value>(&from_line).unwrap(), answer);
        assert_eq!(server.batch(&self.query(), &self.line), [compact]);
        let ndjson = single(&[("Content-Type", "text/tab-separated-values")], &batch, &format!("{}\n", self.line));
        assert_eq!(ndjson, from_line);
        answer
    }

    /// Asks, and checks verdict and action of the whole.
    #[track_caller]
    fn is(&self, verdict: &str, server: &Server) -> Value {
        let answer = self.answer(server);
        assert_eq!(answer["verdict"], verdict, "{answer}");
        let action = answer["action"].as_str().unwrap();
        assert!(action.starts_with(letter(verdict).1), "{answer}");
        assert_eq!(answer["service_date"], day(0));
        answer
    }
}

fn by_certificate(row: &Row) -> Question {
    asked(format!("c\t{}\t{}", row.value("payer_number"), row.value("recipient_number")))
}

fn by_card(row: &Row) -> Question {
    asked(format!("k\t{}", row.value("card_link")))
}

#[track_caller]
fn notes(answer: &Value) -> Vec<&str> {
    answer["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect()
}

#[test]
fn a_person_is_answered_alike_by_member_certificate_and_card_in_every_form() {
    let place = Place::new();
    masters(&place);
    let eligible = Row::of(1).with("segment", "一般").with("monthly_cap_yen", "10000");
    let reimbursed = Row::of(2).with("always_reimbursement", "1");
    let designated = Row::of(3).with("designated_institutions", HOSPITAL);
    let expired = Row::of(4).with("valid_to", day(-30));
    let future = Row::of(5).with("valid_from", day(30));
    let in_area = Row::of(6).with("payer_number", WITH_AREA);
    place.import("rows.csv", [&eligible, &reimbursed, &designated, &expired, &future, &in_area], &[]).ends(0);
    let server = place.serve();
    let mut asked_alike = 0;
    for (row, institution, verdict) in [
        (&eligible, HOSPITAL, "eligible"),
        (&reimbursed, HOSPITAL, "eligible_reimburse"),
        (&designated, HOSPITAL, "eligible"),
        (&designated, FAR_HOSPITAL, "not_designated"),
        (&expired, HOSPITAL, "expired"),
        (&future, HOSPITAL, "future"),
        (&in_area, HOSPITAL, "eligible"),
        (&in_area, FAR_HOSPITAL, "eligible_reimburse"),
    ] {
        let by_member = asked(ask_member(row)).at(institution).is(verdict, &server);
        assert_eq!(by_certificate(row).at(institution).is(verdict, &server), by_member);
        assert_eq!(by_card(row).at(institution).is(verdict, &server), by_member);
        let entry = &by_member["entitlements"][0];
        assert_eq!(entry["verdict"], verdict);
        assert_eq!(entry["order"].is_null(), !matches!(verdict, "eligible" | "eligible_reimburse"), "{entry}");
        asked_alike += 3;
    }

    let answer = asked(ask_member(&eligible)).is("eligible", &server);
    let as_of = &answer["as_of"];
    assert!(as_of["sequence"].as_u64().unwrap() > 0 && as_of["time"].as_str().unwrap().ends_with("+09:00"), "{answer}");
    let entry = &answer["entitlements"][0];
    let expected = json!({
        "order": 1, "verdict": "eligible", "law_code": "88", "scheme": "八王子市 乳幼児医療費助成",
        "certificate_name": "乳幼児医療証", "payer_number": INFANTS, "recipient_number": "R1", "authority_code": HACHIOJI,
        "authority_name": "八王子市", "segment": "一般", "valid_from": day(-365), "valid_to": day(365),
        "copay": { "outpatient_visit_yen": 200, "monthly_cap_yen": 10000 }, "notes": ["check_cap_ledger"],
    });
    assert_eq!(*entry, expected);

    // The institution decides, and none was named.
    let unnamed = asked(ask_member(&designated)).is("not_designated", &server);
    assert_eq!(notes(&unnamed["entitlements"][0]), ["institution_missing"]);
    let unnamed = asked(ask_member(&in_area)).is("eligible", &server);
    assert_eq!(notes(&unnamed["entitlements"][0]), ["institution_missing"]);
    println!(
        "proof: a verdict follows the table, by whatever key it is asked | none | a_person_is_answered_alike_by_member_certificate_and_card_in_every_form | {asked_alike}"
    );
}

#[test]
fn several_people_that_fit_are_told_apart_or_sent_for_the_paper() {
    let place = Place::new();
    masters(&place);
    let twins = ["01", "02"].map(|branch| {
        let number = if branch == "01" { 11 } else { 12 };
        Row::of(number).with("number", "1100").with("branch_number", branch)
    });
    // Two people under one certificate number, and two under one card.
    let shared = [Row::of(21), Row::of(22).with("birth_date", "1990-05-05")]
        .map(|row| row.with("recipient_number", "SHARED").with("card_link", "shared-card"));
    place.import("rows.csv", twins.iter().chain(&shared), &[]).ends(0);
    let server = place.serve();

    let without_branch = asked(ask_member(&twins[0].clone().with("branch_number", "")));
    let answer = without_branch.is("ambiguous", &server);
    assert_eq!(answer["action"], "ask_for_branch_number");
    assert_eq!(answer["entitlements"], json!([]));
    for twin in &twins {
        let answer = asked(ask_member(twin)).is("eligible", &server);
        assert_eq!(answer["entitlements"].as_array().unwrap().len(), 1);
        assert_eq!(answer["entitlements"][0]["recipient_number"], twin.value("recipient_number"));
    }
    assert_eq!(by_certificate(&shared[0]).is("ambiguous", &server)["action"], "ask_for_birth_date");
    assert_eq!(by_card(&shared[0]).is("ambiguous", &server)["action"], "ask_for_paper_certificate");
    let line = format!("c\t{INFANTS}\tSHARED\t{}\t1990-05-05", day(0));
    assert_eq!(server.batch("consent=true", &line), [format!("E\t{INFANTS}/SHARED/{}/E", day(365))]);
}

#[test]
fn nobody_found_says_whether_the_issuer_registers_at_all() {
    let place = Place::new();
    masters(&place);
    let row = Row::of(1);
    place.import("rows.csv", [&row], &[]).ends(0);
    let server = place.serve();
    assert_eq!(notes(&asked(ask_member(&Row::of(99))).is("not_registered", &server)), [""; 0]);
    assert_eq!(notes(&asked("k\tnobody").is("not_registered", &server)), [""; 0]);
    assert_eq!(notes(&asked(format!("c\t{INFANTS}\tR99")).is("not_registered", &server)), [""; 0]);
    let unknown = asked(format!("c\t{IN_NO_MASTER}\tR1")).is("not_registered", &server);
    assert_eq!(notes(&unknown), ["issuer_unknown"]);
    asked(format!("c\t{NOT_TAKING_PART}\tR1")).is("authority_not_participating", &server);
    // Registering is taking part, whatever the table says.
    let of_kofu = Row::of(2).with("authority_code", KOFU).with("payer_number", NOT_TAKING_PART);
    place.import("kofu.csv", [&of_kofu], &[]).ends(0);
    asked(format!("c\t{NOT_TAKING_PART}\tR1")).is("not_registered", &server);
}

#[test]
fn without_consent_the_answer_is_the_same_whoever_is_asked_about() {
    let place = Place::new();
    masters(&place);
    let (known, expired, stranger) = (Row::of(1), Row::of(2).with("valid_to", day(-30)), Row::of(3));
    place.import("rows.csv", [&known, &expired], &[]).ends(0);
    let server = place.serve();
    let without_as_of = |body: &str| {
        let (before, after) = body.split_once(",\"as_of\":{").unwrap();
        (before.to_owned(), after.split_once('}').unwrap().1.to_owned())
    };
    let mut answers = Vec::new();
    for row in [&known, &expired, &stranger] {
        let given = member_json(row, &day(0));
        let refused = given.replace("\"consent\":true", "\"consent\":false");
        let absent = given.replace("\"consent\":true,", "");
        assert!(refused != given && absent != given);
        for body in [refused, absent] {
            let answer = server.question(&body).succeeds();
            assert_eq!((&answer.json()["verdict"], &answer.json()["entitlements"]), (&json!("no_information"), &json!([])));
            answers.push(without_as_of(&answer.body));
        }
        for query in ["", "consent=false"] {
            let lines = [ask_member(row), format!("k\t{}", row.value("card_link")), format!("c\t{INFANTS}\tR1")].join("\n");
            assert_eq!(server.batch(query, &lines), ["C", "C", "C"]);
        }
        let target = format!("/v1/eligibility?on={}", day(0));
        let plain = server.connect().ask("POST", &target, &[("Content-Type", "text/plain")], ask_member(row).as_bytes());
        answers.push(without_as_of(&plain.succeeds().body));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");

    // A malformed question is an error with and without consent.
    for consent in [true, false] {
        let body = json!({ "member": { "insurer_number": "1", "number": "1", "birth_date": "1980-01-01" }, "consent": consent });
        assert_eq!(server.question(&body.to_string()).error(), (400, "bad_insurer_number".to_owned()));
        let query = format!("consent={consent}");
        assert_eq!(server.batch(&query, "m\t06132013:1:1:00\t1980-02-31"), ["!\tbad_birth_date"]);
    }
    println!(
        "proof: without consent nothing is learned | questions without consent, about the known and the unknown | without_consent_the_answer_is_the_same_whoever_is_asked_about | {}",
        answers.len()
    );
}

#[test]
fn old_data_say_stale_where_they_would_have_said_no() {
    let place = Place::new();
    masters(&place);
    let (known, expired, future) = (Row::of(1), Row::of(2).with("valid_to", day(-30)), Row::of(3).with("valid_from", day(30)));
    place.import("rows.csv", [&known, &expired, &future], &[]).ends(0);
    let server = place.serve_configured("data_age_max_hours = 0\n");
    let query = format!("on={}&consent=true", day(0));
    eventually("the data are a second old", || server.batch(&query, &ask_member(&expired))[0].starts_with('S'));
    for (row, kept) in [(&expired, "expired"), (&future, "future")] {
        let answer = asked(ask_member(row)).is("stale", &server);
        assert_eq!(answer["entitlements"][0]["verdict"], kept);
    }
    asked(ask_member(&Row::of(99))).is("stale", &server);
    asked("k\tnobody").is("stale", &server);
    asked(format!("c\t{INFANTS}\tR99")).is("stale", &server);
    asked(format!("c\t{NOT_TAKING_PART}\tR99")).is("stale", &server);
    assert_eq!(notes(&asked(ask_member(&known)).is("eligible", &server)), ["old_data"]);
    eventually("health says so too", || server.get("/v1/health").succeeds().json()["troubles"] == json!(["old_data"]));
}

#[test]
fn what_must_not_be_disclosed_shows_numbers_validity_and_copay_only() {
    let place = Place::new();
    masters(&place);
    let hidden = Row::of(1)
        .with("not_disclosed", "1")
        .with("segment", "区分")
        .with("income_segment", "所得区分")
        .with("additional_conditions", "01-02");
    place.import("rows.csv", [&hidden], &[]).ends(0);
    let server = place.serve();
    let answer = asked(ask_member(&hidden)).is("eligible", &server);
    let expected = json!({
        "order": 1, "verdict": "eligible", "law_code": "88", "payer_number": INFANTS, "recipient_number": "R1",
        "valid_from": day(-365), "valid_to": day(365), "copay": { "outpatient_visit_yen": 200 }, "notes": [],
    });
    assert_eq!(answer["entitlements"][0], expected);
}

#[test]
fn a_day_before_the_horizon_is_an_error_and_a_person_who_ended_before_it_is_not_registered() {
    let place = Place::new();
    masters(&place);
    let long_ended = Row::of(1).with("valid_from", day(-1200)).with("valid_to", day(-900));
    place.import("rows.csv", [&long_ended], &[]).ends(0);
    let server = place.serve();
    asked(ask_member(&long_ended)).is("not_registered", &server);
    let horizon: jiff::civil::Date = server.status()["horizon"].as_str().unwrap().parse().unwrap();
    let first = common::today().first_of_month();
    assert_eq!(horizon, first.checked_sub(jiff::Span::new().months(24)).unwrap());
    let before = horizon.yesterday().unwrap().to_string();
    assert_eq!(server.question(&member_json(&long_ended, &before)).error(), (400, "before_retention".to_owned()));
    server.question(&member_json(&long_ended, &horizon.to_string())).succeeds();
    let lines = format!("{}\t{before}\n{}\t{horizon}", ask_member(&long_ended), ask_member(&long_ended));
    assert_eq!(server.batch("consent=true", &lines), ["!\tbefore_retention", "N"]);
}

#[test]
fn several_certificates_stand_by_verdict_and_then_as_payers_apply() {
    let place = Place::new();
    masters(&place);
    let certificate = |recipient: &str, payer: &str| Row::of(1).with("recipient_number", recipient).with("payer_number", payer);
    let file = [
        certificate("local", INFANTS),
        certificate("welfare", "12136015"),
        certificate("none", ""),
        certificate("intractable", "54136015"),
        certificate("claimed", "10136019").with("always_reimbursement", "1"),
        certificate("elsewhere", "13136013").with("designated_institutions", HOSPITAL),
        certificate("ended", "11136018").with("valid_to", day(-1)),
        certificate("to-come", "18136018").with("valid_from", day(1)),
    ];
    place.import("rows.csv", &file, &[]).ends(0);
    let server = place.serve();
    let answer = asked("k\tcard-1").at(FAR_HOSPITAL).is("eligible", &server);
    let entries = answer["entitlements"].as_array().unwrap();
    let listed: Vec<&str> = entries.iter().map(|entry| entry["recipient_number"].as_str().unwrap()).collect();
    assert_eq!(listed, ["intractable", "welfare", "local", "none", "claimed", "elsewhere", "ended", "to-come"]);
    let orders: Vec<Option<u64>> = entries.iter().map(|entry| entry["order"].as_u64()).collect();
    assert_eq!(orders, [Some(1), Some(2), Some(3), Some(4), Some(5), None, None, None]);
    // A certificate answers for itself alone.
    let alone = by_certificate(&file[1]).is("eligible", &server);
    assert_eq!(alone["entitlements"].as_array().unwrap().len(), 1);
}

#[test]
fn periods_of_one_certificate_are_one_entry_and_at_most_16_are_listed() {
    let place = Place::new();
    masters(&place);
    let period = |key: &str, from: i64, to: i64| {
        Row::of(1).with("history_key", key).with("valid_from", day(from)).with("valid_to", day(to))
    };
    let overlapping = [period("1", -300, 10), period("2", -100, 20), period("3", -600, -301)];
    let gap = [period("1", -300, -200), period("2", -199, -100), period("3", 100, 200)]
        .map(|row| row.with("number", "2").with("recipient_number", "R2").with("card_link", "card-2"));
    let many: Vec<Row> = (0..17).map(|nth| Row::of(3).with("recipient_number", format!("M{nth:02}"))).collect();
    place.import("rows.csv", overlapping.iter().chain(&gap).chain(&many), &[]).ends(0);
    let server = place.serve();
    let answer = asked("k\tcard-1").is("eligible", &server);
    assert_eq!(answer["entitlements"].as_array().unwrap().len(), 1);
    assert_eq!(answer["entitlements"][0]["valid_to"], day(20));
    assert_eq!(notes(&answer["entitlements"][0]), ["overlap"]);
    let answer = asked("k\tcard-2").is("expired", &server);
    assert_eq!(answer["entitlements"].as_array().unwrap().len(), 1);
    assert_eq!(answer["entitlements"][0]["valid_to"], day(-100));
    let answer = asked("k\tcard-3").is("eligible", &server);
    assert_eq!(answer["entitlements"].as_array().unwrap().len(), 16);
    assert_eq!(notes(&answer), ["truncated"]);
}

#[test]
fn a_branch_number_that_is_missing_on_one_side_is_noted() {
    let place = Place::new();
    masters(&place);
    let with = Row::of(1);
    let without = Row::of(2).with("branch_number", "");
    let (known, unassigned) = (Row::of(3).with("branch_number", "01"), Row::of(4).with("number", "3").with("branch_number", ""));
    place.import("rows.csv", [&with, &without, &known, &unassigned], &[]).ends(0);
    let server = place.serve();
    assert_eq!(notes(&asked(ask_member(&with)).is("eligible", &server)), [""; 0]);
    asked(ask_member(&with.clone().with("branch_number", "07"))).is("not_registered", &server);
    for question in [with.with("branch_number", ""), without.clone(), without.with("branch_number", "01")] {
        assert_eq!(notes(&asked(ask_member(&question)).is("eligible", &server)), ["branch_not_confirmed"]);
    }
    // Rows without a branch are left out where another branch exists; with nothing else left, only the paper helps.
    let paper = asked(ask_member(&known.clone().with("branch_number", "02"))).is("ambiguous", &server);
    assert_eq!(paper["action"], "ask_for_paper_certificate");
    let both = asked(ask_member(&known)).is("eligible", &server);
    assert_eq!(both["entitlements"].as_array().unwrap().len(), 2);
    assert_eq!(notes(&both), ["branch_not_confirmed"]);
}
