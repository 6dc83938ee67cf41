//! What holds for every table and every path.

use http::Method;
use proptest::prelude::*;

use super::{Entry, NoRoute, PathMode, PathPattern, RouteTable, path};

fn find(table: &RouteTable, path: &str) -> Result<usize, NoRoute> {
    table.find(&Method::GET, path)
}

/// One of the ways in which upstreams read paths, written without the code under test.
fn read(path: &str, step: u8) -> String {
    let by_segment = |change: &dyn Fn(&str) -> String| path.split('/').map(change).collect::<Vec<_>>().join("/");
    match step {
        0 => percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned(),
        1 => path.replace('\\', "/"),
        2 => by_segment(&|segment| segment.split(';').next().unwrap().to_owned()),
        3 => {
            let mut path = path.to_owned();
            while path.contains("//") {
                path = path.replace("//", "/");
            }
            path
        }
        4 => by_segment(&|segment| segment.trim_end_matches(['.', ' ']).to_owned()),
        5 => path.to_ascii_lowercase(),
        6 => path.to_ascii_uppercase(),
        7 => format!("{path}/"),
        8 => path.split(['?', '#']).next().unwrap().to_owned(),
        // As the URL standard resolves it.
        9 => url(path),
        _ => {
            if path.len() > 1 {
                path.strip_suffix('/').unwrap_or(path).to_owned()
            } else {
                path.to_owned()
            }
        }
    }
}

/// The path of a target that a server resolves against its own URL.
fn url(target: &str) -> String {
    if !target.starts_with("//") {
        return target.to_owned();
    }
    let mut parts = target.trim_start_matches('/').splitn(2, '/');
    parts.next();
    format!("/{}", parts.next().unwrap_or_default())
}

/// Whether the pattern matches, for an upstream to which case and a slash at the end mean nothing.
fn covers(pattern: &PathPattern, path: &str) -> bool {
    let text = pattern.as_str().trim_end_matches('/').replace("{x}", "[^/]+").replace("{y}", "[^/]+");
    regex::Regex::new(&format!("^(?i:{text})/*$")).unwrap().is_match(path)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let path = "(/(a|b|A|ab|\\{x\\}|\\{x\\}b)){1,3}/?|/|/\\(\\.\\*\\)|/a/\\(\\.\\*\\)|/[aA]/b";
    let entry =
        (path, prop_oneof![Just(0), Just(1), Just(2), Just(3)]).prop_filter_map("no pattern", |(path, guards)| {
            let mode = if path.contains('*') { PathMode::UrlPattern } else { PathMode::OpenApi };
            let pattern = PathPattern::parse(&path, mode).ok()?;
            let guards = ["key", "admin"].iter().enumerate().filter(|(bit, _)| guards >> bit & 1 == 1);
            let guards = guards.map(|(_, name)| (*name).to_owned()).collect();
            Some(Entry { method: Method::GET, pattern, guards })
        });
    proptest::collection::vec(entry, 1..6)
}

fn paths() -> impl Strategy<Value = String> {
    let atom = "a|b|A|B|%61|%41|/|/|/|//|%2f|%5C|\\\\|;|%3b|%20|\\.|%2561|%3f|%2523|%252f|%255c|%253B|ab";
    proptest::collection::vec(atom, 0..8).prop_map(|atoms| format!("/{}", atoms.concat()))
}

proptest! {
    #[test]
    fn no_reading_of_a_path_passes_by_a_guard(
        entries in entries(),
        path in paths(),
        steps in proptest::collection::vec(0_u8..11, 0..6),
    ) {
        if path::check(&path).is_err() {
            return Ok(());
        }
        let Ok(index) = find(&RouteTable::new(&entries), &path) else { return Ok(()) };
        let reading = steps.iter().fold(path.clone(), |path, &step| read(&path, step));
        let first = entries.iter().find(|entry| covers(&entry.pattern, &reading));
        let guards = &entries[index].guards;
        let missing = first.and_then(|first| first.guards.iter().find(|guard| !guards.contains(guard)));
        prop_assert_eq!(missing, None, "{} read as {} takes another route than {}", path, reading, index);
    }

    #[test]
    fn an_open_rest_never_takes_what_a_guarded_route_would(
        mut entries in entries(),
        path in paths(),
        steps in proptest::collection::vec(0_u8..11, 0..6),
    ) {
        if path::check(&path).is_err() {
            return Ok(());
        }
        for entry in &mut entries {
            entry.guards = vec!["key".to_owned()];
        }
        let guarded = RouteTable::new(&entries);
        let pattern = PathPattern::parse("/(.*)", PathMode::UrlPattern).unwrap();
        entries.push(Entry { method: Method::GET, pattern, guards: Vec::new() });
        let table = RouteTable::new(&entries);
        if find(&table, &path) != Ok(entries.len() - 1) {
            return Ok(());
        }
        let reading = steps.iter().fold(path.clone(), |path, &step| read(&path, step));
        prop_assert_eq!(find(&guarded, &reading), Err(NoRoute::NotFound), "{} read as {}", path, reading);
    }

    #[test]
    fn the_table_decides_as_the_patterns_one_by_one(entries in entries(), path in paths()) {
        let open: Vec<Entry> =
            entries.into_iter().map(|entry| Entry { guards: Vec::new(), ..entry }).collect();
        let expected = open.iter().position(|entry| {
            let text = entry.pattern.as_str().replace("{x}", "[^/]+").replace("{y}", "[^/]+");
            regex::Regex::new(&format!("^(?:{text})$")).unwrap().is_match(&path)
        });
        let found = find(&RouteTable::new(&open), &path);
        prop_assert_eq!(found, expected.ok_or(NoRoute::NotFound));
    }

    #[test]
    fn no_path_makes_it_panic(entries in entries(), path in "\\PC*|[/%;\\\\.aA2f]{0,20}") {
        let table = RouteTable::new(&entries);
        let _ = find(&table, &path);
    }
}
