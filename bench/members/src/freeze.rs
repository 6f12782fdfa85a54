//! A member that is stopped for longer than its lease, as by a suspended machine, and goes on: what it
//! acknowledges and commits then changes nothing.
//!
//! When it wakes, it has acknowledged some events and not committed them, and holds others that were
//! delivered. All others hold what they have from then on, so that the checkpoints stand still unless it
//! moves them: in every other round behind the late one's place, where it would make them jump, else
//! before it, where they would go back.

use crate::{
    Outcome, Setting, Stage,
    clock::now,
    group::Group,
    member::{COMMIT, GO_ON, HOLD, LATE},
};
use std::time::Duration;

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

pub(crate) async fn run<S: Stage>(times: u32, setting: Setting) -> Outcome {
    print!("freeze: ");
    let limit = setting.lease * 2;
    let mut group = Group::<S>::begin(3, setting, COMMITS).await?;
    let (mut slowest, mut late, mut moved, mut taken, mut fenced) = (Duration::ZERO, 0, 0, 0, 0);
    let mut unstolen = 0;
    for round in 1..=times {
        group.listen(200..1_000).await?;
        let victim = group.any_member()?;
        let all = group.members();
        let others: Vec<_> = all.iter().copied().filter(|it| *it != victim).collect();
        group.ask(&all, COMMIT).await?;
        delivered(&mut group, victim).await?;
        let is_ahead = round % 2 == 1;
        group.ask(&[victim], HOLD).await?;
        if is_ahead {
            hold(&mut group, &others).await?;
        }
        delivered(&mut group, victim).await?;
        let stolen = group.server.stolen();
        group.member(victim)?.freeze()?;
        let orphans = group.book.abandoned(victim, now());
        let took = group.taken_over().await?;
        slowest = slowest.max(took);
        late += u32::from(took > limit);
        if !is_ahead {
            hold(&mut group, &others).await?;
        }
        // Of a link that is not taken away, its reader would have the events still.
        let stolen = group
            .server
            .stolen()
            .zip(stolen)
            .map(|(now, then)| now - then);
        unstolen += stolen.map_or(0, |stolen| (orphans as u64).saturating_sub(stolen));
        let before = group.committed().await?;
        group.member(victim)?.thaw()?;
        let answers = group.ask(&[victim], LATE).await?;
        let told = answers.first().and_then(|answer| Late::parse(answer));
        let told = told.ok_or_else(|| format!("the late member answered {answers:?}"))?;
        let after = group.committed().await?;
        moved += before
            .iter()
            .filter(|(part, at)| after.get(part) != Some(at))
            .count();
        // Either they are stale already, or their commit is refused.
        taken += u32::from(told.valid > 0 && !told.is_fenced || told.valid_still > 0);
        fenced += u32::from(told.is_fenced);
        println!(
            "freeze {round}: {orphans} {} taken over after {:.2} s, {}of {} events held, {} acks were taken, \
             the commit was {}, {} acks were taken then",
            S::PARTS,
            took.as_secs_f64(),
            stolen.map_or_else(String::new, |links| format!("{links} links with them; ")),
            told.held,
            told.valid,
            if told.is_fenced { "Fenced" } else { "Ok" },
            told.valid_still,
        );
        group.ask(&all, GO_ON).await?;
        group.shared().await?;
    }
    let sum = group.finish().await?;
    println!(
        "freeze: {times} times, {fenced} commits Fenced, {taken} late acks counted, {moved} checkpoints moved, \
         {unstolen} links not taken away; {sum}; taken over within {:.2} s at most (2 x lease: {:.2} s), {late} \
         late",
        slowest.as_secs_f64(),
        limit.as_secs_f64(),
    );
    let changes_nothing = taken == 0 && moved == 0 && unstolen == 0 && (fenced > 0 || times == 0);
    match sum.holds() && late == 0 && changes_nothing {
        true => Ok(()),
        false => Err("what was late was not refused, or events were lost or out of order".into()),
    }
}

/// Waits until a member has delivered once more from all of its partitions.
async fn delivered<S: Stage>(group: &mut Group<S>, member: usize) -> Outcome {
    let since = now();
    let what = "more of each partition";
    group
        .until(what, |book| book.has_delivered(member, since))
        .await
}

/// Nothing that they have is committed from now on, and nothing waits to be.
async fn hold<S: Stage>(group: &mut Group<S>, members: &[usize]) -> Outcome {
    group.ask(members, HOLD).await?;
    group.ask(members, COMMIT).await?;
    Ok(())
}

impl Late {
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
