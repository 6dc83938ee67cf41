//! `corsPolicies` of `policies.json`.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method};

use super::{
    AnyOr, Context, CorsPolicy,
    json::Value,
    methods::METHODS,
    node::{Members, Node},
    origin,
    variables::{self, Resolved},
};
use crate::excerpt::excerpt;

/// `corsPolicy` of a route without CORS.
pub(super) const NONE: &str = "none";

/// `corsPolicy` of a route that every origin may use.
pub(super) const ANYTHING_GOES: &str = "anything-goes";

/// All CORS policies of the file, named by a route or not: they are few.
#[derive(Debug, Default)]
pub(super) struct CorsPolicies<'a> {
    /// With the name, if it has none of the faults of names.
    policies: Vec<(Option<&'a str>, Arc<CorsPolicy>)>,
}

impl<'a> CorsPolicies<'a> {
    /// Reads the list. Values that have a fault are left out; no document comes out of a file with a fault.
    pub(super) fn read(list: &Node<'a>, context: &Context<'_>) -> Self {
        let mut read = Self::default();
        for members in list.elements().into_iter().flatten().filter_map(|element| element.object()) {
            let name = read.name(&members);
            let policy = policy(&members, name.unwrap_or_default().to_owned(), context);
            read.policies.push((name, Arc::new(policy)));
        }
        read
    }

    /// The CORS policy of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<CorsPolicy>> {
        self.policies.iter().find_map(|(own, policy)| (*own == Some(name)).then_some(policy))
    }

    /// All of them, in the order of the file.
    pub(super) fn into_policies(self) -> impl Iterator<Item = Arc<CorsPolicy>> {
        self.policies.into_iter().map(|(_, policy)| policy)
    }

    fn name(&self, members: &Members<'a>) -> Option<&'a str> {
        let node = members.required("name")?;
        let name = node.name()?;
        if name == NONE || name == ANYTHING_GOES {
            node.fault(format!("`{name}` is built in and cannot be defined anew; choose another name"));
        } else if self.get(name).is_some() {
            node.fault("an earlier CORS policy has that name; choose another name");
        }
        Some(name)
    }
}

fn policy(members: &Members<'_>, name: String, context: &Context<'_>) -> CorsPolicy {
    members.allow_only(FIELDS);
    let policy = CorsPolicy {
        name,
        allowed_origins: list(members.required("allowedOrigins"), context, origin::parse),
        allowed_methods: list(members.member("allowedMethods"), context, method),
        allowed_headers: list(members.member("allowedHeaders"), context, header),
        expose_headers: list(members.member("exposeHeaders"), context, header),
        max_age: members.member("maxAge").and_then(|node| seconds(&node, context)),
        allow_credentials: members.member("allowCredentials").and_then(|node| node.boolean()).unwrap_or(false),
    };
    // The layer that adds the headers would panic.
    if policy.allow_credentials && policy.allowed_origins == AnyOr::Any {
        members.node().fault_below(
            ".allowedOrigins",
            "`*` with `allowCredentials: true` is refused by browsers; name the origins",
        );
    }
    if policy.allow_credentials && policy.expose_headers == AnyOr::Any {
        members.node().fault_below(
            ".exposeHeaders",
            "with `allowCredentials: true` browsers take `*` for the name of a header; name the headers",
        );
    }
    policy
}

/// An array of strings, or a string with commas. `parse` gives what is wrong with an item other than `*`; the item is
/// shown before it, unless a variable is part of it.
fn list<T>(node: Option<Node<'_>>, context: &Context<'_>, parse: impl Fn(&str) -> Result<T, &'static str>) -> AnyOr<T> {
    let mut items = Vec::new();
    let Some(node) = node else { return AnyOr::List(items) };
    let texts = match node.value() {
        Value::Array(_) => node.elements().unwrap_or_default(),
        Value::String(_) => vec![node],
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::Object(_) => {
            node.fault("must be an array of strings, or a string with commas");
            Vec::new()
        }
    };
    let mut has_star = false;
    for text_node in texts {
        let Some(Resolved { text, has_variable }) = variables::resolve(&text_node, context.variable) else { continue };
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match parse(item) {
                _ if item == "*" => has_star = true,
                Ok(item) => items.push(item),
                Err(reason) if has_variable => text_node.fault(format!("with its variables put in, {reason}")),
                Err(reason) => text_node.fault(format!("`{}`: {reason}", excerpt(item))),
            }
        }
    }
    if has_star { AnyOr::Any } else { AnyOr::List(items) }
}

fn method(item: &str) -> Result<Method, &'static str> {
    let method = METHODS.iter().find(|method| method.as_str().eq_ignore_ascii_case(item));
    method.cloned().ok_or("must be `*` or a method of a route, such as POST")
}

fn header(item: &str) -> Result<HeaderName, &'static str> {
    HeaderName::from_bytes(item.as_bytes()).map_err(|_| "must be `*` or the name of a header")
}

/// A number; as a string only where a variable is part of it.
fn seconds(node: &Node<'_>, context: &Context<'_>) -> Option<Duration> {
    let seconds = match node.value() {
        Value::Number(number) => number.as_u64(),
        Value::String(_) => {
            let resolved = variables::resolve(node, context.variable)?;
            resolved.text.trim().parse().ok().filter(|_| resolved.has_variable)
        }
        Value::Array(_) | Value::Bool(_) | Value::Null | Value::Object(_) => None,
    };
    if seconds.is_none() {
        node.fault("must be a whole number of seconds");
    }
    seconds.map(Duration::from_secs)
}

const FIELDS: &[&str] =
    &["name", "allowedOrigins", "allowedMethods", "allowedHeaders", "exposeHeaders", "maxAge", "allowCredentials"];

#[cfg(test)]
mod tests {
    use super::{
        super::{OriginPattern, support},
        *,
    };

    fn read(text: &str) -> Result<Vec<CorsPolicy>, Vec<String>> {
        let variables = [("ORIGINS", "https://a.example, https://b.example"), ("SECRET", "hush hush/"), ("AGE", "60")];
        support::read(text, &variables, |node, context| {
            CorsPolicies::read(node, context).into_policies().map(Arc::unwrap_or_clone).collect()
        })
        .whole()
    }

    fn fields(fields: &str) -> Result<CorsPolicy, Vec<String>> {
        read(&format!(r#"[{{"name": "web", {fields}}}]"#)).map(|mut policies| policies.remove(0))
    }

    #[test]
    fn lists_and_comma_text_mean_the_same() {
        let as_lists = fields(
            r#""allowedOrigins": ["https://a.example", "https://b.example"], "allowedMethods": ["GET", "post"],
               "allowedHeaders": ["X-One", "x-two"], "exposeHeaders": ["x-three"], "maxAge": 60,
               "allowCredentials": true"#,
        )
        .unwrap();
        let as_text = fields(
            r#""allowedOrigins": "$env(ORIGINS)", "allowedMethods": "GET,post", "allowedHeaders": "X-One, x-two,",
               "exposeHeaders": "x-three", "maxAge": "$env(AGE)", "allowCredentials": true"#,
        )
        .unwrap();
        assert_eq!(as_lists, as_text);
        let headers =
            |names: &[&'static str]| AnyOr::List(names.iter().map(|name| HeaderName::from_static(name)).collect());
        let origin = |origin: &str| OriginPattern::Exact(origin.to_owned());
        let expected = CorsPolicy {
            name: "web".to_owned(),
            allowed_origins: AnyOr::List(vec![origin("https://a.example"), origin("https://b.example")]),
            allowed_methods: AnyOr::List(vec![Method::GET, Method::POST]),
            allowed_headers: headers(&["x-one", "x-two"]),
            expose_headers: headers(&["x-three"]),
            max_age: Some(Duration::from_secs(60)),
            allow_credentials: true,
        };
        assert_eq!(as_lists, expected);
    }

    #[test]
    fn fields_that_are_missing_allow_nothing() {
        let policy = fields(r#""allowedOrigins": "*""#).unwrap();
        assert_eq!(policy.allowed_origins, AnyOr::Any);
        assert_eq!(policy.allowed_methods, AnyOr::List(Vec::new()));
        assert_eq!(policy.allowed_headers, AnyOr::List(Vec::new()));
        assert_eq!(policy.expose_headers, AnyOr::List(Vec::new()));
        assert_eq!((policy.max_age, policy.allow_credentials), (None, false));
    }

    #[test]
    fn stars_allow_any_method_and_any_header() {
        let policy = fields(r#""allowedOrigins": "*", "allowedMethods": "*", "allowedHeaders": "a, *""#).unwrap();
        assert_eq!((policy.allowed_methods, policy.allowed_headers), (AnyOr::Any, AnyOr::Any));
    }

    #[test]
    fn mistakes_in_fields_are_faults() {
        let cases = [
            (r#""allowedMethods": []"#, "$[0]: `allowedOrigins` is missing"),
            (r#""allowedOrigins": "*", "allowOrigins": "*""#, "$[0].allowOrigins: is not a known member"),
            (r#""allowedOrigins": 1"#, "$[0].allowedOrigins: must be an array of strings"),
            (r#""allowedOrigins": [1]"#, "$[0].allowedOrigins[0]: must be a string"),
            (r#""allowedOrigins": ["https://a.example/"]"#, "$[0].allowedOrigins[0]: `https://a.example/`: "),
            (r#""allowedOrigins": "$env(UNSET)""#, "$[0].allowedOrigins: the environment variable `UNSET` is not set"),
            (r#""allowedOrigins": "*", "allowedMethods": "GETT""#, "$[0].allowedMethods: `GETT`: must be `*`"),
            (r#""allowedOrigins": "*", "allowedHeaders": "a b""#, "$[0].allowedHeaders: `a b`: must be `*`"),
            (r#""allowedOrigins": "*", "exposeHeaders": "\u0007""#, r"$[0].exposeHeaders: `\u{7}`: must be `*`"),
            (r#""allowedOrigins": "*", "maxAge": -1"#, "$[0].maxAge: must be a whole number"),
            (r#""allowedOrigins": "*", "maxAge": 1.5"#, "$[0].maxAge: must be a whole number"),
            (r#""allowedOrigins": "*", "maxAge": "60""#, "$[0].maxAge: must be a whole number"),
            (r#""allowedOrigins": "*", "allowCredentials": "true""#, "$[0].allowCredentials: must be true or false"),
            (r#""allowedOrigins": "*", "allowCredentials": true"#, "$[0].allowedOrigins: `*` with"),
            (
                r#""allowedOrigins": "https://a.example", "exposeHeaders": "*", "allowCredentials": true"#,
                "$[0].exposeHeaders: with",
            ),
        ];
        for (text, expected) in cases {
            let faults = fields(text).unwrap_err();
            assert!(faults.len() == 1 && faults[0].starts_with(expected), "{text}: {faults:?}");
        }
    }

    #[test]
    fn names_are_unique_and_not_those_that_are_built_in() {
        let faults = read(
            r#"[{"name": "none", "allowedOrigins": "*"}, {"name": "anything-goes", "allowedOrigins": "*"},
                {"name": "", "allowedOrigins": "*"}, {"allowedOrigins": "*"}, {"name": 1, "allowedOrigins": "*"},
                {"name": "web", "allowedOrigins": "*"}, {"name": "web", "allowedOrigins": "*"}, "web"]"#,
        )
        .unwrap_err();
        let places: Vec<_> = faults.iter().filter_map(|fault| fault.split_once(": ")).map(|(path, _)| path).collect();
        assert_eq!(places, ["$[0].name", "$[1].name", "$[2].name", "$[3]", "$[4].name", "$[6].name", "$[7]"]);
    }

    #[test]
    fn the_value_of_a_variable_is_not_shown() {
        for field in ["allowedMethods", "allowedHeaders", "exposeHeaders", "maxAge"] {
            let faults = fields(&format!(r#""allowedOrigins": "*", "{field}": "x$env(SECRET)""#)).unwrap_err();
            assert!(!faults[0].contains("hush"), "{faults:?}");
        }
        let faults = fields(r#""allowedOrigins": "https://$env(SECRET)""#).unwrap_err();
        assert!(!faults[0].contains("hush"), "{faults:?}");
    }
}
