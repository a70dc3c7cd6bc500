//! The handshake. It is computed in turns: many at the same time must not hold up the sessions of the thread.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::stream::Tls;

/// Steps of handshakes in one turn of the thread's loop. One takes about 0.1 ms.
const IN_A_TURN: usize = 4;

thread_local! {
    static TURN: Arc<Semaphore> = Arc::new(Semaphore::new(IN_A_TURN));
}

impl Tls {
    /// Performs the handshake. After an error, the peer has been sent the alert.
    pub async fn handshake(&mut self) -> io::Result<()> {
        let turn = TURN.with(Arc::clone);
        while !poll_fn(|cx| self.poll_shaken(cx)).await? {
            // It is never closed.
            let _one_of_the_turn = turn.acquire().await;
            let stepped = poll_fn(|cx| Poll::Ready(self.poll_step(cx))).await;
            yield_now().await;
            if let Poll::Ready(stepped) = stepped {
                stepped?;
            }
        }
        Ok(())
    }
}
