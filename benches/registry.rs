//! What a row of the registry costs, from AUTH to goodbye, among ten thousand others.

use std::net::SocketAddr;
use std::task::Waker;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use trap_server::config::Duplicate;
use trap_server::protocol::ClientId;
use trap_server::registry::{Register, Registration, Table};

/// Devices that are connected.
const ROWS: usize = 10_000;

fn registering(c: &mut Criterion) {
    let table = Table::default();
    let register = |client: &ClientId| -> Registration {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5000)).into();
        let (client, session) = (client.clone(), Waker::noop().clone());
        let new = Register { client, peer, session, duplicate: Duplicate::Takeover };
        table.insert_new(new).ok().expect("a free id")
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

criterion_group!(benches, registering);
criterion_main!(benches);
