//! The files of a hosted gateway: `policies.json` and every `*.oas.json` of a folder.
//!
//! They are read with plain `serde_json`, not with a crate for OpenAPI such as `oas3`: there one unknown shape anywhere
//! in a document (a schema, a response) would refuse the whole file, and neither duplicate members nor all faults with
//! their paths could be reported.

mod access;
mod authentication;
mod cors;
mod handlers;
mod headers;
mod json;
mod methods;
mod node;
mod origin;
mod policies;
mod reading;
mod routes;
mod shadowed;
#[cfg(test)]
mod support;
mod variables;

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, Uri};
use tower_clerk::gateway::GatewayPolicy;

pub use self::{
    access::Access,
    reading::{read, read_folder},
};
use crate::{
    Fault,
    routing::{Entry, PathPattern},
    template::{BadTarget, RequestFacts, Template},
};

/// Everything that the files say, with variables put in and names resolved.
#[derive(Clone, Debug)]
pub struct Documents {
    /// The CORS policies that routes name.
    pub cors_policies: Vec<Arc<CorsPolicy>>,
    /// The policies that routes name, directly or through a composite; a composite itself is not among them.
    pub policies: Vec<Arc<Policy>>,
    /// The routes in the order in which they are tried.
    pub routes: Vec<Route>,
    /// What the hosted gateway ignores, such as unknown options of a policy.
    pub warnings: Vec<Fault>,
}

/// A policy that a route names.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The name by which routes refer to it; unique.
    pub name: String,
    /// What it does.
    pub action: PolicyAction,
}

/// What a policy does.
#[derive(Clone, Debug)]
pub enum PolicyAction {
    /// Verifies a token (`ClerkJwtInboundPolicy`, `OpenIdJwtInboundPolicy`).
    Authenticate(Box<GatewayPolicy>),
    /// A Tower layer that was registered in code under the policy's name.
    Custom,
    /// Changes headers of the request.
    EditHeaders(HeaderEdits),
}

/// How a policy changes the headers of a request.
#[derive(Clone, Debug)]
pub enum HeaderEdits {
    /// `RemoveHeadersInboundPolicy`.
    Remove(Vec<HeaderName>),
    /// `SetHeadersInboundPolicy`.
    Set(Vec<SetHeader>),
}

/// One header of a `SetHeadersInboundPolicy`.
#[derive(Clone, Debug)]
pub struct SetHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its value, marked as sensitive if a variable is part of it.
    pub value: HeaderValue,
    /// Whether it replaces the one of the request; `true` by default.
    pub overwrite: bool,
}

/// An operation with `x-zuplo-route`.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method of the operation.
    pub method: Method,
    /// The path that it matches.
    pub pattern: PathPattern,
    /// Its policies in their order, composites resolved.
    pub policies: Vec<Arc<Policy>>,
    /// Which other origins may use it.
    pub cors: RouteCors,
    /// Where requests go.
    pub handler: Handler,
}

impl Route {
    /// What the router needs to know of the route. A policy that edits headers lets every request pass.
    pub(crate) fn entry(&self) -> Entry {
        let guards = self.policies.iter().filter(|policy| policy.action.may_reject());
        let guards = guards.map(|policy| policy.name.clone()).collect();
        Entry { method: self.method.clone(), pattern: self.pattern.clone(), guards }
    }
}

/// `corsPolicy` of a route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RouteCors {
    /// `anything-goes`.
    AnythingGoes,
    /// One of [`Documents::cors_policies`].
    Named(Arc<CorsPolicy>),
    /// `none`, or nothing.
    None,
}

/// The handler of a route.
#[derive(Clone, Debug)]
pub enum Handler {
    /// `urlForwardHandler`: `baseUrl`, then the path of the request.
    Forward {
        /// `baseUrl`.
        base_url: Template,
        /// Whether the query of the request is appended; `true` by default.
        forward_search: bool,
    },
    /// `urlRewriteHandler`: the URL that a template makes.
    Rewrite {
        /// `rewritePattern`.
        pattern: Template,
        /// Whether the query of the request is appended; `true` by default. A template with `${search}` has it already.
        forward_search: bool,
    },
}

impl Handler {
    /// The upstream as the route table shows it: as it is written in the file.
    pub fn display(&self) -> &str {
        self.template().display()
    }

    /// Whether the URL depends on parameters of the path; if not, [`RequestFacts::params`] can be left empty.
    pub(crate) fn uses_params(&self) -> bool {
        self.template().uses_params()
    }

    /// Makes the URL of the upstream for a request.
    pub(crate) fn url(&self, facts: &RequestFacts<'_>) -> Result<Uri, BadTarget> {
        match self {
            Self::Forward { base_url, forward_search } => base_url.forward(facts, *forward_search),
            Self::Rewrite { pattern, forward_search } => pattern.rewrite(facts, *forward_search),
        }
    }

    fn template(&self) -> &Template {
        let (Self::Forward { base_url: template, .. } | Self::Rewrite { pattern: template, .. }) = self;
        template
    }
}

/// One of `corsPolicies`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CorsPolicy {
    /// The name by which routes refer to it; unique.
    pub name: String,
    /// `allowedOrigins`.
    pub allowed_origins: AnyOr<OriginPattern>,
    /// `allowedMethods`; an empty list: none beyond those that need no preflight.
    pub allowed_methods: AnyOr<Method>,
    /// `allowedHeaders`.
    pub allowed_headers: AnyOr<HeaderName>,
    /// `exposeHeaders`; not any with `allow_credentials`.
    pub expose_headers: AnyOr<HeaderName>,
    /// `maxAge`.
    pub max_age: Option<Duration>,
    /// `allowCredentials`; `false` by default, and always with any origin.
    pub allow_credentials: bool,
}

/// A list of a [`CorsPolicy`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AnyOr<T> {
    /// `*` is in it.
    Any,
    /// These only.
    List(Vec<T>),
}

impl<T> AnyOr<T> {
    /// Whether the list has it. `is_it` is asked about each item.
    pub(crate) fn allows(&self, is_it: impl FnMut(&T) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::List(items) => items.iter().any(is_it),
        }
    }
}

/// One of the origins of a [`CorsPolicy`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OriginPattern {
    /// `https://app.example.com`, in the form that browsers send.
    Exact(String),
    /// `https://*.example.com`: one label in place of the star.
    Subdomain {
        /// `https://`
        prefix: String,
        /// `.example.com`, with the port if there is one.
        suffix: String,
    },
}

/// Where the values of the environment and the registered policies come from.
pub struct Context<'a> {
    /// Returns the value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a policy of this name is registered in code.
    pub is_registered: &'a dyn Fn(&str) -> bool,
}

/// The module of everything that the hosted gateway brings itself.
const RUNTIME: &str = "$import(@zuplo/runtime)";
