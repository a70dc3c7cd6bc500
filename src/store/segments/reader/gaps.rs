//! Messages that were missing when their turn came, and are there later: a server saves the messages of a segment whose
//! files are lost, or an archived segment is moved back.

use std::collections::VecDeque;
use std::ops::Range;

use super::Ids;
use crate::store::segments::folder::Segment;

/// The most gaps that are watched. The oldest are given up.
const MOST: usize = 100;

/// Gaps between the messages that were read.
#[derive(Default)]
pub(super) struct Gaps(VecDeque<Gap>);

struct Gap {
    ids: Range<i64>,
    /// The first id of the segment before it, which is not the one that is missing.
    older: i64,
}

impl Gaps {
    /// Watches a gap behind the segment that begins with `older`.
    pub(super) fn note(&mut self, ids: Range<i64>, older: i64) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Gap { ids, older });
    }

    /// Messages that segments have now, each once. `last_id` is that of a segment, if it can be read.
    pub(super) fn filled(
        &mut self,
        listed: &VecDeque<Segment>,
        last_id: impl Fn(&Segment) -> Option<i64>,
    ) -> Vec<Ids> {
        let (mut filled, mut gaps) = (Vec::new(), std::mem::take(&mut self.0));
        while let Some(gap) = gaps.pop_front() {
            let Some((found, older)) = gap.search(listed, &last_id) else {
                self.0.push_back(gap);
                continue;
            };
            let before = Gap { ids: gap.ids.start..found.start, older: gap.older };
            let behind = Gap { ids: found.end..gap.ids.end, older };
            gaps.extend([before, behind].into_iter().filter(|rest| !rest.ids.is_empty()));
            filled.push(Ids { first: found.start, end: Some(found.end) });
        }
        filled.sort_by_key(|ids| ids.first);
        filled
    }
}

impl Gap {
    /// The first messages of it that are there, and the first id of their segment.
    fn search(
        &self,
        listed: &VecDeque<Segment>,
        last_id: impl Fn(&Segment) -> Option<i64>,
    ) -> Option<(Range<i64>, i64)> {
        let from = listed.partition_point(|segment| segment.first_id <= self.older);
        let new = listed.range(from..).take_while(|segment| segment.first_id < self.ids.end);
        new.filter_map(|segment| {
            let end = last_id(segment)?.saturating_add(1);
            let found = segment.first_id.max(self.ids.start)..end.min(self.ids.end);
            (!found.is_empty()).then_some((found, segment.first_id))
        })
        .next()
    }
}
