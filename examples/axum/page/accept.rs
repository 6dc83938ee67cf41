//! Which of two texts a client wants (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, header::ACCEPT};

/// Whether `Accept` prefers HTML to plain text. Browsers do; curl sends `*/*`.
pub(crate) fn prefers_html(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let ranges: Vec<_> = lines.flat_map(|line| line.split(',')).filter_map(Range::parse).collect();
    weight(&ranges, "text/html") > weight(&ranges, "text/plain")
}

/// A media range and its weight in thousandths.
struct Range<'a> {
    media: &'a str,
    weight: u16,
}

impl<'a> Range<'a> {
    /// `None` if the weight is none of RFC 9110, section 12.4.2. Nothing is known then about what the client wants.
    fn parse(range: &'a str) -> Option<Self> {
        let mut parts = range.split(';').map(|part| part.trim_matches([' ', '\t']));
        let media = parts.next()?;
        let mut parameters = parts.filter_map(|part| part.split_once('='));
        let weight = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        Some(Self { media, weight: weight.map_or(Some(1000), |(_, value)| thousandths(value))? })
    }
}

/// From 0 to 1, with up to three digits after the point.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// By the most specific range that matches.
fn weight(ranges: &[Range<'_>], media: &str) -> u16 {
    let of = |wanted: &str| ranges.iter().find(|range| range.media.eq_ignore_ascii_case(wanted));
    [media, "text/*", "*/*"].into_iter().find_map(of).map_or(0, |range| range.weight)
}
