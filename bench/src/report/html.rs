//! report.html: one file that needs nothing else, neither network nor scripts.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::charts::{
    Style, latency_over_time, percentiles, throughput_bars, throughput_over_time,
};
use crate::report::tables::{
    Row, Table, Tone, by_limits, headline, identity, reason, tables, unequal_limits, zero_bounds,
};
use crate::report::{Histogram, Hub, Latency, Measured, Phase, PhaseRun, Report, Status, Verdict};
use crate::units::{bytes, count, micros, short};

/// Draws it.
pub fn html(report: &Report) -> String {
    page(report).into_string()
}

fn page(report: &Report) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "anyhub-bench: " (report.workload.name) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                h1 { "anyhub-bench: " (report.workload.name) }
                p { (headline(report)) br; span .soft { (provenance(report)) } }
                div .cards { @for (style, hub) in styled(report) { (card(style, hub)) } }
                @if let Some(line) = unequal_limits(report) { p .warn { (line) } }
                @for (quota, hubs) in by_limits(report) { (pictures(report, quota, &hubs)) }
                @for table in tables(report) {
                    (section(&table))
                    @if table.title == "Delivery" {
                        @for line in zero_bounds(report) { p .soft { (line) } }
                    }
                }
                (runs(report))
                (facts(report))
            }
        }
    }
}

fn styled(report: &Report) -> impl Iterator<Item = (Style, &Hub)> {
    report
        .hubs
        .iter()
        .enumerate()
        .map(|(i, hub)| (Style(i), hub))
}

fn provenance(report: &Report) -> Markup {
    let (run, tweets) = (&report.run, &report.workload.tweets);
    let git = run
        .git
        .as_ref()
        .map_or(String::new(), |git| format!(" ({git})"));
    let facts = [
        tweets.source.clone(),
        format!("seed {}", run.seed),
        run.started_at.replace('T', " ").replace('Z', " UTC"),
        format!("anyhub-bench {}{git}", run.version),
        run.host.cpu.clone(),
    ];
    html! {
        @for (i, fact) in facts.iter().enumerate() {
            @if i > 0 { " · " }
            span .whole { (fact) }
        }
    }
}

fn card(style: Style, hub: &Hub) -> Markup {
    let badge = match (hub.status, hub.delivery.as_ref().map(|d| d.verdict)) {
        (Status::Ok, Some(Verdict::Pass)) => ("pass", "pass"),
        (Status::Ok, Some(Verdict::Fail)) => ("fail", "delivery fails"),
        (Status::Ok, None) => ("idle", "not judged"),
        (Status::Failed, _) => ("fail", "failed"),
        (Status::Skipped, _) => ("idle", "skipped"),
    };
    html! {
        div class=(format!("card {}", style.class())) {
            header {
                strong { (hub.name) }
                span .badge .idle title="what these numbers were measured on" { (hub.ran_on.as_str()) }
                span class=(format!("badge {}", badge.0)) { (badge.1) }
            }
            @if hub.latency.is_some() || hub.throughput.is_some() {
                dl {
                    @if let Some(latency) = &hub.latency {
                        dt { "e2e p50" } dd { (micros(latency.end_to_end_us.p50)) }
                        dt { "e2e p99" } dd { (micros(latency.end_to_end_us.p99)) }
                    }
                    @if let Some(throughput) = &hub.throughput {
                        dt { "published" } dd { (short(throughput.publish_events_per_s)) "/s" }
                        dt { "received" } dd { (short(throughput.receive_events_per_s)) "/s" }
                    }
                    @if let Some(d) = &hub.delivery {
                        dt { "lost" } dd { (count(d.lost)) " of " (count(d.acked)) }
                        dt { "out of order" } dd { (count(d.order_violations)) }
                    }
                }
            }
            @if hub.status != Status::Ok { p { (reason(hub)) } }
            @else if let Some(why) = &hub.why { p { (why) } }
            @else if let Some(d) = hub.delivery.as_ref().filter(|d| d.verdict == Verdict::Fail) { p { (d.why.join("; ")) } }
        }
    }
}

/// The pictures of hubs that may be compared: all kept the same quota.
fn pictures(report: &Report, quota: Option<&str>, hubs: &[&Hub]) -> Markup {
    let of_group: Vec<_> = styled(report)
        .filter(|(_, hub)| hubs.iter().any(|other| other.name == hub.name))
        .collect();
    let latency: Vec<_> = of_group
        .iter()
        .filter_map(|(s, hub)| Some((*s, *hub, hub.latency.as_ref()?)))
        .collect();
    let throughput: Vec<_> = of_group
        .iter()
        .filter_map(|(s, hub)| Some((*s, hub.name.as_str(), hub.throughput.as_ref()?)))
        .collect();
    html! {
        @if let Some(quota) = quota { h2 { "Under the quota: " (quota) } }
        @else if by_limits(report).len() > 1 { h2 { "Without a quota" } }
        @if !latency.is_empty() {
            h2 { "Latency at " (short(report.workload.rate_per_s)) " events/s" }
            (keys(&of_group))
            div .pair {
                (percentile_figure("End to end", "From the intended send time until the consumer has the event in hand.", &latency, |l| &l.end_to_end_us))
                (percentile_figure("Publish", "From the intended send time to the acknowledgement.", &latency, |l| &l.publish_us))
            }
            @let series: Vec<_> = latency.iter()
                .filter_map(|(s, hub, _)| Some((*s, hub.name.as_str(), shown_run(hub, Phase::Latency)?.series.as_slice())))
                .filter(|(_, _, points)| points.iter().filter(|p| p.p99_us.is_some()).count() > 1)
                .collect();
            @if !series.is_empty() {
                figure {
                    h3 { "End-to-end p99 over time" }
                    div .scroll .wide { (latency_over_time("End-to-end p99 over time", &series)) }
                    figcaption { "Logarithmic. Of the events received between two samples." }
                }
            }
        }
        @if !throughput.is_empty() {
            h2 { "Throughput" }
            figure {
                h3 { "Events per second" }
                div .scroll .wide { (throughput_bars("Events per second by hub", &throughput)) }
                figcaption { "Full tone received, light tone published; one linear scale." }
            }
            div .three {
                @for (style, hub) in &of_group {
                    @if let Some(run) = shown_run(hub, Phase::Throughput) { (throughput_figure(*style, hub, run)) }
                }
            }
        }
    }
}

fn keys(hubs: &[(Style, &Hub)]) -> Markup {
    html! {
        div .keys { @for (style, hub) in hubs { (style.legend(&format!("{} ({})", hub.name, hub.ran_on.as_str()))) } }
    }
}

fn percentile_figure(
    title: &str,
    note: &str,
    hubs: &[(Style, &Hub, &Latency)],
    of: fn(&Latency) -> &Histogram,
) -> Markup {
    let lines: Vec<_> = hubs
        .iter()
        .map(|(s, hub, l)| (*s, hub.name.as_str(), of(l)))
        .filter(|(_, _, h)| h.count > 0)
        .collect();
    html! {
        figure {
            h3 { (title) }
            @if lines.is_empty() { p { "No samples." } } @else { (percentiles(title, &lines)) }
            figcaption { (note) " Both axes logarithmic." }
        }
    }
}

fn throughput_figure(style: Style, hub: &Hub, run: &PhaseRun) -> Markup {
    let title = format!("{} over time", hub.name);
    let peak = run.series.iter().map(|p| p.backlog).max().unwrap_or(0);
    html! {
        figure {
            h3 { (title) " " span .badge .idle { (hub.ran_on.as_str()) } }
            @if run.series.is_empty() {
                p { "Over before the first sample was taken." }
            } @else {
                (throughput_over_time(&title, style, &run.series))
            }
            figcaption { "Events/s: solid received, dashed published. Own scale. Backlog at most " (count(peak)) "." (of_several(hub, run)) }
        }
    }
}

fn of_several(hub: &Hub, run: &PhaseRun) -> String {
    let runs = hub
        .runs
        .iter()
        .filter(|other| other.phase == run.phase)
        .count();
    if runs > 1 {
        format!(" Run {} of {runs}, the median one.", run.run)
    } else {
        String::new()
    }
}

/// The run that is drawn: the median one by speed, or by end-to-end p99.
fn shown_run(hub: &Hub, phase: Phase) -> Option<&PhaseRun> {
    let mut runs: Vec<_> = hub.runs.iter().filter(|run| run.phase == phase).collect();
    let rank = |run: &PhaseRun| match &run.measured {
        Measured::Latency(l) => l.end_to_end_us.p99 as f64,
        Measured::Throughput(t) => t.receive_events_per_s,
    };
    runs.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    runs.get(runs.len().saturating_sub(1) / 2).copied()
}

fn section(table: &Table) -> Markup {
    html! {
        h2 { (table.title) }
        p .soft { (table.note) }
        div .scroll { table {
            thead { tr { @for column in &table.columns { th .n[column.right] scope="col" { (column.name) } } } }
            tbody { @for row in &table.rows { tr { @match row {
                Row::Cells(cells) => {
                    @for (cell, column) in cells.iter().zip(&table.columns) {
                        td .n[column.right] .good[cell.tone == Tone::Good] .bad[cell.tone == Tone::Bad] { (cell.text) }
                    }
                }
                Row::Missing(name, reason) | Row::Note(name, reason) => {
                    td { (name) }
                    td .why colspan=(table.columns.len() - 1) { (reason) }
                }
            } } } }
        } }
        @for foot in &table.feet { p .soft { (foot) } }
    }
}

/// Every run by itself, with the files of its histograms.
fn runs(report: &Report) -> Markup {
    html! {
        @if report.hubs.iter().any(|hub| !hub.runs.is_empty()) {
            h2 { "Every run" }
            p .soft { "The figures above are medians over these, their percentiles from merged histograms. The logs are HdrHistogram V2." }
            div .scroll { table {
                thead { tr { th { "hub" } th { "phase" } th .n { "run" } th { "result" } th { "histograms" } } }
                tbody {
                    @for hub in &report.hubs { @for run in &hub.runs { tr {
                        td { (hub.name) }
                        td { (run.phase.as_str()) }
                        td .n { (run.run) }
                        td { (result(run)) }
                        td { @for (measure, file) in &run.histograms { a href=(file) { (measure) } " " } }
                    } } }
                }
            } }
        }
    }
}

fn result(run: &PhaseRun) -> String {
    match &run.measured {
        Measured::Latency(l) => {
            let h = &l.end_to_end_us;
            format!(
                "end to end p50 {}, p99 {}, max {} over {}",
                micros(h.p50),
                micros(h.p99),
                micros(h.max),
                count(h.count)
            )
        }
        Measured::Throughput(t) => format!(
            "published {}/s, received {}/s, {} events, {}",
            short(t.publish_events_per_s),
            short(t.receive_events_per_s),
            count(t.events),
            bytes(t.bytes)
        ),
    }
}

fn facts(report: &Report) -> Markup {
    let (run, workload) = (&report.run, &report.workload);
    let host = &run.host;
    html! {
        h2 { "What it ran on" }
        p .soft { "A number measured on one of memory, stand-in, emulator, broker or cloud says nothing about another." }
        dl .facts {
            @for hub in &report.hubs { dt { (hub.name) } dd { (identity(hub)) (usage(hub)) } }
            dt { "host" } dd { (host.os) ", " (host.cpu) ", " (host.cores) " cores, " (bytes(host.memory_bytes)) }
            dt { "tweets" } dd { (workload.tweets.source) ", " (count(workload.tweets.count)) " texts, sha256 " code { (workload.tweets.sha256) } }
            dt { "payload" } dd { "p50 " (bytes(workload.payload_bytes_p50)) ", max " (bytes(workload.payload_bytes_max)) }
            dt { "shape" } dd {
                (workload.partitions) " partitions, " (workload.producers) " producers, " (workload.consumers) " consumers, batches of "
                (workload.batch) ", " (workload.guarantee)
            }
            dt { "seed" } dd { (run.seed) }
            dt { "versions" } dd { "anyhub-bench " (run.version) ", git " (run.git.as_deref().unwrap_or("unknown")) }
            dt { "run" } dd { (run.id) ", " (run.started_at) ", took " (format!("{:.1} s", run.seconds)) }
            dt { "command" } dd { code { (run.command) } }
        }
    }
}

fn usage(hub: &Hub) -> String {
    match &hub.usage {
        Some(usage) if usage.counted && !usage.units.is_empty() => {
            let units: Vec<_> = usage
                .units
                .iter()
                .map(|(unit, n)| format!("{unit} {}", count(*n)))
                .collect();
            format!("; counted: {}", units.join(", "))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn stands_alone_and_names_every_hub_with_its_reason() {
        let text = html(&sample());
        for hub in ["memory", "kafka", "broken", "away"] {
            assert!(text.contains(&format!("<strong>{hub}</strong>")), "{hub}");
        }
        assert!(text.contains("skipped: no Java 17"));
        assert!(text.contains("bounds the rate at about 3/N"));
        for outside in ["http://", "https://", "<script", "@import", "url("] {
            assert!(!text.contains(outside), "{outside}");
        }
        assert!(!text.contains("NaN"));
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let mut report = sample();
        report.run.command = "<script>alert(1)</script>".into();
        assert!(!html(&report).contains("<script>"));
    }

    #[test]
    fn hubs_with_other_limits_get_pictures_of_their_own() {
        let mut report = sample();
        assert_eq!(html(&report).matches("Events per second</h3>").count(), 1);
        report.hubs[1].limits = crate::report::Limits {
            on: true,
            quota: Some("1 MiB/s a shard".into()),
        };
        let text = html(&report);
        assert_eq!(text.matches("Events per second</h3>").count(), 2);
        assert!(text.contains("Not to be ranked against each other"));
    }
}
