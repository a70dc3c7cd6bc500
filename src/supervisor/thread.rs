//! Background threads: a child whose work blocks.

use std::future::Future;
use std::thread;

use tokio::sync::oneshot;

use super::exit::panic_text;

/// Runs `work` on a thread of its own. Resolves when it has ended; fails with the reason if it panicked or could not be
/// started. Dropping the future leaves the thread alone.
pub fn thread<W: FnOnce() + Send + 'static>(
    name: &'static str,
    work: W,
) -> impl Future<Output = Result<(), String>> + use<W> {
    let (ended, end) = oneshot::channel();
    let thread = thread::Builder::new().name(name.into()).spawn(move || {
        work();
        // After a panic the sender is dropped instead. The receiver may be gone.
        let _ = ended.send(());
    });
    async move {
        let thread = thread.map_err(|err| format!("cannot start thread {name}: {err}"))?;
        match end.await {
            Ok(()) => Ok(()),
            Err(_) => Err(end_of(thread)),
        }
    }
}

/// The reason why a thread ended unexpectedly.
fn end_of(thread: thread::JoinHandle<()>) -> String {
    match thread.join() {
        Ok(()) => "thread ended".into(),
        Err(payload) => format!("thread panicked: {}", panic_text(payload.as_ref())),
    }
}
