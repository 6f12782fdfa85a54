//! `kill -9` of one of three members, again and again.

use crate::{Outcome, Setting, Stage, group::Group};
use std::time::Duration;

const COMMITS: Duration = Duration::from_millis(200);

pub(crate) async fn run<S: Stage>(times: u32, setting: Setting) -> Outcome {
    print!("kill: ");
    let limit = setting.lease * 2;
    let mut group = Group::<S>::begin(3, setting, COMMITS).await?;
    let (mut slowest, mut late) = (Duration::ZERO, 0);
    for round in 1..=times {
        group.listen(500..2_500).await?;
        let victim = group.any_member()?;
        let before = group.book.again();
        let orphans = group.kill(victim).await?;
        let took = group.taken_over().await?;
        slowest = slowest.max(took);
        late += u32::from(took > limit);
        group.join()?;
        group.shared().await?;
        println!(
            "kill {round}: {orphans} {} taken over after {:.2} s; {} events came again",
            S::PARTS,
            took.as_secs_f64(),
            group.book.again() - before
        );
    }
    let sum = group.finish().await?;
    println!(
        "kill: {times} kills, {sum}; taken over within {:.2} s at most (2 x lease: {:.2} s), {late} late",
        slowest.as_secs_f64(),
        limit.as_secs_f64(),
    );
    match sum.holds() && late == 0 {
        true => Ok(()),
        false => Err("events were lost or out of order, or partitions were taken over late".into()),
    }
}
