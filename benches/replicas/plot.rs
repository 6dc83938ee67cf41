//! The loads as a picture: one panel for each scenario.
//!
//! The documentation contains the picture as a part of its page. So it has no style sheet, which would apply to the
//! whole page and which docs.rs may not allow, and a background of its own, which makes it readable on light and dark
//! pages.

use std::fmt::Write;

use super::{
    fleet::Load,
    scenarios::{SCENARIOS, SECONDS},
};

pub(crate) fn svg(loads: &[Load], replicas: u32) -> String {
    let rows = SCENARIOS.len().div_ceil(COLUMNS);
    let height = TOP + ROW * rows + 8;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="100%" font-family="system-ui, sans-serif" font-size="13" role="img" aria-labelledby="replicas-title replicas-about">
<title id="replicas-title">Fetches of keys per second by {replicas} replicas that start within one second</title>
<desc id="replicas-about">{}</desc>
<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>
<text x="16" y="26" font-size="16" font-weight="600" fill="#1f2937">Fetches of keys per second, {replicas} replicas that start within one second</text>
<text x="16" y="46" font-size="11" fill="#4b5563">ten minutes after the start; the axis is logarithmic</text>
"##,
        about(loads)
    );
    for (index, ((scenario, _), load)) in SCENARIOS.iter().zip(loads).enumerate() {
        let (x, y) = (LEFT + (index % COLUMNS) * COLUMN, TOP + (index / COLUMNS) * ROW);
        panel(&mut svg, scenario.name, load, (x, y));
    }
    line(
        &mut svg,
        format_args!(
            r##"<text x="16" y="{}" font-size="11" fill="#4b5563">cargo bench --bench replicas; the peak of the first three seconds, and the later peak, above each curve</text>"##,
            height - 12
        ),
    );
    svg + "</svg>\n"
}

/// What the picture shows, in words.
fn about(loads: &[Load]) -> String {
    let panels = SCENARIOS.iter().zip(loads).map(|((scenario, _), load)| {
        format!("{}: at most {} in the first three seconds, {} later.", scenario.name, load.peak(0, 3), load.later())
    });
    panels.collect::<Vec<_>>().join(" ")
}

fn panel(svg: &mut String, name: &str, load: &Load, (x, y): (usize, usize)) {
    let bottom = y + PANEL;
    let right = x + SPAN;
    let (first, later) = (load.peak(0, 3), load.later());
    line(
        svg,
        format_args!(
            r##"<text x="{x}" y="{}" font-weight="600" fill="#1f2937">{name}</text><text x="{right}" y="{}" text-anchor="end" font-size="11" fill="#4b5563">{first}, then {later}</text>"##,
            y - 8,
            y - 8
        ),
    );
    for mark in MARKS {
        let at = bottom - height(mark);
        line(
            svg,
            format_args!(
                r##"<line x1="{x}" y1="{at}" x2="{right}" y2="{at}" stroke="#e5e7eb"/><text x="{}" y="{}" text-anchor="end" font-size="11" fill="#4b5563">{mark}</text>"##,
                x - 6,
                at + 4
            ),
        );
    }
    for minute in [0, 5, 10] {
        let at = x + minute * SPAN / 10;
        line(
            svg,
            format_args!(
                r##"<text x="{at}" y="{}" text-anchor="middle" font-size="11" fill="#4b5563">{minute} min</text>"##,
                bottom + 15
            ),
        );
    }
    line(svg, format_args!(r##"<path fill="#6c47ff" d="M{x} {bottom}{}V{bottom}z"/>"##, steps(load, bottom)));
}

/// One step for each two seconds, as high as the busier of them.
fn steps(load: &Load, bottom: usize) -> String {
    let mut path = String::new();
    let (mut last, mut length) = (None, 0);
    for pair in load.fetches.chunks(2) {
        let top = bottom - height(pair.iter().copied().max().unwrap_or_default());
        if last.is_some_and(|last| last != top) {
            write!(path, "h{length}").expect("a string takes everything");
            length = 0;
        }
        if last != Some(top) {
            write!(path, "V{top}").expect("a string takes everything");
        }
        last = Some(top);
        length += 1;
    }
    path + &format!("h{length}")
}

/// The height of this many fetches: as many pixels for each factor of ten, from one fetch on.
fn height(fetches: u32) -> usize {
    let share = f64::from(fetches.max(1)).log10() / f64::from(MAX).log10();
    let pixels = (0..=PANEL).rev().find(|pixels| scaled(*pixels) <= share.min(1.0));
    pixels.unwrap_or_default()
}

fn scaled(pixels: usize) -> f64 {
    f64::from(u32::try_from(pixels).unwrap_or(u32::MAX)) / f64::from(u32::try_from(PANEL).unwrap_or(u32::MAX))
}

fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(svg, "{text}").expect("a string takes everything");
}

const COLUMNS: usize = 2;
const COLUMN: usize = 376;
const LEFT: usize = 60;
const MARKS: [u32; 5] = [1, 10, 100, 1000, 10_000];
/// The largest load that fits, in fetches per second.
const MAX: u32 = 20_000;
const PANEL: usize = 84;
const ROW: usize = 138;
/// One pixel for two seconds.
const SPAN: usize = 300;
const TOP: usize = 88;
const WIDTH: usize = 760;

const _: () = assert!(SECONDS == 600, "a panel is ten minutes wide");
