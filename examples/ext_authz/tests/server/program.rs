//! What the program prints, and how it ends at a mistake.

use std::net::TcpListener;

use crate::support::program;

const KEY: (&str, &str) = ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsuY2xlcmsuZGV2JA");

#[test]
fn a_mistake_ends_the_start_with_a_line_that_names_it() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, variables, named) in [
        (&[][..], vec![], "CLERK_PUBLISHABLE_KEY"),
        (&["--demo"], vec![KEY], "CLERK_PUBLISHABLE_KEY"),
        (&["--nginx"], vec![KEY], "--nginx"),
        (&["--headers", "x"], vec![KEY], "--headers"),
        (&[], vec![KEY, ("PORT", port.as_str())], "PORT"),
        (&[], vec![KEY, ("ADMIN_PORT", port.as_str())], "ADMIN_PORT"),
        (&[], vec![KEY, ("PORT", "grpc")], "PORT"),
        (&[], vec![KEY, ("PORT", "7001"), ("ADMIN_PORT", "7001")], "ADMIN_PORT"),
        (&[], vec![("CLERK_PUBLISHABLE_KEY", "pk_test_?")], "CLERK_PUBLISHABLE_KEY"),
    ] {
        let output = program(arguments).envs(variables.clone()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {variables:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with("error: ") && error.contains(named), "{arguments:?} {variables:?}: {error}");
        assert_eq!((error.lines().count(), output.stdout.len()), (1, 0), "{error}");
    }
}

#[test]
fn help_needs_no_settings() {
    for argument in ["--help", "-h"] {
        let output = program(&[argument]).env("PORT", "x").env("ADMIN_PORT", "x").output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: ext_authz"));
    }
}
