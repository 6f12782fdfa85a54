//! The report as Markdown, for a pull request or a wiki.

use std::fmt::Write;

use crate::report::Report;
use crate::report::tables::{Row, Table, headline, identity, tables, unequal_limits, zero_bounds};
use crate::units::{bytes, count};

/// Draws it.
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    let (run, workload) = (&report.run, &report.workload);
    let _ = writeln!(
        out,
        "# anyhub-bench: {}\n\n{}\n",
        escape(&workload.name),
        escape(&headline(report))
    );
    for table in tables(report) {
        draw(&mut out, &table);
    }
    for line in zero_bounds(report).iter().chain(&unequal_limits(report)) {
        let _ = writeln!(out, "{}\n", escape(line));
    }
    let _ = writeln!(out, "## What it ran on\n");
    for hub in &report.hubs {
        let _ = writeln!(
            out,
            "- **{}**: {}",
            escape(&hub.name),
            escape(&identity(hub))
        );
    }
    let host = &run.host;
    let facts = [
        (
            "host",
            format!(
                "{}, {}, {} cores, {}",
                host.os,
                host.cpu,
                host.cores,
                bytes(host.memory_bytes)
            ),
        ),
        (
            "tweets",
            format!(
                "{}, {} texts, sha256 {}",
                workload.tweets.source,
                count(workload.tweets.count),
                workload.tweets.sha256
            ),
        ),
        ("seed", run.seed.to_string()),
        (
            "version",
            format!(
                "anyhub-bench {}, git {}",
                run.version,
                run.git.as_deref().unwrap_or("unknown")
            ),
        ),
        (
            "started",
            format!("{}, took {:.1} s", run.started_at, run.seconds),
        ),
        ("command", format!("`{}`", run.command.replace('`', "'"))),
    ];
    for (name, value) in facts {
        let value = if name == "command" {
            value
        } else {
            escape(&value)
        };
        let _ = writeln!(out, "- {name}: {value}");
    }
    out
}

fn draw(out: &mut String, table: &Table) {
    let _ = writeln!(out, "## {}\n\n{}\n", table.title, escape(&table.note));
    let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let _ = writeln!(out, "| {} |", names.join(" | "));
    let rules: Vec<_> = table
        .columns
        .iter()
        .map(|column| if column.right { "--:" } else { "---" })
        .collect();
    let _ = writeln!(out, "|{}|", rules.join("|"));
    for row in &table.rows {
        let cells: Vec<String> = match row {
            Row::Cells(cells) => cells.iter().map(|cell| escape(&cell.text)).collect(),
            Row::Missing(name, reason) | Row::Note(name, reason) => {
                // Rows of fewer cells are filled up by every renderer, but not by every reader's eye.
                let rest = table.columns.len().saturating_sub(2);
                [escape(name), escape(reason)]
                    .into_iter()
                    .chain(std::iter::repeat_n(String::new(), rest))
                    .collect()
            }
        };
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    let _ = writeln!(out);
    for foot in &table.feet {
        let _ = writeln!(out, "{}\n", escape(foot));
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '<' | '[' | '\\' => out.extend(['\\', c]),
            '\n' | '\r' => out.push(' '),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn every_row_has_every_column() {
        let text = markdown(&sample());
        for block in text.split("\n\n").filter(|block| block.starts_with('|')) {
            let pipes = |line: &str| line.replace("\\|", "").matches('|').count();
            let expected = block.lines().next().map_or(0, pipes);
            assert!(block.lines().all(|line| pipes(line) == expected), "{block}");
        }
        insta::assert_snapshot!(text);
    }
}
