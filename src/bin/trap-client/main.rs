//! A device on the command line: connects, authenticates, sends, and prints what the server answers.

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod args;
mod conversation;
mod failure;
mod input;
mod output;
mod ping;
mod progress;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use tokio::runtime::Builder;
use trap_server::client::Device;

use args::{Args, Command, Send, Server};
use failure::{Failure, USAGE};
use input::{Input, Source};
use output::{Output, Style};
use progress::Progress;

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(err) => {
            if !err.use_stderr() {
                return finish(output::text(err.render()), Style::Text);
            }
            // An error here cannot be reported.
            let _ = err.print();
            return ExitCode::from(USAGE);
        }
    };
    let style = args.style();
    finish(run(args), style)
}

/// Prints the error, if any, and returns the exit code.
fn finish(ended: Result<(), Failure>, style: Style) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(err)) if err.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_news(style) {
                let _ = writeln!(io::stderr(), "trap-client: {failure}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    let ended = runtime.block_on(dispatch(args));
    // Otherwise a pending look-up of a name would delay the end.
    runtime.shutdown_background();
    ended
}

async fn dispatch(args: Args) -> Result<(), Failure> {
    let id = args.id.as_id();
    let plain = |progress| Output::new(args.style(), progress);
    match &args.command {
        Some(Command::Ping(ping)) => {
            let output = plain(Progress::hidden());
            let mut device = connect(&args).await?;
            device.auth(id.as_str()).await.map_err(|err| output.failed(err))?;
            ping::ping(device, ping, &output).await
        }
        Some(Command::Send(send)) if send.once => {
            let data = send.source().whole()?;
            conversation::once(connect(&args).await?, id, &data, &plain(Progress::hidden())).await
        }
        Some(Command::Send(send)) => {
            let (input, output) = input_of(send, args.style())?;
            conversation::hold(connect(&args).await?, id, input, send.wait, &output).await
        }
        None => {
            let (input, output) = typed(args.style());
            conversation::hold(connect(&args).await?, id, input, false, &output).await
        }
    }
}

/// The input, and the output with its progress. An unreadable file is reported before the program connects.
fn input_of(send: &Send, style: Style) -> Result<(Input, Output), Failure> {
    match (&send.file, send.source()) {
        (Some(path), _) if send.split => {
            let (input, size) = Input::pieces(path.clone())?;
            let progress = if style == Style::Quiet { Progress::hidden() } else { Progress::bytes(size) };
            Ok((input, Output::new(style, progress)))
        }
        (_, Source::Stdin) => Ok(typed(style)),
        (_, whole) => {
            let input = Input::Whole(Some(whole.whole()?));
            Ok((input, Output::new(style, Progress::hidden())))
        }
    }
}

/// The lines of standard input, which a person types or another program writes.
fn typed(style: Style) -> (Input, Output) {
    let is_typed = io::stdin().is_terminal();
    let progress = if is_typed || style == Style::Quiet { Progress::hidden() } else { Progress::lines() };
    (Input::lines(), Output::new(style, progress).with_prompt())
}

async fn connect(args: &Args) -> Result<Device, Failure> {
    let tls = args.tls()?;
    if args.is_insecure() {
        let _ = writeln!(io::stderr(), "trap-client: warning: the server is not verified (--insecure)");
    }
    match args.server() {
        Server::Tcp(host, port) => {
            let connected = match &tls {
                Some(tls) => Device::connect_tls(args.timeout, (host, port), tls).await,
                None => Device::connect_within(args.timeout, (host, port)).await,
            };
            connected.map_err(|err| Failure::Connect { host: host.into(), port, err })
        }
        Server::Unix(path) => Device::connect_unix(args.timeout, path)
            .await
            .map_err(|err| Failure::ConnectUnix { path: path.into(), err }),
    }
}
