//! The names of the tests.

use std::{fs, path::Path};

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
fn test_names_are_found_after_every_attribute() {
    let text = "#[test]\nfn a() {}\nfn b() {}\n#[tokio::test(start_paused = true)]\n/// Text.\nasync fn c() {}\n";
    assert_eq!(test_names(text), ["a", "c"]);
}

#[test]
fn test_names_have_at_most_70_characters() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                // The target folders of the crates below `tests`.
                folders.extend((!path.ends_with("target")).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                for name in test_names(&fs::read_to_string(&path).expect("UTF-8")) {
                    assert!(name.len() <= 70, "{} has {} characters: {}", name, name.len(), path.display());
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 800, "{seen} tests were found");
}
