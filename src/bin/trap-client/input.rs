//! The data to send: a text, a file, or the lines of standard input.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::mpsc;
use trap_server::protocol::MAX_DATA;

use crate::failure::Failure;

/// Where data comes from.
pub enum Source {
    Text(String),
    File(PathBuf),
    Stdin,
}

impl Source {
    /// All of it. Of data that is too long for one SEND, only as much as shows this.
    pub fn whole(self) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::File(path) => read_file(&path),
            Self::Stdin => bounded(io::stdin().lock()).map_err(Failure::Stdin),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |err| Failure::File { path: path.into(), err };
    let file = File::open(path).map_err(unreadable)?;
    let data = bounded(file).map_err(unreadable)?;
    if data.len() > MAX_DATA { Err(Failure::FileTooLong { path: path.into() }) } else { Ok(data) }
}

fn bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    source.take(MAX_DATA as u64 + 1).read_to_end(&mut data)?;
    Ok(data)
}

/// The data of all SENDs, in order.
pub enum Input {
    /// One SEND.
    Whole(Option<Vec<u8>>),
    /// One SEND per item.
    Each(mpsc::Receiver<Result<Vec<u8>, Failure>>),
}

impl Input {
    /// The lines of standard input that are not empty.
    pub fn lines() -> Self {
        let mut numbers = 1..;
        Self::read(move || {
            loop {
                match read_line(&mut io::stdin().lock(), numbers.next()?).transpose()? {
                    Ok(line) if line.is_empty() => {}
                    line => return Some(line),
                }
            }
        })
    }

    /// The file at `path` in pieces that fit into a SEND each, and its length in bytes. An empty file is one piece.
    pub fn pieces(path: PathBuf) -> Result<(Self, u64), Failure> {
        let unreadable = |err| Failure::File { path: path.clone(), err };
        let mut file = File::open(&path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let mut is_first = true;
        let pieces = Self::read(move || match piece(&mut file) {
            Ok(data) => (!data.is_empty() || std::mem::take(&mut is_first)).then(|| {
                is_first = false;
                Ok(data)
            }),
            Err(err) => Some(Err(Failure::File { path: path.clone(), err })),
        });
        Ok((pieces, size))
    }

    /// The items of `next`, until there is none. It runs on a thread of its own, which does not delay the end of the
    /// program, and reads no faster than the items are used.
    fn read(mut next: impl FnMut() -> Option<Result<Vec<u8>, Failure>> + Send + 'static) -> Self {
        let (read, taken) = mpsc::channel(1);
        thread::spawn(move || {
            while let Some(data) = next() {
                let is_failure = data.is_err();
                if read.blocking_send(data).is_err() || is_failure {
                    return;
                }
            }
        });
        Self::Each(taken)
    }

    /// The next data to send, or none at the end. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Whole(data) => Ok(data.take()),
            Self::Each(data) => data.recv().await.transpose(),
        }
    }
}

/// The next bytes of a file, as many as a SEND carries; none at its end.
fn piece(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    file.take(MAX_DATA as u64).read_to_end(&mut data)?;
    Ok(data)
}

/// Line `number` without its ending, or none at the end of the input.
fn read_line(input: &mut impl BufRead, number: u64) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let most = MAX_DATA + "\r\n".len();
    let read = input.take(most as u64 + 1).read_until(b'\n', &mut line).map_err(Failure::Stdin)?;
    if read == 0 {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    if line.len() > MAX_DATA {
        return Err(Failure::LineTooLong { number });
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_before_its_line_ending() {
        let mut input: &[u8] = b"one\ntwo\r\n\nthr\ree";
        let lines: Vec<_> = (1..).map_while(|at| read_line(&mut input, at).ok().flatten()).collect();
        assert_eq!(lines, [&b"one"[..], b"two", b"", b"thr\ree"]);
    }

    #[test]
    fn a_line_may_be_as_long_as_data_and_no_longer() {
        for ending in ["\n", "\r\n", ""] {
            let longest = [&[b'x'; MAX_DATA], ending.as_bytes()].concat();
            let line = read_line(&mut &longest[..], 1).ok().flatten();
            assert_eq!(line.map(|line| line.len()), Some(MAX_DATA));
            let longer = [b"x", &longest[..]].concat();
            assert!(matches!(read_line(&mut &longer[..], 7), Err(Failure::LineTooLong { number: 7 })));
        }
    }
}
