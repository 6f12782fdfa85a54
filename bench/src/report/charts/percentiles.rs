//! Latency by percentile: nines on the x axis, as HdrHistogram's own plots have them.

use maud::{Markup, html};

use super::axis::{LogAxis, tick};
use super::{Frame, Style, polyline, round};
use crate::report::Histogram;
use crate::units::micros;

const FRAME: Frame = Frame {
    width: 620.0,
    height: 340.0,
    left: 66.0,
    right: 84.0,
    top: 14.0,
    bottom: 46.0,
};

/// Where the maximum stands: one more nine than the last percentile.
const MAX_AT: f64 = 5.0;

/// One line for each hub, named at its end.
pub(in crate::report) fn percentiles(label: &str, hubs: &[(Style, &str, &Histogram)]) -> Markup {
    let values = hubs
        .iter()
        .flat_map(|(_, _, h)| points(h).map(|(_, _, value)| value));
    let axis = LogAxis::around(values);
    let ticks: Vec<_> = axis
        .ticks()
        .into_iter()
        .map(|t| (axis.place(t), tick(&micros(t))))
        .collect();
    let feet: Vec<_> = points(&Histogram::default())
        .map(|(name, nines, _)| (share(nines), name.to_owned()))
        .into();

    let mut names: Vec<_> = hubs
        .iter()
        .map(|(style, name, h)| (*style, *name, FRAME.y(axis.place(h.max))))
        .collect();
    spread(&mut names);

    FRAME.svg(label, &html! {
        (FRAME.rules(&ticks))
        (FRAME.feet(&feet, "percentile"))
        @for (style, name, h) in hubs {
            @let line: Vec<_> = points(h).map(|(_, nines, v)| (FRAME.x(share(nines)), FRAME.y(axis.place(v)))).into();
            path class=(format!("line {}", style.class())) d=(polyline(&line)) {}
            @for ((percentile, _, value), (x, y)) in points(h).iter().zip(&line) {
                (style.marker(*x, *y, &format!("{name} {percentile}: {}", micros(*value))))
            }
        }
        @for (style, name, y) in names {
            text class=(format!("name {}", style.class())) x=(FRAME.x(1.0) + 10.0) y=(round(y + 4.0)) { (shortened(name)) }
        }
    })
}

fn points(h: &Histogram) -> [(&'static str, f64, u64); 6] {
    [
        ("50", 0.301, h.p50),
        ("90", 1.0, h.p90),
        ("99", 2.0, h.p99),
        ("99.9", 3.0, h.p999),
        ("99.99", 4.0, h.p9999),
        ("max", MAX_AT, h.max),
    ]
}

fn share(nines: f64) -> f64 {
    (nines - 0.15) / (MAX_AT - 0.15)
}

/// Moves names apart that would cover each other, from the top down.
fn spread(names: &mut [(Style, &str, f64)]) {
    names.sort_by(|a, b| a.2.total_cmp(&b.2));
    let mut free = FRAME.top;
    for (_, _, y) in names.iter_mut() {
        *y = y.max(free);
        free = *y + 15.0;
    }
    // Pushed out at the bottom: the lowest go up again.
    let mut limit = FRAME.height - FRAME.bottom;
    for (_, _, y) in names.iter_mut().rev() {
        *y = y.min(limit);
        limit = *y - 15.0;
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= 11 {
        name.to_owned()
    } else {
        name.chars().take(10).chain(['…']).collect()
    }
}
