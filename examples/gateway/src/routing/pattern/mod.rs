//! A path of a routes file.

#[cfg(test)]
mod tests;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use regex::{Regex, RegexBuilder};
use urlpattern::parser::{Part, PartModifier, PartType};

use super::{
    parts, path,
    segments::leading_segments,
    spelling::{decode_fully, fold},
    tree::Segment,
};

/// How `paths` of a routes file are to be read (`x-zuplo-path.pathMode`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum PathMode {
    /// `open-api`, the default: `{id}` is a segment.
    OpenApi,
    /// `url-pattern`: the syntax of the URL Pattern standard.
    UrlPattern,
}

/// A path of a routes file. It matches paths in the spelling of the request, percent-encoding included.
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: String,
    parameters: Vec<String>,
    /// Its first segments, as far as each is a text or a parameter.
    pub(super) segments: Vec<Segment>,
    /// If that is not all of it: what decides.
    pub(super) expressions: Option<Expressions>,
    /// Whether a path in small letters without a slash at its end can match in another spelling only.
    pub(super) has_spellings: bool,
    /// Whether a regular expression of the operator's own may take one case and not the other.
    pub(super) tells_cases_apart: bool,
}

/// The regular expressions of a whole path.
#[derive(Clone, Debug)]
pub(super) struct Expressions {
    pub(super) exact: Regex,
    /// Takes any case, and text that is decoded.
    pub(super) loose: Regex,
}

/// Names and values of the parameters of a path, in the spelling of the request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// The value of the parameter of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }
}

impl FromIterator<(String, String)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl PathPattern {
    /// Parses a path.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a reason for a [`Fault`](crate::Fault).
    pub(crate) fn parse(path: &str, mode: PathMode) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err("must begin with `/`".to_owned());
        }
        if path.len() > LONGEST {
            return Err(format!("must have at most {LONGEST} bytes; shorten it"));
        }
        if path.chars().any(char::is_control) {
            return Err("must not contain control characters; remove them".to_owned());
        }
        let mut parts = match mode {
            PathMode::OpenApi => parts::open_api(path)?,
            PathMode::UrlPattern => parts::url_pattern(path)?,
        };
        for part in &mut parts {
            encode(part);
        }
        check(&parts)?;
        let (segments, is_all) = leading_segments(&parts);
        let expressions = if is_all { None } else { Some(Expressions::new(&parts)?) };
        let has_spellings = has_spellings(&parts);
        let tells_cases_apart = parts.iter().any(tells_cases_apart);
        let parameters = parts.into_iter().map(|part| part.name).filter(|name| !name.is_empty()).collect();
        Ok(Self { text: path.to_owned(), parameters, segments, expressions, has_spellings, tells_cases_apart })
    }

    /// The path as it is written in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Paths of which one probably matches.
    pub(crate) fn examples(&self) -> impl Iterator<Item = String> {
        ["x", "1", "a"].into_iter().map(|value| self.with_values(value))
    }

    /// The path with every parameter, wildcard and expression replaced by a value, and everything that may be missing.
    fn with_values(&self, value: &str) -> String {
        let mut path = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        let is_of_name = |each: char| each.is_alphanumeric() || each == '_';
        while let Some(first) = rest.chars().next() {
            let after = rest.get(first.len_utf8()..).unwrap_or_default();
            rest = match (first, after.split_once('}'), after.rsplit_once(')')) {
                (':', _, _) => {
                    path.push_str(value);
                    let rest = after.trim_start_matches(is_of_name);
                    // The expression of the parameter.
                    rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest)
                }
                ('{', Some((name, rest)), _) if name.chars().all(is_of_name) => {
                    path.push_str(value);
                    rest
                }
                ('(', _, Some((_, rest))) => {
                    path.push_str(value);
                    rest
                }
                ('*', _, _) => {
                    path.push_str(value);
                    after
                }
                ('{' | '}' | '?' | '+' | '\\', _, _) => after,
                _ => {
                    path.push(first);
                    after
                }
            };
        }
        path
    }

    /// The names of its parameters, in their order.
    pub(crate) fn parameters(&self) -> &[String] {
        &self.parameters
    }

    /// The parameters of a path that matches, in the spelling of the request. Parameters of a part that may be missing
    /// and is missing are left out.
    pub(crate) fn params(&self, path: &str) -> Params {
        let names = self.parameters.iter().cloned();
        let Some(expressions) = &self.expressions else {
            let segments = path.split('/').skip(1).zip(&self.segments);
            let values = segments.filter(|(_, segment)| **segment == Segment::Parameter);
            return names.zip(values.map(|(value, _)| value.to_owned())).collect();
        };
        let Some(captures) = expressions.exact.captures(path) else {
            return Params::default();
        };
        let values = captures.iter().skip(1);
        names.zip(values).filter_map(|(name, value)| Some((name, value?.as_str().to_owned()))).collect()
    }
}

impl Expressions {
    fn new(parts: &[Part]) -> Result<Self, String> {
        let compile = |text: &str| {
            let built = RegexBuilder::new(text).size_limit(LARGEST).build();
            built.map_err(|_| "is too large, or repeats something that cannot be repeated; simplify it".to_owned())
        };
        let exact = parts.iter().map(|part| expression(part, &part.value, regex::escape)).collect::<String>();
        let loose = parts.iter().map(|part| {
            // Without regard to case, `[^a-z]` matches less.
            let custom = format!("(?:{0}|(?-i:{0}))", part.value);
            expression(part, &custom, any_spelling)
        });
        let loose = loose.collect::<String>();
        Ok(Self { exact: compile(&format!("^{exact}$"))?, loose: compile(&format!("(?i)^{loose}$"))? })
    }
}

/// Text is compared with paths as clients send them.
fn encode(part: &mut Part) {
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED_BY_CLIENTS).to_string();
    part.prefix = encoded(&part.prefix);
    part.suffix = encoded(&part.suffix);
    if part.kind == PartType::FixedText {
        part.value = encoded(&part.value);
    }
}

/// Refuses paths that no request can have.
fn check(parts: &[Part]) -> Result<(), String> {
    let mut sample = String::new();
    for part in parts {
        sample.push_str(&part.prefix);
        sample.push_str(if part.kind == PartType::FixedText { &part.value } else { "x" });
        sample.push_str(&part.suffix);
    }
    if let Some(found) = sample.chars().find(|character| matches!(character, '?' | '#')) {
        return Err(format!("must not contain `{found}`; routes match method and path only"));
    }
    path::check(&sample).map_err(|reason| match reason {
        path::BadPath::NoSlash => "must begin with `/` in all of its forms".to_owned(),
        path::BadPath::DotSegment => "must not contain a dot segment; remove it".to_owned(),
        _ => "must have percent-encoding in its shortest form; `%` needs two hexadecimal digits".to_owned(),
    })
}

/// The regular expression of a part, with one group if it has a name.
fn expression(part: &Part, custom: &str, literal: impl Fn(&str) -> String) -> String {
    let modifier = &part.modifier;
    let value = match part.kind {
        PartType::FixedText if part.modifier == PartModifier::None => return literal(&part.value),
        PartType::FixedText => return format!("(?:{}){modifier}", literal(&part.value)),
        PartType::FullWildcard => ".*",
        PartType::Regexp => custom,
        PartType::SegmentWildcard => "[^/]+?",
    };
    let (prefix, suffix) = (literal(&part.prefix), literal(&part.suffix));
    match modifier {
        PartModifier::None | PartModifier::Optional => format!("(?:{prefix}({value}){suffix}){modifier}"),
        PartModifier::OneOrMore => format!("(?:{prefix}((?:{value})(?:{suffix}{prefix}(?:{value}))*){suffix})"),
        PartModifier::ZeroOrMore => format!("(?:{prefix}((?:{value})(?:{suffix}{prefix}(?:{value}))*){suffix})?"),
    }
}

/// An expression for text as it is sent, and for what it means.
fn any_spelling(text: &str) -> String {
    let segments = text.split('/').map(|segment| {
        let (sent, meant) = (fold(segment), fold(&decode_fully(segment)));
        if sent == meant {
            regex::escape(&sent)
        } else {
            format!("(?:{}|{})", regex::escape(&sent), regex::escape(&meant))
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Whether a part may take one case and not the other; `false` only for expressions of digits and of the like.
fn tells_cases_apart(part: &Part) -> bool {
    let classes = ["\\d", "\\w", "[0-9]", "[^/]"];
    let rest = classes.iter().fold(part.value.clone(), |rest, class| rest.replace(class, ""));
    part.kind == PartType::Regexp && !rest.chars().all(|each| each.is_ascii_digit() || ".+*?|(:){,}".contains(each))
}

fn has_spellings(parts: &[Part]) -> bool {
    let is_small = |text: &str| fold(text) == text && !text.contains('%');
    let are_small = parts.iter().all(|part| {
        let around = is_small(&part.prefix) && is_small(&part.suffix);
        around && !tells_cases_apart(part) && (part.kind != PartType::FixedText || is_small(&part.value))
    });
    let ends_firmly = match parts {
        [Part { kind: PartType::FullWildcard, prefix, suffix, modifier: PartModifier::None, .. }] => {
            return !(prefix == "/" && suffix.is_empty());
        }
        [Part { kind: PartType::FixedText, value, modifier: PartModifier::None, .. }] if value == "/" => true,
        [.., last] if last.modifier == PartModifier::None => match last.kind {
            PartType::FixedText => !last.value.ends_with('/'),
            PartType::SegmentWildcard => !last.suffix.ends_with('/'),
            PartType::FullWildcard | PartType::Regexp => false,
        },
        _ => false,
    };
    !(are_small && ends_firmly)
}

/// As browsers encode a path; what is not listed they send as it is.
const ENCODED_BY_CLIENTS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');

/// Of one regular expression: room for some hundred segments with expressions of their own.
const LARGEST: usize = 1 << 20;

/// Keeps what is built from a path small, and its depth.
const LONGEST: usize = 2048;
