//! Who takes messages: a StreamingPull, or a Pull.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Room;

/// How much a reader wants to have at once; None for no bound.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Flow {
    pub(in super::super) messages: Option<usize>,
    pub(in super::super) bytes: Option<usize>,
}

/// A reader that is here.
#[derive(Debug)]
pub(in super::super) struct Reader {
    /// Whose it is, if that may come again.
    pub(super) client: Option<u64>,
    flow: Flow,
    messages: usize,
    bytes: usize,
    /// Keys of which it has some, and may have more.
    pub(super) ready: VecDeque<usize>,
    /// True if it found nothing, and waits to be woken.
    pub(super) idle: bool,
    wake: Arc<Notify>,
}

impl Reader {
    pub(super) fn new(client: Option<u64>, flow: Flow, wake: Arc<Notify>) -> Self {
        Reader {
            client,
            flow,
            messages: 0,
            bytes: 0,
            ready: VecDeque::new(),
            idle: false,
            wake,
        }
    }

    pub(super) fn room(&self) -> Room {
        let left =
            |most: Option<usize>, has| most.map_or(usize::MAX, |most| most.saturating_sub(has));
        Room {
            messages: left(self.flow.messages, self.messages),
            bytes: left(self.flow.bytes, self.bytes),
        }
    }

    /// What it has, and has not acknowledged.
    pub(super) fn outstanding(&self) -> usize {
        self.messages
    }

    pub(super) fn is_idle_with_room(&self) -> bool {
        let room = self.room();
        self.idle && room.messages > 0 && room.bytes > 0
    }

    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.idle) {
            self.wake.notify_one();
        }
    }

    pub(super) fn sent(&mut self, size: usize) {
        self.messages += 1;
        self.bytes += size;
    }

    pub(super) fn done(&mut self, size: usize) {
        self.messages -= 1;
        self.bytes -= size;
        self.wake();
    }

    /// Nothing that it has counts any more.
    pub(super) fn reset(&mut self) {
        (self.messages, self.bytes) = (0, 0);
        self.ready.clear();
        self.wake();
    }
}
