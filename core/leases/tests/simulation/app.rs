//! The application of a node: delivers, acknowledges, commits, drains when asked, now and then
//! seeks, and commits late what is long done.

use crate::{
    hub::Hub,
    node::Work,
    world::{SECOND, World},
};
use anyhub_leases::member::Event;
use rand::RngExt;
use std::sync::Arc;

impl World {
    /// What happened to the member is told to its application.
    pub(crate) fn tell(&mut self, at: usize) {
        while let Some(event) = self.nodes[at]
            .member
            .as_mut()
            .and_then(|member| member.event())
        {
            self.trace(|world| format!("{} {event:?}", world.nodes[at].name));
            match event {
                Event::Granted(grant) => {
                    let shard = Hub::index(&grant.partition);
                    let cursor = number(grant.checkpoint.position.as_deref());
                    let node = &mut self.nodes[at];
                    let twice = node.works.iter().any(|work| work.shard == shard);
                    node.works.push(Work {
                        grant,
                        shard,
                        cursor,
                        acked: cursor,
                        asked: false,
                        closing: false,
                        calls: Vec::new(),
                    });
                    if twice {
                        self.broken(format!("s{shard} was granted twice to one member"));
                    }
                    self.check_alone(at, shard);
                }
                Event::Asked(partition) => {
                    let shard = Hub::index(&partition);
                    let mut works = self.nodes[at].works.iter_mut();
                    if let Some(work) = works.find(|work| work.shard == shard) {
                        work.asked = true;
                    }
                }
                Event::Lost(partition) => {
                    let shard = Hub::index(&partition);
                    self.nodes[at].works.retain(|work| work.shard != shard);
                    self.told.lost += 1;
                }
                Event::Settled {
                    partition,
                    ticket,
                    durable,
                } => {
                    self.settle(at, Hub::index(&partition), ticket, durable);
                }
                Event::Left => {
                    self.nodes[at].member = None;
                    self.nodes[at].works.clear();
                    self.changed_at = self.now;
                }
                other => panic!("the application does not know {other:?}"),
            }
        }
    }

    fn settle(&mut self, at: usize, shard: usize, ticket: u64, durable: bool) {
        let node = &mut self.nodes[at];
        let Some(index) = node.works.iter().position(|work| work.shard == shard) else {
            return;
        };
        let work = &mut node.works[index];
        let calls: Vec<_> = work.calls.extract_if(.., |call| call.0 <= ticket).collect();
        if work.closing && work.calls.is_empty() {
            node.works.swap_remove(index);
        }
        if durable {
            for (_, generation, position) in calls {
                self.check_durable(shard, generation, position);
            }
        }
    }

    /// A round of the application, every few seconds.
    pub(crate) fn work(&mut self, at: usize) {
        if self.nodes[at].hung_until > self.now || self.nodes[at].leaving {
            return;
        }
        if self.now >= self.nodes[at].list_at {
            self.nodes[at].list_at = self.now + 60 * SECOND;
            let (listing, unix) = (self.hub.listing(), self.unix());
            if let Some(member) = &mut self.nodes[at].member {
                member.add(listing, unix);
            }
        }
        for index in 0..self.nodes[at].works.len() {
            if !self.nodes[at].works[index].closing {
                self.read(at, index);
                self.commit(at, index);
            }
        }
        self.step(at);
    }

    fn read(&mut self, at: usize, index: usize) {
        let shard = self.nodes[at].works[index].shard;
        if !self.nodes[at].may_deliver(shard, self.now) {
            return;
        }
        self.check_delivery(at, shard);
        let most = self.random.random_range(1..8);
        let node = &mut self.nodes[at];
        let work = &mut node.works[index];
        work.acked = work.cursor;
        let log = &mut self.hub.shards[shard];
        let end = log.end.map_or(u64::MAX, |end| end.0);
        work.cursor = (work.cursor + most).min(end).max(work.cursor);
        log.read = log.read.max(work.cursor);
        self.told.deliveries += 1;
    }

    fn commit(&mut self, at: usize, index: usize) {
        let (calm, dice) = (
            self.calm_since.is_some(),
            self.random.random_range(0..100u32),
        );
        let unix = self.unix();
        let node = &mut self.nodes[at];
        let Some(member) = &mut node.member else {
            return;
        };
        let work = &mut node.works[index];
        let shard = &self.hub.shards[work.shard];
        let generation = work.grant.checkpoint.generation;
        let at_end = shard.end.is_some_and(|end| work.cursor >= end.0) || shard.trimmed;
        if at_end {
            let children = self.hub.children(work.shard);
            // Its last events, then its end.
            let last = member.checkpoint(&work.grant, text(work.cursor));
            if let (Ok(last), Ok(end)) = (last, member.finish(&work.grant, children, unix)) {
                work.calls.push((last, generation, work.cursor));
                work.calls.push((end, generation, work.cursor));
                work.closing = true;
            }
        } else if work.asked {
            let position = text(work.cursor);
            if let Ok(ticket) = member.release(&work.grant, Some(position)) {
                work.calls.push((ticket, generation, work.cursor));
                work.closing = true;
            }
        } else if dice < 3 && !calm {
            let to = work.cursor / 2;
            if let Ok((ticket, grant)) = member.seek(&work.grant, Some(text(to))) {
                work.calls.push((ticket, grant.checkpoint.generation, to));
                work.grant = grant;
                (work.cursor, work.acked) = (to, to);
            }
        } else if dice < 8 {
            // A commit that comes late.
            let _ = member.checkpoint(&work.grant, text(work.acked / 2));
        } else if dice < 60 {
            let position = work.acked;
            if let Ok(ticket) = member.checkpoint(&work.grant, text(position)) {
                work.calls.push((ticket, generation, position));
            }
        }
    }
}

pub(crate) fn text(position: u64) -> Arc<str> {
    position.to_string().into()
}

pub(crate) fn number(position: Option<&str>) -> u64 {
    position.map_or(0, |text| text.parse().unwrap())
}
