//! Actors that panic or block while devices are at work. Without the cargo feature `faults` nothing of this can be brought
//! about, and nothing of it is run.
#![cfg(feature = "faults")]

mod chaos;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod limits;
mod load;
mod sessions;

use std::sync::{Arc, Once};

use trap_server::config::Config;
use trap_server::server::Server;
use trap_server::store::{Batch, NotStored, OriginRef, Store, StoreNow, Turn};

use common::TestServer;

/// A server whose log is not flooded with what the load sends.
fn server(listener: &str, change: impl FnOnce(&mut Config)) -> TestServer {
    hide_injected_panics();
    let mut config = common::config(listener);
    change(&mut config);
    TestServer::run(listener, Server::bind(config).unwrap().with_store(Arc::new(Sink)))
}

/// They are many, and expected.
fn hide_injected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<String>();
            if !text.is_some_and(|text| text.starts_with("injected fault")) {
                hook(info);
            }
        }));
    });
}

struct Sink;

impl Store for Sink {
    fn now(&self) -> Option<&dyn StoreNow> {
        Some(self)
    }

    fn take(&self, _: Turn<'_>) {}
}

impl StoreNow for Sink {
    fn store_now(&self, _: OriginRef<'_>, _: &Batch) -> Result<(), NotStored> {
        Ok(())
    }
}
