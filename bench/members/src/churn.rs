//! `kill -9` of one of three members that share a topic, again and again, and another one that joins: with nobody who owns
//! anything, what counts is that nothing is lost, and what comes again.

use crate::{Outcome, Setting, Stage, group::Group};
use std::time::Duration;

const COMMITS: Duration = Duration::from_millis(200);

pub(crate) async fn run<S: Stage>(times: u32, setting: Setting) -> Outcome {
    print!("kill: ");
    let mut group = Group::<S>::begin(3, setting, COMMITS).await?;
    for round in 1..=times {
        group.listen(500..1_500).await?;
        let victim = group.any_member()?;
        let before = group.book.again();
        group.kill(victim).await?;
        group.join()?;
        group.shared().await?;
        println!(
            "kill {round}: another one has joined; {} events came again",
            group.book.again() - before
        );
    }
    let (sum, struck) = group.finish_struck().await?;
    let struck = struck.map_or_else(String::new, |struck| format!("; {struck}"));
    println!("kill: {times} kills, {sum}{struck}");
    match sum.holds() && (sum.after_confirmed == 0 || !S::CONFIRMS) && sum.confirmed > 0 {
        true => Ok(()),
        false => Err("events were lost, out of order, or came after a confirmed ack".into()),
    }
}
