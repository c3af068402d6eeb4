//! The program itself, with a broker between the hub that registers and the house that answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

#[path = "broker/accounts.rs"]
#[allow(dead_code, reason = "shared with the tests of one process")]
mod accounts;
mod common;
#[path = "broker/servers.rs"]
#[allow(dead_code, reason = "shared with the tests of one process")]
mod servers;

use accounts::{Operator, Rights, Until, secrets_of};
use common::houses::{Certificates, House};
use common::proof::proof;
use common::{Place, Row, Running, Server, ask_member, program};
use servers::{Servers, await_that};

/// The server's options as one line.
fn serve(place: &Place, more: &[&str]) -> Server {
    Server::start_with(&place.data(), more)
}

/// Follows through the broker, by the key that the hub prints.
fn followed(house: &Place, hub: &Place, urls: &str) -> Server {
    let key = hub.run("hub-key", &[]).ends(0).out;
    let config = house.write("shikaku.toml", format!("[follow]\nhub_key = \"{}\"\n", key.trim()));
    serve(house, &["--follow", urls, "--config", config.to_str().unwrap()])
}

#[test]
fn an_empty_house_begins_follows_and_answers_through_a_broker_alone() {
    let Some(mut servers) = Servers::one() else {
        println!("skipped: nats-server is not installed (scripts/nats.sh installs it)");
        return;
    };
    let (hub, house) = (Place::new(), Place::new());
    let rows: Vec<Row> = (0..50).map(Row::of).collect();
    hub.import("rows.csv", &rows, &[]).ends(0);
    let urls = servers.urls();
    let hub_server = serve(&hub, &["--publish", &urls]);
    let house_server = followed(&house, &hub, &urls);
    let answers_for = |server: &Server, row: &Row| server.batch("consent=true", &ask_member(row))[0].starts_with('E');
    await_that("the house answers", || answers_for(&house_server, &rows[49]));
    assert!(rows.iter().all(|row| answers_for(&house_server, row)));

    let newcomer = Row::of(1_000);
    hub.import("newcomer.csv", [&newcomer], &[]).ends(0);
    await_that("what is registered is answered there", || answers_for(&house_server, &newcomer));
    let same = || {
        let (one, other) = (hub_server.status(), house_server.status());
        one["sequence"] == other["sequence"] && one["state_checksum"] == other["state_checksum"]
    };
    await_that("both stand at the same place", same);
    await_that("the hub's page says how far the broker is", || {
        let publishing = &hub_server.status()["publishing"];
        publishing["connected"] == true && publishing["behind_sequences"] == 0
    });
    await_that("the house's page says how far it is", || {
        let following = &house_server.status()["following"];
        following["lag_sequences"] == 0 && following["broker"]["connected"] == true && following["state_age_s"].is_u64()
    });
    let refused = house.import("own.csv", [&Row::of(7)], &[]);
    assert_ne!(refused.status, 0, "who follows registers nothing");

    servers.kill(0);
    let later = Row::of(1_001);
    hub.import("later.csv", [&later], &[]).ends(0);
    await_that("the hub says that the broker is away", || hub_server.get("/v1/health").body.contains("broker_away"));
    assert!(answers_for(&house_server, &newcomer) && !answers_for(&house_server, &later));
    servers.restart(0);
    await_that("it comes when the broker is back", || answers_for(&house_server, &later));
    await_that("the trouble is over", || !hub_server.get("/v1/health").body.contains("broker_away"));
    let metrics = hub_server.get("/metrics").body;
    assert!(metrics.contains("shikaku_publish_breaks "), "{metrics}");

    // A house that follows hands on by stick what came through the broker.
    let stick = house.path("stick.bundle");
    await_that("both stand at the same place", same);
    house.run("bundle export", &["--since", "0", "--out", stick.to_str().unwrap()]).ends(0);
    assert_eq!((hub_server.stop(), house_server.stop()), (0, 0));
    let refused = house.run("serve", &["--listen", "127.0.0.1:0", "--publish", &urls]).ends(1);
    assert!(refused.err.contains("only the hub publishes"), "{}", refused.err);
    let far = hub.run("serve", &["--listen", "127.0.0.1:0", "--publish", "nats://192.0.2.7:4222"]).ends(1);
    assert!(far.err.contains("must not travel in plain text"), "{}", far.err);
    let test = "an_empty_house_begins_follows_and_answers_through_a_broker_alone";
    proof("a house that has nothing but a broker begins, follows and answers", "broker killed and started again", test, 1);
}

#[test]
fn what_a_broker_lost_is_fetched_from_the_hub_over_https() {
    let Some(servers) = Servers::one() else {
        println!("skipped: nats-server is not installed (scripts/nats.sh installs it)");
        return;
    };
    let certificates = Certificates::new();
    let broker = format!("urls = [\"{}\"]\n", servers.urls());
    let hub = House::started(Place::new(), format!("{}[publish.broker]\n{broker}", certificates.api("hub")));
    let follow = certificates.follow("house", hub.api(), &hub.hub_key());
    let mut house = House::started(Place::new(), format!("{follow}[follow.broker]\n{broker}"));
    let mut people = 0;
    let mut register = |frames: u64| {
        for _ in 0..frames {
            hub.register(people..people + 3);
            people += 3;
        }
    };
    register(3);
    await_that("the house has what came", || house.position() == hub.position());
    house.stop();
    register(6);
    let published = || {
        let publishing = &hub.status()["publishing"];
        publishing["behind_sequences"] == 0 && publishing["checkpoint"].is_string()
    };
    await_that("the broker has everything", published);
    // Everything that the house lacks but the newest few, and among those one in the middle.
    servers.ask(|context| async move {
        let stream = context.get_stream("shikaku").await.unwrap();
        let last = stream.get_info().await.unwrap().state.last_sequence;
        stream.purge().sequence(last - 8).await.unwrap();
        stream.delete_message(last - 4).await.unwrap();
    });
    house.start();
    await_that("the hub has what the broker lost", || house.position() == hub.position());
    register(2);
    await_that("the broker brings what follows", || house.position() == hub.position());
    // The page is written twice a second.
    await_that("the page says that there was a gap, and is none", || {
        let broker = &house.following()["broker"];
        broker["gaps"].as_u64() >= Some(1) && broker["connected"] == true
    });
    await_that("no trouble is left", || house.troubles().is_empty() && hub.troubles().is_empty());
    let test = "what_a_broker_lost_is_fetched_from_the_hub_over_https";
    let gaps = house.following()["broker"]["gaps"].as_u64().unwrap();
    proof("what a broker lost is fetched from the hub", "messages taken out of the stream", test, gaps);
}

/// A server that logs everything it can.
fn talkative(place: &Place, config: &str) -> Server {
    let (data, config) = (place.data(), place.write("shikaku.toml", config));
    let mut command = program();
    command.env("SHIKAKU_LOG", "trace").args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    Server::of(Running::of(command.arg("--config").arg(config)))
}

#[test]
fn credentials_that_a_broker_does_not_take_are_said_in_the_log_and_never_shown() {
    let (operator, stranger) = (Operator::new(), Operator::new());
    let Some(servers) = Servers::one_with(&operator.configuration()) else {
        println!("skipped: nats-server is not installed (scripts/nats.sh installs it)");
        return;
    };
    let good = operator.credentials("hub", Rights::Hub, Until::Always);
    let foreign = stranger.credentials("hub", Rights::Hub, Until::Always);
    // It lets in, and does not let the stream be made.
    let reading = operator.credentials("house", Rights::House("ward"), Until::Always);
    let (nowhere, torn) = (good.with_file_name("nowhere.creds"), good.with_file_name("torn.creds"));
    let text = std::fs::read_to_string(&good).unwrap();
    std::fs::write(&torn, text.replace("SEED-----\nSU", "SEED-----\nSX")).unwrap();
    let secrets: Vec<String> = [&good, &foreign, &reading, &torn].into_iter().flat_map(|path| secrets_of(path)).collect();

    let hub = Place::new();
    let (mut lines, mut kinds, mut is_talkative) = (0, 0, false);
    let mut never_shown = |server: &Server| {
        let heard = server.process.err.all();
        assert!(heard.iter().all(|line| secrets.iter().all(|secret| !line.contains(secret))), "the log holds a secret");
        is_talkative |= heard.iter().any(|line| line.contains("\"DEBUG\"") && line.contains("async_nats"));
        lines += heard.len();
    };
    let cases = [
        (&foreign, "authorization violation"),
        (&nowhere, "nowhere.creds"),
        (&torn, "torn.creds"),
        (&reading, "does not make a stream"),
        (&good, ""),
    ];
    for (credentials, words) in cases {
        let broker = format!("urls = [\"{}\"]\ncredentials = {credentials:?}\n", servers.urls());
        let server = talkative(&hub, &format!("audit = false\n[publish.broker]\n{broker}"));
        if credentials == &good {
            await_that("the broker has everything", || server.status()["publishing"]["behind_sequences"] == 0);
        } else {
            let broken_off = |line: &&String| line.contains("publishing to the broker was broken off");
            let said = server.process.err.wait(|lines| lines.iter().find(broken_off).cloned()).unwrap();
            assert!(said.contains(words), "{said}");
            if credentials == &reading {
                let complaint = |line: &String| line.contains("the broker complains") && line.contains("STREAM.CREATE");
                assert!(server.process.err.all().iter().any(complaint), "the log says which right is missing");
            }
            await_that("the page says so", || server.get("/v1/health").body.contains("broker_away"));
            // Registering does not depend on it.
            hub.import(&format!("{kinds}.csv"), [&Row::of(kinds)], &[]).ends(0);
        }
        never_shown(&server);
        kinds += 1;
        assert_eq!(server.stop(), 0);
    }
    assert!(is_talkative, "the broker's client had its say");
    let test = "credentials_that_a_broker_does_not_take_are_said_in_the_log_and_never_shown";
    proof(
        "credentials for a broker are in no line of the log",
        "foreign, missing, torn ones and too few rights, at the level trace",
        test,
        lines,
    );
}
