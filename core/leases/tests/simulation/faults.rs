//! What goes wrong, and when.

use crate::{
    hub::Hub,
    world::{Happening, SECOND, World},
};
use rand::{RngExt, seq::IndexedRandom};

impl World {
    /// One fault, and the next one a little later.
    pub(crate) fn fault(&mut self) {
        if self.calm_since.is_some() {
            return;
        }
        let pause = self.random.random_range(2 * SECOND..40 * SECOND);
        self.at(self.now + pause, Happening::Fault);
        let live: Vec<_> = (0..self.nodes.len())
            .filter(|&at| self.nodes[at].member.is_some() && !self.nodes[at].leaving)
            .collect();
        let Some(&at) = live.choose(&mut self.random) else {
            self.start();
            return;
        };
        self.told.faults += 1;
        let spell = self.now + self.random.random_range(SECOND..3 * self.lease);
        let dice = self.random.random_range(0..100u32);
        let name = self.nodes[at].name.clone();
        let paused = self.nodes[at].paused_until > self.now;
        match dice {
            // One that is paused can only crash.
            35..45 if paused => self.crash(at),
            0..15 => self.crash(at),
            15..35 => {
                let until = self.now + self.random.random_range(SECOND / 2..4 * self.lease);
                let until = until.max(self.nodes[at].paused_until);
                self.trace(|_| format!("{name} is paused until {until}"));
                self.nodes[at].paused_until = until;
                self.nodes[at].resumed_at = until;
            }
            35..45 => {
                self.trace(|_| format!("{name} leaves"));
                self.nodes[at].leaving = true;
                if let Some(member) = &mut self.nodes[at].member {
                    member.leave();
                }
                self.step(at);
            }
            45..52 => {
                self.trace(|_| format!("the store is down until {spell}"));
                self.down_until = spell;
            }
            52..62 => {
                self.trace(|_| format!("the store is slow until {spell}"));
                self.slow_until = spell;
            }
            62..74 => {
                self.trace(|_| format!("the store fails and loses answers until {spell}"));
                self.lossy_until = spell;
            }
            74..82 => {
                self.trace(|_| format!("{name} can't reach the store until {spell}"));
                self.nodes[at].cut_until = spell;
            }
            82..92 => {
                self.trace(|_| format!("{name} gets no answers until {spell}"));
                self.nodes[at].deaf_until = spell;
            }
            _ => {
                let until = self.now + self.random.random_range(SECOND..8 * self.lease);
                self.trace(|_| format!("{name}'s application hangs until {until}"));
                self.nodes[at].hung_until = until;
            }
        }
        // Something new takes the place of what ended, now or at a later fault.
        let wanted = self.random.random_range(1..=5);
        if live.len() < wanted {
            self.start();
        }
        if self.random.random_range(0..6u32) == 0 {
            self.reshard();
        }
        self.trim();
    }

    fn crash(&mut self, at: usize) {
        self.trace(|world| format!("{} crashes", world.nodes[at].name));
        self.nodes[at].member = None;
        self.nodes[at].works.clear();
        self.changed_at = self.now;
    }

    /// Splits a partition, or merges two; children of children are not rare.
    fn reshard(&mut self) {
        let mut open: Vec<_> = self.hub.open().collect();
        if self.hub.shards.len() >= 40 {
            return;
        }
        let split = open.len() < 2 || open.len() < 7 && self.random.random_bool(0.5);
        let at = self.random.random_range(0..open.len());
        let first = open.swap_remove(at);
        self.close(first);
        if split {
            let children = [self.hub.add(vec![first]), self.hub.add(vec![first])];
            self.trace(|_| format!("s{first} is split into {children:?}"));
        } else {
            let at = self.random.random_range(0..open.len());
            let second = open.swap_remove(at);
            self.close(second);
            let child = self.hub.add(vec![first, second]);
            self.trace(|_| format!("s{first} and s{second} are merged into s{child}"));
        }
        self.owned_at.resize(self.hub.shards.len(), self.now);
        self.changed_at = self.now;
        self.told.reshards += 1;
    }

    fn close(&mut self, shard: usize) {
        let more = self.random.random_range(0..20);
        let shard = &mut self.hub.shards[shard];
        shard.end = Some((shard.read + more, self.now));
    }

    /// Retention removes what was closed some minutes ago, now and then before it was read.
    fn trim(&mut self) {
        let old = self.now.saturating_sub(300 * SECOND);
        for index in 0..self.hub.shards.len() {
            let shard = &self.hub.shards[index];
            if shard.end.is_some_and(|end| end.1 < old)
                && !shard.trimmed
                && self.random.random_range(0..8u32) == 0
            {
                self.trace(|_| format!("s{index} is trimmed"));
                self.hub.shards[index].trimmed = true;
            }
            if self.hub.shards[index].trimmed {
                self.store.forget(index);
            }
        }
    }

    /// The partitions at the beginning, of which some were resharded before the group began.
    pub(crate) fn lay_out(&mut self) -> Hub {
        let mut hub = Hub::default();
        for _ in 0..self.random.random_range(1..6) {
            let first = hub.add(Vec::new());
            if self.random.random_range(0..4u32) == 0 {
                hub.shards[first].end = Some((0, 0));
                hub.shards[first].before_start = true;
                hub.add(vec![first]);
                hub.add(vec![first]);
            }
        }
        hub
    }
}
