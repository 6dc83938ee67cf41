//! What the unit tests of this module share.

use super::{
    Context, json,
    node::{Node, Report},
};
use crate::Fault;

/// What came out of a value: the result, the faults and the warnings, each as `PATH: REASON`.
pub(super) struct Read<T> {
    pub(super) result: T,
    pub(super) faults: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl<T> Read<T> {
    /// The result, or the faults if there are any.
    pub(super) fn whole(self) -> Result<T, Vec<String>> {
        if self.faults.is_empty() { Ok(self.result) } else { Err(self.faults) }
    }
}

/// Reads JSON text, with these variables and no registered policy.
pub(super) fn read<T>(
    text: &str,
    variables: &[(&str, &str)],
    read: impl FnOnce(&Node<'_>, &Context<'_>) -> T,
) -> Read<T> {
    let value = json::parse(text).unwrap();
    let report = Report::default();
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let context = Context { variable: &variable, is_registered: &|_| false };
    let result = read(&Node::root("a.json", &value, &report), &context);
    let (faults, warnings) = report.into_parts();
    let texts = |faults: Vec<Fault>| faults.iter().map(|fault| format!("{}: {}", fault.path, fault.reason)).collect();
    Read { result, faults: texts(faults), warnings: texts(warnings) }
}
