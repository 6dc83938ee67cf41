//! What may use what, and who alone names what: the rules that keep the crate in one piece.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the outside in: a module may use those further down, and itself.
const ORDER: [&str; 14] = [
    "axum",
    "tonic",
    "testing",
    "authorize",
    "authenticate",
    "token",
    "rejection",
    "verify",
    "claims",
    "jwks",
    "jwt",
    "config",
    "json",
    "clock",
];
/// Every module may use it, and it none but the types that it tells of.
const TELEMETRY: &str = "telemetry";

/// The source files with their text, unit tests and comments cut off.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push((name(&path, &root), code(&fs::read_to_string(path).expect("UTF-8"))));
            }
        }
    }
    assert!(files.len() > 40, "the sources were not found");
    files
}

fn name(path: &Path, root: &Path) -> String {
    let path: PathBuf = path.strip_prefix(root).expect("a source file").to_owned();
    path.to_string_lossy().replace('\\', "/")
}

fn code(text: &str) -> String {
    let (code, _tests) = text.split_once("#[cfg(test)]\nmod tests").unwrap_or((text, ""));
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules of the crate that the code names in paths from `crate::`, braces followed.
fn used_modules(code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect()
    };
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = code.get(at + "crate::".len()..).expect("what follows");
        let Some(list) = rest.strip_prefix('{') else {
            used.push(word(rest));
            continue;
        };
        let (mut depth, mut starts) = (0_usize, true);
        for (at, char) in list.char_indices() {
            match char {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts = true,
                _ if starts && !char.is_whitespace() => {
                    used.push(word(list.get(at..).expect("what follows")));
                    starts = false;
                }
                _ => {}
            }
        }
    }
    used
}

/// Where the crate root re-exports its names from.
fn home(name: &str) -> &str {
    match name {
        "ClerkAuth" | "ClerkAuthLayer" | "ClerkAuthService" | "CustomClaims" => "authenticate",
        "Requirement" => "authorize",
        "ClerkConfig" | "ConfigError" => "config",
        "Rejection" => "rejection",
        "TokenSource" => "token",
        "Verifier" => "verify",
        module => module,
    }
}

#[test]
fn braces_are_followed_to_every_module_that_is_used() {
    let code = "use crate::{\n    a::{B, c::D},\n    e,\n    f::G,\n};\nlet x = crate::h::I;";
    assert_eq!(used_modules(code), ["a", "e", "f", "h"]);
}

#[test]
fn modules_use_only_what_stands_below_them() {
    let rank = |module: &str| ORDER.iter().position(|other| *other == module);
    let mut seen = 0;
    for (file, code) in sources() {
        let module = file.split(['/', '.']).next().expect("a module");
        if module == "lib" || module == TELEMETRY {
            continue;
        }
        let own = rank(module).unwrap_or_else(|| panic!("{file} is in no layer of the crate"));
        for used in used_modules(&code).iter().map(|name| home(name)).filter(|used| *used != TELEMETRY) {
            let used_rank = rank(used).unwrap_or_else(|| panic!("{file} uses {used}, which is in no layer"));
            assert!(used_rank >= own, "{file} uses {used}, which stands above it");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} uses were found");
}

#[test]
fn one_file_alone_names_each_of_these() {
    for (words, files) in [
        (&["aws_lc_rs"][..], &["jwt/digest.rs", "jwt/key.rs", "testing/issuer.rs"][..]),
        (&["jsonwebtoken::"], &["jwt/key.rs"]),
        (&["moka::"], &["jwks/store.rs", "verify/directory/book.rs"]),
        (&["tracing::", "metrics::"], &["telemetry.rs"]),
        (&["env::var(", "std::env"], &["config/env.rs"]),
        (&["SystemTime::now", "Instant::now"], &["clock.rs"]),
        (&["axum_core::"], &["axum.rs"]),
        (&["tonic::"], &["tonic.rs"]),
        (&["spawn("], &["jwks/flight.rs", "testing/server.rs"]),
    ] {
        for (file, code) in sources() {
            if !files.contains(&file.as_str()) {
                let found = words.iter().find(|word| code.contains(**word));
                assert!(found.is_none(), "{file} names {found:?}, which only {files:?} may");
            }
        }
        for file in files {
            let sources = sources();
            let (_, code) = sources.iter().find(|(name, _)| name == file).expect("the file");
            assert!(words.iter().any(|word| code.contains(word)), "{file} names none of {words:?}");
        }
    }
}

#[test]
fn reqwest_is_named_by_its_file_and_where_a_user_hands_in_a_client() {
    for (file, code) in sources() {
        let uses = code.matches("reqwest::").count();
        match file.as_str() {
            "jwks/http.rs" => assert!(uses > 0),
            "verify/builder.rs" => assert_eq!(uses, code.matches("reqwest::Client").count()),
            _ => assert_eq!(uses, 0, "{file} names reqwest"),
        }
    }
}

#[test]
fn nothing_in_the_library_unwraps_or_is_unsafe() {
    for (file, code) in sources() {
        for word in [".unwrap()", ".expect(", "unsafe ", "todo!", "unimplemented!", "println!"] {
            assert!(!code.contains(word), "{file} has {word}");
        }
    }
}

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
                // What the crates below `tests` are built into.
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
