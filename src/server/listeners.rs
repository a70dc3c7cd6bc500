//! The listeners of a running server: added, removed and changed while it runs. A failure changes nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use log::{info, warn};

use super::plan::Late;
use crate::access::Permits;
use crate::config;
use crate::listener::tls::Loaded;
use crate::listener::{Address, Base, BindError, Common, Hold, Listener, Listening, Options};
use crate::session::{self, CloseSessions, Sessions, Which};
use crate::supervisor::{
    ChildError, ChildSpec, DeleteChild, Intensity, Name, RestartChild, StartChild, Started, Supervisor,
    TerminateChild,
};

/// Time limit of the stop of a listener: it only drops its acceptors.
const STOP: Duration = Duration::from_secs(2);

/// What a listener of this server needs besides its options.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) common: Common,
    pub(super) sessions: Name<Sessions>,
    /// The restart limit of each listener.
    pub(super) limit: config::Supervisor,
}

impl Site {
    /// The base of a new listener.
    pub(super) fn base(&self, options: &Options, listening: Listening) -> Arc<Base> {
        Arc::new(Base::new(options, listening, &self.common, Arc::new(session::start)))
    }

    /// A listener as a child. Its base belongs to the start function, and so outlives it.
    pub(super) fn child(&self, base: &Arc<Base>) -> ChildSpec {
        let tenure = Tenure(Arc::clone(base));
        let start = move || {
            tenure.0.listen().map_err(|err| format!("listening failed: {err}"))?;
            Ok(Started::new(Listener::new(Arc::clone(&tenure.0))))
        };
        let limit = Intensity::new(self.limit.max_restarts, self.limit.within);
        ChildSpec::new(id(base.name()), start).intensity(limit)
    }
}

/// The id of the child.
fn id(listener: &str) -> String {
    format!("listener {listener}")
}

/// The start function's hold on a base: when it is dropped, clients are refused.
struct Tenure(Arc<Base>);

impl Drop for Tenure {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The listeners of a running server.
pub struct Listeners {
    site: Site,
    supervisor: Addr<Supervisor>,
    /// In the order of their addition.
    bases: Mutex<Vec<Arc<Base>>>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

impl ListenerError {
    /// The name of the listener.
    pub fn listener(&self) -> &str {
        match self {
            Self::Unknown(name) | Self::Present(name) => name,
            Self::Bind(err) => err.listener(),
            Self::Supervisor { listener, .. } => listener,
        }
    }
}

/// Why a change of the listeners failed. It has changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// No listener has this name.
    #[error("no listener has the name {0:?}")]
    Unknown(String),
    /// A listener has this name already.
    #[error("a listener has the name {0:?} already")]
    Present(String),
    /// A socket could not be opened, or does not take an option.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The supervisor rejected the change.
    #[error("the supervisor rejected the change of listener {listener:?}: {cause}")]
    Supervisor {
        /// The name of the listener.
        listener: String,
        /// Its answer.
        cause: String,
    },
}

impl Listeners {
    pub(super) fn new(site: Site, supervisor: Addr<Supervisor>, bases: Vec<Arc<Base>>) -> Self {
        Self { site, supervisor, bases: bases.into(), changing: tokio::sync::Mutex::default() }
    }

    /// Their names, in the order of their addition.
    pub fn names(&self) -> Vec<String> {
        self.bases().iter().map(|base| base.name().into()).collect()
    }

    /// The address of each listener, in the order of [`names`](Self::names); a port 0 has become a real one.
    pub fn addresses(&self) -> Vec<Address> {
        self.bases().iter().filter_map(|base| base.address()).collect()
    }

    /// The address of a listener.
    pub fn address(&self, name: &str) -> Option<Address> {
        self.base(name).ok()?.address()
    }

    /// TLS of a listener, if it has it.
    pub fn tls(&self, name: &str) -> Option<Arc<Loaded>> {
        self.base(name).ok()?.tls()
    }

    /// The permits of each listener, in the order of [`names`](Self::names).
    pub fn permits(&self) -> Vec<Permits> {
        self.bases().iter().map(|base| base.permits().clone()).collect()
    }

    /// Opens a listener.
    pub async fn add(&self, options: &Options) -> Result<(), ListenerError> {
        if self.base(&options.name).is_ok() {
            return Err(ListenerError::Present(options.name.clone()));
        }
        self.add_open(options, Listening::open(options)?).await
    }

    /// Adds a listener that accepts from `listening`, which was opened with these options.
    pub async fn add_open(&self, options: &Options, listening: Listening) -> Result<(), ListenerError> {
        let _changing = self.changing.lock().await;
        if self.base(&options.name).is_ok() {
            return Err(ListenerError::Present(options.name.clone()));
        }
        let base = self.site.base(options, listening);
        let started = self.supervisor.send(StartChild(self.site.child(&base))).await;
        answered(&options.name, started)?;
        say_listening(&base);
        self.bases().push(base);
        Ok(())
    }

    /// Closes all listeners: clients are refused from now on. Sessions go on.
    pub(super) async fn close(&self) {
        let _changing = self.changing.lock().await;
        let bases = self.bases().clone();
        for base in bases {
            // One that cannot be stopped accepts nobody without its sockets.
            let _ = self.end(&base).await;
        }
    }

    /// Ends a listener and closes its sockets.
    async fn end(&self, base: &Arc<Base>) -> Result<(), ListenerError> {
        let name = base.name();
        let ended = self.supervisor.send(TerminateChild { id: id(name), within: STOP }).await;
        base.close();
        answered(name, ended)?;
        answered(name, self.supervisor.send(DeleteChild(id(name))).await)
    }

    /// Closes a listener: its clients are refused from now on, and its sessions end with the reason `closed`. Its counters
    /// stay.
    pub async fn remove(&self, name: &str) -> Result<(), ListenerError> {
        let _changing = self.changing.lock().await;
        let base = self.base(name)?;
        self.end(&base).await?;
        self.bases().retain(|other| !Arc::ptr_eq(other, &base));
        let which = Which::Listener(Arc::clone(base.journal().listener()));
        let closed = self.site.sessions.call(|| CloseSessions(which.clone())).await;
        match closed {
            Ok(closed) => info!("listener {name} closed sessions={}", closed.len()),
            Err(err) => warn!("listener {name} closed; its sessions go on: {err}"),
        }
        base.journal().summarise();
        Ok(())
    }

    /// Opens the address of `options` instead of the present one. Sessions go on.
    pub async fn rebind(&self, options: &Options) -> Result<(), ListenerError> {
        self.replace(options, || Listening::open(options)).await
    }

    /// Accepts from `listening` instead of the present sockets, with these options. Sessions go on.
    pub async fn replace(
        &self,
        options: &Options,
        listening: impl FnOnce() -> Result<Listening, BindError>,
    ) -> Result<(), ListenerError> {
        let _changing = self.changing.lock().await;
        let base = self.base(&options.name)?;
        let old = base.rebind(listening()?, options);
        let restarted = self.restart(&options.name).await;
        drop(old);
        say_listening(&base);
        restarted
    }

    /// Closes the sockets of all of these listeners before it opens the new ones, for addresses that exclude each other.
    /// Sessions go on; clients that wait are refused. Returns what failed: those listeners are as before.
    pub(super) async fn reopen(&self, late: Vec<Late>) -> Vec<ListenerError> {
        let mut failed = Vec::new();
        for Late { new, .. } in late.iter().filter(|late| late.old.is_some()) {
            failed.extend(self.shut(&new.name).await.err());
        }
        for Late { old, new } in late {
            let Some(old) = old else {
                failed.extend(self.add(&new).await.err());
                continue;
            };
            if let Err(err) = self.open_again(&new).await {
                failed.push(err);
                failed.extend(self.open_again(&old).await.err());
            }
        }
        failed
    }

    /// Stops a listener and closes its sockets. It stays known.
    async fn shut(&self, name: &str) -> Result<(), ListenerError> {
        let _changing = self.changing.lock().await;
        let base = self.base(name)?;
        let ended = self.supervisor.send(TerminateChild { id: id(name), within: STOP }).await;
        base.close();
        answered(name, ended)
    }

    /// Opens the sockets of a listener that was shut, and starts it.
    async fn open_again(&self, options: &Options) -> Result<(), ListenerError> {
        let _changing = self.changing.lock().await;
        let base = self.base(&options.name)?;
        drop(base.rebind(Listening::open(options)?, options));
        say_listening(&base);
        let name = &options.name;
        answered(name, self.supervisor.send(RestartChild(id(name))).await)
    }

    /// Changes everything but the address. Sessions go on, and clients that wait in the backlog are served.
    pub async fn configure(&self, options: &Options) -> Result<(), ListenerError> {
        let _changing = self.changing.lock().await;
        if self.base(&options.name)?.configure(options)? {
            self.restart(&options.name).await?;
        }
        Ok(())
    }

    /// Accepts nothing until [`resume`](Self::resume): clients wait in the backlog. Sessions go on.
    pub fn pause(&self, name: &str) -> Result<(), ListenerError> {
        if self.base(name)?.gate().hold(Hold::Paused) {
            info!("listener {name} paused: new clients wait");
        }
        Ok(())
    }

    /// Ends a pause.
    pub fn resume(&self, name: &str) -> Result<(), ListenerError> {
        if self.base(name)?.gate().release(Hold::Paused) {
            info!("listener {name} accepts clients again");
        }
        Ok(())
    }

    /// Changes the maximum number of connections on all listeners together. Open ones stay.
    pub fn set_max_connections(&self, max: Option<usize>) {
        self.site.common.limits.places.set_max(max.unwrap_or(usize::MAX));
    }

    /// Logs what is still pending.
    pub(super) fn summarise(&self) {
        self.bases().iter().for_each(|base| base.journal().summarise());
    }

    /// New acceptors for a listener.
    async fn restart(&self, name: &str) -> Result<(), ListenerError> {
        let ended = self.supervisor.send(TerminateChild { id: id(name), within: STOP }).await;
        answered(name, ended)?;
        answered(name, self.supervisor.send(RestartChild(id(name))).await)
    }

    fn base(&self, name: &str) -> Result<Arc<Base>, ListenerError> {
        let bases = self.bases();
        let base = bases.iter().find(|base| base.name() == name);
        base.cloned().ok_or_else(|| ListenerError::Unknown(name.into()))
    }

    fn bases(&self) -> MutexGuard<'_, Vec<Arc<Base>>> {
        // Each change is one statement.
        self.bases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say_listening(base: &Base) {
    if let Some(address) = base.address() {
        info!("listening listener={} address={address}", base.name());
    }
}

fn answered(
    listener: &str,
    answer: Result<Result<(), ChildError>, MailboxError>,
) -> Result<(), ListenerError> {
    let failed = |cause: String| ListenerError::Supervisor { listener: listener.into(), cause };
    answer.map_err(|err| failed(err.to_string()))?.map_err(|err| failed(err.to_string()))
}
