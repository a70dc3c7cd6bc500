//! The answers of a session, in the order of their frames. Pure: no socket, no clock.

use std::collections::VecDeque;

use crate::protocol::Reply;

/// Words that can leave, and behind them the answers that wait for the store.
#[derive(Debug, Default)]
pub(super) struct Answers {
    out: Vec<u8>,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug, PartialEq, Eq)]
enum Waiting {
    /// Number of consecutive SENDs without an answer from the store.
    Sends(usize),
    /// A word that waits behind pending SENDs.
    Word(Reply),
}

impl Answers {
    /// The next frame has its answer already.
    pub(super) fn word(&mut self, reply: Reply) {
        if self.waiting.is_empty() {
            self.out.extend_from_slice(reply.word().as_bytes());
        } else {
            self.waiting.push_back(Waiting::Word(reply));
        }
    }

    /// The next frame is a SEND; [`Self::sent`] will answer it.
    pub(super) fn send(&mut self) {
        match self.waiting.back_mut() {
            Some(Waiting::Sends(sends)) => *sends += 1,
            _ => self.waiting.push_back(Waiting::Sends(1)),
        }
    }

    /// Answers the oldest `sends` SENDs with `reply`.
    pub(super) fn sent(&mut self, mut sends: usize, reply: Reply) {
        while let Some(waiting) = self.waiting.front_mut() {
            match waiting {
                Waiting::Word(reply) => self.out.extend_from_slice(reply.word().as_bytes()),
                Waiting::Sends(_) if sends == 0 => return,
                Waiting::Sends(waiting) => {
                    let now = sends.min(*waiting);
                    sends -= now;
                    *waiting -= now;
                    (0..now).for_each(|_| self.out.extend_from_slice(reply.word().as_bytes()));
                    if *waiting > 0 {
                        return;
                    }
                }
            }
            self.waiting.pop_front();
        }
    }

    /// The bytes that can leave.
    pub(super) fn out(&self) -> &[u8] {
        &self.out
    }

    /// Removes bytes that have left.
    pub(super) fn left(&mut self, bytes: usize) {
        self.out.drain(..bytes.min(self.out.len()));
    }

    /// Removes all of them, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.out.clear();
        self.waiting.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty() && self.waiting.is_empty()
    }

    /// Bytes of memory in use.
    pub(super) fn bytes(&self) -> usize {
        self.out.len() + self.waiting.len() * size_of::<Waiting>()
    }

    /// Releases memory that the answers do not need.
    pub(super) fn shrink(&mut self) {
        self.out.shrink_to_fit();
        self.waiting.shrink_to_fit();
    }

    /// Bytes of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.out.capacity() + self.waiting.capacity() * size_of::<Waiting>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_word_waits_behind_the_sends_before_it() {
        let mut answers = Answers::default();
        answers.word(Reply::Pong);
        answers.send();
        answers.send();
        answers.word(Reply::ConnectOk);
        answers.send();
        assert_eq!(answers.out(), b"pong");
        answers.sent(1, Reply::SendOk);
        assert_eq!(answers.out(), b"pongsend_ok");
        answers.sent(1, Reply::SendFailure);
        assert_eq!(answers.out(), b"pongsend_oksend_failureconnect_ok");
        answers.left(4);
        assert_eq!(answers.out(), b"send_oksend_failureconnect_ok");
        assert!(!answers.is_empty());
        answers.sent(1, Reply::SendOk);
        answers.left(usize::MAX);
        assert!(answers.is_empty());
    }

    proptest! {
        /// In any mix of SENDs and words, the answers leave in the order of their frames.
        #[test]
        fn order_is_kept(frames in prop::collection::vec(any::<bool>(), 0..40), groups in prop::collection::vec(1..5usize, 0..40)) {
            let mut answers = Answers::default();
            let (mut expected, mut sends) = (Vec::new(), 0);
            for &is_send in &frames {
                let reply = if is_send { Reply::SendOk } else { Reply::Pong };
                expected.extend_from_slice(reply.word().as_bytes());
                if is_send {
                    sends += 1;
                    answers.send();
                } else {
                    answers.word(Reply::Pong);
                }
            }
            let mut left = Vec::new();
            for group in groups.into_iter().chain(std::iter::repeat(1)) {
                if sends == 0 {
                    break;
                }
                let group = group.min(sends);
                sends -= group;
                answers.sent(group, Reply::SendOk);
                left.extend_from_slice(answers.out());
                answers.left(usize::MAX);
                prop_assert!(expected.starts_with(&left));
            }
            left.extend_from_slice(answers.out());
            prop_assert_eq!(left, expected);
        }
    }
}
