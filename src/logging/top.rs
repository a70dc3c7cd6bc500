//! The most frequent source of many, in little memory: the space-saving sketch of Metwally, Agrawal and El Abbadi.

/// The number of candidates. Any source with more than one in sixteen events is among them.
const PLACES: usize = 16;

/// Counts events by source; exact while there are few sources.
#[derive(Debug)]
pub(super) struct Top<S>(Vec<Place<S>>);

#[derive(Debug)]
struct Place<S> {
    source: S,
    count: u64,
    /// The part of `count` from earlier sources in this place.
    inherited: u64,
}

impl<S> Default for Top<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S> Place<S> {
    /// The minimum number of events of this source.
    const fn certain(&self) -> u64 {
        self.count - self.inherited
    }
}

impl<S: PartialEq> Top<S> {
    /// Counts an event of `source`.
    pub(super) fn add(&mut self, source: S) {
        if let Some(place) = self.0.iter_mut().find(|place| place.source == source) {
            place.count += 1;
        } else if self.0.len() < PLACES {
            self.0.push(Place { source, count: 1, inherited: 0 });
        } else if let Some(rarest) = self.0.iter_mut().min_by_key(|place| place.count) {
            *rarest = Place { source, count: rarest.count + 1, inherited: rarest.count };
        }
    }

    /// The source with most events, and its minimum number of events.
    pub(super) fn busiest(&self) -> Option<(&S, u64)> {
        let busiest = self.0.iter().max_by_key(|place| place.certain());
        busiest.map(|place| (&place.source, place.certain()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_sources_the_busiest_is_known_exactly() {
        let mut top = Top::default();
        assert_eq!(top.busiest(), None);
        [1, 2, 3, 2, 1, 2].into_iter().for_each(|source| top.add(source));
        assert_eq!(top.busiest(), Some((&2, 3)));
    }

    #[test]
    fn a_busy_source_is_found_among_any_number_of_others() {
        let mut top = Top::default();
        for other in 1..10_000 {
            top.add(other);
            if other % 5 == 0 {
                top.add(0);
            }
        }
        let (busiest, count) = top.busiest().unwrap();
        assert_eq!(*busiest, 0);
        assert!(count <= 1999 && count > 1000, "{count}");
        assert_eq!(top.0.len(), PLACES);
    }
}
