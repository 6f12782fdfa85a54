//! Parents before children (C11).

use super::*;

fn children(bench: &Bench) -> Vec<(String, bool)> {
    let leases = bench.leases().into_iter();
    leases
        .filter(|lease| lease.partition.starts_with('c'))
        .map(|lease| (lease.partition.to_string(), lease.owner.is_some()))
        .collect()
}

#[test]
fn the_children_of_a_split_wait_for_its_end() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    let halves = ["c1", "c2"].map(|child| NewPartition::new(child).parents(["p"]));
    // Known early, by a listing of the hub.
    bench.members[one].add(halves.clone(), 1_000);
    bench.pass(LEASE);
    assert_eq!(
        children(&bench),
        [("c1".into(), false), ("c2".into(), false)]
    );
    bench.members[one].checkpoint(&grant, "99").unwrap();
    bench.members[one].finish(&grant, halves, 1_000).unwrap();
    assert!(!bench.may_deliver(one, &grant));
    bench.settle();
    assert_eq!(children(&bench), [("c1".into(), true), ("c2".into(), true)]);
    let row = bench.row("p");
    assert!(row.checkpoint.finished && row.owner.is_none());
    assert_eq!(row.checkpoint.position.as_deref(), Some("99"));
    bench.pass(3 * LEASE);
    assert!(
        bench.row("p").owner.is_none(),
        "what is finished is not taken again"
    );
}

#[test]
fn the_child_of_a_merge_waits_for_both() {
    let mut bench = Bench::new();
    let one = bench.join(&["p1", "p2"]);
    let grants = bench.grants(one);
    let child = || [NewPartition::new("c").parents(["p1", "p2"])];
    bench.members[one]
        .finish(&grants[0], child(), 1_000)
        .unwrap();
    bench.pass(2 * LEASE);
    assert_eq!(children(&bench), [("c".into(), false)]);
    bench.members[one]
        .finish(&grants[1], child(), 1_000)
        .unwrap();
    bench.settle();
    assert_eq!(children(&bench), [("c".into(), true)]);
}

#[test]
fn a_parent_without_a_row_holds_back_until_it_has_one_or_is_struck_out() {
    let mut bench = Bench::new();
    let one = bench.join(&[]);
    let child = NewPartition::new("c").parents(["old", "older"]);
    bench.members[one].add([child], 1_000);
    bench.pass(2 * LEASE);
    assert_eq!(children(&bench), [("c".into(), false)]);
    // A member that knows less does not add parents.
    bench.members[one].add([NewPartition::new("c").parents(["old", "new"])], 1_000);
    bench.pass(LEASE);
    assert_eq!(bench.row("c").parents, ["old".into()]);
    // Trimmed away: whoever lists the hub's partitions says so.
    bench.members[one].add([NewPartition::new("c")], 1_000);
    bench.pass(LEASE);
    assert_eq!(children(&bench), [("c".into(), true)]);
}

#[test]
fn a_partition_is_finished_only_when_its_children_are_known() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    bench.held.push(one);
    let child = NewPartition::new("c").parents(["p"]);
    let ticket = bench.members[one].finish(&grant, [child], 1_000).unwrap();
    bench.settle();
    // The child can't be made for now, so the parent stays open, and owned.
    for _ in 0..3 {
        bench.lose(one, false);
        bench.pass(2 * SECOND);
    }
    assert!(!bench.row("p").checkpoint.finished);
    assert_eq!(bench.events(one), []);
    bench.held.clear();
    bench.lose(one, false);
    bench.pass(3 * SECOND);
    assert!(bench.row("p").checkpoint.finished);
    let settled = Event::Settled {
        partition: "p".into(),
        ticket,
        durable: true,
    };
    assert_eq!(bench.events(one)[0], settled);
}

#[test]
fn a_child_begins_where_it_was_told_to() {
    let mut bench = Bench::new();
    let one = bench.join(&[]);
    bench.members[one].add([NewPartition::new("c").position("42")], 1_000);
    bench.settle();
    let grant = bench.grants(one).remove(0);
    assert_eq!(grant.checkpoint.position.as_deref(), Some("42"));
}

#[test]
fn a_parent_that_anyone_called_gone_is_gone() {
    let mut bench = Bench::new();
    bench.held.push(0);
    let one = bench.join(&[]);
    let child = |parents: &[&str]| NewPartition::new("c").parents(parents.iter().copied());
    bench.members[one].add([child(&["old"])], 1_000);
    bench.members[one].add([child(&["old", "older"])], 1_000);
    bench.held.clear();
    bench.lose(one, false);
    bench.pass(LEASE / 3);
    assert_eq!(bench.row("c").parents, ["old".into()]);
}
