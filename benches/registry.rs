//! What a row of the registry costs, from AUTH to goodbye, among ten thousand others.

use std::net::SocketAddr;
use std::time::Duration;

use actix::prelude::*;
use criterion::{Criterion, criterion_group, criterion_main};
use trap_server::config::Duplicate;
use trap_server::protocol::ClientId;
use trap_server::registry::{Kick, Register, Registration, Table};

/// Devices that are connected.
const ROWS: usize = 10_000;

fn registering(c: &mut Criterion) {
    let table = Table::default();
    let kicked = Context::<Device>::new().address().downgrade().recipient();
    let register = |client: &ClientId| -> Registration {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5000));
        let (client, session) = (client.clone(), kicked.clone());
        let new = Register { client, peer, session, duplicate: Duplicate::Takeover };
        table.insert_new(new).ok().expect("nobody has this id")
    };
    let _rows: Vec<_> = (0..ROWS).map(|number| register(&id(number))).collect();
    let (newcomer, known) = (id(ROWS), id(ROWS / 2));

    let mut group = c.benchmark_group(format!("registry of {ROWS}"));
    group.measurement_time(Duration::from_secs(2));
    group.bench_function("register and drop", |b| b.iter(|| drop(register(&newcomer))));
    group.bench_function("look up", |b| b.iter(|| table.contains(known.as_str())));
}

fn id(number: usize) -> ClientId {
    ClientId::try_from(format!("client{number:05}").as_str()).expect("letters and digits are an id")
}

/// Whoever would be told of a takeover.
struct Device;

impl Actor for Device {
    type Context = Context<Self>;
}

impl Handler<Kick> for Device {
    type Result = ();

    fn handle(&mut self, _: Kick, _: &mut Context<Self>) {}
}

criterion_group!(benches, registering);
criterion_main!(benches);
