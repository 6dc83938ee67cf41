//! The table as a picture. The axis is logarithmic and has no zero, so values are dots: the length of a bar would mean
//! nothing.

use std::fmt::Write;

use crate::report::Report;

pub fn svg(report: &Report) -> String {
    let mut dots: Vec<(String, f64, &str)> =
        report.rows.iter().map(|row| (row.name.clone(), row.micros[1], class(row.is_ours()))).collect();
    dots.push(("the RSA verification alone".to_owned(), report.raw[1], "raw"));
    dots.sort_by(|one, other| one.1.total_cmp(&other.1));

    let height = TOP + ROW * dots.len() as f64 + 62.0;
    let bottom = height - 54.0;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-labelledby="title">
<title id="title">What verifying the token of a request costs, in microseconds</title>
<style>.ours{{fill:#6c47ff}}.peer{{fill:#6b7280}}.raw{{fill:#d97706}}text{{fill:#1f2937}}.small{{font-size:11px;fill:#4b5563}}line{{stroke:#e5e7eb}}</style>
<rect width="{WIDTH}" height="{height}" fill="#fff"/>
<text x="16" y="26" font-size="16" font-weight="600">What verifying the token of a request costs</text>
<text x="16" y="46" class="small">microseconds net of the same axum router without it, median, logarithmic axis: less is better</text>
"##
    );
    for mark in MARKS {
        let x = place(mark);
        line(&mut svg, format_args!(r#"<line x1="{x:.1}" y1="{}" x2="{x:.1}" y2="{bottom}"/>"#, TOP - 8.0));
        let text =
            format_args!(r#"<text x="{x:.1}" y="{}" class="small" text-anchor="middle">{mark}</text>"#, bottom + 16.0);
        line(&mut svg, text);
    }
    for (index, (name, micros, class)) in dots.iter().enumerate() {
        let (x, y) = (place(*micros), TOP + ROW * index as f64 + ROW / 2.0);
        let text = y + 4.5;
        line(&mut svg, format_args!(r#"<text x="{}" y="{text}" text-anchor="end">{name}</text>"#, LEFT - 16.0));
        line(&mut svg, format_args!(r#"<circle cx="{x:.1}" cy="{y}" r="6" class="{class}"/>"#));
        line(&mut svg, format_args!(r#"<text x="{:.1}" y="{text}" font-weight="600">{micros:.1}</text>"#, x + 12.0));
    }
    let Report { date, machine, rustc, token_bytes, .. } = report;
    let about =
        format!("{machine}, {rustc}, {date}; RSA-2048, a token of {token_bytes} bytes, keys in memory, one thread");
    line(&mut svg, format_args!(r#"<text x="16" y="{}" class="small">{about}</text>"#, height - 12.0));
    svg + "</svg>\n"
}

fn class(is_ours: bool) -> &'static str {
    if is_ours { "ours" } else { "peer" }
}

fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(svg, "{text}").expect("a string takes everything");
}

/// The position of a number of microseconds on the axis.
fn place(micros: f64) -> f64 {
    let [first, .., last] = MARKS;
    let share = (micros / first).ln() / (last / first).ln();
    LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - 72.0)
}

const LEFT: f64 = 232.0;
const MARKS: [f64; 9] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];
const ROW: f64 = 28.0;
const TOP: f64 = 70.0;
const WIDTH: f64 = 760.0;
