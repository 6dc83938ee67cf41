//! Which file may import which.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::Sources;

/// The top-level modules, from the top down: a file may import from its own module and from those in rows below.
///
/// `config` is above `jwt`, so that the keys of a configuration are parsed when it is made and not later.
const ORDER: [&[&str]; 17] = [
    &["axum", "tonic", "testing", "gateway"],
    &["authorize"],
    &["authenticate"],
    &["credentials", "rejection"],
    &["resource"],
    &["verify"],
    &["instance"],
    &["backend_api"],
    &["claims", "jwks"],
    &["single_flight"],
    &["config"],
    &["jwt"],
    &["json"],
    &["instruments"],
    &["token_kind"],
    &["clock", "places", "rate_limit"],
    &["telemetry", "macros"],
];

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().expect("a module")
}

fn rank(file: &str) -> usize {
    let rank = ORDER.iter().position(|modules| modules.contains(&module(file)));
    rank.unwrap_or_else(|| panic!("src/{file} is in no module of the list"))
}

/// The files of an import cycle.
fn cycle(imports: &BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit<'a>(
        file: &'a str,
        imports: &'a BTreeMap<&str, BTreeSet<String>>,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|other| *other == file) {
            return Some(way[start..].iter().map(|file| (*file).to_owned()).collect());
        }
        if !done.insert(file) {
            return None;
        }
        way.push(file);
        let found = imports[file].iter().find_map(|next| visit(next, imports, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|file| visit(file, imports, &mut Vec::new(), &mut done))
}

#[test]
fn files_import_only_from_modules_below_their_own() {
    let sources = Sources::read();
    let mut count = 0;
    for (file, targets) in sources.imports().into_iter().filter(|(file, _)| *file != "lib.rs") {
        for target in targets {
            let is_below = rank(&target) > rank(file) || module(&target) == module(file);
            assert!(is_below, "src/{file} imports from src/{target}, which is not below it");
            count += 1;
        }
    }
    assert!(count > 150, "only {count} imports were found");
}

#[test]
fn no_files_import_from_each_other_in_a_cycle() {
    let programs =
        [Sources::of_ext_authz(), Sources::of_forward_auth(), Sources::of_the_gateway(), Sources::of_the_mcp_server()];
    for sources in [Sources::read()].into_iter().chain(programs) {
        assert_eq!(cycle(&sources.imports()), None);
    }
}

#[test]
fn a_cycle_of_files_is_found_within_a_module_and_between_modules() {
    let cycle_of = |files: &[(&str, &str)]| cycle(&Sources::of(files).imports());
    let inside = [
        ("lib.rs", ""),
        ("a/mod.rs", "mod x;\nmod y;"),
        ("a/x.rs", "use super::y::Y;"),
        ("a/y.rs", "use super::x::X;"),
    ];
    assert_eq!(cycle_of(&inside), Some(vec!["a/x.rs".to_owned(), "a/y.rs".to_owned()]));
    let between =
        [("lib.rs", ""), ("a.rs", "use crate::b::B;"), ("b.rs", "use crate::c::C;"), ("c.rs", "use crate::a::A;")];
    assert_eq!(cycle_of(&between).map(|cycle| cycle.len()), Some(3));
    let parent = [("lib.rs", ""), ("a/mod.rs", "mod x;\nuse self::x::X;\nstruct A;"), ("a/x.rs", "use super::A;")];
    assert_eq!(cycle_of(&parent).map(|cycle| cycle.len()), Some(2));
    let reexported =
        [("lib.rs", ""), ("a/mod.rs", "mod x;\npub use self::x::X;\nstruct A;"), ("a/x.rs", "use super::A;")];
    assert_eq!(cycle_of(&reexported), None);
}

#[test]
fn restricted_names_appear_only_in_their_own_files() {
    let sources = Sources::read();
    for (words, files) in [
        (&["aws_lc_rs"][..], &["jwt/digest.rs", "jwt/key.rs", "testing/key.rs"][..]),
        (&["jsonwebtoken::"], &["jwt/key.rs"]),
        (&["moka::"], &["instance/resolver_cache.rs", "jwks/key_cache.rs"]),
        (&["quick_cache::"], &["backend_api/answers.rs", "verify/cache.rs"]),
        (&["futures_timer::"], &["single_flight.rs"]),
        (&["tracing::"], &["telemetry.rs"]),
        (&["metrics::"], &["instruments/handles.rs"]),
        (&["env::var(", "std::env"], &["config/env.rs"]),
        (&["SystemTime::now", "Instant::now"], &["clock.rs"]),
        (&["axum_core::"], &["axum.rs"]),
        (&["tonic::"], &["tonic.rs"]),
        (&["spawn("], &["single_flight.rs", "testing/blocking.rs", "testing/server.rs"]),
        (&["spawn_blocking("], &["jwks/http/dns.rs"]),
        // Only the checks may mark claims as checked.
        (&["CheckedClaims::assertion"], &["verify/checks.rs"]),
        (&["MachineClaims::assertion"], &["backend_api/answer.rs", "verify/machine_checks.rs"]),
        (&["catch_unwind"], &[]),
    ] {
        for (file, code) in sources.files().filter(|(file, _)| !files.contains(file)) {
            let found = words.iter().find(|word| code.contains(**word));
            assert!(found.is_none(), "src/{file} names {found:?}, which only {files:?} may");
        }
        for file in files {
            let code = sources.code(file);
            assert!(words.iter().any(|word| code.contains(word)), "src/{file} names none of {words:?}");
        }
    }
}

#[test]
fn reqwest_appears_only_in_its_folder_and_where_a_client_is_passed() {
    for (file, code) in Sources::read().files() {
        let uses = code.matches("reqwest::").count();
        match file {
            _ if file.starts_with("jwks/http/") => {}
            "backend_api/http.rs" => assert!(uses > 0),
            "verify/builder.rs" => assert_eq!(uses, code.matches("reqwest::Client").count()),
            _ => assert_eq!(uses, 0, "src/{file} names reqwest"),
        }
    }
}

#[test]
fn nothing_in_the_library_unwraps_or_is_unsafe() {
    for (file, code) in Sources::read().files() {
        for word in [".unwrap()", ".expect(", "unsafe ", "todo!", "unimplemented!", "println!"] {
            assert!(!code.contains(word), "src/{file} has {word}");
        }
    }
}
