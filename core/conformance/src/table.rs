//! The clauses, what tries them, what breaks them, and how it came out.

use crate::{
    mutants::mutants,
    results::{Ended, Record},
    trials,
};
use std::{collections::BTreeMap, fmt::Write};

/// The clauses of CONTRACT.md, in order, each in a few words.
pub const CLAUSES: &[(&str, &str)] = &[
    (
        "E1",
        "Keys come back as they were; what can't be carried is Invalid",
    ),
    ("E2", "Payloads too, empty or null"),
    ("E3", "Headers too, in order"),
    (
        "E4",
        "Publish times and seeks to a time follow the hub's clock",
    ),
    ("E5", "One byte above the topic's limits is TooLarge"),
    (
        "P1",
        "A batch is admitted whole or not at all, in fair order",
    ),
    ("P2", "Every event has a true outcome, in time"),
    ("P3", "A key keeps its submit order"),
    ("P4", "Receipts equal what the consumer sees"),
    ("P5", "Close under load resolves everything"),
    (
        "C1",
        "Receive is never empty, tells changes first, and can be dropped",
    ),
    (
        "C2",
        "Partitions are kept without polling, up to max_processing",
    ),
    (
        "C3",
        "Acks are local marks, durable by commit, close, revoke or interval",
    ),
    (
        "C4",
        "A group resumes at the lowest unacked event; windows are bounded",
    ),
    ("C5", "A nack rewinds its key"),
    ("C6", "Key order, and replays"),
    (
        "C7",
        "Start counts where nothing is committed; End is made concrete",
    ),
    ("C8", "Seek stales tokens and is durable"),
    ("C9", "Checkpoints never go back without a seek"),
    ("C10", "One owner at a time, and nothing lost between two"),
    (
        "C11",
        "Children of a resharded partition wait for their parents",
    ),
    (
        "C12",
        "A private reader reads everything and commits nothing",
    ),
    ("C13", "A resize says whether key order holds"),
    ("C14", "Overtaken by retention is told once"),
];

/// The rows of the table of delivery checks that need no fault proxy, each in a few words.
pub const ROWS: &[(u8, &str)] = &[
    (1, "Lost"),
    (2, "Where it was lost"),
    (3, "Indeterminate"),
    (4, "Phantom"),
    (5, "Corrupt"),
    (6, "Duplicate in the log"),
    (7, "Redelivery"),
    (8, "Key order"),
    (9, "Replay shape"),
    (10, "Gap"),
    (11, "Position"),
    (12, "Ack safety"),
    (13, "Checkpoint regression"),
    (14, "Zombie"),
    (15, "Two owners"),
    (16, "Lineage"),
    (17, "Stall"),
    (19, "Cancel-safety"),
    (20, "Close"),
    (21, "Backpressure"),
    (22, "Refusals"),
];

/// Every clause and every row with its trials and its mutants, as Markdown: what CLAUSES.md holds.
pub fn of_clauses() -> String {
    let mut out = String::from(
        "# What tries each clause, and what breaks it\n\n\
         Written by the crate's tests (`ANYHUB_WRITE_CLAUSES=1 cargo test -p anyhub-conformance \
         table`), which fail while a cell is empty, a clause is missing or this page is out of \
         date. Each mutant is caught by the trial that it names, for each of its seeds; the hub \
         without it passes the same.\n\n\
         | Clause | Trials | Mutants |\n|---|---|---|\n",
    );
    for (clause, says) in CLAUSES {
        row(
            &mut out,
            &format!("**{clause}** {says}"),
            &trials_of(clause),
            &mutants_of(clause),
        );
    }
    out.push_str(
        "\nThe delivery checks that need no fault proxy (the partial batch, row 18, needs one):\n\n\
         | Row | Trials | Mutants |\n|---|---|---|\n",
    );
    for (nth, says) in ROWS {
        row(
            &mut out,
            &format!("**{nth}** {says}"),
            &trials_of_row(*nth),
            &mutants_of_row(*nth),
        );
    }
    let _ = writeln!(
        out,
        "\nRow 23, the negative controls, are the {} mutants themselves; each trial has one or more.",
        mutants().len()
    );
    out
}

fn row(out: &mut String, title: &str, trials: &[&str], mutants: &[&str]) {
    let cell = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let _ = writeln!(out, "| {title} | {} | {} |", cell(trials), cell(mutants));
}

/// The trials of a clause.
pub fn trials_of(clause: &str) -> Vec<&'static str> {
    let all = trials();
    all.iter()
        .filter(|trial| trial.clause() == clause)
        .map(|trial| trial.name())
        .collect()
}

/// The mutants that break a clause: those that one of its trials catches.
pub fn mutants_of(clause: &str) -> Vec<&'static str> {
    let of = |trial: &str| trial.split('_').next() == Some(clause);
    mutants()
        .iter()
        .filter(|mutant| of(mutant.caught_by()))
        .map(|mutant| mutant.name())
        .collect()
}

/// The trials of a row of the delivery checks.
pub fn trials_of_row(row: u8) -> Vec<&'static str> {
    let all = trials();
    let of_row = all.iter().filter(|trial| trial.rows().contains(&row));
    of_row.map(|trial| trial.name()).collect()
}

/// The mutants of a row of the delivery checks.
pub fn mutants_of_row(row: u8) -> Vec<&'static str> {
    let all = mutants();
    let of_row = all.iter().filter(|mutant| mutant.rows().contains(&row));
    of_row.map(|mutant| mutant.name()).collect()
}

/// Clause by hub by result, as Markdown.
pub fn of_results(records: &[Record]) -> String {
    let mut hubs: Vec<(&str, &str)> = Vec::new();
    // The last result of a trial on a hub counts.
    let mut results: BTreeMap<(&str, &str, &str), Ended> = BTreeMap::new();
    for record in records {
        let hub = (record.hub.as_str(), record.runs_on.as_str());
        if !hubs.contains(&hub) {
            hubs.push(hub);
        }
        results.insert((&record.clause, hub.0, &record.trial), record.result);
    }
    let mut out = String::from("| Clause |");
    for (hub, runs_on) in &hubs {
        let on = if hub == runs_on {
            String::new()
        } else {
            format!(" ({runs_on})")
        };
        let _ = write!(out, " {hub}{on} |");
    }
    let _ = writeln!(out, "\n|---|{}", "---|".repeat(hubs.len()));
    let extra = [
        ("Admin", "Topics, groups, lag"),
        ("Checks", "Delivery verified, refusals"),
    ];
    for (clause, says) in CLAUSES.iter().chain(&extra) {
        let _ = write!(out, "| **{clause}** {says} |");
        for (hub, _) in &hubs {
            let _ = write!(out, " {} |", cell(&results, clause, hub));
        }
        out.push('\n');
    }
    out
}

fn cell(results: &BTreeMap<(&str, &str, &str), Ended>, clause: &str, hub: &str) -> String {
    let of = results
        .iter()
        .filter(|((of, on, _), _)| *of == clause && *on == hub);
    let (mut passed, mut failed, mut excepted, mut undeclared) = (0, Vec::new(), 0, 0);
    for ((_, _, trial), ended) in of {
        match ended {
            Ended::Pass => passed += 1,
            Ended::Fail => failed.push(format!("`{trial}`")),
            Ended::Excepted => excepted += 1,
            Ended::NotDeclared => undeclared += 1,
        }
    }
    if !failed.is_empty() {
        return format!("**FAIL** {}", failed.join(" "));
    }
    match (passed, excepted, undeclared) {
        (0, 0, 0) => "not run".to_owned(),
        (0, 0, _) => "not declared".to_owned(),
        (passed, 0, _) => format!("pass ({passed})"),
        (0, excepted, _) => format!("{excepted} not served there"),
        (passed, excepted, _) => format!("pass ({passed}), {excepted} not served there"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{collections::HashSet, env, fs, path::Path};

    #[test]
    fn every_clause_has_a_trial_and_a_mutant() {
        for (clause, _) in CLAUSES {
            assert!(!trials_of(clause).is_empty(), "{clause} has no trial");
            assert!(!mutants_of(clause).is_empty(), "{clause} has no mutant");
        }
        for (row, _) in ROWS {
            assert!(!trials_of_row(*row).is_empty(), "row {row} has no trial");
            assert!(!mutants_of_row(*row).is_empty(), "row {row} has no mutant");
        }
    }

    #[test]
    fn every_trial_can_fail() {
        let caught: HashSet<_> = mutants().iter().map(|mutant| mutant.caught_by()).collect();
        for trial in trials() {
            assert!(
                caught.contains(trial.name()),
                "{} catches no mutant",
                trial.name()
            );
        }
    }

    #[test]
    fn every_name_is_there_once() {
        let trials: Vec<_> = trials().iter().map(|trial| trial.name()).collect();
        let names: HashSet<_> = trials.iter().collect();
        assert_eq!(names.len(), trials.len(), "a trial's name is used twice");
        for trial in crate::trials() {
            let known = CLAUSES.iter().any(|(clause, _)| *clause == trial.clause());
            assert!(
                known || ["Admin", "Checks"].contains(&trial.clause()),
                "{}",
                trial.name()
            );
            for row in trial.rows() {
                assert!(
                    ROWS.iter().any(|(nth, _)| nth == row),
                    "{} has row {row}",
                    trial.name()
                );
            }
        }
        let mut seen = HashSet::new();
        for mutant in mutants() {
            assert!(
                seen.insert(mutant.name()),
                "{} is there twice",
                mutant.name()
            );
            assert!(
                trials.contains(&mutant.caught_by()),
                "no trial {}",
                mutant.caught_by()
            );
            for row in mutant.rows() {
                assert!(
                    ROWS.iter().any(|(nth, _)| nth == row),
                    "{} has row {row}",
                    mutant.name()
                );
            }
        }
    }

    #[test]
    fn the_checked_in_table_is_this_one() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("CLAUSES.md");
        if env::var_os("ANYHUB_WRITE_CLAUSES").is_some() {
            fs::write(&file, of_clauses()).unwrap();
        }
        let checked_in = fs::read_to_string(&file).unwrap();
        assert!(
            checked_in == of_clauses(),
            "CLAUSES.md is out of date: ANYHUB_WRITE_CLAUSES=1 cargo test -p anyhub-conformance table"
        );
    }

    #[test]
    fn results_become_a_table() {
        let record = |hub: &str, clause: &str, trial: &str, result| Record {
            hub: hub.to_owned(),
            runs_on: "memory".to_owned(),
            clause: clause.to_owned(),
            trial: trial.to_owned(),
            result,
        };
        let table = of_results(&[
            record("memory", "C3", "C3_a", Ended::Pass),
            record("memory", "C3", "C3_b", Ended::NotDeclared),
            record("other", "C3", "C3_a", Ended::Pass),
            record("other", "C3", "C3_b", Ended::Fail),
            record("other", "E1", "E1_a", Ended::NotDeclared),
            record("other", "E2", "E2_a", Ended::Excepted),
            record("other", "E3", "E3_a", Ended::Excepted),
            record("other", "E3", "E3_b", Ended::Pass),
        ]);
        assert!(
            table.starts_with("| Clause | memory | other (memory) |\n|---|---|---|\n"),
            "{table}"
        );
        assert!(table.contains(" | pass (1) | **FAIL** `C3_b` |"), "{table}");
        assert!(table.contains(" | not run | not declared |"), "{table}");
        assert!(
            table.contains(" | not run | 1 not served there |"),
            "{table}"
        );
        assert!(
            table.contains(" | pass (1), 1 not served there |"),
            "{table}"
        );
    }
}
