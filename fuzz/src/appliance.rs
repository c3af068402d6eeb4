//! The look-up service over a small register, as both listeners ask it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

use shikaku::index::IndexOptions;
use shikaku::registry::{OpenOptions, Registry};
use shikaku::serve::config::Config;
use shikaku::serve::fast::{Answer, Reply, Request};
use shikaku::serve::service::Service;
use shikaku::serve::Door;
use shikaku::serve::roles::Identity;
use shikaku::serve::tokens::Tokens;
use tempfile::TempDir;

use crate::register::{NOW_UNIX_MS, changes};

/// People that the register holds.
pub const RECIPIENTS: u64 = 200;

/// Who asks: without tokens from the machine itself, or with them from the hospital's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The machine itself.
    Loopback,
    /// Another machine.
    Network,
}

/// The service behind a door.
pub struct Appliance {
    service: Service,
    /// Who asks.
    pub peer: IpAddr,
}

impl Answer for Appliance {
    fn answer(&self, request: &Request<'_>, reply: &mut Reply<'_>) {
        self.service.respond(request, Door::Fast, reply);
    }
}

/// The service behind a door, opened once.
pub fn appliance(door: Door) -> &'static Appliance {
    static LOOPBACK: OnceLock<Appliance> = OnceLock::new();
    static NETWORK: OnceLock<Appliance> = OnceLock::new();
    match door {
        Door::Loopback => LOOPBACK.get_or_init(|| Appliance::open(Tokens::default(), Ipv4Addr::LOCALHOST)),
        Door::Network => NETWORK.get_or_init(|| {
            let directory = TempDir::new().expect("a directory");
            let identity = Identity::parse_urn("urn:shikaku:institution:0110113719").expect("an institution");
            let mut tokens = Tokens::default();
            tokens.add(&directory.path().join("tokens"), identity).expect("a token");
            Appliance::open(tokens, Ipv4Addr::new(10, 1, 2, 3))
        }),
    }
}

impl Appliance {
    fn open(tokens: Tokens, peer: Ipv4Addr) -> Appliance {
        let registry = registry();
        let config = Config { plaintext_networks: vec!["10.1.0.0/16".parse().expect("a network")], ..Config::default() };
        let service = Service::new(config, tokens);
        let _ = service.reader.set(registry.reader());
        Appliance { service, peer: peer.into() }
    }
}

fn registry() -> &'static Registry {
    static OPEN: OnceLock<(TempDir, Registry)> = OnceLock::new();
    let (_, registry) = OPEN.get_or_init(|| {
        let directory = TempDir::new().expect("a directory");
        let index = IndexOptions { segment_words_log2: 16, slots: 1 << 12 };
        let options = OpenOptions { index, ..OpenOptions::at(NOW_UNIX_MS) };
        let registry = Registry::open(directory.path(), &options).expect("a registry");
        registry.apply(&changes(RECIPIENTS), NOW_UNIX_MS).expect("registrations");
        (directory, registry)
    });
    registry
}
