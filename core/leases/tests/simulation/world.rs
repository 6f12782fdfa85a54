//! Virtual time, and what happens in it.

use crate::{
    hub::Hub,
    node::{Node, Skewed},
    store::Store,
    told::Told,
};
use anyhub_leases::{
    Member, Options,
    member::{Answer, Flaw, Operation, Request, RequestId},
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// Time is counted in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    Member(Flaw),
    Store,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) random: Pcg64Mcg,
    pub(crate) lease: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) store: Store,
    pub(crate) hub: Hub,
    /// The store does nothing; is slow; fails and loses answers.
    pub(crate) down_until: u64,
    pub(crate) slow_until: u64,
    pub(crate) lossy_until: u64,
    /// Since when nothing goes wrong.
    pub(crate) calm_since: Option<u64>,
    /// When the partitions or the members last changed.
    pub(crate) changed_at: u64,
    /// When each partition was last seen to have an owner.
    pub(crate) owned_at: Vec<u64>,
    pub(crate) told: Told,
    /// When, which of those at one time, and its place in `happenings`.
    queue: BinaryHeap<Reverse<(u64, u64, u32)>>,
    happenings: Vec<Option<Happening>>,
    free: Vec<u32>,
    sequence: u64,
    requests: Vec<Request>,
    options: Options,
    planted: Option<Planted>,
    broken: Option<String>,
    tracing: bool,
    phases: u32,
}

pub(crate) enum Happening {
    Wake {
        node: usize,
        life: u32,
    },
    Work {
        node: usize,
        life: u32,
    },
    /// A request arrives at the store; `back` is when its answer arrives, unless it is lost.
    Arrive {
        node: usize,
        life: u32,
        id: RequestId,
        operation: Operation,
        sent: u64,
        back: Option<u64>,
    },
    Answer {
        node: usize,
        life: u32,
        id: RequestId,
        answer: Answer,
        renewal: Option<(usize, u64)>,
    },
    Fault,
    Phase,
    Check,
}

impl World {
    pub(crate) fn new(seed: u64, planted: Option<Planted>, tracing: bool) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let lease = [5, 10, 20, 30][random.random_range(0..4)] * SECOND;
        let options = Options::new()
            .lease(Duration::from_nanos(lease))
            .handover(Duration::from_nanos(2 * lease));
        let mut world = Self {
            now: 0,
            random,
            lease,
            nodes: Vec::new(),
            store: Store::new(planted == Some(Planted::Store)),
            hub: Hub::default(),
            down_until: 0,
            slow_until: 0,
            lossy_until: 0,
            calm_since: None,
            changed_at: 0,
            owned_at: Vec::new(),
            told: Told::default(),
            queue: BinaryHeap::new(),
            happenings: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            requests: Vec::new(),
            options,
            planted,
            broken: None,
            tracing,
            phases: 0,
        };
        world.hub = world.lay_out();
        world.owned_at = vec![0; world.hub.shards.len()];
        for _ in 0..world.random.random_range(1..4) {
            world.start();
        }
        world.at(20 * SECOND, Happening::Fault);
        world.at(world.storm(), Happening::Phase);
        world
    }

    /// Runs it to its end, or until something is broken.
    pub(crate) fn run(mut self) -> Self {
        while let Some(Reverse((at, _, place))) = self.queue.pop() {
            self.now = at;
            self.free.push(place);
            if let Some(what) = self.happenings[place as usize].take() {
                self.happen(what);
            }
            if self.broken.is_some() || self.phases == 4 {
                break;
            }
        }
        self.told.seeds = 1;
        self.told.hours = self.now as f64 / HOUR as f64;
        self.told.fewest_faults = self.told.faults;
        if self.broken.is_none() && (self.now < HOUR || self.told.faults < 20) {
            self.broken(format!(
                "a seed of {} s and {} faults",
                self.now / SECOND,
                self.told.faults
            ));
        }
        self
    }

    pub(crate) fn outcome(self) -> Result<(), String> {
        self.broken.map_or(Ok(()), Err)
    }

    pub(crate) fn told(&self) -> &Told {
        &self.told
    }

    pub(crate) fn broken(&mut self, what: String) {
        self.trace(|_| format!("BROKEN: {what}"));
        if self.broken.is_none() {
            self.broken = Some(format!("at {:.3} s, {what}", self.now as f64 / 1e9));
        }
    }

    pub(crate) fn trace(&self, what: impl FnOnce(&Self) -> String) {
        if self.tracing {
            println!("{:12.6} {}", self.now as f64 / 1e9, what(self));
        }
    }

    pub(crate) fn at(&mut self, at: u64, what: Happening) {
        self.sequence += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.happenings.push(None);
            (self.happenings.len() - 1) as u32
        });
        self.happenings[place as usize] = Some(what);
        self.queue.push(Reverse((at, self.sequence, place)));
    }

    pub(crate) fn unix(&self) -> u64 {
        1_700_000_000 + self.now / SECOND
    }

    /// A new process, in the place of one that ended or in a new one.
    pub(crate) fn start(&mut self) {
        let ended = self.nodes.iter().position(|node| node.member.is_none());
        let at = ended.unwrap_or(self.nodes.len());
        let life = ended.map_or(0, |at| self.nodes[at].life + 1);
        let name = format!("n{at}.{life}");
        let mut member = Member::new(name.as_str(), &self.options, self.random.random());
        if let Some(Planted::Member(flaw)) = self.planted {
            member.break_with(flaw);
        }
        member.add(self.hub.listing(), self.unix());
        let node = Node {
            name: name.into(),
            member: Some(member),
            life,
            clock: Skewed {
                origin: self.random.random_range(0..HOUR),
                rate: self.random.random_range(960_000..=1_040_000),
            },
            paused_until: 0,
            cut_until: 0,
            deaf_until: 0,
            hung_until: 0,
            leaving: false,
            wake_at: u64::MAX,
            list_at: self.now + 60 * SECOND,
            works: Vec::new(),
            renewed: Vec::new(),
            resumed_at: 0,
        };
        self.trace(|_| format!("{} starts, its clock at {} ppm", node.name, node.clock.rate));
        match ended {
            Some(at) => self.nodes[at] = node,
            None => self.nodes.push(node),
        }
        self.changed_at = self.now;
        self.step(at);
        self.at(self.now + SECOND, Happening::Work { node: at, life });
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Wake { node, life } => {
                // Another wake may have been set since.
                if self.lives(node, life) && self.nodes[node].wake_at == self.now {
                    if self.awake(node, Happening::Wake { node, life }) {
                        self.nodes[node].wake_at = u64::MAX;
                        self.step(node);
                    } else {
                        self.nodes[node].wake_at = self.nodes[node].paused_until;
                    }
                }
            }
            Happening::Work { node, life } => {
                if self.lives(node, life) && self.awake(node, Happening::Work { node, life }) {
                    self.work(node);
                    let pause = self.random.random_range(2 * SECOND..8 * SECOND);
                    self.at(self.now + pause, Happening::Work { node, life });
                }
            }
            Happening::Arrive {
                node,
                life,
                id,
                operation,
                sent,
                back,
            } => {
                self.arrive(node, life, id, operation, sent, back);
            }
            Happening::Answer {
                node,
                life,
                id,
                answer,
                renewal,
            } => {
                if !self.lives(node, life) {
                    return;
                }
                let until = self.nodes[node].paused_until;
                if until > self.now {
                    self.at(
                        until,
                        Happening::Answer {
                            node,
                            life,
                            id,
                            answer,
                            renewal,
                        },
                    );
                    return;
                }
                self.answered(node, id, answer, renewal);
            }
            Happening::Fault => self.fault(),
            Happening::Phase => self.phase(),
            Happening::Check => {
                self.check_calm();
                if self.calm_since.is_some() {
                    self.at(self.now + self.lease / 2, Happening::Check);
                }
            }
        }
    }

    fn lives(&self, node: usize, life: u32) -> bool {
        self.nodes[node].life == life && self.nodes[node].member.is_some()
    }

    /// Whether it runs; if not, this happens to it when it does.
    fn awake(&mut self, node: usize, what: Happening) -> bool {
        let until = self.nodes[node].paused_until;
        if until > self.now {
            self.at(until, what);
            return false;
        }
        true
    }

    /// Storm and calm, twice.
    fn phase(&mut self) {
        self.phases += 1;
        if self.calm_since.is_none() {
            let paused = self.nodes.iter().map(|node| node.paused_until);
            let now = paused.max().unwrap_or_default().max(self.now);
            self.trace(|_| format!("calm from {now} on"));
            self.calm_since = Some(now);
            (self.down_until, self.slow_until, self.lossy_until) = (0, 0, 0);
            for node in &mut self.nodes {
                (node.cut_until, node.deaf_until, node.hung_until) = (0, 0, 0);
            }
            if self
                .nodes
                .iter()
                .all(|node| node.member.is_none() || node.leaving)
            {
                self.start();
            }
            self.at(now, Happening::Check);
            self.at(now + 20 * self.lease + 300 * SECOND, Happening::Phase);
        } else {
            self.trace(|_| "storm".into());
            self.calm_since = None;
            self.at(self.now, Happening::Fault);
            self.at(self.now + self.storm(), Happening::Phase);
        }
    }

    /// With two calms, the hour is full.
    fn storm(&self) -> u64 {
        HOUR / 2 - (20 * self.lease + 300 * SECOND)
    }

    /// Lets a member do what is due, after anything that happened to it.
    pub(crate) fn step(&mut self, at: usize) {
        self.tell(at);
        let mut requests = std::mem::take(&mut self.requests);
        let local = self.nodes[at].local(self.now);
        let Some(member) = &mut self.nodes[at].member else {
            self.requests = requests;
            return;
        };
        let wake = member.poll(local, &mut requests);
        self.tell(at);
        for request in requests.drain(..) {
            self.send(at, request);
        }
        self.requests = requests;
        let node = &mut self.nodes[at];
        let wake = node.clock.when(wake).max(self.now + 1);
        if wake < node.wake_at && node.member.is_some() {
            node.wake_at = wake;
            let life = node.life;
            self.at(wake, Happening::Wake { node: at, life });
        }
    }
}
