//! Reading of the file.

use http::Method;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use tower_clerk::Requirement;

use super::{Rule, Rules, path::Prefix};
use crate::original::known_method;

impl Rules {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, one line each, with the name of the file and the number of the line.
    pub(crate) fn read(file: &str, text: &str) -> Result<Self, Vec<String>> {
        let mut reader = Reader { file, text, errors: Vec::new() };
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            for error in errors {
                reader.report(error.span().map_or(0, |span| span.start), error.message());
            }
            return Err(reader.errors);
        }
        let rules = reader.document(document.get_ref());
        if reader.errors.is_empty() { Ok(Self(rules)) } else { Err(reader.errors) }
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) -> Vec<Rule> {
        let mut tables = Vec::new();
        for (name, value) in document {
            match (name.get_ref().as_ref(), value.get_ref().as_array()) {
                ("rule", Some(rules)) => tables.extend(rules.iter()),
                ("rule", None) => self.report(value.span().start, "rule must be a list of tables: write [[rule]]"),
                (other, _) => self.unknown(name.span().start, other, "[[rule]]"),
            }
        }
        if tables.is_empty() && self.errors.is_empty() {
            self.report(0, "there is no [[rule]], so that nobody could pass");
        }
        let mut rules: Vec<(Rule, usize)> = Vec::new();
        for table in tables {
            let Some(rule) = self.rule(table) else { continue };
            let start = table.span().start;
            if let Some(reason) = rules.iter().find_map(|(earlier, _)| conflict(earlier, &rule)) {
                self.report(start, reason);
            }
            rules.push((rule, start));
        }
        rules.into_iter().map(|(rule, _)| rule).collect()
    }

    fn rule(&mut self, table: &Spanned<DeValue<'_>>) -> Option<Rule> {
        let start = table.span().start;
        let Some(members) = table.get_ref().as_table() else {
            self.report(start, "rule must be a list of tables: write [[rule]]");
            return None;
        };
        let before = self.errors.len();
        let (mut prefix, mut methods, mut require) = (None, None, None);
        for (name, value) in members {
            let start = value.span().start;
            match name.get_ref().as_ref() {
                "prefix" => match value.get_ref().as_str().ok_or("must be text").and_then(Prefix::read) {
                    Ok(read) => prefix = Some(read),
                    Err(reason) => self.report(start, &format!("prefix {reason}")),
                },
                "methods" => methods = self.methods(value),
                "require" => match value.get_ref().as_str().map(str::parse::<Requirement>) {
                    Some(Ok(read)) => require = Some(read),
                    Some(Err(error)) => self.report(start, &format!("require: {error}")),
                    None => self.report(start, "require must be text"),
                },
                other => self.unknown(name.span().start, other, "prefix, methods and require"),
            }
        }
        if !members.keys().any(|name| name.get_ref() == "prefix") {
            self.report(start, "the rule has no prefix; / covers every path");
        }
        let is_complete = self.errors.len() == before;
        prefix.filter(|_| is_complete).map(|prefix| Rule { prefix, methods, require })
    }

    fn methods(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Vec<Method>> {
        let Some(values) = value.get_ref().as_array().filter(|values| !values.is_empty()) else {
            self.report(value.span().start, "methods must be a list such as [\"GET\"]; leave it out for all methods");
            return None;
        };
        let mut methods = Vec::new();
        for value in values.iter() {
            let start = value.span().start;
            match value.get_ref().as_str().and_then(|name| known_method(name.as_bytes())) {
                None => self.report(start, "a method must be a word in capital letters, such as GET"),
                Some(method) if methods.contains(&method) => self.report(start, &format!("{method} is listed twice")),
                Some(method) => methods.push(method),
            }
        }
        Some(methods)
    }

    fn unknown(&mut self, start: usize, name: &str, known: &str) {
        self.report(start, &format!("{} is not known; there are {known}", name.escape_debug()));
    }

    /// Adds an error at a byte of the text.
    fn report(&mut self, start: usize, reason: &str) {
        let before = self.text.bytes().take(start);
        let line = 1 + before.filter(|byte| *byte == b'\n').count();
        self.errors.push(format!("{}:{line}: {}", self.file, reason.replace(['\r', '\n'], " ")));
    }
}

/// Why two rules cannot stand in one file.
fn conflict(one: &Rule, other: &Rule) -> Option<&'static str> {
    if !one.prefix.is_like(&other.prefix) {
        return None;
    }
    if one.prefix != other.prefix {
        return Some("the prefix of another rule differs from this one only in case: no path would be clear");
    }
    let (Some(one), Some(other)) = (&one.methods, &other.methods) else {
        return Some("another rule has this prefix, and one of them is for all methods");
    };
    one.iter().any(|method| other.contains(method)).then_some("another rule has this prefix and one of these methods")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        Rules::read("rules.toml", text).unwrap_err()
    }

    #[test]
    fn each_mistake_has_a_line_of_its_own() {
        let text = "\
            [[rule]]\nprefix = '/a/'\nmethods = []\nrequire = 'rle=admin'\n\
            [[rule]]\nmethods = ['get', 1, 'PUT', 'PUT']\nrequires = 'role=admin'\n\
            [[rule]]\nprefix = 1\nrequire = ''\n\
            [[rule]]\nprefix = '/b'\nrequire = ['role=admin']\n";
        let errors = errors(text);
        for (line, fragment) in [
            (2, "prefix must not end"),
            (3, "methods must be a list"),
            (4, "`rle=admin` is no requirement"),
            (5, "has no prefix"),
            (6, "capital letters"),
            (6, "PUT is listed twice"),
            (7, "requires is not known; there are prefix, methods and require"),
            (9, "prefix must be text"),
            (10, "require: the requirement is empty"),
            (13, "require must be text"),
        ] {
            let start = format!("rules.toml:{line}: ");
            assert!(
                errors.iter().any(|error| error.starts_with(&start) && error.contains(fragment)),
                "{line} {fragment}: {errors:#?}"
            );
        }
        // `get` and 1 are two mistakes of one kind.
        assert_eq!(errors.len(), 11, "{errors:#?}");
    }

    #[test]
    fn what_is_no_list_of_rules_is_refused() {
        for (text, fragment) in [
            ("", "no [[rule]]"),
            ("# nothing\n", "no [[rule]]"),
            ("rule = []", "no [[rule]]"),
            ("[rule]\nprefix = '/'", "write [[rule]]"),
            ("rule = ['/']", "write [[rule]]"),
            ("[[rules]]\nprefix = '/'", "rules is not known"),
            ("default = 'deny'\n[[rule]]\nprefix = '/'", "default is not known"),
            ("[[rule]]\nprefix = '/'\nprefix = '/a'", "duplicate"),
            ("[[rule]\nprefix = '/'", "rules.toml:1"),
            ("[[rule]]\nprefix = /a", "rules.toml:2"),
        ] {
            let errors = errors(text);
            assert!(errors.iter().any(|error| error.contains(fragment)), "{text}: {errors:?}");
            assert!(errors.iter().all(|error| !error.contains('\n')), "{text}: {errors:?}");
        }
    }

    #[test]
    fn all_mistakes_of_the_syntax_are_reported() {
        let errors = errors("[[rule]]\nprefix = /a\n[[rule]]\nprefix = /b\n");
        for line in [2, 4] {
            assert!(errors.iter().any(|error| error.starts_with(&format!("rules.toml:{line}: "))), "{errors:?}");
        }
    }

    #[test]
    fn rules_that_contradict_each_other_are_refused() {
        for (second, fragment) in [
            ("prefix = '/a'\nmethods = ['PUT', 'GET']", "one of these methods"),
            ("prefix = '/a'", "for all methods"),
            ("prefix = '/A'\nmethods = ['PUT']", "only in case"),
        ] {
            let errors = errors(&format!("[[rule]]\nprefix = '/a'\nmethods = ['GET']\n[[rule]]\n{second}\n"));
            assert!(errors.len() == 1 && errors[0].contains(fragment), "{second}: {errors:?}");
            assert!(errors[0].starts_with("rules.toml:4: "), "{errors:?}");
        }
        let other = "[[rule]]\nprefix = '/a'\nmethods = ['GET']\n[[rule]]\nprefix = '/a'\nmethods = ['PUT']\n";
        assert!(Rules::read("rules.toml", other).is_ok());
    }

    #[test]
    fn a_rule_without_requirement_asks_for_a_token_only() {
        let rules = Rules::read("rules.toml", "[[rule]]\nprefix = '/'\n[[rule]]\nprefix = '/a'\nrequire = 'plan=pro'");
        let rules = rules.unwrap();
        assert_eq!(rules.requirements().map(|rule| rule.is_some()).collect::<Vec<_>>(), [false, true]);
    }
}
