use serde_json::json;

use crate::support::{Site, clerk, run};

#[tokio::test]
async fn help_names_every_option_and_variable() {
    let (code, stdout, stderr) = run(&["--help"], &[]).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for word in ["--config", "--check", "--forward-identity", "PORT", "ADMIN_PORT", "SIGHUP"] {
        assert!(stdout.contains(word), "{word}");
    }
}

#[tokio::test]
async fn a_bad_argument_or_variable_ends_with_status_2_and_one_line() {
    for (arguments, variables, fragment) in [
        (&["--nonsense"][..], &[][..], "--nonsense"),
        (&["--config"], &[], "--config"),
        (&["--check"], &[], "--config"),
        (&["--access-log", "off"], &[], "--config"),
        (&["--config", "/nonexistent"], &[], "/nonexistent"),
        (&["--config", "."], &[("PORT", "many")], "PORT"),
        (&["--config", "."], &[("ADMIN_PORT", "-1")], "ADMIN_PORT"),
        (&["--config", "."], &[("PORT", "65535")], "ADMIN_PORT"),
        (&["--config", "."], &[("PORT", "9000"), ("ADMIN_PORT", "9000")], "ADMIN_PORT"),
    ] {
        let (code, stdout, stderr) = run(arguments, variables).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains(fragment), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn check_prints_the_routes_and_ends() {
    let site = Site::new(&[("/a", "get", "none", &["clerk"]), ("/b/{id}", "post", "app", &[])]).await;
    let folder = site.path().to_str().expect("UTF-8");
    let variables = [("CLERK_FRONTEND_API_URL", site.issuer.url()), ("UPSTREAM_URL", "http://127.0.0.1:9")];
    let (code, stdout, stderr) = run(&["--config", folder, "--check"], &variables).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let rows = stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>();
    assert_eq!(rows.len(), 2, "{stdout}");
    assert_eq!(rows[0], ["guarded", "GET", "/a", "clerk", "-", "${env.UPSTREAM_URL}"]);
    assert_eq!(rows[1], ["open", "POST", "/b/{id}", "-", "app", "${env.UPSTREAM_URL}"]);
    assert_eq!(site.issuer.fetches(), 0);
}

#[tokio::test]
async fn all_faults_are_printed_in_one_run_and_end_the_start() {
    let site = Site::new(&[("/a", "get", "none", &["missing"]), ("/b/:id", "get", "other", &[])]).await;
    site.write_policies(&[clerk("clerk", &json!({})), clerk("clerk", &json!({}))]);
    site.write("more.oas.json", "[1, 2");
    let folder = site.path().to_str().expect("UTF-8");
    let variables = [("UPSTREAM_URL", "http://127.0.0.1:9")];
    for arguments in [&["--config", folder][..], &["--config", folder, "--check"]] {
        let (code, stdout, stderr) = run(arguments, &variables).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        for start in [
            "policies.json: $.policies[1].name: ",
            "more.oas.json: $: ",
            "routes.oas.json: $.paths['/a'].get['x-zuplo-route'].policies.inbound[0]: ",
            "routes.oas.json: $.paths['/b/:id']: ",
            "routes.oas.json: $.paths['/b/:id'].get['x-zuplo-route'].corsPolicy: ",
        ] {
            assert!(stderr.lines().any(|line| line.starts_with(start)), "{start}\n{stderr}");
        }
        assert!(stderr.contains("missing"), "{stderr}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_a_pipe_or_a_folder_is_a_fault() {
    let site = Site::new(&[("/a", "get", "none", &["clerk"])]).await;
    std::fs::create_dir(site.path().join("more.oas.json")).expect("a folder");
    std::fs::remove_file(site.path().join("policies.json")).expect("a file");
    let made = std::process::Command::new("mkfifo").arg(site.path().join("policies.json")).status().expect("mkfifo");
    assert!(made.success());
    let (code, _, stderr) = run(&["--config", site.path().to_str().expect("UTF-8"), "--check"], &[]).await;
    assert_eq!(code, Some(2), "{stderr}");
    for name in ["policies.json", "more.oas.json"] {
        assert!(stderr.contains(&format!("{name}: $: the file cannot be read: it is no regular file")), "{stderr}");
    }
}
