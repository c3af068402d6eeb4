//! A broker that lets in only whom an account of its operator vouches for: credentials as its own tools make them.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shikaku::sync::jetstream::{BrokerConfig, PublishConfig};

use crate::accounts::{Operator, Rights, Until, secrets_of};
use crate::houses::{Hub, Replica, broker, publish_to};
use crate::or_skip;
use crate::proof::proof;
use crate::servers::{Servers, await_that};

const HOUSE: &str = "ward";

fn hub_with(servers: &Servers, credentials: Option<PathBuf>) -> PublishConfig {
    let mut config = publish_to(&servers.urls(), 1);
    config.broker.credentials = credentials;
    config
}

fn house_with(servers: &Servers, credentials: Option<PathBuf>) -> BrokerConfig {
    BrokerConfig { consumer: Some(HOUSE.to_owned()), credentials, ..broker(&servers.urls()) }
}

fn second(from_now: Duration) -> u64 {
    (SystemTime::now() + from_now).duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The detail of the one trouble that there is.
fn trouble(registry: &shikaku::registry::Registry, word: &str) -> Option<String> {
    let troubles = registry.troubles().list();
    troubles.into_iter().find(|(trouble, _)| trouble.word() == word).map(|(_, detail)| detail)
}

#[test]
fn a_broker_is_reached_with_credentials_of_its_operator_and_not_with_others() {
    if !crate::servers::is_installed() {
        println!("skipped: nats-server is not installed (scripts/nats.sh installs it)");
        return;
    }
    let (operator, stranger) = (Operator::new(), Operator::new());
    let servers = or_skip!(Servers::one_with(&operator.configuration()));
    let past = Until::Second(1_700_000_000);
    let foreign = |rights| stranger.credentials("foreign", rights, Until::Always);
    // The account vouches for one key, and another is shown.
    let mixed = |rights| {
        let path = operator.credentials("mixed", rights, Until::Always);
        let text = std::fs::read_to_string(&path).unwrap();
        let [own, other] = [&path, &foreign(rights)].map(|path| secrets_of(path).pop().unwrap());
        std::fs::write(&path, text.replace(&own, &other)).unwrap();
        path
    };
    let refused = |rights| [None, Some(foreign(rights)), Some(operator.credentials("over", rights, past)), Some(mixed(rights))];

    let mut hub = Hub::new();
    hub.register(10, 5);
    let mut turned_away = 0;
    let mut is_clear = |detail: &str, credentials: Option<&PathBuf>| {
        assert!(detail.contains("authorization violation"), "{detail}");
        let secrets = credentials.map(|path| secrets_of(path)).unwrap_or_default();
        assert!(secrets.iter().all(|secret| !detail.contains(secret)), "the words hold a secret");
        turned_away += 1;
    };
    for credentials in refused(Rights::Hub) {
        hub.publish(hub_with(&servers, credentials.clone()));
        await_that("the hub is turned away", || trouble(hub.registry(), "broker_away").is_some());
        is_clear(&trouble(hub.registry(), "broker_away").unwrap(), credentials.as_ref());
        assert_eq!(hub.published().sequence, 0);
        hub.stop();
        hub.restart();
    }
    hub.publish(hub_with(&servers, Some(operator.credentials("hub", Rights::Hub, Until::Always))));
    hub.await_published();
    let mut replica = Replica::of(&hub);
    for credentials in refused(Rights::House(HOUSE)) {
        replica.follow(house_with(&servers, credentials.clone()), None);
        await_that("the house is turned away", || trouble(replica.registry(), "hub_unreachable").is_some());
        is_clear(&trouble(replica.registry(), "hub_unreachable").unwrap(), credentials.as_ref());
        replica.restart();
    }
    assert_eq!(replica.registry().sequence(), 0);
    let house = operator.credentials("house", Rights::House(HOUSE), Until::Always);
    replica.follow(house_with(&servers, Some(house)), None);
    replica.await_equal(&hub);
    await_that("nothing is left to say", || replica.troubles().is_empty() && hub.registry().troubles().list().is_empty());
    let test = "a_broker_is_reached_with_credentials_of_its_operator_and_not_with_others";
    proof(
        "a broker is reached with credentials of its operator",
        "credentials missing, foreign, outlived, of another key",
        test,
        turned_away,
    );
}

#[test]
fn a_house_reads_with_the_rights_that_are_documented_and_publishes_nothing() {
    let operator = Operator::new();
    let servers = or_skip!(Servers::one_with(&operator.configuration()));
    let mut hub = Hub::new();
    hub.register(10, 5);
    hub.publish(hub_with(&servers, Some(operator.credentials("hub", Rights::Hub, Until::Always))));
    hub.await_published();
    let house = operator.credentials("house", Rights::House(HOUSE), Until::Always);
    let mut replica = Replica::of(&hub);
    replica.follow(house_with(&servers, Some(house.clone())), None);
    replica.await_equal(&hub);
    hub.register(10, 5);
    replica.await_equal(&hub);
    hub.await_published();
    let stood = hub.published().sequence;

    let mut other = Replica::of(&hub);
    other.follow(BrokerConfig { consumer: Some("clinic".to_owned()), ..house_with(&servers, Some(house.clone())) }, None);
    await_that("another house's place is not touched", || trouble(other.registry(), "hub_unreachable").is_some());
    assert_eq!(other.registry().sequence(), 0);
    hub.stop();

    // The hub's own key, and the house's credentials.
    hub.restart();
    hub.register(1, 5);
    hub.publish(hub_with(&servers, Some(house)));
    await_that("a house does not publish", || trouble(hub.registry(), "broker_away").is_some());
    let detail = trouble(hub.registry(), "broker_away").unwrap();
    assert_eq!(hub.published().sequence, stood, "{detail}");
    assert_eq!(replica.registry().sequence(), stood);
    let test = "a_house_reads_with_the_rights_that_are_documented_and_publishes_nothing";
    let fault = "its credentials in the hub's place and in another house's";
    proof("a house reads from a broker and publishes nothing there", fault, test, 2);
}

#[test]
fn credentials_that_run_out_are_said_and_renewed_ones_are_taken_up_without_a_restart() {
    let operator = Operator::new();
    let servers = or_skip!(Servers::one_with(&operator.configuration()));
    let mut hub = Hub::new();
    hub.register(10, 5);
    let until = |seconds| Until::Second(second(Duration::from_secs(seconds)));
    let hubs = operator.credentials("hub", Rights::Hub, until(4));
    let house = operator.credentials("house", Rights::House(HOUSE), until(4));
    hub.publish(hub_with(&servers, Some(hubs)));
    let mut replica = Replica::of(&hub);
    replica.follow(house_with(&servers, Some(house)), None);
    replica.await_equal(&hub);
    await_that("the hub says that it is over", || trouble(hub.registry(), "broker_away").is_some());
    await_that("the house says that it is over", || trouble(replica.registry(), "hub_unreachable").is_some());
    let stood = replica.registry().sequence();
    hub.register(5, 5);
    assert_eq!(replica.registry().sequence(), stood);
    // The same files, written anew.
    operator.credentials("hub", Rights::Hub, Until::Always);
    operator.credentials("house", Rights::House(HOUSE), Until::Always);
    replica.await_equal(&hub);
    await_that("nothing is left to say", || replica.troubles().is_empty() && hub.registry().troubles().list().is_empty());
    let test = "credentials_that_run_out_are_said_and_renewed_ones_are_taken_up_without_a_restart";
    proof("renewed credentials of a broker are taken up without a restart", "credentials that run out", test, 2);
}
