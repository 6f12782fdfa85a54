//! What lies between a node and the store: latency, and what is lost on the way there or back.

use crate::world::{Happening, SECOND, World};
use anyhub_leases::{
    Row, Written,
    member::{Answer, Operation, Request, RequestId},
};
use rand::RngExt;

impl World {
    pub(crate) fn send(&mut self, at: usize, request: Request) {
        self.told.requests += 1;
        let Request {
            id,
            operation,
            patience,
            ..
        } = request;
        let now = self.now;
        let (slow, lossy) = (now < self.slow_until, now < self.lossy_until);
        let most = if slow { 6 * SECOND } else { SECOND / 50 };
        let there = now + self.random.random_range(SECOND / 2_000..most);
        let back = there + self.random.random_range(SECOND / 2_000..most);
        let node = &self.nodes[at];
        let life = node.life;
        let give_up = now + patience.as_nanos() as u64;
        let mut arrives = now >= node.cut_until && now >= self.down_until;
        let mut answers = arrives && now >= node.deaf_until && back < give_up;
        if lossy {
            arrives &= self.random.random_range(0..4u32) > 0;
            answers &= arrives && self.random.random_range(0..4u32) > 0;
        }
        if arrives {
            let back = answers.then_some(back);
            self.at(
                there,
                Happening::Arrive {
                    node: at,
                    life,
                    id,
                    operation,
                    sent: now,
                    back,
                },
            );
        }
        if !answers {
            // Refused soon, or not answered in time.
            let when = if self.random.random_bool(0.5) {
                give_up
            } else {
                now + SECOND / 100
            };
            let when = if arrives { give_up } else { when };
            let answer = Answer::Failed { retry_after: None };
            self.at(
                when,
                Happening::Answer {
                    node: at,
                    life,
                    id,
                    answer,
                    renewal: None,
                },
            );
        }
    }

    pub(crate) fn arrive(
        &mut self,
        node: usize,
        life: u32,
        id: RequestId,
        operation: Operation,
        sent: u64,
        back: Option<u64>,
    ) {
        // Even if the sender has crashed meanwhile. Its name is that of its life.
        let writer = match &operation {
            Operation::Write {
                row: Row::Lease(lease),
                ..
            } => Some(lease.clone()),
            _ => None,
        };
        let (answer, made) = self.store.apply(operation);
        let mut renewal = None;
        if let (Some(made), Some(lease)) = (&made, writer) {
            let same = self.nodes[node].life == life;
            let name = if same {
                self.nodes[node].name.clone()
            } else {
                format!("n{node}.{life}").into()
            };
            self.trace(|_| format!("{name} wrote {lease:?}"));
            self.check_write(&name, made);
            if made.new.owner.as_ref() == Some(&name) {
                renewal = Some((made.shard, sent));
            }
        }
        if let Some(back) = back {
            self.at(
                back,
                Happening::Answer {
                    node,
                    life,
                    id,
                    answer,
                    renewal,
                },
            );
        }
    }

    pub(crate) fn answered(
        &mut self,
        at: usize,
        id: RequestId,
        answer: Answer,
        renewal: Option<(usize, u64)>,
    ) {
        let now = self.now;
        let node = &mut self.nodes[at];
        let local = node.local(now);
        if let (Some((shard, sent)), Answer::Written(Written::At(_))) = (renewal, &answer) {
            if node.renewed.len() <= shard {
                node.renewed.resize(shard + 1, 0);
            }
            node.renewed[shard] = sent;
        }
        if let Some(member) = &mut node.member {
            member.answer(local, id, answer);
        }
        self.tell(at);
        if let Some((shard, _)) = renewal {
            self.check_alone(at, shard);
        }
        self.step(at);
    }
}
