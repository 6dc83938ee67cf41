//! Puts the files together.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fs, io,
    path::Path,
    sync::Arc,
};

use super::{
    Context, CorsPolicy, Documents, Route, RouteCors,
    cors::CorsPolicies,
    json::{self, Value},
    node::{Node, Report},
    policies::{Definitions, Policies},
    routes::{Draft, Reader},
    shadowed,
};
use crate::{Fault, excerpt::excerpt};

/// Reads `policies.json` and every `*.oas.json` of the folder.
///
/// # Errors
///
/// All faults of all files.
pub fn read_folder(folder: &Path, context: &Context<'_>) -> Result<Documents, Vec<Fault>> {
    let report = Report::default();
    match read_sources(folder) {
        Ok(sources) => read_all(&sources, context, report),
        Err(error) => {
            report.fault(&folder.to_string_lossy(), "$", format!("the folder cannot be read: {error}"));
            Err(report.into_parts().0)
        }
    }
}

/// As [`read_folder`], with files given as name and text.
///
/// # Errors
///
/// As there.
pub fn read(files: &[(String, String)], context: &Context<'_>) -> Result<Documents, Vec<Fault>> {
    let is_document = |name: &str| name == POLICIES || name.ends_with(ROUTES);
    let files = files.iter().filter(|(name, _)| is_document(name));
    let sources: Vec<_> = files.map(|(name, text)| Source { name: name.clone(), text: Ok(text.clone()) }).collect();
    read_all(&sources, context, Report::default())
}

/// A file, or why it cannot be read.
struct Source {
    name: String,
    text: Result<String, String>,
}

fn read_sources(folder: &Path) -> io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == POLICIES || name.ends_with(ROUTES) {
            sources.push(Source { name, text: read_text(&entry.path()) });
        }
    }
    Ok(sources)
}

fn read_text(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("the file cannot be read: {error}");
    // Anything else, such as a pipe, may keep the reader waiting for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("the file cannot be read: it is no regular file; remove it".to_owned());
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| not_utf8(&error))
}

fn not_utf8(error: &std::string::FromUtf8Error) -> String {
    format!("must be UTF-8, and is not after {} bytes; save the file as UTF-8", error.utf8_error().valid_up_to())
}

fn read_all(sources: &[Source], context: &Context<'_>, report: Report) -> Result<Documents, Vec<Fault>> {
    let mut values: Vec<_> = sources.iter().map(|source| (source.name.as_str(), parse(source, &report))).collect();
    values.sort_by_key(|(name, _)| (*name != POLICIES, *name));
    let documents = read_values(&values, context, &report);
    report.sort_faults(&values.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let (faults, warnings) = report.into_parts();
    match documents {
        Some(documents) if faults.is_empty() => Ok(Documents { warnings, ..documents }),
        _ => Err(faults),
    }
}

fn parse(source: &Source, report: &Report) -> Option<Value> {
    let text = source.text.as_ref().map_err(Clone::clone);
    match text.and_then(|text| json::parse(text)) {
        Ok(value) => {
            for path in json::duplicates(&value) {
                report.fault(&source.name, &path, "the object has an earlier member of this name; remove one");
            }
            Some(value)
        }
        Err(reason) => {
            report.fault(&source.name, "$", reason);
            None
        }
    }
}

/// Faults go to the report; what comes back is whole only if there are none.
fn read_values(values: &[(&str, Option<Value>)], context: &Context<'_>, report: &Report) -> Option<Documents> {
    let nodes: Vec<_> = values
        .iter()
        .map(|(name, value)| (*name, value.as_ref().map(|value| Node::root(name, value, report))))
        .collect();
    let is_policies = |(name, _): &&(&str, Option<Node<'_>>)| *name == POLICIES;
    let policies_file = nodes.iter().find(is_policies);
    if policies_file.is_none() {
        report.fault(POLICIES, "$", "the folder has no such file; add it, without policies as {\"policies\": []}");
    }
    let policies_file = policies_file.and_then(|(_, node)| policies_file_parts(node.as_ref()?, context));
    let reader = Reader { context, cors_policies: policies_file.as_ref().map(|(_, cors_policies)| cors_policies) };
    let mut drafts = Vec::new();
    for (_, node) in nodes.iter().filter(|node| !is_policies(node)) {
        drafts.extend(node.as_ref().map(|node| reader.read(node)).unwrap_or_default());
    }
    if nodes.iter().all(|node| is_policies(&node)) {
        report.fault("*.oas.json", "$", "the folder has no such file, so there are no routes; add one");
    } else if drafts.is_empty() && report.has_no_fault() {
        report.fault(
            "*.oas.json",
            "$.paths",
            "no operation has `x-zuplo-route`, so there are no routes; add it to one",
        );
    }
    warn_about_unreachable(&drafts);
    let (definitions, cors_policies) = policies_file?;
    let names: HashSet<_> =
        drafts.iter().flat_map(|draft| draft.policies.iter().flatten()).map(|(name, _)| *name).collect();
    let policies = Policies::read(&definitions, &names, context);
    // All faults first: `collect` would stop at the first one.
    let operations: Vec<_> = drafts.iter().map(|draft| draft.node.clone()).collect();
    let routes: Vec<_> = drafts.into_iter().map(|draft| route(draft, &policies)).collect();
    let routes: Vec<_> = routes.into_iter().collect::<Option<_>>()?;
    shadowed::warn(&routes, &operations);
    let is_named = |policy: &Arc<CorsPolicy>| {
        routes.iter().any(|route: &Route| matches!(&route.cors, RouteCors::Named(own) if Arc::ptr_eq(own, policy)))
    };
    let cors_policies = cors_policies.into_policies().filter(is_named).collect();
    Some(Documents { cors_policies, policies: policies.policies, routes, warnings: Vec::new() })
}

/// The policies and the CORS policies of `policies.json`; `None` if neither can be looked up in it.
fn policies_file_parts<'a>(node: &Node<'a>, context: &Context<'_>) -> Option<(Definitions<'a>, CorsPolicies<'a>)> {
    if matches!(node.value(), Value::Array(_)) {
        node.fault("must be an object that has the array as a member: {\"policies\": […]}");
        return None;
    }
    let members = node.object()?;
    members.allow_only(&["policies", "corsPolicies"]);
    let cors_policies =
        members.member("corsPolicies").map(|list| CorsPolicies::read(&list, context)).unwrap_or_default();
    let definitions = Definitions::read(&members.required("policies")?);
    Some((definitions, cors_policies))
}

fn route<'a>(draft: Draft<'a>, policies: &Policies<'a>) -> Option<Route> {
    // All faults first: `collect` would stop at the first one.
    let resolved: Vec<_> = draft.policies?.into_iter().map(|(name, node)| policies.resolve(name, &node)).collect();
    let resolved: Option<Vec<_>> = resolved.into_iter().collect();
    Some(Route {
        method: draft.method,
        pattern: draft.pattern?,
        policies: resolved?.concat(),
        cors: draft.cors?,
        handler: draft.handler?,
    })
}

fn warn_about_unreachable(drafts: &[Draft<'_>]) {
    let mut first: HashMap<_, &str> = HashMap::new();
    for draft in drafts {
        let key = (&draft.method, draft.path, draft.mode);
        match first.entry(key) {
            Entry::Occupied(entry) => draft.node.warn(format!(
                "is never reached: {} has a route of the same method and path before it; remove one",
                excerpt(entry.get())
            )),
            Entry::Vacant(entry) => _ = entry.insert(draft.node.file()),
        }
    }
}

const POLICIES: &str = "policies.json";
const ROUTES: &str = ".oas.json";
