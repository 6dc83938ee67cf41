//! The table of events in the guide.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Levels and fields by message.
type Events = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).expect("UTF-8")
}

/// The events that the calls of `tracing`'s macros in `code` emit.
fn emitted(code: &str) -> Events {
    let mut events = Events::new();
    for level in ["debug", "info", "warn", "error"] {
        for call in code.split(&format!("tracing::{level}!(")).skip(1) {
            let (arguments, rest) = call.split_once('"').expect("a message");
            let (message, _) = rest.split_once('"').expect("the end of a message");
            let fields = arguments.split(',').map(str::trim).filter(|field| !field.is_empty());
            let fields = fields.filter(|field| !field.starts_with("target:"));
            let event = events.entry(message.to_owned()).or_default();
            event.0.insert(level.to_owned());
            event.1.extend(fields.map(|field| field.trim_start_matches(['%', '?']).to_owned()));
        }
    }
    events
}

/// The events that the table lists.
fn listed(chapter: &str) -> Events {
    let table = chapter.split_once("| level | message |").expect("the table").1;
    let table = table.split_once("\n\n").expect("the end of the table").0;
    let rows = table.lines().skip(2).map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let names = |cell: &str| cell.split(", ").map(|name| name.trim_matches('`').to_owned()).collect();
    rows.map(|cells| {
        let [_, levels, message, fields, when, what_to_do, _] = cells.as_slice() else { panic!("{cells:?}") };
        assert!(!when.is_empty() && !what_to_do.is_empty(), "{message}");
        let message = message.strip_prefix("``").and_then(|text| text.strip_suffix("``")).unwrap_or(message);
        let fields = if fields.is_empty() { BTreeSet::new() } else { names(fields) };
        (message.trim().trim_matches('`').to_owned(), (names(levels), fields))
    })
    .collect()
}

#[test]
fn events_are_found_in_code_and_in_the_table() {
    let code = r#"tracing::warn!(target: TARGET, %error, age, "it failed"); tracing::debug!(target: T, "it `works`")"#;
    let table = "| level | message | f | w | d |\n|---|\n| warn | `it failed` | `age`, `error` | a | b |\n\
                 | debug | ``it `works` `` | | a | b |\n\n";
    let events = emitted(code);
    assert_eq!(events["it failed"].1, BTreeSet::from(["age".to_owned(), "error".to_owned()]));
    let trimmed: Vec<_> = events.keys().map(|message| message.trim_matches('`').to_owned()).collect();
    assert_eq!(listed(table).into_keys().collect::<Vec<_>>(), trimmed);
}

#[test]
fn the_guide_lists_every_event_with_its_levels_and_fields() {
    let emitted: Events = emitted(&read("telemetry.rs"))
        .into_iter()
        .map(|(message, event)| (message.trim_matches('`').to_owned(), event))
        .collect();
    assert!(emitted.len() > 12, "{emitted:?}");
    let chapter = read("guide/events.md");
    assert_eq!(listed(&chapter), emitted);

    // The fields have a table of their own.
    let described = chapter.split_once("| field | type |").expect("the table of fields").1;
    for field in emitted.values().flat_map(|(_, fields)| fields) {
        assert!(described.contains(&format!("`{field}`")), "{field} is not described");
    }
}

#[test]
fn the_guide_lists_every_span() {
    let code = read("telemetry.rs");
    let spans: BTreeSet<_> = code.split("span!(").skip(1).filter_map(|call| call.split('"').nth(1)).collect();
    assert!(!spans.is_empty());
    let chapter = read("guide/events.md");
    let table = chapter.split_once("| span | level |").expect("the table of spans").1;
    let table = table.split_once("\n\n").expect("the end of the table").0;
    let listed: BTreeSet<_> = table.lines().skip(2).filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(listed, spans);
}
