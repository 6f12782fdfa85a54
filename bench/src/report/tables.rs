//! The tables of a report, once for all of its forms: the terminal, Markdown and HTML only lay them out.

use crate::report::{BoundBy, Histogram, Hub, Limits, Process, Report, Status, Verdict};
use crate::units::{bytes, count, micros, short};

/// A titled table, a row for each hub.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: &'static str,
    /// What the numbers mean, in a sentence.
    pub(super) note: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    /// What each sign in the table stands for.
    pub(super) feet: Vec<&'static str>,
}

/// The first column is the hub's name and is aligned to the left, like words; numbers stand right.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) right: bool,
    /// Left out where room is short.
    pub(super) detail: bool,
}

#[derive(Debug)]
pub(super) enum Row {
    Cells(Vec<Cell>),
    /// A hub without numbers keeps its row: its name, and the reason.
    Missing(String, String),
    /// What else is to be said of a hub.
    Note(String, String),
}

#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// How a cell is coloured, where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
}

/// All tables that have something to show.
pub(super) fn tables(report: &Report) -> Vec<Table> {
    [
        latency(report),
        throughput(report),
        delivery(report),
        sentiment(report),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What was sent, in one line.
pub(super) fn headline(report: &Report) -> String {
    let w = &report.workload;
    let mut parts = Vec::new();
    if report.hubs.iter().any(|hub| hub.throughput.is_some()) {
        parts.push(format!("{} events at full speed", count(w.events)));
    }
    if report.hubs.iter().any(|hub| hub.latency.is_some()) {
        parts.push(format!(
            "{}/s for {} s",
            short(w.rate_per_s),
            trimmed(w.duration_s)
        ));
    }
    parts.push(format!("payload p50 {}", bytes(w.payload_bytes_p50)));
    parts.push(format!("{} keys, Zipf {}", count(w.keys), trimmed(w.skew)));
    parts.push(format!("{} partitions", w.partitions));
    parts.push(format!("batches of {}", w.batch));
    parts.join(", ")
}

/// Why some rows must not be compared with others; None when all kept the same quota.
pub(super) fn unequal_limits(report: &Report) -> Option<String> {
    let groups = by_limits(report);
    (groups.len() > 1).then(|| {
        let told: Vec<_> = groups
            .iter()
            .map(|(quota, hubs)| {
                let names: Vec<_> = hubs.iter().map(|hub| hub.name.as_str()).collect();
                format!("{} ({})", names.join(", "), quota.unwrap_or("no quota"))
            })
            .collect();
        format!(
            "Not to be ranked against each other, their limits differ: {}.",
            told.join("; ")
        )
    })
}

/// Hubs that ran, in groups that kept the same quota.
pub(super) fn by_limits(report: &Report) -> Vec<(Option<&str>, Vec<&Hub>)> {
    let mut groups: Vec<(Option<&str>, Vec<&Hub>)> = Vec::new();
    for hub in report
        .hubs
        .iter()
        .filter(|hub| hub.latency.is_some() || hub.throughput.is_some())
    {
        let quota = kept_quota(&hub.limits);
        match groups.iter_mut().find(|(other, _)| *other == quota) {
            Some((_, hubs)) => hubs.push(hub),
            None => groups.push((quota, vec![hub])),
        }
    }
    groups
}

fn kept_quota(limits: &Limits) -> Option<&str> {
    if limits.on {
        limits.quota.as_deref()
    } else {
        None
    }
}

/// What zero findings prove: for each number of events, the rate that they rule out.
pub(super) fn zero_bounds(report: &Report) -> Vec<String> {
    let mut groups: Vec<(u64, Vec<&str>)> = Vec::new();
    for hub in &report.hubs {
        let Some(delivery) = hub.delivery.as_ref().filter(|d| d.acked > 0 && d.lost == 0) else {
            continue;
        };
        match groups.iter_mut().find(|(n, _)| *n == delivery.acked) {
            Some((_, names)) => names.push(&hub.name),
            None => groups.push((delivery.acked, vec![&hub.name])),
        }
    }
    let bound = |(n, names): (u64, Vec<&str>)| {
        format!(
            "{}: zero in {} bounds the rate at about 3/N, 1 in {} (95%)",
            names.join(", "),
            count(n),
            count((n / 3).max(1))
        )
    };
    groups.into_iter().map(bound).collect()
}

/// What a hub ran on, which server and which client, in one line; and behind that, since it has commas of
/// its own, why it has no numbers.
pub(super) fn identity(hub: &Hub) -> String {
    let mut parts = vec![hub.ran_on.as_str().to_owned()];
    parts.extend(hub.server.clone());
    parts.extend(hub.client.iter().map(|client| format!("client {client}")));
    match (&hub.limits.quota, hub.limits.on) {
        (None, _) => {}
        (Some(quota), true) => parts.push(format!("quota kept: {quota}")),
        (Some(quota), false) => parts.push(format!("quota off: {quota}")),
    }
    parts.extend(hub.url.clone());
    let told = parts.join(", ");
    match hub.status {
        Status::Ok => told,
        _ => format!("{told}; {}", reason(hub)),
    }
}

fn latency(report: &Report) -> Option<Table> {
    let columns = columns(&[
        "hub",
        "ran on",
        "publish p50",
        "publish p99",
        "e2e p50",
        "+e2e p90",
        "e2e p99",
        "e2e p99.9",
        "+e2e p99.99",
        "e2e max",
        "late p99",
        "+negative",
    ]);
    let rows = rows(report, |hub| {
        let latency = hub.latency.as_ref()?;
        let (publish, e2e) = (&latency.publish_us, &latency.end_to_end_us);
        let time = |h: &Histogram, value: u64| {
            if h.count == 0 {
                plain("–")
            } else {
                plain(micros(value))
            }
        };
        let negative = publish.negative + e2e.negative + latency.schedule_delay_us.negative;
        Some(vec![
            time(publish, publish.p50),
            time(publish, publish.p99),
            time(e2e, e2e.p50),
            time(e2e, e2e.p90),
            time(e2e, e2e.p99),
            time(e2e, e2e.p999),
            time(e2e, e2e.p9999),
            time(e2e, e2e.max),
            time(&latency.schedule_delay_us, latency.schedule_delay_us.p99),
            zero_is_good(negative),
        ])
    })?;
    let rate = report.workload.rate_per_s;
    Some(Table {
        title: "Latency",
        note: format!(
            "At {} events/s on an ideal schedule, from the intended send time; publish ends at the acknowledgement, \
             e2e (end to end) with the event in the consumer's hand. Both hold the producer's \
             linger, 5 ms by default on Kafka and Kinesis; where Kinesis keeps its quota, e2e holds the pause between reads, 200 ms \
             and more where little comes. Late is what the harness itself added.",
            short(rate)
        ),
        columns,
        rows,
        feet: Vec::new(),
    })
}

fn throughput(report: &Report) -> Option<Table> {
    let columns = columns(&[
        "hub",
        "ran on",
        "publish/s",
        "receive/s",
        "receive MiB/s",
        "bound by",
        "CPU/event",
        "+CPU",
        "+server's CPU",
        "peak memory",
    ]);
    let rows = rows(report, |hub| {
        let t = hub.throughput.as_ref()?;
        let process = hub.process.as_ref();
        let bound_by = match t.bound_by {
            BoundBy::Harness => plain("harness*"),
            other => plain(other.as_str()),
        };
        Some(vec![
            plain(count(t.publish_events_per_s.round() as u64)),
            plain(count(t.receive_events_per_s.round() as u64)),
            plain(format!("{:.1}", t.receive_mib_per_s)),
            bound_by,
            spent(process, |p| {
                (
                    format!("{} ns", count(p.cpu_ns_per_event.round() as u64)),
                    p.server_cpu_s.is_none(),
                )
            }),
            spent(process, |p| {
                (format!("{:.1} s", p.cpu_s), p.server_cpu_s.is_none())
            }),
            plain(
                process
                    .and_then(|p| p.server_cpu_s)
                    .map_or("–".into(), |cpu| format!("{cpu:.1} s")),
            ),
            spent(process, |p| (bytes(p.rss_max_bytes), true)),
        ])
    })?;
    let note = "As fast as backpressure allows, timed when events are handed over. CPU and memory are this process's: harness and \
                client, not the server.";
    let by_harness = |hub: &Hub| {
        hub.throughput
            .as_ref()
            .is_some_and(|t| t.bound_by == BoundBy::Harness)
    };
    let server_inside = |hub: &Hub| {
        let process = hub.process.as_ref();
        hub.throughput.is_some() && process.is_some_and(|p| p.server_in_process)
    };
    let feet = [
        (
            report.hubs.iter().any(by_harness),
            "* within 70% of what the memory hub reached: the harness sets the speed, not the hub",
        ),
        (
            report.hubs.iter().any(server_inside),
            "† with the server, which runs in this process",
        ),
    ];
    let feet = feet
        .into_iter()
        .filter_map(|(shown, foot)| shown.then_some(foot));
    Some(Table {
        title: "Throughput",
        note: note.into(),
        columns,
        rows,
        feet: feet.collect(),
    })
}

/// A figure of this process, and whether it holds the server's too, where that runs in it.
fn spent(process: Option<&Process>, figure: impl Fn(&Process) -> (String, bool)) -> Cell {
    let Some(process) = process else {
        return plain("–");
    };
    match figure(process) {
        (text, true) if process.server_in_process => plain(text + "†"),
        (text, _) => plain(text),
    }
}

fn delivery(report: &Report) -> Option<Table> {
    let columns = columns(&[
        "hub",
        "verdict",
        "sent",
        "+acked",
        "+failed",
        "unknown",
        "delivered",
        "lost",
        "dup",
        "+redelivered",
        "phantom",
        "corrupt",
        "gaps",
        "disorder",
        "+keys",
    ]);
    let mut rows = Vec::new();
    let mut any = false;
    for hub in &report.hubs {
        let Some(d) = &hub.delivery else {
            rows.push(Row::Missing(hub.name.clone(), reason(hub)));
            continue;
        };
        any = true;
        let verdict = match d.verdict {
            Verdict::Pass => Cell {
                text: "pass".into(),
                tone: Tone::Good,
            },
            Verdict::Fail => Cell {
                text: "FAIL".into(),
                tone: Tone::Bad,
            },
        };
        rows.push(Row::Cells(vec![
            plain(&hub.name),
            verdict,
            plain(count(d.sent)),
            plain(count(d.acked)),
            plain(count(d.failed)),
            plain(count(d.indeterminate)),
            plain(count(d.delivered)),
            zero_is_good(d.lost),
            zero_is_good(d.duplicates_in_log),
            plain(count(d.redelivered)),
            zero_is_good(d.phantom),
            zero_is_good(d.corrupt),
            zero_is_good(d.gaps),
            zero_is_good(d.order_violations),
            plain(count(d.keys)),
        ]));
        if d.verdict == Verdict::Fail {
            rows.push(Row::Note(hub.name.clone(), d.why.join("; ")));
        }
        // Such as that the run was interrupted: what is there is no whole run.
        if let Some(why) = hub.why.as_ref().filter(|_| hub.status == Status::Ok) {
            rows.push(Row::Note(hub.name.clone(), why.clone()));
        }
    }
    any.then(|| Table {
        title: "Delivery",
        note: format!(
            "Judged for {} from what was sent and what arrived, over both phases. Lost: acknowledged and never seen. Dup: one event \
             at two positions. Unknown: not acknowledged, may have been written. Disorder: arrived before an earlier event of its key.",
            report.workload.guarantee
        ),
        columns,
        rows,
        feet: Vec::new(),
    })
}

fn sentiment(report: &Report) -> Option<Table> {
    let columns = columns(&[
        "hub", "scored", "positive", "neutral", "negative", "mean", "digest",
    ]);
    let rows = rows(report, |hub| {
        let s = hub.sentiment.as_ref()?;
        let share = |n: u64| {
            plain(if s.scored == 0 {
                "–".into()
            } else {
                format!("{:.1}%", n as f64 * 100.0 / s.scored as f64)
            })
        };
        let digest = s
            .digest
            .as_deref()
            .map_or("–".to_owned(), |digest| digest.chars().take(16).collect());
        let mean = plain(if s.scored == 0 {
            "–".into()
        } else {
            format!("{:+.4}", s.mean)
        });
        Some(vec![
            plain(count(s.scored)),
            share(s.positive),
            share(s.neutral),
            share(s.negative),
            mean,
            plain(digest),
        ])
    });
    // The name, not "ran on", comes first here: the scores are the same wherever the events went.
    let rows = rows?.into_iter().map(|row| match row {
        Row::Cells(mut cells) => {
            cells.remove(1);
            Row::Cells(cells)
        }
        reason => reason,
    });
    Some(Table {
        title: "Sentiment",
        note: "The same digest means that the hubs carried the same events and each text was scored alike.".into(),
        columns,
        rows: rows.collect(),
        feet: Vec::new(),
    })
}

/// A row for each hub: name, what it ran on, and `cells`. None when no hub has any.
fn rows(report: &Report, cells: impl Fn(&Hub) -> Option<Vec<Cell>>) -> Option<Vec<Row>> {
    let mut any = false;
    let rows = report.hubs.iter().map(|hub| match cells(hub) {
        Some(cells) => {
            any = true;
            let mut row = vec![plain(&hub.name), plain(hub.ran_on.as_str())];
            row.extend(cells);
            Row::Cells(row)
        }
        None => Row::Missing(hub.name.clone(), reason(hub)),
    });
    let rows = rows.collect();
    any.then_some(rows)
}

/// Why a hub has no numbers.
pub(super) fn reason(hub: &Hub) -> String {
    match (hub.status, &hub.why) {
        (Status::Ok, Some(why)) => format!("not measured: {why}"),
        (Status::Ok, None) => "not measured".into(),
        (status, Some(why)) => format!("{}: {why}", status.as_str()),
        (status, None) => status.as_str().into(),
    }
}

/// `+` marks a detail; the columns of words are known by name.
fn columns(names: &[&'static str]) -> Vec<Column> {
    let column = |name: &&'static str| {
        let (name, detail) = name
            .strip_prefix('+')
            .map_or((*name, false), |name| (name, true));
        let right = !matches!(name, "hub" | "ran on" | "bound by" | "verdict" | "digest");
        Column {
            name,
            right,
            detail,
        }
    };
    names.iter().map(column).collect()
}

fn plain(text: impl Into<String>) -> Cell {
    Cell {
        text: text.into(),
        tone: Tone::Plain,
    }
}

fn zero_is_good(n: u64) -> Cell {
    Cell {
        text: count(n),
        tone: if n == 0 { Tone::Good } else { Tone::Bad },
    }
}

/// `10` rather than `10.0`, `1.05` as it is.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
