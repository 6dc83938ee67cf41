//! Makes URLs from templates.

use std::borrow::Cow;

use http::{
    HeaderValue, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};

use super::{AuthorityTemplate, BadTarget, Piece, Position, RequestFacts, Template, Value, parse};
use crate::routing::{decode_fully, path};

impl Template {
    /// Makes the URL of the upstream for `urlForwardHandler`: this template, the path of the request, and its query.
    ///
    /// # Errors
    ///
    /// [`BadTarget`] if the URL must not be asked for.
    pub(crate) fn forward(&self, facts: &RequestFacts<'_>, forward_search: bool) -> Result<Uri, BadTarget> {
        let authority = self.authority(facts)?;
        let query = facts.uri.query().filter(|_| forward_search);
        let base = match self.rest.as_slice() {
            [] => Cow::Borrowed(""),
            [Piece::Text(text)] => Cow::Borrowed(text.as_str()),
            _ => Cow::Owned(self.rest(facts)?),
        };
        let (base, own_query) = base.split_at(base.find('?').unwrap_or(base.len()));
        let base = base.trim_end_matches('/');
        if base.is_empty() && own_query.is_empty() && query.is_some() == facts.uri.query().is_some() {
            let target = facts.uri.path_and_query().ok_or(BadTarget)?;
            check(target.path())?;
            return url(&self.scheme, authority, target.clone());
        }
        let path = facts.uri.path();
        let length = base.len() + path.len() + own_query.len() + query.map_or(0, |query| query.len() + 1);
        let mut target = String::with_capacity(length);
        target.push_str(base);
        target.push_str(path);
        target.push_str(own_query);
        append_query(&mut target, query);
        self.finish(authority, target)
    }

    /// Makes the URL of the upstream for `urlRewriteHandler`: this template, and the query of the request.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub(crate) fn rewrite(&self, facts: &RequestFacts<'_>, forward_search: bool) -> Result<Uri, BadTarget> {
        let authority = self.authority(facts)?;
        let mut target = self.rest(facts)?;
        if !target.starts_with('/') {
            target.insert(0, '/');
        }
        // An empty value may have made a path that could be taken for an authority.
        if target.starts_with("//") {
            return Err(BadTarget);
        }
        if !self.has_search {
            append_query(&mut target, facts.uri.query().filter(|_| forward_search));
        }
        self.finish(authority, target)
    }

    fn authority(&self, facts: &RequestFacts<'_>) -> Result<Authority, BadTarget> {
        let pieces = match &self.authority {
            AuthorityTemplate::Static(authority) => return Ok(authority.clone()),
            AuthorityTemplate::Made(pieces) => pieces,
        };
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Value(value, _) => {
                    let part = value.read(facts);
                    if !is_part_of_authority(&part, matches!(value, Value::Host)) {
                        return Err(BadTarget);
                    }
                    text.push_str(&String::from_utf8_lossy(&part));
                }
            }
        }
        parse::authority(&text).ok_or(BadTarget)
    }

    /// Path and query, which may be empty.
    fn rest(&self, facts: &RequestFacts<'_>) -> Result<String, BadTarget> {
        let mut rest = String::with_capacity(64);
        for piece in &self.rest {
            match piece {
                Piece::Text(text) => rest.push_str(text),
                Piece::Value(value, position) => {
                    let read = value.read(facts);
                    if *position == Position::Path && !facts.has_every_guard && value.may_lead_elsewhere(&read) {
                        return Err(BadTarget);
                    }
                    match (value, position) {
                        (Value::Parameter(_) | Value::Pathname, Position::Query) => {
                            rest.extend(utf8_percent_encode(&String::from_utf8_lossy(&read), PART_OF_QUERY));
                        }
                        (Value::Parameter(_) | Value::Pathname | Value::Search, _) => {
                            rest.push_str(&String::from_utf8_lossy(&read));
                        }
                        _ => rest.extend(percent_encode(&read, UNRESERVED)),
                    }
                }
            }
        }
        Ok(rest)
    }

    fn finish(&self, authority: Authority, target: String) -> Result<Uri, BadTarget> {
        check(target.split_once('?').map_or(target.as_str(), |(path, _)| path))?;
        url(&self.scheme, authority, PathAndQuery::try_from(target).map_err(|_| BadTarget)?)
    }
}

impl Value {
    /// Whether an upstream could find another path than the template shows: where a value hides the end of a segment,
    /// or of the path (`1%2Fsecrets` for an id), or is nothing in the end, so that the path stops before it.
    fn may_lead_elsewhere(&self, read: &[u8]) -> bool {
        let text = String::from_utf8_lossy(read);
        let decoded = decode_fully(&text);
        let slashes = |text: &str| text.matches('/').count();
        let hides_slash = match self {
            // Compared with the routes as part of the path of the request.
            Self::Pathname | Self::Search => return false,
            // A wildcard takes slashes that are written as such.
            Self::Parameter(_) => slashes(&decoded) > slashes(&text),
            Self::Header(_) | Self::Host | Self::Method | Self::Query(_) => slashes(&decoded) > 0,
        };
        hides_slash || decoded.contains(['\\', ';', '?', '#']) || decoded.trim_matches(['/', '.', ' ']).is_empty()
    }

    fn read<'a>(&self, facts: &RequestFacts<'a>) -> Cow<'a, [u8]> {
        match self {
            Self::Header(name) => {
                let values: Vec<&[u8]> = facts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
                values.join(b", ".as_slice()).into()
            }
            Self::Host => facts.host.as_bytes().into(),
            Self::Method => facts.method.as_str().as_bytes().into(),
            Self::Parameter(name) => facts.params.get(name).unwrap_or_default().as_bytes().into(),
            Self::Pathname => facts.uri.path().as_bytes().into(),
            Self::Query(name) => {
                let mut pairs = form_urlencoded::parse(facts.uri.query().unwrap_or_default().as_bytes());
                pairs
                    .find(|(known, _)| known == name)
                    .map_or(Cow::default(), |(_, value)| value.into_owned().into_bytes().into())
            }
            Self::Search => match facts.uri.query() {
                Some(query) if !query.is_empty() => format!("?{query}").into_bytes().into(),
                _ => Cow::default(),
            },
        }
    }
}

/// Whether a value can be put into an authority without changing more than its place.
fn is_part_of_authority(value: &[u8], may_have_port: bool) -> bool {
    let port = value.iter().position(|&byte| byte == b':').filter(|_| may_have_port);
    let (name, port) = value.split_at(port.unwrap_or(value.len()));
    let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    is_name && !name.is_empty() && port.iter().skip(1).all(u8::is_ascii_digit)
}

fn append_query(target: &mut String, query: Option<&str>) {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return;
    };
    // A path may end with `&` too.
    match target.contains('?') {
        false => target.push('?'),
        true if target.ends_with(['?', '&']) => {}
        true => target.push('&'),
    }
    target.push_str(query);
}

fn check(path: &str) -> Result<(), BadTarget> {
    path::check(path).map_err(|_| BadTarget)
}

fn url(scheme: &Scheme, authority: Authority, target: PathAndQuery) -> Result<Uri, BadTarget> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(authority);
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map_err(|_| BadTarget)
}

/// What RFC 3986 calls unreserved.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a path may hold as it is, and would be read as something else in a query.
const PART_OF_QUERY: &AsciiSet = &AsciiSet::EMPTY.add(b'#').add(b'&').add(b'+').add(b';').add(b'=').add(b'?');
