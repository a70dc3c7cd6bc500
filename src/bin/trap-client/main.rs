//! A device on the command line: connects, authenticates, sends, and prints what the server answers.

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod args;
mod conversation;
mod failure;
mod input;
mod output;
mod ping;

use std::io::{self, Write};
use std::process::ExitCode;

use tokio::runtime::Builder;
use trap_server::client::Device;

use args::{Args, Command, Send};
use failure::{Failure, USAGE};
use input::{Input, Source};

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(err) => {
            if !err.use_stderr() {
                return finish(output::text(err.render()));
            }
            // Nobody is left to tell if even this cannot be printed.
            let _ = err.print();
            return ExitCode::from(USAGE);
        }
    };
    finish(run(args))
}

/// How it ended, for its user and as the exit code.
fn finish(ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(err)) if err.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_news() {
                let _ = writeln!(io::stderr(), "trap-client: {failure}");
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
    let id = args.id.as_str();
    match &args.command {
        Some(Command::Ping(ping)) => {
            let mut device = connect(&args).await?;
            device.auth(id).await?;
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
    let (host, port) = args.server();
    Device::connect_within(args.timeout, (host, port)).await.map_err(|err| Failure::Connect {
        host: host.into(),
        port,
        err,
    })
}
