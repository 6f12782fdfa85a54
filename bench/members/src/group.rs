//! A group on a server, its members, and what is written to its topic.

use crate::{
    GROUP, Outcome, Setting, Stage, TOPIC, Writer,
    book::Book,
    clock::now,
    command::Seat,
    owners::Handovers,
    process::{Process, Told},
};
use anyhub_core::{Hub, Partition, Position};
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;
use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};

/// Enough for three members, and for none to have as many as another.
pub(crate) const PARTITIONS: u32 = 6;

const NONE: &str = "there is no such member";

pub(crate) struct Group<S> {
    pub(crate) server: S,
    pub(crate) book: Book,
    rng: Pcg64Mcg,
    hub: Arc<dyn Hub>,
    seat: Seat,
    /// Until the load ends.
    writer: Option<Writer>,
    members: BTreeMap<usize, Process>,
    started: usize,
    tell: mpsc::UnboundedSender<Told>,
    told: mpsc::UnboundedReceiver<Told>,
    patience: Duration,
    _folder: TempDir,
}

/// What a whole run comes to.
pub(crate) struct Sum {
    pub(crate) written: u64,
    pub(crate) lost: u64,
    pub(crate) out_of_order: u64,
    pub(crate) again: u64,
    /// Acks that were confirmed, and deliveries after that.
    pub(crate) confirmed: u64,
    pub(crate) after_confirmed: u64,
    /// None where nobody owns anything.
    pub(crate) handovers: Option<Handovers>,
}

impl<S: Stage> Group<S> {
    /// So many members under load, once each delivers its share. They commit every `commit_interval`.
    pub(crate) async fn begin(
        members: usize,
        setting: Setting,
        commit_interval: Duration,
    ) -> Outcome<Self> {
        let Setting { lease, rate, seed } = setting;
        let parts = match S::SHARED {
            true => S::PARTS.to_owned(),
            false => format!("{PARTITIONS} {}", S::PARTS),
        };
        println!("{members} processes, {parts}, {rate} events/s, lease {lease:?}, seed {seed}");
        let server = S::start(PARTITIONS).await?;
        let folder = tempfile::tempdir()?;
        let seat = Seat {
            endpoint: server.endpoint(),
            leases: folder.path().join("leases.db"),
            lease,
            commit_interval,
        };
        let hub = S::hub(&seat.endpoint, &seat.leases, lease)?;
        let writer = Writer::start(&*hub, rate).await?;
        let (tell, told) = mpsc::unbounded_channel();
        let mut group = Self {
            server,
            book: Book::default(),
            rng: Pcg64Mcg::seed_from_u64(seed),
            hub,
            seat,
            writer: Some(writer),
            members: BTreeMap::new(),
            started: 0,
            tell,
            told,
            patience: lease * 6 + Duration::from_secs(20),
            _folder: folder,
        };
        for _ in 0..members {
            group.join()?;
        }
        group.shared().await?;
        Ok(group)
    }

    /// Starts one more member.
    pub(crate) fn join(&mut self) -> Outcome {
        let process = Process::start(self.started, &self.seat, self.tell.clone())?;
        self.members.insert(self.started, process);
        self.started += 1;
        Ok(())
    }

    /// Lets a member leave.
    pub(crate) async fn leave(&mut self, member: usize) -> Outcome {
        let process = self.members.remove(&member);
        process.ok_or(NONE)?.leave().await
    }

    /// `kill -9`; how many partitions it leaves.
    pub(crate) async fn kill(&mut self, member: usize) -> Outcome<usize> {
        let process = self.members.remove(&member);
        let at = now();
        process.ok_or(NONE)?.kill().await?;
        let orphans = self.book.abandoned(member, at);
        self.book.ended(member, now());
        Ok(orphans)
    }

    pub(crate) fn members(&self) -> Vec<usize> {
        self.members.keys().copied().collect()
    }

    pub(crate) fn member(&mut self, member: usize) -> Outcome<&mut Process> {
        let process = self.members.get_mut(&member);
        Ok(process.ok_or(NONE)?)
    }

    /// One of the members, by chance.
    pub(crate) fn any_member(&mut self) -> Outcome<usize> {
        let members = self.members();
        let chosen = members.choose(&mut self.rng);
        Ok(chosen.copied().ok_or(NONE)?)
    }

    /// Asks members for something, and waits for their answers.
    pub(crate) async fn ask(&mut self, members: &[usize], word: &str) -> Outcome<Vec<String>> {
        for member in members {
            self.member(*member)?.ask(word).await?;
        }
        let mut answers = Vec::new();
        for member in members {
            let answered = |book: &Book| book.has_answered(*member);
            self.until(&format!("the answer to {word}"), answered)
                .await?;
            answers.extend(self.book.answer(*member));
        }
        Ok(answers)
    }

    /// Listens for some time, by chance.
    pub(crate) async fn listen(&mut self, millis: Range<u64>) -> Outcome {
        let until = Instant::now() + Duration::from_millis(self.rng.random_range(millis));
        while let Some(told) = self.hear(until).await? {
            self.note(told)?;
        }
        Ok(())
    }

    /// Listens until the members share all partitions evenly and deliver from them; where nobody owns any, until each
    /// of them delivers.
    pub(crate) async fn shared(&mut self) -> Outcome {
        let members = self.members();
        if S::SHARED {
            let what = "every member to deliver";
            return self.until(what, |book| book.are_active(&members)).await;
        }
        let what = "every member to deliver from its share";
        self.until(what, |book| book.is_shared(&members, PARTITIONS))
            .await
    }

    /// Listens until others have delivered from all partitions of the member that was killed or
    /// stopped; how long that took.
    pub(crate) async fn taken_over(&mut self) -> Outcome<Duration> {
        let what = "the partitions to be taken over";
        self.until(what, |book| book.taken_over().is_some()).await?;
        Ok(self.book.taken_over().unwrap_or_default())
    }

    pub(crate) async fn until(&mut self, what: &str, enough: impl Fn(&Book) -> bool) -> Outcome {
        let patience = self.patience;
        let until = Instant::now() + patience;
        while !enough(&self.book) {
            match self.hear(until).await? {
                Some(told) => self.note(told)?,
                None => return Err(format!("waited {patience:?} for {what}").into()),
            }
        }
        Ok(())
    }

    /// The next line; None where none comes until then.
    async fn hear(&mut self, until: Instant) -> Outcome<Option<Told>> {
        let left = until.saturating_duration_since(Instant::now());
        match timeout(left, self.told.recv()).await {
            Ok(Some(told)) => Ok(Some(told)),
            Ok(None) => Err("every member has ended".into()),
            Err(_) => Ok(None),
        }
    }

    fn note(&mut self, (member, line): Told) -> Outcome {
        match line {
            Some(line) => self.book.note(member, line),
            None if self.members.contains_key(&member) => {
                return Err(format!("member {member} has ended by itself").into());
            }
            None => {}
        }
        Ok(())
    }

    /// Where the group would resume each partition.
    pub(crate) async fn committed(&self) -> Outcome<BTreeMap<Partition, Option<Position>>> {
        let lag = self.hub.admin().lag(TOPIC, GROUP).await?.into_iter();
        Ok(lag.map(|lag| (lag.partition, lag.committed)).collect())
    }

    /// Ends the load, waits until every event has come, and lets the members leave.
    pub(crate) async fn finish(self) -> Outcome<Sum> {
        Ok(self.finish_struck().await?.0)
    }

    /// The same, and what went wrong at the server on purpose.
    pub(crate) async fn finish_struck(mut self) -> Outcome<(Sum, Option<String>)> {
        let writer = self.writer.take().ok_or("nothing is written any more")?;
        let written = writer.finish().await?;
        let all = |book: &Book| book.distinct() >= written;
        if let Err(error) = self.until("every event to come", all).await {
            println!("{error}");
        }
        for member in self.members() {
            self.leave(member).await?;
        }
        let struck = self.server.struck()?;
        let book = self.book;
        let sum = Sum {
            written,
            lost: book.lost(written),
            out_of_order: book.out_of_order(),
            again: book.again(),
            confirmed: book.confirmed(),
            after_confirmed: book.after_confirmed(),
            handovers: (!S::SHARED).then(|| book.handovers()),
        };
        Ok((sum, struck))
    }
}

impl Sum {
    /// Nothing is lost, out of order, or was delivered by who did not own it any more.
    pub(crate) fn holds(&self) -> bool {
        let unowned = |told: &Handovers| told.after_first + told.unowned;
        self.lost + self.out_of_order + self.handovers.as_ref().map_or(0, unowned) == 0
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events written, {} lost, {} out of order, {} came again",
            self.written, self.lost, self.out_of_order, self.again
        )?;
        match &self.handovers {
            None => write!(
                f,
                ", {} of them after an ack that was confirmed, as {} were",
                self.after_confirmed, self.confirmed
            ),
            Some(handovers) => write!(
                f,
                "; {} handovers, {} batches from an owner after the next one's first, {} from one that was \
                 told that it was none",
                handovers.times, handovers.after_first, handovers.unowned
            ),
        }
    }
}
