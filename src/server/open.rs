//! Opening: everything that can fail for a reason outside of the server.

use std::collections::HashMap;
use std::sync::Arc;

use super::options::options;
use crate::config::{self, Config};
use crate::credentials::{self, Authenticator, Credentials};
use crate::database::{self, Lock, State};
use crate::faults::Faults;
use crate::listener::{BindError, Listening, Socket};
use crate::store::{self, Store, segments};

/// A server whose sockets are open and whose tree is not there yet.
pub struct Server {
    pub(super) config: Config,
    pub(super) sockets: Vec<Listening>,
    pub(super) lock: Option<Arc<Lock>>,
    pub(super) state: Option<State>,
    pub(super) authenticator: Authenticator,
    pub(super) store: Arc<dyn Store>,
    pub(super) faults: Faults,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A listening socket could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The store could not be opened.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// There is a socket for a listener that the config does not have.
    #[error(
        "there is a socket for listener {0:?}, which the config does not have; add it, or leave the socket out"
    )]
    Socket(String),
    /// Nobody can be asked who the devices are.
    #[error(transparent)]
    Credentials(#[from] credentials::Unusable),
}

impl Server {
    /// Opens every listening socket of the config, or none, the credentials and the store.
    pub fn bind(config: Config) -> Result<Self, OpenError> {
        Self::with_sockets(config, Vec::new())
    }

    /// The same, but the listeners with these names take over sockets that are bound already, such as those of another
    /// process, instead of opening their own.
    pub fn with_sockets(config: Config, inherited: Vec<(String, Socket)>) -> Result<Self, OpenError> {
        let sockets = listen(&config, inherited)?;
        let (lock, state) = open_folder(&config)?.unzip();
        let authenticator = credentials::open(&config, state.as_ref())?;
        let faults = Faults::from_env();
        let store = store::open(&config.store, lock.as_ref(), &faults)?;
        Ok(Self { config, sockets, lock, state, authenticator, store, faults })
    }

    /// Asks `credentials` instead of what the config names.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Arc<dyn Credentials>) -> Self {
        self.authenticator.credentials = credentials;
        self
    }

    /// Stores in `store` instead of what the config names.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }
}

/// The sockets of each listener.
fn listen(config: &Config, inherited: Vec<(String, Socket)>) -> Result<Vec<Listening>, OpenError> {
    let mut inherited: HashMap<_, _> = inherited.into_iter().collect();
    let open = |listener: &config::Listener| match inherited.remove(&listener.name) {
        Some(socket) => Listening::inherit(socket, &options(listener)),
        None => Listening::open(&options(listener)),
    };
    let sockets = config.listeners.iter().map(open).collect::<Result<_, BindError>>()?;
    inherited.into_keys().next().map_or(Ok(sockets), |name| Err(OpenError::Socket(name)))
}

/// Opens the folder of the data and the state in it, if the config needs them.
fn open_folder(config: &Config) -> Result<Option<(Arc<Lock>, State)>, database::Error> {
    if !config.has_folder() {
        return Ok(None);
    }
    let lock = Arc::new(Lock::take(&config.store.path)?);
    segments::upgrade(&config.store, &lock)?;
    let state = State::open(Arc::clone(&lock), config.store.lock_timeout)?;
    Ok(Some((lock, state)))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    fn config(binds: &[SocketAddr]) -> Config {
        let listener = |(index, bind): (usize, &SocketAddr)| config::Listener {
            name: format!("listener{index}"),
            bind: (*bind).into(),
            ..config::Listener::default()
        };
        let store = config::Store { kind: config::StoreKind::Log, ..config::Store::default() };
        Config { listeners: binds.iter().enumerate().map(listener).collect(), store, ..Config::default() }
    }

    #[test]
    fn every_socket_is_opened_or_none() {
        // An address that nobody else on this machine takes a port of.
        let free = TcpListener::bind("127.77.0.1:0").unwrap();
        let taken = TcpListener::bind("127.77.0.1:0").unwrap();
        let (first, second) = (free.local_addr().unwrap(), taken.local_addr().unwrap());
        drop(free);
        let Err(err) = Server::bind(config(&[first, second])) else { panic!("{second} is taken") };
        let text = err.to_string();
        assert!(text.starts_with(&format!("listener \"listener1\" cannot listen on {second}: ")), "{text}");
        assert!(
            text.ends_with(". Another process has it (`ss -ltnp` shows which); end it, or change `bind`")
        );
        drop(TcpListener::bind(first).unwrap());
        drop(taken);
        assert!(Server::bind(config(&[first, second])).is_ok());
    }

    #[test]
    fn an_inherited_socket_has_a_listener() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let of = |name: &str| vec![(name.to_owned(), socket.into())];
        let Err(err) = Server::with_sockets(config(&["127.0.0.1:0".parse().unwrap()]), of("other")) else {
            panic!("there is no such listener")
        };
        assert!(err.to_string().starts_with("there is a socket for listener \"other\""), "{err}");
    }

    #[test]
    fn an_address_of_another_machine_is_no_reason_to_look_for_a_process() {
        // 192.0.2.0/24 is for documentation, and nobody's.
        let Err(err) = Server::bind(config(&["192.0.2.1:0".parse().unwrap()])) else { panic!("it is ours") };
        assert!(err.to_string().ends_with(". This machine has no such address; change `bind`"), "{err}");
    }
}
