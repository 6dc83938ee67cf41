//! Templates of upstream URLs: text with `${…}`.

mod parse;
mod render;
#[cfg(test)]
mod tests;

use http::{
    HeaderMap, HeaderName, Method, Uri,
    uri::{Authority, Scheme},
};

use crate::routing::Params;

/// `baseUrl` or `rewritePattern` of a handler, with the variables of the environment already put in.
#[derive(Clone)]
pub struct Template {
    /// As it is written in the file.
    text: String,
    scheme: Scheme,
    authority: AuthorityTemplate,
    /// Path and query.
    rest: Vec<Piece>,
    has_search: bool,
}

/// What a template may refer to.
pub(crate) struct RequestFacts<'a> {
    /// The method of the request.
    pub(crate) method: &'a Method,
    /// The request target as it arrived.
    pub(crate) uri: &'a Uri,
    /// The authority that the client asked for.
    pub(crate) host: &'a str,
    /// The headers of the request, after the policies.
    pub(crate) headers: &'a HeaderMap,
    /// Whether every policy that guards some route has let the request pass. If not, no value may reach a path of the
    /// upstream that the template does not show, since another route may guard it.
    pub(crate) has_every_guard: bool,
    /// The parameters of the path, in the spelling of the request.
    pub(crate) params: &'a Params,
}

/// A URL that a template made and that must not be asked for, such as one with a dot segment. The client gets 400.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BadTarget;

impl Template {
    /// Parses a template. `parameters` are the names that `${params.x}` may have; `None`: any, since the path has a
    /// fault of its own.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, each a reason for a [`Fault`](crate::Fault).
    pub(crate) fn parse(
        text: &str,
        parameters: Option<&[String]>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<String>> {
        parse::template(text, parameters, variable)
    }

    /// The upstream as the route table shows it: the template's text with secrets of the environment left out.
    pub(crate) fn display(&self) -> &str {
        &self.text
    }

    /// Whether it refers to parameters of the path; if not, [`RequestFacts::params`] can be left empty.
    pub(crate) fn uses_params(&self) -> bool {
        let authority = match &self.authority {
            AuthorityTemplate::Made(pieces) => pieces.as_slice(),
            AuthorityTemplate::Static(_) => &[],
        };
        authority.iter().chain(&self.rest).any(|piece| matches!(piece, Piece::Value(Value::Parameter(_), _)))
    }

    /// Whether the template itself has a query. A `baseUrl` should have none.
    pub(crate) fn has_query(&self) -> bool {
        self.has_search || self.rest.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains('?')))
    }
}

impl std::fmt::Debug for Template {
    // Without what came from the environment.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Template").field(&self.text).finish()
    }
}

/// The authority of a template.
#[derive(Clone)]
enum AuthorityTemplate {
    /// With values of the request.
    Made(Vec<Piece>),
    /// The same for all requests.
    Static(Authority),
}

#[derive(Clone)]
enum Piece {
    Text(String),
    Value(Value, Position),
}

/// Where a value is put.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Position {
    Authority,
    Path,
    Query,
}

/// What a placeholder stands for.
#[derive(Clone)]
enum Value {
    Header(HeaderName),
    Host,
    Method,
    Parameter(String),
    Pathname,
    Query(String),
    Search,
}
