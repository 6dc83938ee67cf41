//! Reads the paths of a routes file into parts.

use std::collections::HashSet;

use urlpattern::parser::{Options, Part, PartModifier, PartType, parse_pattern_string};

use crate::excerpt::excerpt;

/// Reads `{name}` and text.
pub(super) fn open_api(path: &str) -> Result<Vec<Part>, String> {
    if let Some(segment) = path.split('/').find(|segment| is_colon_parameter(segment)) {
        let name = excerpt(segment.trim_start_matches(':'));
        return Err(format!("`:{name}` is no parameter here; write `{{{name}}}`, or set `pathMode` to `url-pattern`"));
    }
    if let Some(found) = path.chars().find(|character| matches!(character, '*' | '(' | ')')) {
        return Err(format!("`{found}` has no meaning here; set `pathMode` to `url-pattern` to use it"));
    }
    let mut parts = Vec::new();
    let mut names = HashSet::new();
    let mut rest = path;
    while let Some((text, after)) = rest.split_once('{') {
        parts.push(fixed(text)?);
        let (name, after) = after.split_once('}').ok_or("a brace is not closed; write `{name}`")?;
        if !is_name(name) {
            return Err(format!(
                "`{{{}}}` is no parameter; a name must consist of letters, digits, `_`, `-`, `.` and `$`",
                excerpt(name)
            ));
        }
        if !names.insert(name) {
            return Err(format!("the parameter `{}` occurs twice; give each its own name", excerpt(name)));
        }
        parts.push(part(PartType::SegmentWildcard, "", name));
        rest = after;
    }
    parts.push(fixed(rest)?);
    parts.retain(|part| part.kind != PartType::FixedText || !part.value.is_empty());
    Ok(parts)
}

/// Reads the syntax of the URL Pattern standard.
pub(super) fn url_pattern(path: &str) -> Result<Vec<Part>, String> {
    if let Some(name) = braced_name(path) {
        let name = excerpt(name);
        return Err(format!(
            "`{{{name}}}` is the text `{name}` here, not a parameter; write `:{name}`, or set `pathMode` to `open-api`"
        ));
    }
    let parts = parse_pattern_string(path, &Options::pathname(), |text| Ok(text.to_owned()))
        .map_err(|error| format!("must be a URL pattern: {}", excerpt(&error.to_string())))?;
    match parts.iter().filter(|part| part.kind == PartType::Regexp).find_map(|part| refusal(&part.value)) {
        Some(reason) => Err(reason),
        None => Ok(parts),
    }
}

/// The name in `{name}`, which is a parameter in the other path mode. A group has more in it, or a sign behind it.
fn braced_name(path: &str) -> Option<&str> {
    path.match_indices('{').find_map(|(start, _)| {
        // Within an expression it says how often.
        let before = path.get(..start)?;
        if before.matches('(').count() > before.matches(')').count() {
            return None;
        }
        let (name, rest) = path.get(start + 1..)?.split_once('}')?;
        (is_name(name) && !rest.starts_with(['?', '*', '+'])).then_some(name)
    })
}

/// What is wrong with a custom expression. It must stand alone, so that two of them cannot become one.
fn refusal(expression: &str) -> Option<String> {
    let shown = excerpt(expression);
    if let Err(error) = regex::Regex::new(expression) {
        let reason = error.to_string();
        let reason = excerpt(reason.lines().last().unwrap_or_default().trim_start_matches("error: "));
        return Some(format!("`({shown})` must be a regular expression: {reason}"));
    }
    let mut rest = expression.replace("\\\\", "").replace("\\(", "");
    while let Some((_, after)) = rest.split_once("(?") {
        if !after.starts_with(':') {
            return Some(format!("`({shown})` must not contain groups other than `(?:…)`"));
        }
        rest = after.to_owned();
    }
    None
}

fn is_colon_parameter(segment: &str) -> bool {
    segment.strip_prefix(':').is_some_and(|name| name.starts_with(|first: char| first.is_alphabetic() || first == '_'))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|each| each.is_alphanumeric() || matches!(each, '_' | '-' | '.' | '$'))
}

fn fixed(text: &str) -> Result<Part, String> {
    if text.contains('}') {
        return Err("a brace is closed that was not opened; write `{name}`".to_owned());
    }
    Ok(part(PartType::FixedText, text, ""))
}

fn part(kind: PartType, value: &str, name: &str) -> Part {
    Part {
        kind,
        value: value.to_owned(),
        modifier: PartModifier::None,
        name: name.to_owned(),
        prefix: String::new(),
        suffix: String::new(),
    }
}
