//! What the codec costs: frames from the bytes of one read, and a frame into bytes.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trap_server::protocol::codec::{Decoded, decode, encode};
use trap_server::protocol::{Frame, Id, MAX_DATA, Mode};

/// Frames in one read.
const DEPTH: usize = 16;

fn send() -> Frame<'static> {
    let client = Id::try_from("client0012").expect("letters and digits are an id");
    Frame::Send { mode: Mode::Session, client, data: &[b'x'; 12] }
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.measurement_time(Duration::from_secs(2)).throughput(Throughput::Elements(DEPTH as u64));
    for (name, frame) in [("16 pings", Frame::Ping), ("16 sends of 26 bytes", send())] {
        let read = encoded(frame).repeat(DEPTH);
        assert_eq!(frames(&read), DEPTH);
        group.bench_function(name, |b| b.iter(|| frames(black_box(&read))));
    }
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.measurement_time(Duration::from_secs(2)).throughput(Throughput::Elements(1));
    let (send, mut out) = (send(), Vec::with_capacity(64));
    group.bench_function("a send of 26 bytes", |b| {
        b.iter(|| {
            out.clear();
            encode(black_box(&send), &mut out)
        });
    });
}

fn encoded(frame: Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&frame, &mut bytes).expect("it fits");
    bytes
}

fn frames(mut input: &[u8]) -> usize {
    let mut frames = 0;
    while let Ok(Decoded::Frame(frame, len)) = decode(input, MAX_DATA) {
        black_box(frame);
        frames += 1;
        input = input.get(len..).unwrap_or_default();
    }
    frames
}

criterion_group!(benches, decoding, encoding);
criterion_main!(benches);
