//! A value of a document that knows where it stands, and to which report its faults go.

use std::cell::RefCell;

use super::json::{self, Value};
use crate::{Fault, environment, excerpt::excerpt};

/// Collects what is wrong with the files.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// With whole names of files.
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
}

impl Report {
    /// Reports a fault that has no value, such as a missing file.
    pub(super) fn fault(&self, file: &str, path: &str, reason: impl Into<String>) {
        self.faults.borrow_mut().push(fault(file, path, reason.into()));
    }

    pub(super) fn has_no_fault(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    /// Puts the faults in the order of these files. A fault of policies.json may be found only after the routes that
    /// name its policies.
    pub(super) fn sort_faults(&self, files: &[&str]) {
        self.faults.borrow_mut().sort_by_key(|fault| files.iter().position(|file| *file == fault.file));
    }

    /// The faults and the warnings, with names of files that are cut.
    pub(super) fn into_parts(self) -> (Vec<Fault>, Vec<Fault>) {
        let cut = |faults: RefCell<Vec<Fault>>| {
            let faults = faults.into_inner().into_iter();
            faults.map(|fault| Fault { file: excerpt(&fault.file), ..fault }).collect()
        };
        (cut(self.faults), cut(self.warnings))
    }
}

/// A value with its file and its JSON path.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    file: &'a str,
    path: String,
    report: &'a Report,
    value: &'a Value,
}

/// The members of an object.
#[derive(Clone, Debug)]
pub(super) struct Members<'a> {
    node: Node<'a>,
    members: &'a [(String, Value)],
}

impl<'a> Node<'a> {
    /// The value of a whole file.
    pub(super) fn root(file: &'a str, value: &'a Value, report: &'a Report) -> Self {
        Self { file, path: "$".to_owned(), report, value }
    }

    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// Reports a fault of this value.
    pub(super) fn fault(&self, reason: impl Into<String>) {
        self.report.fault(self.file, &self.path, reason);
    }

    /// Reports a fault of something below this value, whose path is appended.
    pub(super) fn fault_below(&self, path: &str, reason: impl Into<String>) {
        self.report.fault(self.file, &format!("{}{path}", self.path), reason);
    }

    /// Reports a warning about this value.
    pub(super) fn warn(&self, reason: impl Into<String>) {
        self.report.warnings.borrow_mut().push(fault(self.file, &self.path, reason.into()));
    }

    /// The members of an object; a fault if it is none.
    pub(super) fn object(&self) -> Option<Members<'a>> {
        let Value::Object(members) = self.value else {
            self.fault("must be an object");
            return None;
        };
        Some(Members { node: self.clone(), members })
    }

    /// The elements of an array; a fault if it is none.
    pub(super) fn elements(&self) -> Option<Vec<Self>> {
        let Value::Array(elements) = self.value else {
            self.fault("must be an array");
            return None;
        };
        Some(elements.iter().enumerate().map(|(index, value)| self.below(&format!("[{index}]"), value)).collect())
    }

    /// A string; a fault if it is none.
    pub(super) fn text(&self) -> Option<&'a str> {
        let Value::String(text) = self.value else {
            self.fault("must be a string");
            return None;
        };
        Some(text)
    }

    /// A string that must not be empty and in which a reference to a variable would not be replaced.
    pub(super) fn plain_text(&self) -> Option<&'a str> {
        let text = self.text()?;
        if text.is_empty() {
            self.fault("must not be empty");
            return None;
        }
        if environment::split_at_reference(text).is_some() {
            self.fault(NO_VARIABLE);
            return None;
        }
        Some(text)
    }

    /// The name of a policy: as [`plain_text`](Self::plain_text), and not too long for the route table.
    pub(super) fn name(&self) -> Option<&'a str> {
        let name = self.plain_text()?;
        if name.len() > LONGEST_NAME {
            self.fault(format!("must have at most {LONGEST_NAME} bytes; shorten it"));
        }
        Some(name)
    }

    /// `true` or `false`; a fault if it is neither.
    pub(super) fn boolean(&self) -> Option<bool> {
        let Value::Bool(value) = self.value else {
            self.fault("must be true or false");
            return None;
        };
        Some(*value)
    }

    fn below(&self, step: &str, value: &'a Value) -> Self {
        Self { file: self.file, path: format!("{}{step}", self.path), report: self.report, value }
    }
}

impl<'a> Members<'a> {
    /// The object itself.
    pub(super) fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// The member of this name. Of two the first: the file is refused anyway.
    pub(super) fn member(&self, name: &str) -> Option<Node<'a>> {
        let (_, value) = self.members.iter().find(|(member, _)| member == name)?;
        Some(self.node.below(&json::step(name), value))
    }

    /// The member of this name; a fault if there is none.
    pub(super) fn required(&self, name: &str) -> Option<Node<'a>> {
        let member = self.member(name);
        if member.is_none() {
            self.node.fault(format!("`{name}` is missing; add it"));
        }
        member
    }

    /// Names and values of all members.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + '_ {
        self.members.iter().map(|(name, value)| (name.as_str(), self.node.below(&json::step(name), value)))
    }

    /// Reports a fault for every member but the known ones.
    pub(super) fn allow_only(&self, known: &[&str]) {
        for (_, member) in self.iter().filter(|(name, _)| !known.contains(name)) {
            member.fault(format!("is not a known member; expected one of: {}", known.join(", ")));
        }
    }

    /// Reports a warning for every member but the known ones.
    pub(super) fn warn_about_others(&self, known: &[&str]) {
        for (_, member) in self.iter().filter(|(name, _)| !known.contains(name)) {
            member.warn("is not a known option and is ignored, as by the hosted gateway; remove it");
        }
    }
}

fn fault(file: &str, path: &str, reason: String) -> Fault {
    Fault { file: file.to_owned(), path: path.to_owned(), reason }
}

/// Why `$env(NAME)` is refused where the hosted gateway would leave it as it is.
pub(super) const NO_VARIABLE: &str = "`$env()` is replaced only below `options`, in `corsPolicies` and in options of \
                                      route handlers; write the value itself";

/// Longer ones are a mistake, and make the route table hard to read.
const LONGEST_NAME: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str, read: impl FnOnce(&Node<'_>)) -> Vec<String> {
        let value = json::parse(text).unwrap();
        let report = Report::default();
        read(&Node::root("a.json", &value, &report));
        report.into_parts().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn another_type_is_a_fault_of_the_value() {
        let found = faults("1", |node| {
            assert!(node.object().is_none());
            assert!(node.elements().is_none());
            assert!(node.text().is_none());
            assert!(node.boolean().is_none());
        });
        assert_eq!(
            found,
            [
                "a.json: $: must be an object",
                "a.json: $: must be an array",
                "a.json: $: must be a string",
                "a.json: $: must be true or false"
            ]
        );
    }

    #[test]
    fn values_know_their_path() {
        let found = faults(r#"{"paths": {"/a": [true, {"x": 1}]}}"#, |node| {
            let path = node.object().unwrap().member("paths").unwrap().object().unwrap().member("/a").unwrap();
            assert_eq!(path.elements().unwrap()[0].boolean(), Some(true));
            path.elements().unwrap()[1].object().unwrap().allow_only(&["y", "z"]);
            assert!(path.elements().unwrap()[1].object().unwrap().required("y").is_none());
        });
        assert_eq!(
            found,
            [
                "a.json: $.paths['/a'][1].x: is not a known member; expected one of: y, z",
                "a.json: $.paths['/a'][1]: `y` is missing; add it"
            ]
        );
    }

    #[test]
    fn plain_text_is_neither_empty_nor_a_reference() {
        let found = faults(r#"["", "a$env(B)", "x"]"#, |node| {
            let texts: Vec<_> = node.elements().unwrap().iter().map(|element| element.plain_text()).collect();
            assert_eq!(texts, [None, None, Some("x")]);
        });
        assert_eq!(found, ["a.json: $[0]: must not be empty".to_owned(), format!("a.json: $[1]: {NO_VARIABLE}")]);
    }
}
