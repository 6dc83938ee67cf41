//! What the guide shows of other files.

use std::{fs, path::Path};

use tower_clerk::ClerkConfig;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("UTF-8")
}

/// The code of a program without the comment at its start.
fn code(program: &str) -> String {
    let lines: Vec<_> = program.lines().skip_while(|line| line.starts_with("//!") || line.is_empty()).collect();
    lines.join("\n")
}

/// The blocks of a chapter that its documentation tests leave out.
fn ignored_blocks(chapter: &str) -> Vec<&str> {
    let blocks = chapter.split("```rust,ignore\n").skip(1);
    blocks.map(|block| block.split_once("\n```").expect("the end of a block").0).collect()
}

#[test]
fn the_code_and_the_blocks_of_a_chapter_are_found() {
    assert_eq!(code("//! About.\n//!\n\nuse a::b;\n\n// c\nfn d() {}\n"), "use a::b;\n\n// c\nfn d() {}");
    let chapter = "a\n\n```rust,ignore\nb\n\nc\n```\n\n```\nd\n```\n\n```rust,ignore\ne\n```\n";
    assert_eq!(ignored_blocks(chapter), ["b\n\nc", "e"]);
}

#[test]
fn the_chapter_on_mcp_servers_shows_the_minimal_example() {
    let example = code(&read("examples/mcp/examples/minimal.rs"));
    let chapter = read("src/guide/mcp_servers.md");
    assert_eq!(ignored_blocks(&chapter), [example.as_str()], "src/guide/mcp_servers.md shows another program");
    let lines = example.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 40, "{lines} lines are no short program");
}

#[test]
fn no_other_chapter_has_code_that_nothing_compiles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide");
    let mut seen = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("mcp_servers.md") {
            let chapter = fs::read_to_string(&path).expect("UTF-8");
            assert!(!chapter.contains(",ignore") && !chapter.contains("no_run"), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} chapters were found");
}

#[test]
fn the_picture_of_replicas_is_html_that_a_page_can_contain() {
    let picture = read("benches/replicas.svg");
    // An empty line would end the block of HTML, and a style would apply to the whole page.
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n") && !picture.contains("\n\n"));
    assert!(["<style", "style="].iter().all(|style| !picture.contains(style)));
    assert!(["<title ", "<desc ", "role=\"img\""].iter().all(|text| picture.contains(text)));
    let module = read("src/guide/mod.rs");
    assert!(module.contains("#[doc = \"\"]\n#[doc = include_str!(\"../../benches/replicas.svg\")]"));
}

#[test]
fn the_table_of_settings_names_every_variable() {
    let text = read("src/config/mod.rs");
    let table = text.split_once("//! | setting | environment variable |").expect("the table").1;
    let table = table.split_once("//!\n").expect("the end of the table").0;
    for variable in ClerkConfig::ENVIRONMENT_VARIABLES {
        assert!(table.contains(&format!("`{variable}`")), "{variable} is not in the table");
    }
}
