//! Arguments, environment, demonstration and end.

use std::time::Duration;

use tokio::process::Command;

use crate::support::forward_auth::{ForwardAuth, command};

/// The exit status and the lines on stderr.
async fn failure(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, Vec<String>) {
    let output = command(arguments, variables).output().await.unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    let lines = String::from_utf8(output.stderr).unwrap().lines().map(str::to_owned).collect();
    (output.status.code(), lines)
}

const INSTANCE: (&str, &str) = ("CLERK_FRONTEND_API_URL", "https://clerk.example.com");

#[tokio::test]
async fn a_bad_setting_ends_the_program_with_status_2_and_one_line() {
    for (arguments, variables, fragment) in [
        (&[][..], &[][..], "CLERK_PUBLISHABLE_KEY"),
        (&["--nonsense"], &[INSTANCE], "--nonsense"),
        (&["--headers", "x"], &[INSTANCE], "--headers"),
        (&["--demo"], &[INSTANCE], "CLERK_FRONTEND_API_URL"),
        (&["--cookie"], &[INSTANCE], "authorized_parties"),
        (&[], &[("CLERK_FRONTEND_API_URL", "clerk")], "CLERK_FRONTEND_API_URL"),
        (&[], &[INSTANCE, ("PORT", "http")], "PORT"),
        (&[], &[INSTANCE, ("FORWARD_AUTH_REQUIRE", "")], "FORWARD_AUTH_REQUIRE"),
        (&[], &[INSTANCE, ("FORWARD_AUTH_REQUIRE", "rle=admin")], "rle=admin"),
        (&["--rules", "missing.toml"], &[INSTANCE], "missing.toml"),
    ] {
        let (status, lines) = failure(arguments, variables).await;
        assert_eq!(status, Some(2), "{arguments:?} {lines:?}");
        assert!(lines.len() == 1 && lines[0].starts_with("error: "), "{arguments:?} {lines:?}");
        assert!(lines[0].contains(fragment), "{arguments:?} {lines:?}");
    }
}

#[tokio::test]
async fn every_mistake_in_the_rules_has_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, "[[rule]]\nprefix = 'admin'\nrequire = 'admin'\n[[rules]]\n").unwrap();
    let (status, lines) = failure(&["--rules", file.to_str().unwrap()], &[INSTANCE]).await;
    assert_eq!((status, lines.len()), (Some(2), 3), "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("error: ") && line.contains("rules.toml:")), "{lines:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let (status, lines) = failure(&["--demo"], &[("PORT", &port)]).await;
    assert!(status == Some(2) && lines.len() == 1 && lines[0].contains(&port), "{lines:?}");
}

#[tokio::test]
async fn help_goes_to_stdout() {
    let output = command(&["--help"], &[("PORT", "x"), ("FORWARD_AUTH_REQUIRE", "")]).output().await.unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(String::from_utf8(output.stdout).unwrap().contains("--trusted-proxy CIDR"));
}

#[tokio::test]
async fn the_demonstration_shows_what_to_try() {
    for (arguments, forged) in [(&["--demo"][..], 400), (&["--demo", "--nginx"], 401)] {
        let server = ForwardAuth::spawn(command(arguments, &[])).await;
        let welcome = server.end().await;
        let commands = welcome.lines().filter(|line| line.starts_with("  curl -i http://127.0.0.1:"));
        assert_eq!(commands.count(), 8, "{welcome}");
        assert!(welcome.contains(&format!("with an identity header of the client, {forged}:")));
    }
}

#[tokio::test]
async fn a_server_with_an_instance_prints_its_address_only() {
    let server = ForwardAuth::spawn(command(&[], &[INSTANCE])).await;
    assert_eq!(server.end().await, "");
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_and_ctrl_c_end_it_with_status_0() {
    for signal in ["-TERM", "-INT"] {
        let mut server = ForwardAuth::spawn(command(&["--demo"], &[])).await;
        // A connection that says nothing does not hold it.
        let _idle = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let id = server.process.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
        let ended = tokio::time::timeout(Duration::from_secs(10), server.process.wait()).await;
        assert!(ended.expect("it ends").unwrap().success());
    }
}
