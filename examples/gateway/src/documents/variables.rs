//! `$env(NAME)`: a variable of the environment, alone or inside text.

use super::node::Node;
use crate::environment;

/// Text with its variables put in.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Resolved {
    pub(super) text: String,
    /// Whether a variable is part of it, so that it must not be shown.
    pub(super) has_variable: bool,
}

/// Puts the variables into the text of a value. Faults: it is no string, a reference has no name or no end, and
/// a variable is not set or blank.
pub(super) fn resolve(node: &Node<'_>, variable: &dyn Fn(&str) -> Option<String>) -> Option<Resolved> {
    let mut rest = node.text()?;
    let mut resolved = Resolved { text: String::new(), has_variable: false };
    let mut is_whole = true;
    while let Some((before, reference)) = environment::split_at_reference(rest) {
        let Some((name, after)) = reference.split_once(')').filter(|(name, _)| is_name(name)) else {
            node.fault("`$env(` must be followed by the name of a variable and `)`, as in `$env(API_KEY)`");
            return None;
        };
        resolved.text.push_str(before);
        match environment::value(name, variable) {
            Ok(value) => resolved.text.push_str(&value),
            Err(reason) => {
                node.fault(reason);
                is_whole = false;
            }
        }
        resolved.has_variable = true;
        rest = after;
    }
    resolved.text.push_str(rest);
    is_whole.then_some(resolved)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::{super::support, *};

    fn resolved(text: &str) -> Result<(String, bool), Vec<String>> {
        let variables = [("KEY", "k$env(HOST)"), ("HOST", "example.com"), ("BLANK", " ")];
        let text = serde_json::to_string(text).unwrap();
        let read = support::read(&text, &variables, |node, context| resolve(node, context.variable)).whole();
        read.map(|resolved| resolved.map(|resolved| (resolved.text, resolved.has_variable)).unwrap())
    }

    #[test]
    fn variables_stand_alone_or_inside_text_and_are_put_in_once() {
        assert_eq!(resolved("plain ${env.KEY}"), Ok(("plain ${env.KEY}".to_owned(), false)));
        assert_eq!(resolved("$env(HOST)"), Ok(("example.com".to_owned(), true)));
        assert_eq!(resolved("a $env(HOST), b $env(HOST)!"), Ok(("a example.com, b example.com!".to_owned(), true)));
        assert_eq!(resolved("$env(KEY)"), Ok(("k$env(HOST)".to_owned(), true)));
    }

    #[test]
    fn every_variable_that_is_not_set_is_named() {
        let reason = |name: &str| format!("$: the environment variable `{name}` is not set, or blank; set it");
        assert_eq!(resolved("$env(ONE) $env(HOST) $env(BLANK)"), Err(vec![reason("ONE"), reason("BLANK")]));
    }

    #[test]
    fn references_without_a_name_or_an_end_are_faults() {
        for text in ["$env(", "$env()", "$env(A", "$env(A B)", "$env(A.B)", "x$env(HOST) $env("] {
            let reasons = resolved(text).unwrap_err();
            assert!(reasons[0].contains("as in `$env(API_KEY)`"), "{text}: {reasons:?}");
        }
    }
}
