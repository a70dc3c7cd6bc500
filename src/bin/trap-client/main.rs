//! A device on the command line: connects, authenticates, sends, and prints what the server answers.

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod args;
mod conversation;
mod failure;
mod input;
mod output;
mod ping;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;
use trap_server::client::Device;

use args::{Args, Command, Send};
use failure::{Failure, USAGE};
use input::{Input, Source};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(err) => {
            // Nobody is left to tell if even this cannot be printed.
            let _ = err.print();
            return if err.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_news() {
                eprintln!("trap-client: {failure}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    let ended = runtime.block_on(dispatch(args));
    // Otherwise a name that is still being looked up would hold up the end.
    runtime.shutdown_background();
    ended
}

async fn dispatch(args: Args) -> Result<(), Failure> {
    let id = args.id.as_id();
    match &args.command {
        Some(Command::Ping(ping)) => {
            let mut device = connect(&args).await?;
            device.auth(id.as_str()).await?;
            ping::ping(device, ping).await
        }
        Some(Command::Send(send)) if send.once => {
            let data = send.source().whole()?;
            conversation::once(connect(&args).await?, id, &data).await
        }
        Some(Command::Send(send)) => {
            let input = input_of(send)?;
            conversation::hold(connect(&args).await?, id, input, send.wait).await
        }
        None => conversation::hold(connect(&args).await?, id, Input::lines(), false).await,
    }
}

/// A file that cannot be read is found out before the server is bothered.
fn input_of(send: &Send) -> Result<Input, Failure> {
    Ok(match send.source() {
        Source::Stdin => Input::lines(),
        whole => Input::Whole(Some(whole.whole()?)),
    })
}

async fn connect(args: &Args) -> Result<Device, Failure> {
    Device::connect_within(args.timeout, (args.host.as_str(), args.port))
        .await
        .map_err(|err| Failure::Connect { host: args.host.clone(), port: args.port, err })
}
