//! What no line of a source file may have.

use crate::sources::{PROGRAMS, texts};

#[test]
fn comments_have_at_most_120_characters_in_a_line() {
    let mut seen = 0;
    for folder in ["src"].into_iter().chain(PROGRAMS) {
        for (file, text) in texts(folder) {
            for line in text.lines().filter(|line| is_comment(line) && !is_table(line)) {
                let length = line.chars().count();
                assert!(length <= 120, "{length} characters in {folder}/{file}: {line}");
                seen += 1;
            }
        }
    }
    assert!(seen > 500, "{seen} comments were found");
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// A row of a table cannot be wrapped.
fn is_table(comment: &str) -> bool {
    comment.trim_start().trim_start_matches(['/', '!']).trim_start().starts_with('|')
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    // In two parts, since this file is read too.
    let folders = ["home", "root", "tmp", "work", "Users"].map(|name| format!("/{name}/"));
    for folder in ["src", "tests", "benches", "examples"] {
        for (file, text) in texts(folder) {
            for line in text.lines() {
                let found = folders.iter().find(|name| line.contains(name.as_str()));
                assert!(found.is_none(), "{found:?} in {folder}/{file}: {line}");
            }
        }
    }
}
