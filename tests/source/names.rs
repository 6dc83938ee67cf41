//! The names of the tests.

use crate::sources::{PROGRAMS, texts};

/// The names of the test functions in a file, those of `proptest!` included.
fn test_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        match function {
            Some(rest) if is_test => {
                names.extend(rest.split(['(', '<']).next());
                is_test = false;
            }
            Some(_) => is_test = false,
            None => is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test"),
        }
    }
    names
}

#[test]
fn names_of_tests_are_found_after_every_attribute() {
    let text = "#[test]\nfn a() {}\nfn b() {}\n#[tokio::test(start_paused = true)]\n/// Text.\nasync fn c() {}\n";
    assert_eq!(test_names(text), ["a", "c"]);
}

#[test]
fn names_of_tests_are_sentences_of_at_most_70_characters() {
    let mut seen = 0;
    for folder in ["tests"].into_iter().chain(PROGRAMS) {
        for (file, text) in texts(folder) {
            for name in test_names(&text) {
                assert!(name.len() <= 70, "{name} has {} characters: {folder}/{file}", name.len());
                assert!(name.contains('_') && !name.starts_with("test_"), "{name} is no sentence: {folder}/{file}");
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "{seen} tests were found");
}
