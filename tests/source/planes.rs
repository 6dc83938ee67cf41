//! The tables of planes in the guide hold what `benches/planes/run` and `benches/load/run` have measured. With
//! `RECORD_TABLES=1` the test rewrites them.

use std::{env, fs, path::Path};

use serde_json::{Value, json};

const CHAPTER: &str = "src/guide/in_front_of_anything.md";
const PLANES: &str = "benches/planes/results.json";
const LOAD: &str = "benches/load/results.json";

/// What is before and after the two tables.
const PLANES_BETWEEN: [&str; 2] = ["# What each costs\n\n", "\n\nRead it with care"];
const LOAD_BETWEEN: [&str; 2] = ["with 64 connections:\n\n", "\n\n# Identity headers"];

/// Scenarios of `benches/load/run`, and how the chapter calls them.
const SCENARIOS: [(&str, &str); 7] = [
    ("hits", "the layer in process"),
    ("Envoy jwt_authn of 10000, hits", "Envoy, jwt_authn, in front of nothing"),
    ("gateway with 2 routes, hits", "examples/gateway, 2 routes"),
    ("gateway with 500 routes, hits", "examples/gateway, 500 routes"),
    ("Envoy as a proxy with 2 routes, hits", "Envoy, jwt_authn, 2 routes"),
    ("Envoy as a proxy with 500 routes, hits", "Envoy, jwt_authn, 500 routes"),
    ("Envoy with ext_authz and 2 routes, hits", "Envoy, ext_authz on the same core, 2 routes"),
];

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("UTF-8")
}

fn results(file: &str) -> Value {
    serde_json::from_str(&read(file)).expect("JSON")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is no text"))
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name} is no number in {value}"))
}

/// How the planes were measured, and their table.
fn planes(results: &Value) -> String {
    let mut lines = vec![
        "One core for everything that decides and passes on, another for wrk and the upstream; plain HTTP/1.1, one token, no"
            .to_owned(),
        format!("access logs; {} connections, then one; medians, rounds: {}.", results["connections"], results["rounds"]),
        format!(
            "{}; {}; load before {}; {}.",
            text(results, "machine"),
            text(results, "versions"),
            results["load_before"],
            text(results, "date")
        ),
        format!("{}. `benches/planes/run` repeats it.", capitalized(text(results, "build"))),
        String::new(),
        "| in front of the upstream | requests/s | p50 ms | p99 ms | p50 ms, one connection |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(results["rows"].as_array().expect("rows").iter().map(|row| {
        format!(
            "| {} | {} | {:.2} | {:.2} | {:.3} |",
            text(row, "name"),
            number(row, "requests_per_second"),
            number(row, "p50_ms"),
            number(row, "p99_ms"),
            number(row, "p50_ms_of_one_connection"),
        )
    }));
    lines.join("\n")
}

/// How the load was measured, and its table.
fn load(results: &Value) -> String {
    let (machine, date) = (text(results, "machine"), text(results, "date"));
    let mut lines = vec![
        format!("{machine}; medians, rounds: {}; {date}.", results["rounds"]),
        String::new(),
        "| | requests/s | p99 ms |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    lines.extend(SCENARIOS.map(|(scenario, name)| {
        let figures = &results["scenarios"][scenario];
        assert!(figures.is_object(), "{LOAD} lacks {scenario}: `benches/load/run` measures it");
        format!("| {name} | {} | {:.2} |", number(figures, "requests_per_second"), number(figures, "p99_ms"))
    }));
    lines.join("\n")
}

/// What keeps a run from being shown to others.
fn fault(results: &Value) -> Option<String> {
    let (build, rounds) = (&results["build"], &results["rounds"]);
    if build != "release builds" {
        return Some(format!("measured with {build}"));
    }
    (rounds.as_u64() < Some(3)).then(|| format!("rounds: {rounds}, too few for a median"))
}

fn capitalized(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}

/// What is before the section between two texts, the section, and what is after it.
fn around<'a>(chapter: &'a str, [start, end]: [&str; 2]) -> [&'a str; 3] {
    let (before, rest) = chapter.split_once(start).expect(start);
    let (section, _) = rest.split_once(end).expect(end);
    let at = before.len() + start.len();
    [&chapter[..at], section, &rest[section.len()..]]
}

#[test]
fn the_chapter_on_planes_shows_what_was_measured() {
    let mut chapter = read(CHAPTER);
    let sections = [(PLANES_BETWEEN, planes(&results(PLANES))), (LOAD_BETWEEN, load(&results(LOAD)))];
    for (between, measured) in sections {
        let [before, section, after] = around(&chapter, between);
        if env::var_os("RECORD_TABLES").is_none() {
            assert_eq!(section, measured, "RECORD_TABLES=1 rewrites the table");
        }
        chapter = format!("{before}{measured}{after}");
    }
    if env::var_os("RECORD_TABLES").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(CHAPTER), chapter).expect("a file that can be written");
    }
}

#[test]
fn the_planes_were_measured_in_release_builds_and_several_rounds() {
    assert_eq!(fault(&results(PLANES)), None, "`benches/planes/run` on a quiet machine, then RECORD_TABLES=1");
}

#[test]
fn a_run_to_try_the_script_is_not_taken_for_a_measurement() {
    for (build, rounds, is_good) in [
        (json!("release builds"), json!(3), true),
        (json!("release builds"), json!(5), true),
        (json!("release builds"), json!(2), false),
        (json!("release builds"), Value::Null, false),
        (json!("unoptimized builds"), json!(5), false),
        (Value::Null, json!(5), false),
    ] {
        let results = json!({ "build": build, "rounds": rounds });
        assert_eq!(fault(&results).is_none(), is_good, "{results}");
    }
}
