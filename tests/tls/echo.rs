//! A server that echoes over TLS, and notes how its connections go.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use trap_server::listener::tls::{Clients, KeyPair, Loaded, Options, Tls, Trust};

use crate::PATIENCE;
use crate::certificates::{Authority, Issued};

/// How a connection went.
#[derive(Debug)]
pub enum Went {
    /// The handshake failed.
    Refused(String),
    /// The handshake is complete. The client has this certificate.
    Open(Option<Vec<u8>>),
    /// The connection ended, after this many bytes.
    Ended(usize),
    /// Reading or writing failed, after this many bytes.
    Failed(String),
}

pub struct Echo {
    pub address: SocketAddr,
    pub went: UnboundedReceiver<Went>,
    loaded: Arc<Mutex<Arc<Loaded>>>,
}

impl Echo {
    pub async fn start(options: &Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (note, went) = unbounded_channel();
        let loaded = Arc::new(Mutex::new(load(options)));
        let shared = Arc::clone(&loaded);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let loaded = Arc::clone(&shared.lock().unwrap());
                tokio::spawn(serve(socket, loaded, note.clone()));
            }
        });
        Self { address, went, loaded }
    }

    /// What a reload does.
    pub fn reload(&self, options: &Options) {
        *self.loaded.lock().unwrap() = load(options);
    }

    pub async fn next(&mut self) -> Went {
        timeout(PATIENCE, self.went.recv()).await.unwrap().unwrap()
    }

    pub async fn refused(&mut self) -> String {
        let went = self.next().await;
        let Went::Refused(why) = went else { panic!("{went:?}") };
        why
    }

    pub async fn open(&mut self) -> Option<Vec<u8>> {
        let went = self.next().await;
        let Went::Open(certificate) = went else { panic!("{went:?}") };
        certificate
    }
}

fn load(options: &Options) -> Arc<Loaded> {
    Arc::new(options.load(SystemTime::now()).unwrap())
}

async fn serve(socket: TcpStream, loaded: Arc<Loaded>, note: UnboundedSender<Went>) {
    socket.set_nodelay(true).unwrap();
    let mut tls = Box::new(Tls::new(socket, &loaded));
    if let Err(err) = tls.handshake().await {
        return note.send(Went::Refused(err.to_string())).unwrap_or_default();
    }
    let certificate = tls.client_certificate().map(|certificate| certificate.to_vec());
    note.send(Went::Open(certificate)).unwrap();
    let _ = note.send(echo(&mut tls).await);
}

async fn echo(tls: &mut Tls) -> Went {
    let (mut buffer, mut total) = (vec![0; 4096], 0);
    loop {
        match tls.read(&mut buffer).await {
            Ok(0) => {
                // Also after the client has closed its side, it gets its answers.
                let _ = tls.write_all(b"bye").await;
                if tls.shutdown().await.is_ok() {
                    assert_eq!(tls.held(), 0);
                }
                return Went::Ended(total);
            }
            Ok(len) => {
                total += len;
                if let Err(err) = tls.write_all(&buffer[..len]).await {
                    return Went::Failed(err.to_string());
                }
            }
            Err(err) => return Went::Failed(err.to_string()),
        }
    }
}

pub fn options(certificates: &[&Issued], clients: Clients) -> Options {
    let pair =
        |issued: &&Issued| KeyPair { certificate: issued.certificate.clone(), key: issued.key.clone() };
    Options { clients, ..Options::new(certificates.iter().map(pair).collect()) }
}

pub fn trust(authority: &Authority, crls: &[&std::path::Path]) -> Trust {
    Trust { ca: authority.ca.clone(), crls: crls.iter().map(|path| path.to_path_buf()).collect() }
}
