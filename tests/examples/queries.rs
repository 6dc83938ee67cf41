//! Queries of Prometheus, compared with what a program exposes.
//!
//! `.ci/metrics` asks the real Prometheus the same queries. Here they are read, so that `cargo test` finds a wrong name
//! where there is no Prometheus.

use std::collections::BTreeSet;

use yaml_rust2::{Yaml, YamlLoader};

/// A series of an exposition, or a selector of a query: labels with `=` or another operator, and their values.
#[derive(Debug, PartialEq)]
pub(crate) struct Selector {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String, String)>,
}

/// What a query names.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Query {
    pub(crate) selectors: Vec<Selector>,
    /// Those by which it groups and matches.
    pub(crate) labels: BTreeSet<String>,
}

/// The series of an exposition in Prometheus' text format.
pub(crate) fn series(exposition: &str) -> Vec<Selector> {
    let lines = exposition.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Query::read(line).selectors.pop().expect("a series")).collect()
}

/// A rule of Prometheus: the name under which it records or alerts, and its expression.
#[derive(Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) is_alert: bool,
    pub(crate) expression: String,
}

/// The rules of a file.
pub(crate) fn rules(text: &str) -> Vec<Rule> {
    let documents = YamlLoader::load_from_str(text).expect("YAML");
    let groups = documents[0]["groups"].as_vec().expect("groups").iter();
    let text = |value: &Yaml| value.as_str().map(str::to_owned);
    let rule = |rule: &Yaml| Rule {
        name: text(&rule["alert"]).or_else(|| text(&rule["record"])).expect("a name"),
        is_alert: !rule["alert"].is_badvalue(),
        expression: text(&rule["expr"]).expect("an expression"),
    };
    groups.flat_map(|group| group["rules"].as_vec().expect("rules").iter().map(rule)).collect()
}

/// What the query names that none of the `series` has; `recorded` are the names that rules give.
pub(crate) fn faults(query: &str, series: &[Selector], recorded: &[&str]) -> Vec<String> {
    let parsed = Query::read(query);
    let mut faults = Vec::new();
    let mut known: BTreeSet<&str> = OF_TARGETS.into();
    for selector in &parsed.selectors {
        if recorded.contains(&selector.name.as_str()) {
            known.extend(OF_RECORDED);
            continue;
        }
        let named: Vec<_> = series.iter().filter(|series| series.name == selector.name).collect();
        known.extend(named.iter().flat_map(|series| &series.labels).map(|(label, ..)| label.as_str()));
        if named.is_empty() {
            faults.push(format!("no metric {}", selector.name));
        } else if !named.iter().any(|series| selector.selects(series)) {
            faults.push(format!("no series {selector:?}"));
        }
    }
    faults
        .extend(parsed.labels.iter().filter(|label| !known.contains(label.as_str())).map(|l| format!("no label {l}")));
    faults
}

impl Selector {
    fn selects(&self, series: &Self) -> bool {
        self.labels.iter().filter(|(label, ..)| !OF_TARGETS.contains(&label.as_str())).all(
            |(label, operator, value)| {
                let Some((_, _, found)) = series.labels.iter().find(|(name, ..)| name == label) else { return false };
                match operator.as_str() {
                    "=" => found == value,
                    "=~" => value.split('|').any(|value| value == found),
                    // Only that there is such a label: a healthy service may have no such series.
                    _ => true,
                }
            },
        )
    }
}

impl Query {
    pub(crate) fn read(query: &str) -> Self {
        let mut read = Self::default();
        let tokens = tokens(query);
        let mut rest = tokens.as_slice();
        while let [token, after @ ..] = rest {
            rest = after;
            match (token, after) {
                (Token::Sign('['), _) => rest = &after[position(after, ']') + 1..],
                (Token::Word(word), [Token::Sign('('), inner @ ..]) if OF_LABELS.contains(&word.as_str()) => {
                    let end = position(inner, ')');
                    let words = inner[..end].iter().filter_map(|token| match token {
                        Token::Word(label) => Some(label.clone()),
                        _ => None,
                    });
                    read.labels.extend(words);
                    rest = &inner[end + 1..];
                }
                // A function.
                (Token::Word(_), [Token::Sign('('), ..]) => {}
                (Token::Word(word), _) if OPERATORS.contains(&word.as_str()) => {}
                // An aggregation.
                (Token::Word(_), [Token::Word(by), ..]) if by == "by" => {}
                (Token::Word(word), [Token::Sign('{'), inner @ ..]) => {
                    let end = position(inner, '}');
                    read.selectors.push(Selector { name: word.clone(), labels: matchers(&inner[..end]) });
                    rest = &inner[end + 1..];
                }
                // The label whose values a variable has.
                (Token::Word(word), _) if OF_TARGETS.contains(&word.as_str()) => {}
                (Token::Word(word), _) => read.selectors.push(Selector { name: word.clone(), labels: Vec::new() }),
                _ => {}
            }
        }
        read
    }
}

#[derive(Debug, PartialEq)]
enum Token {
    Sign(char),
    Text(String),
    Word(String),
}

/// Numbers and durations are left out.
fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let is_word = |sign: char| sign.is_ascii_alphanumeric() || "_:$.".contains(sign);
        let length = match first {
            '"' => {
                let end = rest[1..].find('"').expect("the end of a text") + 1;
                tokens.push(Token::Text(rest[1..end].to_owned()));
                end + 1
            }
            sign if is_word(sign) => {
                let end = rest.find(|sign| !is_word(sign)).unwrap_or(rest.len());
                if !sign.is_ascii_digit() {
                    tokens.push(Token::Word(rest[..end].to_owned()));
                }
                end
            }
            sign => {
                if !sign.is_whitespace() {
                    tokens.push(Token::Sign(sign));
                }
                sign.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

fn position(tokens: &[Token], sign: char) -> usize {
    tokens.iter().position(|token| *token == Token::Sign(sign)).expect("a closing bracket")
}

fn matchers(tokens: &[Token]) -> Vec<(String, String, String)> {
    let mut matchers = Vec::new();
    for matcher in tokens.split(|token| *token == Token::Sign(',')) {
        let [Token::Word(label), operator @ .., Token::Text(value)] = matcher else { panic!("{matcher:?}") };
        let operator = operator.iter().map(|token| match token {
            Token::Sign(sign) => *sign,
            other => panic!("{other:?}"),
        });
        matchers.push((label.clone(), operator.collect(), value.clone()));
    }
    matchers
}

/// What Prometheus adds to each series, and `policy`, which the gateway adds to some.
const OF_TARGETS: [&str; 4] = ["exported_instance", "instance", "job", "policy"];
const OF_RECORDED: [&str; 1] = ["reason"];
const OF_LABELS: [&str; 3] = ["by", "group_left", "on"];
const OPERATORS: [&str; 4] = ["and", "offset", "or", "unless"];

#[test]
fn a_query_names_metrics_and_labels() {
    let query =
        r#"sum by (job, reason) (rate(a_total{b="c", d=~"$e|f"}[$__rate_interval])) / on (job) g offset 1d > 0.5"#;
    let labels =
        vec![("b".to_owned(), "=".to_owned(), "c".to_owned()), ("d".to_owned(), "=~".to_owned(), "$e|f".to_owned())];
    let selectors =
        vec![Selector { name: "a_total".to_owned(), labels }, Selector { name: "g".to_owned(), labels: Vec::new() }];
    let labels = ["job", "reason"].map(str::to_owned).into();
    assert_eq!(Query::read(query), Query { selectors, labels });
}

#[test]
fn a_misspelt_name_label_or_value_is_found() {
    let live = series("# TYPE a_total counter\na_total{b=\"c\",d=\"e\"} 1\n\nf_seconds 2.5\n");
    for (query, expected) in [
        (r#"sum by (d) (rate(a_total{job=~"$job", b="c"}[5m]))"#, ""),
        (r#"sum(rate(a_total{b=~"x|c", d!="e"}[5m])) or vector(0)"#, ""),
        ("max by (instance) (f_seconds) > 3600 and on (job) a:b:c", ""),
        ("label_values(f_seconds, instance)", ""),
        ("sum(rate(a_totl[5m])) or vector(0)", "no metric a_totl"),
        ("sum(rate(a[5m]))", "no metric a"),
        (r#"a_total{b="x"}"#, "no series"),
        (r#"a_total{x="c"}"#, "no series"),
        (r#"a_total{x!="c"}"#, "no series"),
        ("sum by (x) (a_total)", "no label x"),
        ("f_seconds / on (b) f_seconds", "no label b"),
        ("f_seconds and a:b:d", "no metric a:b:d"),
    ] {
        let faults = faults(query, &live, &["a:b:c"]).join(", ");
        assert_eq!((faults.is_empty(), faults.starts_with(expected)), (expected.is_empty(), true), "{query}: {faults}");
    }
}

#[test]
fn rules_are_read_however_their_expressions_are_written() {
    let text = "groups:\n- name: g\n  rules:\n  - {record: a:b, expr: a > 1} # no\n  - alert: B\n    expr: |\n      b\n        > 1\n    for: 1m\n  - alert: C\n    expr: >-\n      c\n      > 1\n  - expr: \"d == \\\"e\\\"\"\n    alert: D\n";
    let read: Vec<_> = rules(text).into_iter().map(|rule| (rule.name, rule.is_alert, rule.expression)).collect();
    let expected =
        [("a:b", false, "a > 1"), ("B", true, "b\n  > 1\n"), ("C", true, "c > 1"), ("D", true, "d == \"e\"")];
    assert_eq!(read, expected.map(|(name, is_alert, expression)| (name.to_owned(), is_alert, expression.to_owned())));
}
