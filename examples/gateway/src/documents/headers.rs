//! `SetHeadersInboundPolicy` and `RemoveHeadersInboundPolicy`.

use http::{HeaderName, HeaderValue};

use super::{
    Context, SetHeader,
    node::{Members, Node},
    variables,
};
use crate::excerpt::excerpt;

/// Reads the options of a `SetHeadersInboundPolicy`. What has a fault is left out.
pub(super) fn set(options: &Members<'_>, context: &Context<'_>) -> Vec<SetHeader> {
    let elements = elements(options);
    elements.iter().filter_map(|element| set_header(&element.object()?, context)).collect()
}

/// Reads the options of a `RemoveHeadersInboundPolicy`. What has a fault is left out.
pub(super) fn remove(options: &Members<'_>, context: &Context<'_>) -> Vec<HeaderName> {
    elements(options).iter().filter_map(|element| name(element, context, is_framing)).collect()
}

fn elements<'a>(options: &Members<'a>) -> Vec<Node<'a>> {
    options.warn_about_others(&["headers"]);
    options.required("headers").and_then(|headers| headers.elements()).unwrap_or_default()
}

fn set_header(members: &Members<'_>, context: &Context<'_>) -> Option<SetHeader> {
    members.allow_only(&["name", "value", "overwrite"]);
    let name = members
        .required("name")
        .and_then(|node| name(&node, context, |name| is_framing(name) || describes_client(name)));
    let value = members.required("value").and_then(|node| value(&node, context));
    let overwrite = members.member("overwrite").map_or(Some(true), |node| node.boolean());
    Some(SetHeader { name: name?, value: value?, overwrite: overwrite? })
}

fn name(node: &Node<'_>, context: &Context<'_>, is_refused: impl Fn(&HeaderName) -> bool) -> Option<HeaderName> {
    let resolved = variables::resolve(node, context.variable)?;
    let shown = if resolved.has_variable { "the name".to_owned() } else { format!("`{}`", excerpt(&resolved.text)) };
    let Ok(name) = HeaderName::from_bytes(resolved.text.as_bytes()) else {
        node.fault(format!("{shown} is not the name of a header; correct it"));
        return None;
    };
    if is_refused(&name) {
        node.fault(format!(
            "{shown} frames or routes the message, or says who sent it; only the gateway itself may change it; remove it"
        ));
        return None;
    }
    Some(name)
}

fn value(node: &Node<'_>, context: &Context<'_>) -> Option<HeaderValue> {
    let resolved = variables::resolve(node, context.variable)?;
    let Ok(mut value) = HeaderValue::from_str(&resolved.text) else {
        node.fault("must be the value of a header: visible ASCII, spaces and tabs, without line breaks");
        return None;
    };
    value.set_sensitive(resolved.has_variable);
    Some(value)
}

fn is_framing(name: &HeaderName) -> bool {
    FRAMING.contains(&name.as_str())
}

/// What the gateway writes anew for each request. Removing it is allowed, and does nothing: the client's own is gone.
fn describes_client(name: &HeaderName) -> bool {
    name == "forwarded" || name.as_str().starts_with("x-forwarded-")
}

/// A policy that changed one of these could split a message in two, or send it elsewhere.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::{
        super::support::{self, Read},
        *,
    };

    fn read<T>(options: &str, read: impl FnOnce(&Members<'_>, &Context<'_>) -> T) -> (T, Vec<String>, Vec<String>) {
        let variables = [("KEY", "s3cret"), ("LINES", "s3cret\nx: y")];
        let read = support::read(options, &variables, |node, context| read(&node.object().unwrap(), context));
        let Read { result, faults, warnings } = read;
        (result, faults, warnings)
    }

    #[test]
    fn headers_are_set_in_their_order_and_variables_are_sensitive() {
        let (headers, faults, warnings) = read(
            r#"{"headers": [{"name": "X-Api-Key", "value": "Key $env(KEY)"},
                            {"name": "x-tag", "value": "a b", "overwrite": false}], "color": 1}"#,
            set,
        );
        assert_eq!(faults, [""; 0]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("$.color: "), "{warnings:?}");
        assert_eq!((headers[0].name.as_str(), headers[0].value.as_bytes()), ("x-api-key", &b"Key s3cret"[..]));
        assert!(headers[0].value.is_sensitive() && headers[0].overwrite);
        assert!(!format!("{headers:?}").contains("s3cret"));
        assert_eq!((headers[1].name.as_str(), headers[1].value.as_bytes()), ("x-tag", &b"a b"[..]));
        assert!(!headers[1].value.is_sensitive() && !headers[1].overwrite);
    }

    #[test]
    fn headers_are_removed_by_name() {
        let (names, faults, _) = read(r#"{"headers": ["X-One", "cookie"]}"#, remove);
        assert_eq!(faults, [""; 0]);
        assert_eq!(names, ["x-one", "cookie"]);
    }

    #[test]
    fn headers_that_frame_or_route_a_message_are_refused_in_any_case() {
        for name in FRAMING.iter().copied().chain(["Host", "CONTENT-length"]) {
            let (headers, faults, _) = read(&format!(r#"{{"headers": [{{"name": "{name}", "value": "x"}}]}}"#), set);
            assert!(headers.is_empty() && faults.len() == 1, "{name}: {faults:?}");
            assert!(faults[0].starts_with(&format!("$.headers[0].name: `{name}` frames")), "{faults:?}");
            let (names, faults, _) = read(&format!(r#"{{"headers": ["{name}"]}}"#), remove);
            assert!(names.is_empty() && faults.len() == 1, "{name}: {faults:?}");
        }
    }

    #[test]
    fn headers_that_describe_the_client_can_be_removed_but_not_set() {
        for name in ["X-Forwarded-For", "x-forwarded-anything", "Forwarded"] {
            let (headers, faults, _) = read(&format!(r#"{{"headers": [{{"name": "{name}", "value": "x"}}]}}"#), set);
            assert!(headers.is_empty() && faults.len() == 1, "{name}: {faults:?}");
            let (names, faults, _) = read(&format!(r#"{{"headers": ["{name}"]}}"#), remove);
            assert!(names.len() == 1 && faults.is_empty(), "{name}: {faults:?}");
        }
    }

    #[test]
    fn mistakes_in_headers_are_faults() {
        let cases = [
            (r#"{}"#, "$: `headers` is missing"),
            (r#"{"headers": {}}"#, "$.headers: must be an array"),
            (r#"{"headers": ["x"]}"#, "$.headers[0]: must be an object"),
            (r#"{"headers": [{"value": "x"}]}"#, "$.headers[0]: `name` is missing"),
            (r#"{"headers": [{"name": "x"}]}"#, "$.headers[0]: `value` is missing"),
            (r#"{"headers": [{"name": "", "value": "x"}]}"#, "$.headers[0].name: `` is not the name"),
            (r#"{"headers": [{"name": "a b", "value": "x"}]}"#, "$.headers[0].name: `a b` is not the name"),
            (r#"{"headers": [{"name": "x", "value": 1}]}"#, "$.headers[0].value: must be a string"),
            (r#"{"headers": [{"name": "x", "value": "a\r\nb"}]}"#, "$.headers[0].value: must be the value"),
            (r#"{"headers": [{"name": "x", "value": "$env(LINES)"}]}"#, "$.headers[0].value: must be the value"),
            (
                r#"{"headers": [{"name": "x", "value": "$env(UNSET)"}]}"#,
                "$.headers[0].value: the environment variable `UNSET`",
            ),
            (r#"{"headers": [{"name": "$env(LINES)", "value": "x"}]}"#, "$.headers[0].name: the name is not"),
            (
                r#"{"headers": [{"name": "x", "value": "x", "overwrite": "no"}]}"#,
                "$.headers[0].overwrite: must be true",
            ),
            (
                r#"{"headers": [{"name": "x", "value": "x", "overwrit": true}]}"#,
                "$.headers[0].overwrit: is not a known",
            ),
        ];
        for (options, expected) in cases {
            let (headers, faults, _) = read(options, set);
            assert!(faults.len() == 1 && faults[0].starts_with(expected), "{options}: {faults:?}");
            assert!(!faults[0].contains("s3cret"), "{faults:?}");
            assert!(headers.is_empty() || options.contains("overwrit\""), "{options}");
        }
        let (_, faults, _) = read(r#"{"headers": [1, "a b", {"name": "x"}]}"#, remove);
        assert_eq!(faults.len(), 3, "{faults:?}");
    }
}
