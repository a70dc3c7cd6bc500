//! A server that follows a script.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A server of one connection that follows a script.
pub struct Server {
    pub addr: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    pub fn with(script: impl FnOnce(Peer) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            script(Peer { stream });
        });
        Self { addr, thread }
    }

    pub fn finish(self) {
        self.thread.join().expect("the client has kept to the script");
    }
}

/// The script's end of the connection.
pub struct Peer {
    stream: TcpStream,
}

impl Peer {
    pub fn answer(&mut self, frame: &[u8], with: &[u8]) {
        let mut sent = vec![0; frame.len()];
        self.stream.read_exact(&mut sent).unwrap();
        assert_eq!(sent, frame);
        self.say(with);
    }

    pub fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn expect_end(&mut self) {
        assert_eq!(self.stream.read(&mut [0]).unwrap(), 0);
        self.stream.shutdown(Shutdown::Both).unwrap();
    }
}
