use super::node::Node;
use crate::{
    config::{ConfigError, ConfigErrors, Setting},
    json::Value,
};

/// Finds the policy with this name, or the only one; `document` is a policy, or an object with a list of them.
pub(super) fn find_policy<'a>(document: &'a str, name: Option<&str>) -> Result<Node<'a>, ConfigError> {
    let has_name = |policy: &Node<'_>| name.is_none_or(|name| policy.members.string("name").as_deref() == Some(name));
    let mut named = policies(document)?.into_iter().filter(has_name);
    match (named.next(), named.next(), name) {
        (Some(policy), None, _) => Ok(policy),
        (None, _, None) => Err(ConfigError::missing("policies", "the document has no policy")),
        (None, _, Some(_)) => Err(ConfigError::missing("policies", "no policy has that name")),
        (Some(_), Some(_), None) => {
            Err(ConfigError::invalid("policies", "has several policies; name one with GatewayPolicy::from_json_named"))
        }
        (Some(_), Some(second), Some(_)) => Err(second.invalid("name", "appears twice in the document")),
    }
}

/// Parses a text that is one policy.
pub(super) fn parse_policy(text: &str) -> Result<Node<'_>, ConfigError> {
    Node::read(String::new(), text)
        .ok_or_else(|| ConfigError::invalid("policy", "must be a JSON object without duplicate members"))
}

fn policies(document: &str) -> Result<Vec<Node<'_>>, ConfigError> {
    let node = Node::read(String::new(), document)
        .ok_or_else(|| ConfigError::invalid("policy document", "must be a JSON object without duplicate members"))?;
    let Some(list) = node.members.get("policies") else {
        return Ok(vec![node]);
    };
    node.reject_unknown(&["corsPolicies", "policies"]).map_err(ConfigErrors::into_first)?;
    if !matches!(node.members.get("corsPolicies"), None | Some(Value::Array(_))) {
        return Err(node.invalid("corsPolicies", "must be an array"));
    }
    let elements = list.elements().ok_or_else(|| node.invalid("policies", "must be an array"))?;
    let policy = |(index, element)| {
        let path = format!("policies[{index}]");
        match element {
            Value::Object(text) => Node::read(path.clone(), text),
            _ => None,
        }
        .ok_or_else(|| ConfigError::invalid(Setting::field(path), "must be an object without duplicate members"))
    };
    elements.into_iter().enumerate().map(policy).collect()
}
