//! The source files of the library, of the gateway and of the MCP server, and what each of them imports.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The folders of the programs that are packages of their own, with their tests.
pub(crate) const PROGRAMS: [&str; 9] = [
    "examples/ext_authz/src",
    "examples/ext_authz/tests",
    "examples/forward_auth/src",
    "examples/forward_auth/tests",
    "examples/gateway/src",
    "examples/gateway/tests",
    "examples/mcp/src",
    "examples/mcp/tests",
    "examples/support",
];

/// The source files by their path below `src`, without unit tests and comments.
pub(crate) struct Sources(BTreeMap<String, String>);

impl Sources {
    pub(crate) fn read() -> Self {
        Self::below("src", 40)
    }

    pub(crate) fn of_the_gateway() -> Self {
        Self::below("examples/gateway/src", 40)
    }

    pub(crate) fn of_ext_authz() -> Self {
        Self::below("examples/ext_authz/src", 8)
    }

    pub(crate) fn of_forward_auth() -> Self {
        Self::below("examples/forward_auth/src", 10)
    }

    pub(crate) fn of_the_mcp_server() -> Self {
        Self::below("examples/mcp/src", 15)
    }

    /// Of more than `least` files.
    fn below(folder: &str, least: usize) -> Self {
        let files: BTreeMap<_, _> = texts(folder).into_iter().map(|(name, text)| (name, code(&text))).collect();
        assert!(files.len() > least, "the sources were not found");
        Self(files)
    }

    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(name, text)| ((*name).to_owned(), code(text))).collect())
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, code)| (name.as_str(), code.as_str()))
    }

    pub(crate) fn code(&self, file: &str) -> &str {
        self.0.get(file).unwrap_or_else(|| panic!("there is no src/{file}"))
    }

    /// The files that each file imports from, re-exports followed to the file that defines the item. A
    /// re-export is not an import.
    pub(crate) fn imports(&self) -> BTreeMap<&str, BTreeSet<String>> {
        let imports = |(file, code): (_, &str)| {
            let home = module(file);
            let targets = paths(code).into_iter().filter(|path| !path.is_reexport);
            let resolved = targets.filter_map(|path| self.resolve(&home, &path.segments, 0));
            (file, resolved.filter(|target| target != file).collect())
        };
        self.files().map(imports).collect()
    }

    /// The file that a path inside the module `home` refers to.
    fn resolve(&self, home: &[String], path: &[String], depth: usize) -> Option<String> {
        assert!(depth < 10, "re-exports of {path:?} go in circles");
        let mut module = home.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => module.clear(),
            "self" => {}
            "super" => drop(module.pop()),
            _ => return None,
        }
        rest = &rest[1..];
        while let [first, others @ ..] = rest {
            if first == "super" {
                module.pop();
            } else if self.file(&[module.as_slice(), std::slice::from_ref(first)].concat()).is_some() {
                module.push(first.clone());
            } else {
                break;
            }
            rest = others;
        }
        let file = self.file(&module)?;
        let Some(item) = rest.first() else { return Some(file) };
        let reexport =
            paths(self.code(&file)).into_iter().find(|path| path.is_reexport && path.segments.last() == Some(item));
        match reexport {
            Some(path) => self.resolve(&module, &path.segments, depth + 1),
            None => Some(file),
        }
    }

    fn file(&self, module: &[String]) -> Option<String> {
        let path = module.join("/");
        let candidates = match module {
            [] => vec!["lib.rs".to_owned()],
            _ => vec![format!("{path}.rs"), format!("{path}/mod.rs")],
        };
        candidates.into_iter().find(|candidate| self.0.contains_key(candidate))
    }
}

/// The Rust files below a folder of the repository, by their path there.
pub(crate) fn texts(folder: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut texts = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                // The target folders of the crates below `tests`.
                folders.extend((!path.ends_with("target")).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("a source file").to_string_lossy().replace('\\', "/");
                texts.insert(name, fs::read_to_string(&path).expect("UTF-8"));
            }
        }
    }
    texts
}

/// A path that starts with `crate`, `self` or `super`.
struct ImportPath {
    segments: Vec<String>,
    is_reexport: bool,
}

fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn code(text: &str) -> String {
    let (code, _tests) =
        text.split_once("#[cfg(test)]\n").filter(|(_, rest)| rest.contains("mod tests")).unwrap_or((text, ""));
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths in `use` declarations, braces followed, and those in the code between them.
fn paths(code: &str) -> Vec<ImportPath> {
    let mut found = Vec::new();
    for start in ["crate::", "self::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = &code[..at];
            if before.ends_with(|char: char| char.is_ascii_alphanumeric() || "_:".contains(char)) {
                continue;
            }
            let statement = before.rfind([';', '}']).map_or(before, |end| &before[end + 1..]).trim_start();
            let statement = statement.rsplit("]\n").next().unwrap_or(statement).trim_start();
            let is_reexport = statement.starts_with("pub") && statement.contains("use ");
            let mut lists = Vec::new();
            expand(&code[at..], &mut Vec::new(), &mut lists);
            found.extend(lists.into_iter().map(|segments| ImportPath { segments, is_reexport }));
        }
    }
    found
}

/// Reads one path or one list of paths, and returns what follows it.
fn expand<'a>(text: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let length = prefix.len();
    let mut text = text.trim_start();
    loop {
        if let Some(list) = text.strip_prefix('{') {
            text = list.trim_start();
            while !text.starts_with('}') {
                text = expand(text, prefix, found).trim_start();
                text = text.strip_prefix(',').unwrap_or(text).trim_start();
            }
            text = &text[1..];
            break;
        }
        let end = text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(text.len());
        assert!(end > 0, "no path starts here: {}", text.chars().take(40).collect::<String>());
        prefix.push(text[..end].to_owned());
        text = &text[end..];
        match text.strip_prefix("::").filter(|rest| !rest.starts_with('<')) {
            Some(rest) => text = rest,
            None => {
                if prefix.last().is_some_and(|last| last == "self") && prefix.len() > 1 {
                    prefix.pop();
                }
                found.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(length);
    text
}

#[test]
fn braces_and_reexports_are_followed_to_the_file_of_the_item() {
    let sources = Sources::of(&[
        ("lib.rs", "pub mod a;\nmod b;\npub use self::{a::Item, b::{c::Deep, Own}};\n"),
        ("a/mod.rs", "mod x;\nmod y;\npub use self::{x::Item, y::Other};\nstruct Own;\n"),
        ("a/x.rs", "use super::{Other, y::More};\nuse crate::{\n    Deep,\n    b::Own,\n};\n"),
        ("a/y.rs", "use super::Own;\nfn f() { crate::b::g::<u8>(); super::super::b::c::h() }\n"),
        ("b/mod.rs", "pub mod c;\npub struct Own;\n"),
        ("b/c.rs", "use std::fmt;\n#[cfg(test)]\nmod tests { use super::*; use crate::a::Item; }\n"),
    ]);
    let imports = sources.imports();
    let of = |file: &str| imports[file].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("lib.rs"), [""; 0]);
    assert_eq!(of("a/mod.rs"), [""; 0]);
    assert_eq!(of("a/x.rs"), ["a/y.rs", "b/c.rs", "b/mod.rs"]);
    assert_eq!(of("a/y.rs"), ["a/mod.rs", "b/c.rs", "b/mod.rs"]);
    assert_eq!(of("b/c.rs"), [""; 0]);
}
