//! Like ping(8), for a trap server: it tests the server, not just its host.

use std::fmt;
use std::pin::pin;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::select;
use tokio::signal::ctrl_c;
use tokio::time::sleep;
use trap_server::client::{Device, Error, Incoming};

use crate::args::Ping;
use crate::failure::Failure;
use crate::output::Output;

/// Pings until `args.count` or Ctrl-C, and prints a summary. The first lost ping ends it: on a stream, a delayed
/// ping delays all later ones.
pub async fn ping(mut device: Device, args: &Ping, output: &Output) -> Result<(), Failure> {
    let server = device.server().map_err(Error::Io)?;
    let mut tally = Tally::default();
    let ended = rounds(&mut device, &server, args, &mut tally, output).await;
    output.tally(&server, &tally)?;
    ended
}

async fn rounds(
    device: &mut Device,
    server: &str,
    args: &Ping,
    tally: &mut Tally,
    output: &Output,
) -> Result<(), Failure> {
    let mut interrupt = pin!(ctrl_c());
    for round in 0..args.count.unwrap_or(u64::MAX) {
        if round > 0 {
            select! {
                paused = pause(device, args.interval, output) => paused?,
                _ = &mut interrupt => return Ok(()),
            }
        }
        let start = Instant::now();
        let pong = select! {
            pong = device.ping() => pong,
            _ = &mut interrupt => return Ok(()),
        };
        let time = start.elapsed();
        tally.add(pong.is_ok().then_some(time));
        pong.map_err(|err| output.failed(err))?;
        output.pong(server, time)?;
    }
    Ok(())
}

/// Prints what the server sends between two pings, and ends when it closes.
async fn pause(device: &mut Device, interval: Duration, output: &Output) -> Result<(), Failure> {
    let mut over = pin!(sleep(interval));
    loop {
        select! {
            () = &mut over => return Ok(()),
            incoming = device.next() => match incoming {
                Ok(Some(Incoming::Event(event))) => output.event(&event)?,
                Ok(Some(got)) => return Err(Error::Unexpected { expected: "nothing without a ping", got }.into()),
                Ok(None) => return Err(Error::Closed { awaited: "the next ping" }.into()),
                Err(Error::Deadline { .. }) => {}
                Err(err) => return Err(err.into()),
            },
        }
    }
}

/// The round-trip times so far.
#[derive(Debug, Default)]
pub struct Tally {
    answered: u32,
    lost: u32,
    sum: Duration,
    min: Option<Duration>,
    max: Duration,
}

impl Tally {
    /// As an object.
    pub fn json(&self) -> Value {
        let Self { answered, lost, sum, min, max } = self;
        json!({
            "sent": answered + lost,
            "answered": answered,
            "lost": lost,
            "min_ms": min.map(ms),
            "avg_ms": sum.checked_div(*answered).map(ms),
            "max_ms": min.map(|_| ms(*max)),
        })
    }

    /// Adds a ping, with its time if it was answered.
    fn add(&mut self, time: Option<Duration>) {
        let Some(time) = time else {
            self.lost += 1;
            return;
        };
        self.answered += 1;
        self.sum += time;
        self.min = Some(self.min.map_or(time, |min| min.min(time)));
        self.max = self.max.max(time);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, lost, .. } = self;
        write!(f, "{} sent, {answered} answered, {lost} lost", answered + lost)?;
        let (Some(min), Some(avg)) = (self.min, self.sum.checked_div(*answered)) else {
            return Ok(());
        };
        write!(f, ", min/avg/max = {:.2}/{:.2}/{:.2} ms", ms(min), ms(avg), ms(self.max))
    }
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tally_has_the_minimum_the_mean_and_the_maximum() {
        let mut tally = Tally::default();
        assert_eq!(tally.to_string(), "0 sent, 0 answered, 0 lost");
        for time in [Some(1500), None, Some(500), Some(4000)] {
            tally.add(time.map(Duration::from_micros));
        }
        assert_eq!(tally.to_string(), "4 sent, 3 answered, 1 lost, min/avg/max = 0.50/2.00/4.00 ms");
    }
}
