//! The guide, `src/guide/leaving_a_hosted_gateway.md`, says what the program does.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::{fs, process::Command};

const GUIDE: &str = include_str!("../../../src/guide/leaving_a_hosted_gateway.md");
const README: &str = include_str!("../README.md");
const VARIABLES: [(&str, &str); 2] =
    [("CLERK_FRONTEND_API_URL", "https://clerk.example.com"), ("UPSTREAM_URL", "http://127.0.0.1:8080")];

/// The blocks of code in this language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    let after = text.match_indices(&start).map(|(at, start)| &text[at + start.len()..]);
    after.map(|block| block.split("```").next().unwrap_or_default()).collect()
}

/// The two files of the guide.
fn files() -> (String, String) {
    let json = blocks(GUIDE, "json");
    (json[0].to_owned(), json[1].to_owned())
}

/// What the program prints of these files, to stdout and to stderr.
fn run(policies: &str, routes: &str, variables: &[(&str, &str)]) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("policies.json", policies), ("routes.oas.json", routes)] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let mut program = Command::new(env!("CARGO_BIN_EXE_gateway"));
    program.arg("--config").arg(folder.path()).arg("--check").env_clear().envs(variables.iter().copied());
    let output = program.output().expect("a program");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr))
}

fn faults(policies: &str, routes: &str) -> Vec<String> {
    let (stdout, stderr) = run(policies, routes, &VARIABLES);
    assert_eq!(stdout, "");
    stderr.lines().map(str::to_owned).collect()
}

/// A mistake in the two files: what is in the first or second text, and what stands there instead.
fn with(mistakes: &[(&str, &str)]) -> Vec<String> {
    let (mut policies, mut routes) = files();
    for (from, to) in mistakes {
        let is_policy = policies.contains(from);
        assert!(is_policy || routes.contains(from), "{from}");
        let file = if is_policy { &mut policies } else { &mut routes };
        *file = file.replacen(from, to, 1);
    }
    faults(&policies, &routes)
}

#[test]
fn the_files_of_the_guide_have_the_table_that_it_shows() {
    let (policies, routes) = files();
    let (stdout, stderr) = run(&policies, &routes, &VARIABLES);
    assert_eq!(stderr, "");
    assert!(blocks(GUIDE, "text").contains(&&*stdout), "{stdout}");
}

#[test]
fn without_a_variable_the_program_prints_what_the_guide_shows() {
    let (policies, routes) = files();
    let (stdout, stderr) = run(&policies, &routes, &VARIABLES[..1]);
    assert_eq!(stdout, "");
    assert!(blocks(GUIDE, "text").contains(&&*stderr), "{stderr}");
}

#[test]
fn every_refusal_of_the_guide_is_given_with_its_reason() {
    const EXPORT: &str = "\"export\": \"ClerkJwtInboundPolicy\"";
    const OPTIONS: &str = "{ \"frontendApiUrl\": \"$env(CLERK_FRONTEND_API_URL)\" }";
    const MODULE: &str = "$import(@zuplo/runtime)";
    const REWRITE: &str = "\"rewritePattern\": \"${env.UPSTREAM_URL}/v1/invoices/${params.id}\"";
    const BASE: &str = "\"baseUrl\": \"${env.UPSTREAM_URL}\"";
    const NAME: &str = "\"name\": \"clerk\"";
    const INBOUND: &str = "\"inbound\": [\"clerk\"]";
    let open_id = |options: &str| {
        let options =
            format!("{{ \"issuer\": \"https://a.example\", \"jwkUrl\": \"https://a.example/keys\", {options} }}");
        with(&[(EXPORT, "\"export\": \"OpenIdJwtInboundPolicy\""), (OPTIONS, &options)])
    };
    let composite = "\"export\": \"CompositeInboundPolicy\"";
    let set = "{ \"headers\": [{ \"name\": \"Host\", \"value\": \"a\" }] }";
    let origins = "\"allowedOrigins\": [\"https://app.example.com\"]";
    let (policies, routes) = files();
    let list = policies.trim_start().trim_start_matches("{\n  \"policies\": ").split("],").next().expect("a list");
    let refusals = [
        with(&[
            (EXPORT, "\"export\": \"RateLimitInboundPolicy\""),
            (NAME, "\"name\": \"limit\""),
            (INBOUND, "\"inbound\": [\"limit\"]"),
        ]),
        with(&[
            (EXPORT, "\"export\": \"default\""),
            (MODULE, "$import(./modules/audit)"),
            (NAME, "\"name\": \"audit\""),
            (INBOUND, "\"inbound\": [\"audit\"]"),
        ]),
        with(&[(INBOUND, "\"inbound\": [\"clrk\"]")]),
        with(&[(EXPORT, composite), (OPTIONS, "{ \"policies\": [\"clerk\"] }")]),
        with(&[(INBOUND, "\"outbound\": [\"clerk\"]")]),
        with(&[(
            "\"urlForwardHandler\",\n            \"module\": \"$import(@zuplo/runtime)\"",
            "\"default\",\n            \"module\": \"$import(./modules/hello)\"",
        )]),
        with(&[(BASE, &format!("{BASE}, \"followRedirects\": true"))]),
        with(&[(BASE, &format!("{BASE}, \"mtlsCertificate\": \"a\""))]),
        with(&[(BASE, "\"baseUrl\": \"$env(UPSTREAM_URL)\"")]),
        with(&[(REWRITE, "\"rewritePattern\": \"${env.UPSTREAM_URL}/${params.id.toLowerCase()}\"")]),
        with(&[("/invoices/{id}", "/invoices/:id")]),
        with(&[(OPTIONS, "{ \"frontendApiUrl\": \"https://$env(CLERK_HOST)\" }")]),
        with(&[(BASE, "\"baseUrl\": \"${env.NOT_SET}\"")]),
        open_id("\"secret\": \"a\""),
        open_id("\"headers\": {}"),
        open_id("\"subPropertyName\": \"email\""),
        with(&[
            (EXPORT, "\"export\": \"OpenIdJwtInboundPolicy\""),
            (OPTIONS, "{ \"issuerUrl\": \"https://a.example\", \"jwkUrl\": \"https://a.example/keys\" }"),
        ]),
        with(&[(EXPORT, "\"export\": \"SetHeadersInboundPolicy\""), (OPTIONS, set)]),
        with(&[(origins, "\"allowedOrigins\": \"*\", \"allowCredentials\": true")]),
        with(&[("\"inbound\"", "\"inbond\"")]),
        faults(&format!("{list}]"), &routes),
        with(&[("\"3.1.0\"", "\"2.0\"")]),
        with(&[("\"/health\": {", "\"/health\": { \"$ref\": \"a.json\",")]),
    ];
    let section = GUIDE.split("# What is refused").last().expect("a section");
    let section = section.split("\n# ").next().expect("its end");
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect::<Vec<_>>();
    assert_eq!(rows.len(), refusals.len());
    for (row, faults) in rows.iter().zip(&refusals) {
        assert_eq!(faults.len(), 1, "{row}: {faults:#?}");
        let cell = row.split(" | ").nth(1).expect("a reason");
        let fence = if cell.starts_with("``") { "``" } else { "`" };
        let reason = cell.strip_prefix(fence).and_then(|cell| cell.strip_suffix(fence)).expect("a code span").trim();
        assert!(faults[0].ends_with(&format!(": {reason}")), "{row}\n{faults:#?}");
    }
}

#[test]
fn the_guide_and_the_readme_show_the_same_policy() {
    let program = blocks(README, "rust,no_run");
    assert_eq!(program.len(), 1);
    assert!(blocks(GUIDE, "text").contains(&program[0]));
}

#[test]
fn the_readme_names_every_option_and_variable() {
    let help = Command::new(env!("CARGO_BIN_EXE_gateway")).arg("--help").output().expect("a program").stdout;
    let help = String::from_utf8(help).expect("UTF-8");
    let names = help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| name.starts_with("--") || name.ends_with("PORT")).collect::<Vec<_>>();
    assert_eq!(names.len(), 14, "{names:?}");
    for name in names {
        assert!(README.contains(&format!("| `{name}")), "{name}");
    }
}
