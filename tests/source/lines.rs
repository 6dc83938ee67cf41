//! What no line of a source file may have.

use crate::sources::texts;

#[test]
fn comments_of_the_gateway_have_at_most_120_characters_in_a_line() {
    let mut seen = 0;
    for folder in ["examples/gateway/src", "examples/gateway/tests"] {
        for (file, text) in texts(folder) {
            for line in text.lines().filter(|line| line.trim_start().starts_with("//")) {
                let length = line.chars().count();
                assert!(length <= 120, "{length} characters in {folder}/{file}: {line}");
                seen += 1;
            }
        }
    }
    assert!(seen > 500, "{seen} comments were found");
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
