//! Every text that the library shows to people: errors, events and messages of the compiler.
//!
//! `tests/texts.txt` lists them once, so that they can be read side by side. With `RECORD_TEXTS=1` the test rewrites
//! the list.

use std::{collections::BTreeMap, env, fs, path::Path};

use crate::sources::Sources;

/// The string literals in `code`, each with the code before it.
fn literals(code: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '\'']) {
        let (before, from) = rest.split_at(at);
        if let Some(after) = from.strip_prefix('\'') {
            // A character, or the name of a lifetime.
            let end = match after.strip_prefix('\\') {
                Some(escaped) => {
                    escaped.char_indices().nth(1).and_then(|(at, _)| escaped[at..].find('\'').map(|end| at + end + 1))
                }
                None => after.char_indices().nth(1).and_then(|(at, char)| (char == '\'').then_some(at)),
            };
            rest = &after[end.map_or(0, |end| end + 1)..];
            continue;
        }
        let hashes = before.len() - before.trim_end_matches('#').len();
        let is_raw = before[..before.len() - hashes].ends_with('r');
        let close = format!("\"{}", "#".repeat(hashes));
        let body = &from[1..];
        let end = if is_raw {
            body.find(&close).expect("the end of a raw string")
        } else {
            let mut is_escaped = false;
            body.find(|char| {
                let is_end = char == '"' && !is_escaped;
                is_escaped = char == '\\' && !is_escaped;
                is_end
            })
            .expect("the end of a string")
        };
        found.push((before, body[..end].to_owned()));
        rest = &body[end + if is_raw { close.len() } else { 1 }..];
    }
    found
}

/// Whether a literal is text for people: several words, and neither a document nor the reason of a lint.
fn is_text(before: &str, literal: &str) -> bool {
    let words = literal.split(' ').filter(|word| word.chars().any(|char| char.is_ascii_lowercase()));
    let is_lint_reason = before.trim_end().ends_with(", reason =");
    words.count() > 1 && !literal.starts_with(['{', '<']) && !is_lint_reason
}

fn texts(sources: &Sources) -> String {
    let mut by_file = BTreeMap::new();
    for (file, code) in sources.files().filter(|(file, _)| !file.starts_with("testing/")) {
        // Documentation of a macro's items is text for programmers, as in comments.
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("#[doc"));
        let code = lines.collect::<Vec<_>>().join("\n");
        let literals = literals(&code).into_iter().filter(|(before, literal)| is_text(before, literal));
        let mut lines: Vec<String> = literals.map(|(_, literal)| literal).collect();
        lines.dedup();
        if !lines.is_empty() {
            by_file.insert(file, lines);
        }
    }
    by_file.into_iter().map(|(file, lines)| format!("# {file}\n{}\n\n", lines.join("\n"))).collect()
}

#[test]
fn literals_are_found_behind_quotes_escapes_and_characters() {
    let code = r##"f("a \" b", '"', '\'', b"c d", r#"e " f"#); fn g<'a>(x: &'a str) { "g h" }"##;
    let found: Vec<String> = literals(code).into_iter().map(|(_, literal)| literal).collect();
    assert_eq!(found, [r#"a \" b"#, "c d", r#"e " f"#, "g h"]);
}

#[test]
fn every_text_is_in_the_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/texts.txt");
    let texts = texts(&Sources::read());
    if env::var_os("RECORD_TEXTS").is_some() {
        fs::write(&path, &texts).expect("a file that can be written");
    }
    assert_eq!(fs::read_to_string(&path).expect("the list"), texts, "RECORD_TEXTS=1 rewrites the list");
}

#[test]
fn texts_start_in_lower_case_and_end_without_a_full_stop() {
    // Names start as they are spelled.
    let names = ["Content-Encoding", "JWKS", "Bearer", "OAuth"];
    for text in texts(&Sources::read()).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let is_lower = !text.starts_with(|char: char| char.is_ascii_uppercase());
        assert!(is_lower || names.iter().any(|name| text.starts_with(name)), "{text}");
        assert!(!text.ends_with('.') || text.ends_with("{source}."), "{text}");
    }
}
