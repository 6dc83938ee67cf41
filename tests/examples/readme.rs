//! The README agrees with the examples.

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
