//! Seeks that the store does not answer: nobody has a grant for what they move to.

use super::*;

const DEADLINE: Duration = Duration::from_secs(3);

async fn owner(store: &Arc<dyn LeaseStore>) -> (App, Grant) {
    let mut one = App::join(store, options().deadline(DEADLINE), shards(1)).await;
    one.until_it_has(1).await;
    let grant = one.grants.pop_first().unwrap().1;
    (one, grant)
}

/// It is granted anew, at the place that was sought.
async fn comes_again(one: &mut App, before: &Grant) {
    let again = timeout(10 * DEADLINE, one.until_it_has(1)).await;
    assert!(again.is_ok(), "it is not given up");
    let again = &one.grants["shard-0"];
    assert_eq!(again.takes, before.takes + 1);
    assert_eq!(again.checkpoint, Checkpoint::new(1, Some("4".into())));
    assert!(one.leases.may_deliver(again));
    one.leases.checkpoint(again, "5").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_answered_in_time_gives_the_partition_up() {
    for mood in [Mood::Busy, Mood::Mute] {
        let odd = Odd::new(Mood::Well);
        let store: Arc<dyn LeaseStore> = odd.clone();
        let (mut one, grant) = owner(&store).await;
        odd.turn(mood);
        let late = one.leases.seek(&grant, Some("4".into())).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Timeout);
        assert!(late.is_indeterminate());
        odd.turn(Mood::Well);
        comes_again(&mut one, &grant).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_gives_the_partition_up() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new());
    let (mut one, grant) = owner(&store).await;
    let seek = one.leases.seek(&grant, Some("4".into()));
    assert!(timeout(Duration::ZERO, seek).await.is_err());
    comes_again(&mut one, &grant).await;
}
