//! Two members, of which one leaves and another one joins, in turn.

use crate::{Outcome, Setting, Stage, group::Group};
use std::time::{Duration, Instant};

const COMMITS: Duration = Duration::from_millis(200);

/// For how long two may both take a partition for their own.
const OVERLAP: Duration = Duration::from_secs(1);

pub(crate) async fn run<S: Stage>(times: u32, setting: Setting) -> Outcome {
    print!("rebalance: ");
    let mut group = Group::<S>::begin(2, setting, COMMITS).await?;
    let mut slowest = Duration::ZERO;
    for round in 1..=times {
        group.listen(200..1_000).await?;
        let before = group.book.again();
        let began = Instant::now();
        let what = if group.members().len() == 2 {
            let leaver = group.any_member()?;
            group.leave(leaver).await?;
            "left"
        } else {
            group.join()?;
            "joined"
        };
        group.shared().await?;
        let took = began.elapsed();
        slowest = slowest.max(took);
        println!(
            "rebalance {round}: one {what}, all {} are delivered after {:.2} s; {} events came again",
            S::PARTS,
            took.as_secs_f64(),
            group.book.again() - before
        );
    }
    let sum = group.finish().await?;
    let overlap = sum.handovers.map_or(Duration::ZERO, |told| told.overlap);
    println!(
        "rebalance: {times} times, {sum}; overlap of owners {:.1} ms at most; the slowest took {:.2} s",
        overlap.as_secs_f64() * 1e3,
        slowest.as_secs_f64(),
    );
    match sum.holds() && overlap <= OVERLAP {
        true => Ok(()),
        false => Err("events were lost or out of order, or owners overlapped".into()),
    }
}
