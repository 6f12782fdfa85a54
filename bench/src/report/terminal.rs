//! The report as aligned text, at most 100 columns wide.

use std::fmt::Write;

use crate::report::Report;
use crate::report::tables::{
    Cell, Row, Table, Tone, headline, identity, tables, unequal_limits, zero_bounds,
};

const WIDTH: usize = 100;
const GAP: usize = 2;

/// Draws it. Details that need more room are in the other forms.
pub fn terminal(report: &Report, color: bool) -> String {
    let mut out = String::new();
    wrap(
        &mut out,
        &format!("{}: {}", report.workload.name, headline(report)),
        GAP,
    );
    let source = &report.workload.tweets.source;
    wrap(
        &mut out,
        &format!("{source}, seed {}", report.run.seed),
        GAP,
    );
    for table in tables(report) {
        let _ = writeln!(out);
        draw(&mut out, &table, color);
    }
    let _ = writeln!(out);
    let width = report
        .hubs
        .iter()
        .map(|hub| hub.name.chars().count())
        .max()
        .unwrap_or(0);
    for hub in &report.hubs {
        wrap(
            &mut out,
            &format!("{:width$}  {}", hub.name, identity(hub)),
            width + GAP,
        );
    }
    for line in zero_bounds(report).iter().chain(&unequal_limits(report)) {
        wrap(&mut out, line, 0);
    }
    out
}

fn draw(out: &mut String, table: &Table, color: bool) {
    let shown: Vec<usize> = (0..table.columns.len())
        .filter(|&i| !table.columns[i].detail)
        .collect();
    let width = |i: usize| {
        let cells = table.rows.iter().map(|row| match row {
            Row::Cells(cells) => length(&cells[i].text),
            Row::Missing(name, _) | Row::Note(name, _) if i == 0 => length(name),
            Row::Missing(..) | Row::Note(..) => 0,
        });
        cells.max().unwrap_or(0).max(length(if i == 0 {
            table.title
        } else {
            table.columns[i].name
        }))
    };
    let mut widths: Vec<usize> = shown.iter().map(|&i| width(i)).collect();
    // Long names of hubs give way, numbers don't.
    let total: usize = widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
    widths[0] = widths[0]
        .saturating_sub(total.saturating_sub(WIDTH))
        .max(length(table.title));

    let mut line = String::new();
    for (&i, &width) in shown.iter().zip(&widths) {
        let column = &table.columns[i];
        let name = if i == 0 { table.title } else { column.name };
        pad(&mut line, name, width, column.right);
    }
    let _ = writeln!(out, "{}", paint(line.trim_end(), "1", color));
    for row in &table.rows {
        let mut line = String::new();
        match row {
            Row::Cells(cells) => {
                for (&i, &width) in shown.iter().zip(&widths) {
                    let Cell { text, tone } = &cells[i];
                    let mut padded = String::new();
                    pad(&mut padded, text, width, table.columns[i].right);
                    match tone {
                        Tone::Good if text == "pass" => line.push_str(&paint(&padded, "32", color)),
                        Tone::Bad => line.push_str(&paint(&padded, "1;31", color)),
                        _ => line.push_str(&padded),
                    }
                }
                let _ = writeln!(out, "{}", line.trim_end());
            }
            // The whole reason stands once, below the tables.
            Row::Missing(name, reason) => {
                pad(&mut line, name, widths[0], false);
                let room = WIDTH - widths[0] - GAP;
                pad(&mut line, reason, length(reason).min(room), false);
                let _ = writeln!(out, "{}", line.trim_end());
            }
            Row::Note(name, reason) => {
                pad(&mut line, name, widths[0], false);
                line.push_str(reason);
                wrap(out, &line, widths[0] + GAP);
            }
        }
    }
    for foot in &table.feet {
        wrap(out, foot, GAP);
    }
}

fn pad(line: &mut String, text: &str, width: usize, right: bool) {
    let text: String = if length(text) > width {
        text.chars()
            .take(width.saturating_sub(1))
            .chain(['…'])
            .collect()
    } else {
        text.to_owned()
    };
    let _ = if right {
        write!(line, "{text:>width$}")
    } else {
        write!(line, "{text:<width$}")
    };
    line.push_str(&" ".repeat(GAP));
}

/// Breaks at spaces, later lines indented.
fn wrap(out: &mut String, text: &str, indent: usize) {
    let lead = text.len() - text.trim_start().len();
    let mut line = " ".repeat(lead);
    for word in text[lead..].split(' ') {
        if length(&line) + 1 + length(word) > WIDTH && length(&line) > indent {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(indent);
        } else if length(&line) > lead {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

fn paint(text: &str, code: &str, color: bool) -> String {
    if color {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn fits_and_reads() {
        let text = terminal(&sample(), false);
        assert!(text.lines().all(|line| length(line) <= WIDTH), "{text}");
        assert!(!text.contains('\x1b'));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn long_names_give_way() {
        let mut report = sample();
        report.hubs[0].name =
            "a-hub-with-a-very-long-name-that-nobody-would-give-to-anything".into();
        let text = terminal(&report, false);
        assert!(text.lines().all(|line| length(line) <= WIDTH), "{text}");
        assert!(text.contains('…'));
    }

    #[test]
    fn a_failed_verdict_is_red_where_colours_are_wanted() {
        assert!(terminal(&sample(), true).contains("\x1b[1;31mFAIL"));
    }
}
