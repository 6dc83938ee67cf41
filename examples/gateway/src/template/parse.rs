//! Reads templates.

use http::{
    HeaderName,
    uri::{Authority, Scheme},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{AuthorityTemplate, Piece, Position, Template, Value};
use crate::{environment, excerpt::excerpt, routing::path};

pub(super) fn template(
    text: &str,
    parameters: Option<&[String]>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Template, Vec<String>> {
    let (parts, mut reasons) = split(text, parameters, variable);
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let mut builder = Builder::default();
    for part in parts {
        match part {
            Part::Text(text) => builder.text(&text),
            Part::Value(value) => builder.value(value),
        }
    }
    let built = builder.finish(text);
    built.map_err(|reason| {
        reasons.push(reason);
        reasons
    })
}

enum Part {
    Text(String),
    Value(Value),
}

/// Splits a template at its placeholders, and puts variables in.
fn split(
    text: &str,
    parameters: Option<&[String]>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> (Vec<Part>, Vec<String>) {
    let mut literal = String::new();
    let (mut parts, mut reasons) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        check_literal(before, &mut reasons);
        literal.push_str(before);
        let Some((inside, after)) = after.split_once('}') else {
            reasons.push("`${` is not closed; write `}` after the name".to_owned());
            return (parts, reasons);
        };
        match placeholder(inside.trim(), parameters, variable) {
            Ok(Part::Text(value)) => literal.push_str(&value),
            Ok(value) => {
                parts.push(Part::Text(std::mem::take(&mut literal)));
                parts.push(value);
            }
            Err(reason) => reasons.push(reason),
        }
        rest = after;
    }
    check_literal(rest, &mut reasons);
    literal.push_str(rest);
    parts.push(Part::Text(literal));
    (parts, reasons)
}

fn check_literal(text: &str, reasons: &mut Vec<String>) {
    if let Some((_, after)) = environment::split_at_reference(text) {
        let name = after.split_once(')').map_or("NAME", |(name, _)| name);
        reasons.push(format!("`$env({0})` has no meaning here; write `${{env.{0}}}`", excerpt(name)));
    }
    if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
        reasons.push("must not contain spaces, line breaks or control characters; remove or encode them".to_owned());
    }
    if text.contains('\\') {
        reasons.push("must not contain backslashes; write `/`".to_owned());
    }
    if text.contains('#') {
        reasons.push("must not contain a fragment, which is never sent; remove `#` and what follows".to_owned());
    }
}

fn placeholder(
    inside: &str,
    parameters: Option<&[String]>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Part, String> {
    let value = match inside {
        "host" => Value::Host,
        "method" => Value::Method,
        "pathname" => Value::Pathname,
        "search" => Value::Search,
        _ => {
            if let Some(name) = inside.strip_prefix("env.") {
                return variable_in_url(name, variable).map(Part::Text);
            }
            if let Some(name) = inside.strip_prefix("params.") {
                parameter(name, parameters)?
            } else if let Some(name) = inside.strip_prefix("query.").filter(|name| !name.is_empty()) {
                Value::Query(name.to_owned())
            } else if let Some(name) = header(inside) {
                Value::Header(name)
            } else {
                return Err(format!(
                    "`${{{}}}` is not a known placeholder; expected one of: `${{env.NAME}}`, `${{params.x}}`, `${{pathname}}`, `${{search}}`, \
                     `${{query.x}}`, `${{method}}`, `${{host}}`, `${{headers.get(\"x\")}}`",
                    excerpt(inside)
                ));
            }
        }
    };
    Ok(Part::Value(value))
}

fn variable_in_url(name: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let value = environment::value(name, variable)?;
    let shown = excerpt(name);
    if value.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err(format!(
            "the environment variable `{shown}` must not contain spaces or control characters; remove them"
        ));
    }
    if value.contains(['\\', '#']) {
        return Err(format!("the environment variable `{shown}` must not contain `\\` or `#`; remove them"));
    }
    Ok(value)
}

fn parameter(name: &str, parameters: Option<&[String]>) -> Result<Value, String> {
    let Some(parameters) = parameters.filter(|parameters| parameters.iter().all(|known| known != name)) else {
        return Ok(Value::Parameter(name.to_owned()));
    };
    let name = excerpt(name);
    if parameters.is_empty() {
        return Err(format!("`${{params.{name}}}`: the path has no parameters; remove it"));
    }
    let known: Vec<String> = parameters.iter().map(|known| format!("`{}`", excerpt(known))).collect();
    Err(format!("`${{params.{name}}}`: the path has no such parameter; expected one of: {}", known.join(", ")))
}

/// Reads `headers.get("x")`.
fn header(inside: &str) -> Option<HeaderName> {
    let quoted = inside.strip_prefix("headers.get(")?.strip_suffix(')')?.trim();
    let name = ['"', '\''].into_iter().find_map(|quote| quoted.strip_prefix(quote)?.strip_suffix(quote))?;
    HeaderName::from_bytes(name.as_bytes()).ok()
}

/// Tells authority, path and query apart.
#[derive(Default)]
struct Builder {
    /// Text of scheme and authority before the first value.
    start: String,
    /// Values of the authority and the text between them.
    authority: Vec<Piece>,
    rest: Vec<Piece>,
    position: Option<Position>,
    has_search: bool,
}

impl Builder {
    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut text = text;
        if self.position.is_none() {
            // The first text begins with the scheme, whatever came before.
            let scheme = text.find("://").map_or(0, |at| at + 3);
            let end = text.get(scheme..).and_then(|rest| rest.find(['/', '?'])).map(|at| at + scheme);
            let (start, rest) = text.split_at(end.unwrap_or(text.len()));
            self.start.push_str(start);
            self.position = Some(if end.is_some() { Position::Path } else { Position::Authority });
            text = rest;
        } else if self.position == Some(Position::Authority) {
            let (authority, rest) = text.split_at(text.find(['/', '?']).unwrap_or(text.len()));
            self.authority.push(Piece::Text(authority.to_owned()));
            if !rest.is_empty() {
                self.position = Some(Position::Path);
            }
            text = rest;
        }
        if text.contains('?') {
            self.position = Some(Position::Query);
        }
        if !text.is_empty() {
            self.rest.push(Piece::Text(utf8_percent_encode(text, ENCODED_IN_URLS).to_string()));
        }
    }

    fn value(&mut self, value: Value) {
        // `https://example.com${pathname}`: both begin with what ends an authority.
        if matches!(value, Value::Pathname | Value::Search) && self.position == Some(Position::Authority) {
            self.position = Some(Position::Path);
        }
        let position = *self.position.get_or_insert(Position::Authority);
        if matches!(value, Value::Search) {
            self.has_search = true;
            self.position = Some(Position::Query);
        }
        let piece = Piece::Value(value, position);
        if position == Position::Authority { self.authority.push(piece) } else { self.rest.push(piece) }
    }

    fn finish(self, text: &str) -> Result<Template, String> {
        let (scheme, start) = self.start.split_once("://").ok_or_else(|| no_scheme(text))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return Err(no_scheme(text)),
        };
        let texts = self.authority.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Value(..) => None,
        });
        if std::iter::once(start).chain(texts).any(|text| text.contains('@')) {
            return Err("must not contain a user name or a password; use a policy that sets a header".to_owned());
        }
        let authority = if self.authority.iter().all(|piece| matches!(piece, Piece::Text(_))) {
            AuthorityTemplate::Static(authority(start).ok_or(BAD_HOST)?)
        } else {
            let mut pieces = self.authority;
            pieces.insert(0, Piece::Text(start.to_owned()));
            // Whether the text around the values can become an authority at all.
            let sample: String =
                pieces.iter().map(|piece| if let Piece::Text(text) = piece { text } else { "1" }).collect();
            authority(&sample).ok_or(BAD_HOST)?;
            AuthorityTemplate::Made(pieces)
        };
        check_path(&self.rest)?;
        Ok(Template { text: text.to_owned(), scheme, authority, rest: self.rest, has_search: self.has_search })
    }
}

/// Parses an authority without user information.
pub(super) fn authority(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    let after = text.strip_prefix(host)?;
    let port_is_right = after.strip_prefix(':').map_or(after.is_empty(), |port| {
        port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let is_name = |host: &str| {
        let mut labels = host.strip_suffix('.').unwrap_or(host).split('.');
        labels.all(|label| !label.is_empty() && label.bytes().all(is_of_label))
    };
    let is_address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_right = is_address.map_or_else(|| is_name(host), |host| host.parse::<std::net::Ipv6Addr>().is_ok());
    (port_is_right && host_is_right).then_some(authority)
}

/// Containers have underscores in their names.
fn is_of_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Checks the text of the path as far as it is known.
fn check_path(rest: &[Piece]) -> Result<(), String> {
    let mut sample = String::new();
    for piece in rest {
        match piece {
            Piece::Text(text) => sample.push_str(text),
            Piece::Value(Value::Pathname, _) => sample.push_str("/x"),
            Piece::Value(Value::Search, _) => sample.push('?'),
            Piece::Value(..) => sample.push('x'),
        }
    }
    let path = sample.split_once('?').map_or(sample.as_str(), |(path, _)| path);
    match if path.is_empty() { Ok(()) } else { path::check(path) } {
        Ok(()) => Ok(()),
        Err(path::BadPath::DotSegment) => Err("must not contain a dot segment; remove it".to_owned()),
        Err(_) => Err("must have a well-formed path; `%` needs two hexadecimal digits".to_owned()),
    }
}

/// Names the variable with which the template begins: its value is not in the file.
fn no_scheme(text: &str) -> String {
    let name = text.strip_prefix("${env.").and_then(|rest| rest.split_once('}')).map(|(name, _)| excerpt(name.trim()));
    let what = name.map_or_else(
        || "a placeholder other than `${env.NAME}` cannot stand there".to_owned(),
        |name| format!("correct the value of the environment variable `{name}`"),
    );
    format!("must begin with `http://` or `https://`; {what}")
}

/// As browsers encode it; what is not listed is sent as it is.
const ENCODED_IN_URLS: &AsciiSet = &CONTROLS.add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');

const BAD_HOST: &str = "must have a well-formed host and port, as in `https://example.com` or `http://name:8080`";
