//! The tables of the chapter.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

/// The cells of a row: before in three ways, and the common answer after, or all three where they differ.
pub fn row(name: &str, cells: &[String]) -> String {
    let (before, after) = cells.split_at(3);
    let after = if after.iter().collect::<BTreeSet<_>>().len() == 1 { after[0].clone() } else { after.join(" / ") };
    format!("| {name} | {} | {after} |", before.join(" | "))
}

/// Compares the rows with those of the chapter below this head.
pub fn assert_in_chapter(head: &str, rows: &[String]) {
    let chapter = fs::read_to_string(path()).expect("the chapter");
    let start = chapter.find(head).unwrap_or_else(|| panic!("the chapter has no table {head}")) + head.len() + 1;
    let start = start + chapter[start..].find('\n').expect("the line below the head") + 1;
    let end = start + chapter[start..].find("\n\n").expect("the end of the table");
    let rows = rows.join("\n");
    if env::var_os("RECORD_TABLES").is_some() {
        fs::write(path(), format!("{}{rows}{}", &chapter[..start], &chapter[end..])).expect("a file to write to");
    } else {
        assert_eq!(&chapter[start..end], rows, "RECORD_TABLES=1 rewrites the table");
    }
}

pub fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../src/guide/migration.md"))
}

#[test]
fn a_row_shows_the_answers_after_once_unless_they_differ() {
    let cells = |after: [&str; 3]| ["1", "2", "3"].into_iter().chain(after).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(row("a", &cells(["4", "4", "4"])), "| a | 1 | 2 | 3 | 4 |");
    assert_eq!(row("a", &cells(["4", "5", "4"])), "| a | 1 | 2 | 3 | 4 / 5 / 4 |");
}
