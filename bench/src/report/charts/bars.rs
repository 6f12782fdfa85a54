//! Throughput side by side, on one scale from zero.

use maud::{Markup, html};

use super::axis::{LinearAxis, tick};
use super::{Frame, Style, round};
use crate::report::Throughput;
use crate::units::short;

const ROW: f64 = 50.0;

/// Two bars for each hub: received, and published in a lighter tone.
pub(in crate::report) fn throughput_bars(
    label: &str,
    hubs: &[(Style, &str, &Throughput)],
) -> Markup {
    let frame = Frame {
        width: 1180.0,
        height: ROW * hubs.len() as f64 + 60.0,
        left: 116.0,
        right: 92.0,
        top: 8.0,
        bottom: 46.0,
    };
    let highest = hubs
        .iter()
        .map(|(_, _, t)| t.publish_events_per_s.max(t.receive_events_per_s))
        .fold(0.0, f64::max);
    let axis = LinearAxis::up_to(highest, 8);
    let feet: Vec<_> = axis
        .ticks()
        .into_iter()
        .map(|t| (axis.place(t), tick(&short(t))))
        .collect();
    frame.svg(label, &html! {
        @for (share, _) in &feet {
            line .grid x1=(round(frame.x(*share))) x2=(round(frame.x(*share))) y1=(frame.top) y2=(frame.y(0.0)) {}
        }
        (frame.feet(&feet, "events/s"))
        @for (i, (style, name, t)) in hubs.iter().enumerate() {
            @let top = frame.top + ROW * i as f64 + 6.0;
            text .label x=(frame.left - 10.0) y=(top + 23.0) text-anchor="end" { (shortened(name)) }
            @for (offset, class, what, rate) in [(0.0, "bar", "received", t.receive_events_per_s), (19.0, "bar light", "published", t.publish_events_per_s)] {
                @let width = frame.x(axis.place(rate)) - frame.left;
                rect class=(format!("{class} {}", style.class())) x=(frame.left) y=(top + offset) height="17" rx="2"
                    width=(round(width.max(1.0))) { title { (name) " " (what) ": " (short(rate)) "/s" } }
                text .value x=(round(frame.left + width + 6.0)) y=(top + offset + 13.0) { (short(rate)) }
            }
        }
    })
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= 13 {
        name.to_owned()
    } else {
        name.chars().take(12).chain(['…']).collect()
    }
}
