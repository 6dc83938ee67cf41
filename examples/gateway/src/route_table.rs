//! The route table, as it is printed at start and by `--check`.

use crate::documents::{Documents, Route, RouteCors};

/// One line a route, in the order in which routes are tried: who may use it, method, path, policies, CORS policy and
/// upstream, in columns. Values of variables are not among them.
///
/// Who may use it is `open` (nothing authenticates), `optional` (requests without a token pass too), `guarded`, or
/// `custom` (a layer that was registered in code decides).
pub fn route_table(documents: &Documents) -> String {
    let rows: Vec<_> = documents.routes.iter().map(row).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..COLUMNS).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, &width)| padded(cell, width)).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn row(route: &Route) -> [String; COLUMNS] {
    let cors = match &route.cors {
        RouteCors::AnythingGoes => "anything-goes",
        RouteCors::Named(policy) => &policy.name,
        RouteCors::None => "-",
    };
    let policies: Vec<_> = route.policies.iter().map(|policy| policy.name.as_str()).collect();
    let policies = if policies.is_empty() { "-".to_owned() } else { policies.join(", ") };
    let access = route.access().to_string();
    let upstream = route.handler.display();
    [&access, route.method.as_str(), route.pattern.as_str(), &policies, cors, upstream].map(printable)
}

/// By hand, since a width in a format string ends at 65535.
fn padded(cell: &str, width: usize) -> String {
    let missing = width.saturating_sub(cell.chars().count());
    format!("{cell}{}", " ".repeat(missing))
}

/// Escapes what a terminal would obey. Nothing is cut: half a path would be of no use.
fn printable(text: &str) -> String {
    let escape = |character: char| match character {
        '"' | '\'' | '\\' => character.to_string(),
        _ => character.escape_debug().to_string(),
    };
    text.chars().map(escape).collect()
}

const COLUMNS: usize = 6;

#[cfg(test)]
mod tests {
    use super::{padded, printable};

    #[test]
    fn a_cell_cannot_write_to_the_terminal() {
        assert_eq!(printable(r#"${headers.get("x")}"#), r#"${headers.get("x")}"#);
        assert_eq!(printable("a\n\u{1b}[2Jé"), r"a\n\u{1b}[2Jé");
    }

    #[test]
    fn a_column_can_have_any_width() {
        assert_eq!(padded("é", 3), "é  ");
        assert_eq!(padded("long", 3), "long");
        assert_eq!(padded("a", 70_000).len(), 70_000);
    }
}
