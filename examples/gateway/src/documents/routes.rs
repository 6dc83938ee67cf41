//! Routes of a `*.oas.json`: the operations with `x-zuplo-route`.

use std::sync::Arc;

use http::Method;

use super::{
    Context, Handler, RouteCors,
    cors::{ANYTHING_GOES, CorsPolicies, NONE},
    handlers,
    methods::METHODS,
    node::{Members, NO_VARIABLE, Node},
};
use crate::{
    environment,
    excerpt::excerpt,
    routing::{PathMode, PathPattern},
};

/// A route whose policies are not looked up yet. What is `None` has a fault.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// The operation.
    pub(super) node: Node<'a>,
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) mode: PathMode,
    pub(super) pattern: Option<PathPattern>,
    pub(super) cors: Option<RouteCors>,
    pub(super) handler: Option<Handler>,
    /// The names in `policies.inbound`, each with its place.
    pub(super) policies: Option<Vec<(&'a str, Node<'a>)>>,
}

/// Reads routes documents.
pub(super) struct Reader<'r> {
    pub(super) context: &'r Context<'r>,
    /// `None` if `policies.json` cannot be read.
    pub(super) cors_policies: Option<&'r CorsPolicies<'r>>,
}

impl Reader<'_> {
    /// Reads the routes of a document in their order.
    pub(super) fn read<'a>(&self, document: &Node<'a>) -> Vec<Draft<'a>> {
        let Some(members) = document.object() else { return Vec::new() };
        read_version(&members);
        let paths = members.member("paths").and_then(|paths| paths.object());
        let items = paths.iter().flat_map(Members::iter).filter(|(path, _)| !path.starts_with("x-"));
        items.flat_map(|(path, item)| self.item(path, &item)).collect()
    }

    fn item<'a>(&self, path: &'a str, item: &Node<'a>) -> Vec<Draft<'a>> {
        let Some(members) = item.object() else { return Vec::new() };
        let is_path = is_path(path, item);
        let mode = members.member(PATH).map_or(Some(PathMode::OpenApi), |node| path_mode(&node));
        let operations: Vec<_> = members.iter().filter_map(|(name, member)| operation(name, &member)).collect();
        if operations.is_empty() {
            return Vec::new();
        }
        let parse = |mode| PathPattern::parse(path, mode).map_err(|reason| item.fault(reason)).ok();
        let pattern = mode.filter(|_| is_path).and_then(parse);
        let draft = |(method, node, route)| {
            let mode = mode.unwrap_or(PathMode::OpenApi);
            let draft = Draft {
                node,
                method,
                path,
                mode,
                pattern: pattern.clone(),
                cors: Some(RouteCors::None),
                handler: None,
                policies: Some(Vec::new()),
            };
            self.route(&route, draft)
        };
        operations.into_iter().map(draft).collect()
    }

    fn route<'a>(&self, route: &Members<'a>, mut draft: Draft<'a>) -> Draft<'a> {
        for (name, member) in route.iter() {
            match name {
                "corsPolicy" => draft.cors = self.cors(&member),
                "handler" => {
                    let parameters = draft.pattern.as_ref().map(PathPattern::parameters);
                    draft.handler = handlers::read(&member, parameters, self.context);
                }
                "policies" => draft.policies = policies(&member),
                "mcp" | "version" => member.warn("is ignored: this gateway has nothing like it; remove it"),
                _ => member.fault("is not a known member; expected one of: corsPolicy, handler, policies"),
            }
        }
        route.required("handler");
        draft
    }

    fn cors(&self, node: &Node<'_>) -> Option<RouteCors> {
        match node.plain_text()? {
            NONE => Some(RouteCors::None),
            ANYTHING_GOES => Some(RouteCors::AnythingGoes),
            name => {
                let policy = self.cors_policies?.get(name);
                if policy.is_none() {
                    node.fault(format!(
                        "policies.json has no `{}` in `corsPolicies`; add it, or use {NONE} or {ANYTHING_GOES}",
                        excerpt(name)
                    ));
                }
                policy.map(|policy| RouteCors::Named(Arc::clone(policy)))
            }
        }
    }
}

fn read_version(members: &Members<'_>) {
    let Some(version) = members.member("openapi") else {
        let hint = if members.member("swagger").is_some() { "; convert the Swagger document to OpenAPI 3" } else { "" };
        members.node().fault(format!("`openapi` is missing; it must be \"3.0.x\" or \"3.1.x\"{hint}"));
        return;
    };
    if version.text().is_some_and(|text| !text.starts_with("3.")) {
        version.fault("must be \"3.0.x\" or \"3.1.x\": only OpenAPI 3 is read");
    }
}

fn is_path(path: &str, item: &Node<'_>) -> bool {
    if environment::split_at_reference(path).is_some() {
        item.fault(NO_VARIABLE);
        return false;
    }
    if !path.starts_with('/') {
        item.fault("must begin with `/`");
        return false;
    }
    true
}

fn path_mode(node: &Node<'_>) -> Option<PathMode> {
    let members = node.object()?;
    members.allow_only(&["pathMode"]);
    let Some(mode) = members.member("pathMode") else { return Some(PathMode::OpenApi) };
    match mode.text()? {
        "open-api" => Some(PathMode::OpenApi),
        "url-pattern" => Some(PathMode::UrlPattern),
        _ => {
            mode.fault("must be open-api or url-pattern");
            None
        }
    }
}

/// Reads a member of a path item; `None` unless it is an operation with a route.
fn operation<'a>(name: &str, member: &Node<'a>) -> Option<(Method, Node<'a>, Members<'a>)> {
    let method = METHODS.iter().find(|method| method.as_str().to_ascii_lowercase() == name);
    let Some(method) = method else {
        report_other_member(name, member);
        return None;
    };
    let members = member.object()?;
    for (name, misplaced) in members.iter() {
        match name {
            "corsPolicy" | "handler" | "policies" => {
                misplaced.fault(format!("must be a member of `{ROUTE}`; move it there"));
            }
            _ => report_misspelt(name, &misplaced),
        }
    }
    let route = members.member(ROUTE)?.object()?;
    Some((method.clone(), member.clone(), route))
}

/// Reports a member of a path item that is no operation, unless it means nothing to the gateway.
fn report_other_member(name: &str, member: &Node<'_>) {
    match name {
        "description" | "parameters" | "servers" | "summary" => {}
        "$ref" => member.fault("a path item in another place is not read; write its operations here"),
        _ if name.starts_with("x-") => report_misspelt(name, member),
        _ => {
            let methods = METHODS.map(|method| method.as_str().to_ascii_lowercase()).join(", ");
            member.fault(format!("is not a known member; expected one of: {methods}, in lower case"));
        }
    }
}

/// Reports a member of the hosted gateway in other letters: it would be ignored, and its route would not be there.
fn report_misspelt(name: &str, member: &Node<'_>) {
    if let Some(known) = [PATH, ROUTE].into_iter().find(|known| name != *known && name.eq_ignore_ascii_case(known)) {
        member.fault(format!("must be written `{known}`"));
    }
}

fn policies<'a>(node: &Node<'a>) -> Option<Vec<(&'a str, Node<'a>)>> {
    let members = node.object()?;
    members.allow_only(&["inbound", "outbound"]);
    let outbound = members.member("outbound");
    if let Some(outbound) = outbound.filter(|outbound| outbound.elements().is_some_and(|names| !names.is_empty())) {
        outbound.fault("policies for responses are not supported; remove `outbound`");
    }
    let Some(inbound) = members.member("inbound") else { return Some(Vec::new()) };
    let name = |element: Node<'a>| element.plain_text().map(|name| (name, element));
    // All faults first: `collect` would stop at the first one.
    let names: Vec<_> = inbound.elements()?.into_iter().map(name).collect();
    names.into_iter().collect()
}

const PATH: &str = "x-zuplo-path";
const ROUTE: &str = "x-zuplo-route";
