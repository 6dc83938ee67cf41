//! The program itself: what it prints, and how it ends.

use std::{
    io::Read,
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
};

use tower_clerk::ClerkConfig;

/// The program without the variables of this process that it reads.
fn program(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp"));
    for name in ClerkConfig::ENVIRONMENT_VARIABLES.iter().chain(&["PUBLIC_URL", "ALLOWED_ORIGINS"]) {
        command.env_remove(name);
    }
    command.env("PORT", "0").envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts it and returns it with what it prints up to its last line.
fn start(variables: &[(&str, &str)]) -> (Child, String) {
    let mut child = program(variables).spawn().unwrap();
    let stdout = child.stdout.as_mut().unwrap();
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"Connect\n") {
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
    (child, String::from_utf8(text).unwrap())
}

fn end(mut child: Child) -> Output {
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    child.stdin.take();
    child.wait_with_output().unwrap()
}

#[test]
fn it_warns_of_its_issuer_and_ends_when_asked() {
    let (child, text) = start(&[]);
    assert!(text.starts_with("MCP server at http://127.0.0.1:"), "{text}");
    assert!(text.contains("WARNING: no Clerk instance is configured"), "{text}");
    assert!(end(child).status.success());
}

#[test]
fn with_a_clerk_instance_there_is_no_issuer_and_no_token() {
    let (child, text) = start(&[KEY, ("PUBLIC_URL", "https://mcp.example.com")]);
    assert!(text.starts_with("MCP server at https://mcp.example.com/mcp\nlistens on 127.0.0.1:"), "{text}");
    assert!(text.contains("trusts https://clerk.clerk.dev\n"), "{text}");
    assert!(text.contains("CLERK_OAUTH_AUDIENCE"), "{text}");
    assert!(!text.contains("WARNING") && !text.contains("Bearer"), "{text}");
    assert!(end(child).status.success());
}

#[test]
fn a_list_of_kinds_may_have_more_than_oauth_tokens() {
    for list in ["", "oauth_token", "session_token,oauth_token"] {
        let (child, _) = start(&[KEY, ("CLERK_ACCEPTED_TOKENS", list)]);
        assert!(end(child).status.success(), "{list}");
    }
}

#[test]
fn a_mistake_ends_the_start_with_a_line_that_names_it() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (variables, named) in [
        (vec![("PORT", port.as_str())], "PORT"),
        (vec![("PORT", "http")], "PORT"),
        (vec![("PUBLIC_URL", "mcp.example.com")], "PUBLIC_URL"),
        (vec![("PUBLIC_URL", "https://mcp.example.com")], "CLERK_PUBLISHABLE_KEY"),
        (vec![("ALLOWED_ORIGINS", "*")], "ALLOWED_ORIGINS"),
        (vec![("CLERK_PUBLISHABLE_KEY", "pk_test_?")], "CLERK_PUBLISHABLE_KEY"),
        (vec![KEY, ("CLERK_ACCEPTED_TOKENS", "session_token")], "CLERK_ACCEPTED_TOKENS"),
        (vec![("CLERK_SECRET_KEY", "sk_test_a")], "CLERK_PUBLISHABLE_KEY"),
        (vec![("CLERK_OAUTH_AUDIENCE", "https://mcp.example.com/mcp")], "CLERK_FRONTEND_API_URL"),
    ] {
        let output = program(&variables).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{variables:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with("error: ") && error.contains(named), "{variables:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(output.stdout, b"", "{variables:?}");
    }
}

const KEY: (&str, &str) = ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsuY2xlcmsuZGV2JA");
