//! The pictures of the report: inline SVG, coloured by the page's style sheet, readable without it.

mod axis;
mod bars;
mod over_time;
mod percentiles;

pub(super) use bars::throughput_bars;
pub(super) use over_time::{latency_over_time, throughput_over_time};
pub(super) use percentiles::percentiles;

use maud::{Markup, html};

/// A hub's line in a picture. The colour goes with its place in the report, so that it is the same in every picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style(pub(super) usize);

impl Style {
    /// There are eight colours in the style sheet; shapes tell apart what colours can't.
    pub(super) fn class(self) -> String {
        format!("c{}", self.0 % 8)
    }

    /// A marker at a point, with what it says when it is pointed at.
    fn marker(self, x: f64, y: f64, told: &str) -> Markup {
        let (x, y) = (round(x), round(y));
        html! {
            g class=(format!("mark {}", self.class())) transform=(format!("translate({x} {y})")) {
                title { (told) }
                @match self.0 % 4 {
                    0 => circle r="4" {},
                    1 => rect x="-3.6" y="-3.6" width="7.2" height="7.2" {},
                    2 => path d="M0-5 4.6 3.4H-4.6Z" {},
                    _ => path d="M0-5.2 5.2 0 0 5.2-5.2 0Z" {},
                }
            }
        }
    }

    /// The colour, the shape and the name.
    pub(super) fn legend(self, name: &str) -> Markup {
        html! {
            span .key {
                svg width="26" height="12" viewBox="0 0 26 12" aria-hidden="true" {
                    path class=(format!("line {}", self.class())) d="M0 6H26" {}
                    (self.marker(13.0, 6.0, name))
                }
                (name)
            }
        }
    }
}

/// The room of a picture: its size and the margins around the plot.
#[derive(Debug, Clone, Copy)]
struct Frame {
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    fn x(&self, share: f64) -> f64 {
        self.left + share * (self.width - self.left - self.right)
    }

    fn y(&self, share: f64) -> f64 {
        self.height - self.bottom - share * (self.height - self.top - self.bottom)
    }

    fn svg(&self, label: &str, inner: &Markup) -> Markup {
        html! {
            svg .chart viewBox=(format!("0 0 {} {}", self.width, self.height)) role="img" aria-label=(label) { (inner) }
        }
    }

    /// Horizontal lines with their labels on the left, from (place 0..1, label).
    fn rules(&self, ticks: &[(f64, String)]) -> Markup {
        html! {
            @for (share, label) in ticks {
                line .grid x1=(self.x(0.0)) x2=(self.x(1.0)) y1=(round(self.y(*share))) y2=(round(self.y(*share))) {}
                text .tick x=(self.left - 8.0) y=(round(self.y(*share) + 4.0)) text-anchor="end" { (label) }
            }
        }
    }

    /// Labels under the plot, from (place 0..1, label), and what they are.
    fn feet(&self, ticks: &[(f64, String)], title: &str) -> Markup {
        html! {
            line .axis x1=(self.x(0.0)) x2=(self.x(1.0)) y1=(self.y(0.0)) y2=(self.y(0.0)) {}
            @for (share, label) in ticks {
                line .axis x1=(round(self.x(*share))) x2=(round(self.x(*share))) y1=(self.y(0.0)) y2=(self.y(0.0) + 4.0) {}
                text .tick x=(round(self.x(*share))) y=(self.y(0.0) + 18.0) text-anchor="middle" { (label) }
            }
            text .title x=(self.x(0.5)) y=(self.height - 4.0) text-anchor="middle" { (title) }
        }
    }
}

/// A tenth of a unit is finer than a screen shows, and keeps the file small.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn polyline(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        path.push(if i == 0 { 'M' } else { 'L' });
        path.push_str(&format!("{} {}", round(*x), round(*y)));
    }
    path
}
