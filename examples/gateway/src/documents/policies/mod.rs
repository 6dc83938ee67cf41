//! `policies` of `policies.json`: names first, then those that a route names.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Context, HeaderEdits, Policy, PolicyAction, RUNTIME, authentication, headers,
    node::{Members, Node},
};
use crate::excerpt::excerpt;

/// The policies of the file, of which only the names are read.
#[derive(Debug, Default)]
pub(super) struct Definitions<'a> {
    named: Vec<(&'a str, Members<'a>)>,
}

/// What became of each name that a route has.
#[derive(Debug)]
pub(super) struct Policies<'a> {
    pub(super) policies: Vec<Arc<Policy>>,
    outcomes: HashMap<&'a str, Outcome<'a>>,
}

/// What a name stands for.
#[derive(Clone, Debug)]
enum Outcome<'a> {
    /// Nothing: neither in the file nor registered.
    Absent,
    /// The members of a composite.
    Composite(Vec<&'a str>),
    /// Nothing that can be used; its faults are in the report.
    Faulty,
    /// One of [`Policies::policies`].
    Ready(Arc<Policy>),
    /// A policy that this gateway does not have, with its `export` and `module`.
    Unsupported(String),
}

impl<'a> Definitions<'a> {
    /// Reads the names of the list.
    pub(super) fn read(list: &Node<'a>) -> Self {
        let mut definitions = Self::default();
        for members in list.elements().into_iter().flatten().filter_map(|element| element.object()) {
            let Some(node) = members.required("name") else { continue };
            let Some(name) = node.name() else { continue };
            if definitions.get(name).is_some() {
                node.fault(format!("an earlier policy has the name `{}`; choose another name", excerpt(name)));
                continue;
            }
            definitions.named.push((name, members));
        }
        definitions
    }

    fn get(&self, name: &str) -> Option<&Members<'a>> {
        self.named.iter().find_map(|(other, members)| (*other == name).then_some(members))
    }
}

impl<'a> Policies<'a> {
    /// Reads the policies of these names, in the order of the file.
    pub(super) fn read(definitions: &Definitions<'a>, names: &HashSet<&'a str>, context: &Context<'_>) -> Self {
        let mut read = Self { policies: Vec::new(), outcomes: HashMap::new() };
        let defined = definitions.named.iter().map(|(name, _)| *name).filter(|name| names.contains(name));
        let mut others: Vec<_> = names.iter().copied().filter(|name| definitions.get(name).is_none()).collect();
        others.sort_unstable();
        for name in defined.chain(others) {
            read.add(name, definitions, context);
        }
        read
    }

    /// The policies for which `name` stands: its own, or those of a composite. Faults are reported at `node`, where a
    /// route has the name. A policy is never left out: that would open the route.
    pub(super) fn resolve(&self, name: &'a str, node: &Node<'_>) -> Option<Vec<Arc<Policy>>> {
        let (members, through) = match self.outcomes.get(name) {
            Some(Outcome::Composite(members)) => (members.as_slice(), format!(" of the composite `{}`", excerpt(name))),
            _ => (&[name][..], String::new()),
        };
        let policy = |member: &&'a str| {
            match self.outcomes.get(member) {
                Some(Outcome::Ready(policy)) => return Some(Arc::clone(policy)),
                Some(Outcome::Unsupported(handler)) => node.fault(format!(
                    "the policy `{}`{through} ({handler}) is not supported, and to skip it would open the route; \
                     register a layer of that name in code",
                    excerpt(member)
                )),
                Some(Outcome::Absent) => node.fault(format!(
                    "policies.json has no policy `{}`{through}, and no layer of that name is registered in code; \
                     correct the name, or add the policy",
                    excerpt(member)
                )),
                Some(Outcome::Composite(_) | Outcome::Faulty) | None => {}
            }
            None
        };
        // All faults first: `collect` would stop at the first one.
        let policies: Vec<_> = members.iter().map(policy).collect();
        policies.into_iter().collect()
    }

    fn add(&mut self, name: &'a str, definitions: &Definitions<'a>, context: &Context<'_>) {
        if self.outcomes.contains_key(name) {
            return;
        }
        let outcome = match definitions.get(name) {
            _ if (context.is_registered)(name) => self.ready(name, PolicyAction::Custom),
            Some(members) => self.definition(name, members, definitions, context),
            None => Outcome::Absent,
        };
        self.outcomes.insert(name, outcome);
    }

    fn ready(&mut self, name: &str, action: PolicyAction) -> Outcome<'a> {
        let policy = Arc::new(Policy { name: name.to_owned(), action });
        self.policies.push(Arc::clone(&policy));
        Outcome::Ready(policy)
    }

    fn definition(
        &mut self,
        name: &'a str,
        members: &Members<'a>,
        definitions: &Definitions<'a>,
        context: &Context<'_>,
    ) -> Outcome<'a> {
        members.allow_only(&["name", "policyType", "handler"]);
        // A label; any will do.
        members.required("policyType").and_then(|label| label.plain_text());
        let Some(handler) = members.required("handler").and_then(|handler| handler.object()) else {
            return Outcome::Faulty;
        };
        handler.allow_only(&["export", "module", "options"]);
        let export = handler.required("export").and_then(|export| export.plain_text());
        let module = handler.required("module").and_then(|module| module.plain_text());
        let (Some(export), Some(module)) = (export, module) else { return Outcome::Faulty };
        let is_known = [COMPOSITE, REMOVE_HEADERS, SET_HEADERS].contains(&export) || authentication::is_known(export);
        if module != RUNTIME || !is_known {
            return Outcome::Unsupported(format!("`{}` of `{}`", excerpt(export), excerpt(module)));
        }
        let Some(options) = handler.required("options").and_then(|options| options.object()) else {
            return Outcome::Faulty;
        };
        let action = match export {
            COMPOSITE => return self.composite(&options, definitions, context),
            REMOVE_HEADERS => PolicyAction::EditHeaders(HeaderEdits::Remove(headers::remove(&options, context))),
            SET_HEADERS => PolicyAction::EditHeaders(HeaderEdits::Set(headers::set(&options, context))),
            _ => match authentication::read(name, export, members.node(), &options, context) {
                Some(policy) => PolicyAction::Authenticate(Box::new(policy)),
                None => return Outcome::Faulty,
            },
        };
        self.ready(name, action)
    }

    /// The members count as named by the route that names the composite.
    fn composite(
        &mut self,
        options: &Members<'a>,
        definitions: &Definitions<'a>,
        context: &Context<'_>,
    ) -> Outcome<'a> {
        options.warn_about_others(&["policies"]);
        let Some(list) = options.required("policies") else { return Outcome::Faulty };
        let Some(elements) = list.elements() else { return Outcome::Faulty };
        if elements.is_empty() {
            list.fault("a composite without policies would open the route; name the policies");
            return Outcome::Faulty;
        }
        let member = |element: &Node<'a>| {
            let name = element.plain_text()?;
            let is_registered = (context.is_registered)(name);
            match definitions.get(name) {
                Some(members) if is_composite(members) && !is_registered => {
                    element.fault("is a composite itself; name its policies here instead");
                    None
                }
                None if !is_registered => {
                    element
                        .fault(format!("policies.json has no policy `{}`; correct the name, or add it", excerpt(name)));
                    None
                }
                _ => Some(name),
            }
        };
        let names: Vec<_> = elements.iter().map(member).collect();
        for name in names.iter().copied().flatten() {
            self.add(name, definitions, context);
        }
        names.into_iter().collect::<Option<_>>().map_or(Outcome::Faulty, Outcome::Composite)
    }
}

/// Looks without a report of faults: a policy is not read further than its name before a route names it.
fn is_composite(members: &Members<'_>) -> bool {
    let handler = members.node().value().member("handler");
    let has = |name: &str, text: &str| {
        handler.and_then(|handler| handler.member(name)).is_some_and(|value| value.is_text(text))
    };
    has("export", COMPOSITE) && has("module", RUNTIME)
}

const COMPOSITE: &str = "CompositeInboundPolicy";
const REMOVE_HEADERS: &str = "RemoveHeadersInboundPolicy";
const SET_HEADERS: &str = "SetHeadersInboundPolicy";
