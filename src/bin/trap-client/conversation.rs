//! Sends, and prints what the server sends, at the same time.

use std::pin::pin;

use tokio::select;
use tokio::signal::ctrl_c;
use trap_server::client::{Device, Error, Incoming};
use trap_server::protocol::{Frame, Id, Mode, Reply};

use crate::failure::Failure;
use crate::input::Input;
use crate::output::Output;

/// Maximum unanswered SENDs: enough to hide the round trip, and few in doubt when the connection breaks.
const WINDOW: usize = 64;

/// One SEND without AUTH.
pub async fn once(mut device: Device, id: Id<'_>, data: &[u8], output: &Output) -> Result<(), Failure> {
    device.send_once(id.as_str(), data).await.map_err(|err| output.failed(err))?;
    output.reply(Reply::SendOk)
}

/// AUTH, then one SEND for each `input`; until all are answered, or with `wait` until the server closes or Ctrl-C.
pub async fn hold(
    mut device: Device,
    id: Id<'_>,
    input: Input,
    wait: bool,
    output: &Output,
) -> Result<(), Failure> {
    device.auth(id.as_str()).await.map_err(|err| output.failed(err))?;
    output.reply(Reply::AuthOk)?;
    output.greet(&device.server().map_err(Error::Io)?, id.as_str());
    let mut talk = Talk { device, id, output, unanswered: 0, refused: None };
    talk.run(input, wait).await?;
    talk.refused.map_or(Ok(()), |reply| Err(Failure::Refused(reply)))
}

struct Talk<'a> {
    device: Device,
    id: Id<'a>,
    output: &'a Output,
    unanswered: usize,
    /// The last SEND that failed.
    refused: Option<Reply>,
}

impl Talk<'_> {
    async fn run(&mut self, mut input: Input, mut wait: bool) -> Result<(), Failure> {
        let mut interrupt = pin!(ctrl_c());
        let mut ended = Ok(());
        let mut more = true;
        while more || wait || self.unanswered > 0 {
            if more && self.unanswered == 0 {
                self.output.prompt();
            }
            select! {
                data = input.next(), if more && self.unanswered < WINDOW => match data {
                    Ok(Some(data)) => {
                        self.output.typed();
                        self.say(&data).await?;
                        self.output.progress.sent(&data);
                    }
                    Ok(None) => {
                        self.output.ended();
                        more = false;
                    }
                    Err(err) => (more, wait, ended) = (false, false, Err(err)),
                },
                incoming = self.device.next() => match incoming {
                    Ok(None) if !more && self.unanswered == 0 => return ended,
                    Err(Error::Deadline { .. }) if self.unanswered == 0 => {}
                    incoming => self.hear(incoming?)?,
                },
                _ = &mut interrupt => return self.stop(),
            }
        }
        ended
    }

    fn stop(&self) -> Result<(), Failure> {
        match self.unanswered {
            0 => Ok(()),
            unanswered => Err(Failure::Interrupted { unanswered }),
        }
    }

    async fn say(&mut self, data: &[u8]) -> Result<(), Failure> {
        let frame = Frame::Send { mode: Mode::Session, client: self.id, data };
        match self.device.write(&frame).await {
            Err(broken @ Error::Io(_)) => return self.last_words(broken).await,
            written => written?,
        }
        self.unanswered += 1;
        Ok(())
    }

    /// The last words of the server may explain why the connection broke.
    async fn last_words(&mut self, broken: Error) -> Result<(), Failure> {
        while let Ok(Some(incoming)) = self.device.next().await {
            self.hear(Some(incoming))?;
        }
        Err(broken.into())
    }

    fn hear(&mut self, incoming: Option<Incoming>) -> Result<(), Failure> {
        match incoming {
            None if self.unanswered > 0 => Err(Error::Closed { awaited: Reply::SendOk.word() }.into()),
            None => Err(Error::Closed { awaited: "the end of the input" }.into()),
            Some(Incoming::Event(event)) => self.output.event(&event),
            Some(Incoming::Reply(reply)) => {
                self.output.reply(reply)?;
                self.count(reply)
            }
        }
    }

    fn count(&mut self, reply: Reply) -> Result<(), Failure> {
        match reply {
            Reply::SendOk | Reply::SendFailure if self.unanswered > 0 => {
                self.unanswered -= 1;
                self.refused = Some(reply).filter(|reply| *reply == Reply::SendFailure).or(self.refused);
                Ok(())
            }
            Reply::AuthFailure | Reply::ProtocolError => Err(Failure::Refused(reply)),
            _ => {
                Err(Error::Unexpected { expected: "send_ok for each SEND", got: Incoming::Reply(reply) }
                    .into())
            }
        }
    }
}
