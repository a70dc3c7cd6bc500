//! The counters of all listeners. They outlive listeners and their restarts: a counter is never reset.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Stats, Totals};

/// Counters by listener and worker. A clone is a handle to the same board.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Vec<Row>>>);

#[derive(Debug)]
struct Row {
    listener: Arc<str>,
    workers: Vec<Arc<Stats>>,
}

impl Board {
    /// The counters of the listener with this name, one for each worker. A listener that was removed and is added again
    /// goes on with its counters.
    pub fn of(&self, listener: &str, workers: usize) -> Vec<Arc<Stats>> {
        let mut rows = self.rows();
        let known = rows.iter().position(|row| &*row.listener == listener);
        let index = known.unwrap_or_else(|| {
            rows.push(Row { listener: listener.into(), workers: Vec::new() });
            rows.len() - 1
        });
        let Some(row) = rows.get_mut(index) else { return Vec::new() };
        row.workers.resize_with(workers.max(row.workers.len()), Arc::default);
        row.workers.iter().take(workers).cloned().collect()
    }

    /// The sums of all listeners, removed ones too.
    pub fn totals(&self) -> Totals {
        Totals::of(self.rows().iter().flat_map(|row| &row.workers).map(Arc::as_ref))
    }

    /// The sums of each listener, in the order of their first start; removed ones keep theirs.
    pub fn listeners(&self) -> Vec<(Arc<str>, Totals)> {
        let sum = |row: &Row| (Arc::clone(&row.listener), Totals::of(row.workers.iter().map(Arc::as_ref)));
        self.rows().iter().map(sum).collect()
    }

    /// The sums of the listener with this name, if there is or was one.
    pub fn listener(&self, name: &str) -> Option<Totals> {
        self.listeners().into_iter().find_map(|(listener, totals)| (&*listener == name).then_some(totals))
    }

    fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        // No statement can leave the rows invalid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_comes_back_goes_on_with_its_counters() {
        let board = Board::default();
        let [first, second] = [board.of("a", 2), board.of("b", 2)];
        first[0].accepted.add(3);
        first[1].accepted.one();
        second[1].accepted.one();
        drop(first);
        board.of("a", 3)[2].accepted.one();
        assert_eq!(board.of("a", 2).len(), 2);
        assert_eq!(board.listener("a").unwrap().accepted, 5);
        assert_eq!(board.listener("c"), None);
        assert_eq!(board.totals().accepted, 6);
        let names: Vec<_> = board.listeners().into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
