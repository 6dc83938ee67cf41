//! The comparison in the README holds what the benches of other crates have written, and nothing else.

use std::{fs, path::Path};

use serde_json::Value;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("UTF-8")
}

fn json(file: &str) -> Value {
    serde_json::from_str(&read(file)).expect("JSON")
}

fn texts(values: &Value) -> Vec<&str> {
    values.as_array().expect("an array").iter().map(|value| value.as_str().expect("text")).collect()
}

/// The cells of a row after its name.
fn texts_of(line: &str) -> impl Iterator<Item = &str> {
    line.trim_matches('|').split('|').map(str::trim).skip(1)
}

fn line(cells: &[&str]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// The median time of one crate, as the README rounds it.
fn micros(results: &Value, name: &str) -> String {
    let rows = results["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} was not measured"));
    format!("{:.1} µs", row["micros"][1].as_f64().expect("a median"))
}

#[test]
fn every_row_of_the_comparison_was_measured() {
    let (answers, results) = (json("benches/peers/answers.json"), json("benches/peers/results.json"));
    let crates = texts(&answers["crates"]);
    let readme = read("README.md");
    let (_, table) = readme.split_once("\n| | ").expect("the table");
    let (table, _) = table.split_once("\n\n").expect("the end of the table");
    let mut lines = table.lines();
    let head = format!("{} |", crates.join(" | "));
    assert_eq!(lines.next(), Some(head.as_str()));
    lines.next();

    let (seen, new) = (micros(&results, "tower-clerk, hit"), micros(&results, "tower-clerk, first sight"));
    let mut times = vec![format!("{seen}, a new token {new}")];
    times.extend(crates[1..].iter().map(|name| micros(&results, name)));
    let mut cells = vec!["time added to a request"];
    cells.extend(times.iter().map(String::as_str));
    assert_eq!(lines.next(), Some(line(&cells).as_str()));

    let rows = answers["rows"].as_array().expect("rows").iter().map(|row| {
        let mut cells = vec![row["name"].as_str().expect("text")];
        cells.extend(texts(&row["answers"]));
        line(&cells)
    });
    let rows: Vec<String> = rows.collect();
    let mut seen = 0;
    for line in lines {
        assert!(rows.iter().any(|row| row == line), "nothing shows this row: {line}");
        seen += 1;
        // Words in place of a status, which the text before the table explains.
        for words in texts_of(line).filter(|cell| cell.starts_with("no ") || cell.starts_with("one ")) {
            assert!(readme.contains(&format!("\"{words}\"")), "README.md does not explain {words}");
        }
    }
    assert!(seen > 5, "{seen} rows");
    for file in ["benches/peers/results.json", "benches/peers/answers.json"] {
        assert!(readme.contains(&format!("]({file})")), "README.md does not say that {file} shows the table");
    }
}

#[test]
fn the_rest_of_the_readme_agrees_with_the_measurement() {
    let results = json("benches/peers/results.json");
    let readme = read("README.md");
    let date = results["date"].as_str().expect("a date");
    let rustc = results["rustc"].as_str().expect("a version");
    for part in [date, rustc] {
        assert!(readme.contains(part), "README.md does not say {part}");
    }
}

#[test]
fn the_load_in_the_readme_is_what_was_measured() {
    let results = json("benches/load/results.json");
    let readme = read("README.md").replace('\n', " ");
    let thousands = |scenario: &str| {
        let rate = results["scenarios"][scenario]["requests_per_second"].as_f64().expect(scenario);
        format!("{:.0} 000", rate / 1000.0)
    };
    let text = format!(
        "axum responds to {} requests a second with the layer, to {} without it (`benches/load/run`)",
        thousands("hits"),
        thousands("no layer")
    );
    assert!(readme.contains(&text), "README.md does not say: {text}");
}
