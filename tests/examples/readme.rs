//! The README agrees with the examples.

use std::{env, fs, path::Path, process::Command};

const README: &str = include_str!("../../README.md");

#[test]
fn the_readme_shows_the_quickstart_example() {
    let quickstart = include_str!("../../examples/quickstart.rs");
    let code: Vec<&str> = quickstart.lines().skip_while(|line| line.starts_with("//!") || line.is_empty()).collect();
    let code = code.join("\n");
    // The example ends with one line for an error, which it shares with the other examples. The README leaves that out.
    let (code, _) = code.split_once("\n\n#[path = \"support/exit.rs\"]").expect("how it ends");
    let code = code.replace("async fn run()", "#[tokio::main]\nasync fn main()");
    assert!(README.contains(&code), "README.md shows another program than examples/quickstart.rs");
    assert!(quickstart.lines().count() <= 40);
}

#[test]
fn the_readme_shows_the_cors_layer_of_the_tests() {
    let tests = without_spaces(include_str!("../api/stack/cors.rs"));
    let text = without_spaces(README);
    let start = text.find("CorsLayer::new()").expect("a CORS layer");
    let layer = text[start..].split_once(",);").expect("the end of the layer").0;
    assert!(layer.contains("expose_headers") && tests.contains(layer), "{layer}");
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn the_readme_names_its_versions_before_the_first_snippet() {
    let introduction = README.split("```").next().unwrap_or_default();
    for version in ["axum 0.8", "tonic 0.14"] {
        assert!(introduction.contains(version), "{version}");
    }
}

#[test]
fn the_readme_is_short_and_names_its_two_commands() {
    assert!(README.lines().count() <= 140);
    for command in ["cargo run --example axum", "cargo test"] {
        assert!(README.contains(command), "{command}");
    }
}

/// The pictures that a text shows, and what it says for those who do not see them.
fn pictures(text: &str) -> Vec<(&str, &str)> {
    let shown = text.split("![").skip(1);
    shown.map(|shown| shown.split_once(')').and_then(|(shown, _)| shown.split_once("](")).expect("a picture")).collect()
}

#[test]
fn the_package_has_the_pictures_that_are_shown_and_no_others() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(env!("CARGO"));
    let list =
        cargo.args(["package", "--list", "--allow-dirty", "--no-verify", "--offline"]).current_dir(root).output();
    let list = String::from_utf8(list.expect("cargo runs").stdout).expect("UTF-8");
    let is_picture = |file: &&str| file.ends_with(".png") || file.ends_with(".svg");
    // What the page itself shows is a part of the program.
    let mut in_package: Vec<_> =
        list.lines().filter(is_picture).filter(|file| !file.starts_with("examples/axum/page/")).collect();
    assert!(in_package.len() > 2, "{list}");

    let in_readme = pictures(README);
    let (names, texts): (Vec<_>, Vec<_>) = in_readme.into_iter().map(|(text, name)| (name, text)).unzip();
    assert_eq!(names, ["examples/axum/page.png", "benches/cost.svg"]);
    assert!(texts.iter().all(|text| text.len() > 40), "{texts:?}");
    for name in names {
        assert!(in_package.contains(&name), "{name} is not in the package");
        in_package.retain(|file| *file != name);
    }
    let chapters = fs::read_dir(root.join("src/guide")).expect("the guide");
    let guide: String =
        chapters.map(|chapter| fs::read_to_string(chapter.expect("a chapter").path()).expect("UTF-8")).collect();
    in_package.retain(|file| !guide.contains(&format!("]({file})")) && !guide.contains(&format!("/{file}")));
    assert_eq!(in_package, [""; 0], "nothing shows these");
}
