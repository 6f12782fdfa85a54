//! What a run did from moment to moment.

use maud::{Markup, html};

use super::axis::{LinearAxis, LogAxis, tick};
use super::{Frame, Style, polyline};
use crate::report::Point;
use crate::units::{micros, short};

const WIDE: Frame = Frame {
    width: 1180.0,
    height: 260.0,
    left: 66.0,
    right: 18.0,
    top: 14.0,
    bottom: 46.0,
};
const PANEL: Frame = Frame {
    width: 500.0,
    height: 250.0,
    left: 58.0,
    right: 18.0,
    top: 14.0,
    bottom: 46.0,
};

/// End-to-end p99 of every hub on one time axis: the latency phase lasts as long on each.
pub(in crate::report) fn latency_over_time(
    label: &str,
    hubs: &[(Style, &str, &[Point])],
) -> Markup {
    let axis = LogAxis::around(
        hubs.iter()
            .flat_map(|(_, _, points)| points.iter().filter_map(|p| p.p99_us)),
    );
    let end = hubs
        .iter()
        .flat_map(|(_, _, points)| points.last())
        .map(|p| p.t_s)
        .fold(0.0, f64::max);
    let time = LinearAxis::exactly(end, 10);
    let ticks: Vec<_> = axis
        .ticks()
        .into_iter()
        .map(|t| (axis.place(t), tick(&micros(t))))
        .collect();
    WIDE.svg(label, &html! {
        (WIDE.rules(&ticks))
        (WIDE.feet(&feet(&time), "seconds"))
        @for (style, name, points) in hubs {
            @let line: Vec<_> = points.iter()
                .filter_map(|p| Some((WIDE.x(time.place(p.t_s)), WIDE.y(axis.place(p.p99_us?)))))
                .collect();
            path class=(format!("line thin {}", style.class())) d=(polyline(&line)) { title { (name) } }
        }
    })
}

/// Events per second, published and received, in steps from sample to sample.
pub(in crate::report) fn throughput_over_time(
    label: &str,
    style: Style,
    points: &[Point],
) -> Markup {
    let published = rates(points, |p| p.published);
    let received = rates(points, |p| p.received);
    let highest = published
        .iter()
        .chain(&received)
        .map(|(_, _, rate)| *rate)
        .fold(0.0, f64::max);
    let axis = LinearAxis::up_to(highest, 4);
    let time = LinearAxis::exactly(points.last().map_or(0.0, |p| p.t_s), 5);
    let ticks: Vec<_> = axis
        .ticks()
        .into_iter()
        .map(|t| (axis.place(t), tick(&short(t))))
        .collect();
    let steps = |rates: &[(f64, f64, f64)]| {
        let place = |t: f64, rate: f64| (PANEL.x(time.place(t)), PANEL.y(axis.place(rate)));
        rates
            .iter()
            .flat_map(|(from, to, rate)| [place(*from, *rate), place(*to, *rate)])
            .collect::<Vec<_>>()
    };
    let area = |line: &[(f64, f64)]| {
        let ground = [(PANEL.x(1.0), PANEL.y(0.0)), (PANEL.x(0.0), PANEL.y(0.0))];
        polyline(&[line, &ground].concat()) + "Z"
    };
    let (published, received) = (steps(&published), steps(&received));
    PANEL.svg(label, &html! {
        (PANEL.rules(&ticks))
        path class=(format!("area {}", style.class())) d=(area(&received)) {}
        path class=(format!("line dashed {}", style.class())) d=(polyline(&published)) { title { "published" } }
        path class=(format!("line {}", style.class())) d=(polyline(&received)) { title { "received" } }
        (PANEL.feet(&feet(&time), "seconds"))
    })
}

fn feet(time: &LinearAxis) -> Vec<(f64, String)> {
    time.ticks()
        .into_iter()
        .map(|t| (time.place(t), time.label(t)))
        .collect()
}

/// From, to, and events per second in between.
fn rates(points: &[Point], events: impl Fn(&Point) -> u64) -> Vec<(f64, f64, f64)> {
    let mut from = 0.0;
    let mut out = Vec::with_capacity(points.len());
    for point in points {
        let seconds = point.t_s - from;
        if seconds > 0.0 {
            out.push((from, point.t_s, events(point) as f64 / seconds));
            from = point.t_s;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_events_over_the_time_since_the_point_before() {
        let point = |t_s, received| Point {
            t_s,
            published: 0,
            received,
            backlog: 0,
            p99_us: None,
        };
        let rates = rates(&[point(0.5, 100), point(1.5, 300), point(1.5, 7)], |p| {
            p.received
        });
        assert_eq!(rates, [(0.0, 0.5, 200.0), (0.5, 1.5, 300.0)]);
    }

    #[test]
    fn nothing_to_draw_draws_nothing_wild() {
        for picture in [
            throughput_over_time("none", Style(0), &[]),
            latency_over_time("none", &[]),
        ] {
            let svg = picture.into_string();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
