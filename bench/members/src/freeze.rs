//! A member that is stopped for longer than its lease, as by a suspended machine, and goes on: what it
//! acknowledges and commits then changes nothing.
//!
//! When it wakes, it has acknowledged some events and not committed them, and holds others that were
//! delivered. All others hold what they have from then on, so that the checkpoints stand still unless it
//! moves them: in every other round behind the late one's place, where it would make them jump, else
//! before it, where they would go back.

use crate::{
    Outcome, Setting, Stage,
    book::Book,
    clock::now,
    group::Group,
    member::{COMMIT, GO_ON, HOLD, LATE},
};
use std::{fmt, time::Duration};

/// Nothing is committed but what is asked for, or handed over.
const COMMITS: Duration = Duration::from_secs(3_600);

/// What a member that is late was answered: `late HELD VALID COMMIT VALID`.
struct Late {
    held: u64,
    /// How many acknowledgements were still taken, which is no promise.
    valid: u64,
    is_fenced: bool,
    /// How many were after its commit.
    valid_still: u64,
}

/// What became of one that was stopped.
struct Frozen {
    partitions: usize,
    taken_over: Duration,
    /// Links of readers that the service took away meanwhile, where it takes any.
    stolen: Option<u64>,
    late: Late,
    /// Checkpoints that are not what they were before it woke.
    moved: usize,
}

pub(crate) async fn run<S: Stage>(times: u32, setting: Setting) -> Outcome {
    print!("freeze: ");
    let limit = setting.lease * 2;
    let mut group = Group::<S>::begin(3, setting, COMMITS).await?;
    let (mut slowest, mut late, mut fenced, mut taken) = (Duration::ZERO, 0, 0, 0);
    let (mut moved, mut unstolen) = (0, group.server.stolen().map(|_| 0));
    for round in 1..=times {
        group.listen(200..1_000).await?;
        let frozen = freeze(&mut group, round % 2 == 1).await?;
        slowest = slowest.max(frozen.taken_over);
        late += u32::from(frozen.taken_over > limit);
        fenced += u32::from(frozen.late.is_fenced);
        taken += u32::from(frozen.late.changes_something());
        moved += frozen.moved;
        unstolen = unstolen
            .zip(frozen.unstolen())
            .map(|(sum, more)| sum + more);
        println!(
            "freeze {round}: {} {}, {frozen}",
            frozen.partitions,
            S::PARTS
        );
    }
    let sum = group.finish().await?;
    println!(
        "freeze: {times} times, {fenced} commits Fenced, {taken} late acks counted, {moved} checkpoints \
         moved{}; {sum}; taken over within {:.2} s at most (2 x lease: {:.2} s), {late} \
         late",
        unstolen.map_or_else(String::new, |links| format!(
            ", {links} links not taken away"
        )),
        slowest.as_secs_f64(),
        limit.as_secs_f64(),
    );
    let changes_nothing =
        taken == 0 && moved == 0 && unstolen.unwrap_or(0) == 0 && (fenced > 0 || times == 0);
    match sum.holds() && late == 0 && changes_nothing {
        true => Ok(()),
        false => Err("what was late was not refused, or events were lost or out of order".into()),
    }
}

/// Stops a member until others have taken over, and sees what its late acks do. `is_ahead`: they are past
/// what the others have finished.
async fn freeze<S: Stage>(group: &mut Group<S>, is_ahead: bool) -> Outcome<Frozen> {
    let victim = group.any_member()?;
    let all = group.members();
    let others: Vec<_> = all.iter().copied().filter(|it| *it != victim).collect();
    group.ask(&all, COMMIT).await?;
    // Of each partition it acknowledges some, and then holds some.
    delivered(group, victim).await?;
    group.ask(&[victim], HOLD).await?;
    if is_ahead {
        hold(group, &others).await?;
    }
    delivered(group, victim).await?;
    group.listen(300..1_000).await?;
    let stolen = group.server.stolen();
    group.member(victim)?.freeze()?;
    let partitions = group.book.abandoned(victim, now());
    let taken_over = group.taken_over().await?;
    if !is_ahead {
        hold(group, &others).await?;
    }
    let stolen = stolen.zip(group.server.stolen());
    let before = group.committed().await?;
    group.member(victim)?.thaw()?;
    let answers = group.ask(&[victim], LATE).await?;
    let late = answers.first().and_then(|answer| Late::parse(answer));
    let late = late.ok_or_else(|| format!("the late member answered {answers:?}"))?;
    let after = group.committed().await?;
    group.ask(&all, GO_ON).await?;
    group.shared().await?;
    let moved = before
        .iter()
        .filter(|&(part, at)| after.get(part) != Some(at));
    Ok(Frozen {
        partitions,
        taken_over,
        stolen: stolen.map(|(before, after)| after - before),
        late,
        moved: moved.count(),
    })
}

/// Waits until a member has delivered once more from all of its partitions.
async fn delivered<S: Stage>(group: &mut Group<S>, member: usize) -> Outcome {
    let since = now();
    let what = "more of each partition";
    let enough = |book: &Book| book.has_delivered(member, since);
    group.until(what, enough).await
}

/// Nothing that they have is committed from now on, and nothing waits to be.
async fn hold<S: Stage>(group: &mut Group<S>, members: &[usize]) -> Outcome {
    group.ask(members, HOLD).await?;
    group.ask(members, COMMIT).await?;
    Ok(())
}

impl Frozen {
    /// Links that the service has left to it: with one of these it would have the events still.
    fn unstolen(&self) -> Option<u64> {
        let partitions = self.partitions as u64;
        Some(partitions.saturating_sub(self.stolen?))
    }
}

impl fmt::Display for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "taken over after {:.2} s", self.taken_over.as_secs_f64())?;
        if let Some(stolen) = self.stolen {
            write!(f, " with {stolen} links")?;
        }
        let Late {
            held,
            valid,
            is_fenced,
            valid_still,
        } = self.late;
        let outcome = if is_fenced { "Fenced" } else { "Ok" };
        write!(
            f,
            "; {held} events held: {valid} acks taken, the commit {outcome}, then {valid_still} acks taken; \
             {} checkpoints moved",
            self.moved
        )
    }
}

impl Late {
    /// Late acks are stale already, or their commit is refused and then they are.
    fn changes_something(&self) -> bool {
        self.valid > 0 && !self.is_fenced || self.valid_still > 0
    }

    fn parse(answer: &str) -> Option<Self> {
        let mut words = answer.split(' ');
        (words.next()? == LATE).then_some(())?;
        let (held, valid) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let is_fenced = match words.next()? {
            "Ok" => false,
            "Fenced" => true,
            _ => return None,
        };
        Some(Self {
            held,
            valid,
            is_fenced,
            valid_still: words.next()?.parse().ok()?,
        })
    }
}
