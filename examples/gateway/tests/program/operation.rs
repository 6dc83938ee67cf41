use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify};
use tower_clerk::testing::TestIssuer;

use crate::{
    support::{PATIENCE, Program, Site, clerk, head, read_answer, send},
    wire::Wire,
};

async fn probe(program: &Program, path: &str) -> u16 {
    send(program.admin, &head(&format!("GET {path}"), &[])).await.status
}

#[tokio::test]
async fn a_request_that_runs_is_finished_after_sigterm() {
    let site = Site::new(&[("/a", "get", "none", &[])]).await;
    let mut program = Program::serve(&site).await;
    assert_eq!(probe(&program, "/readyz").await, 200);
    // Its client would send another request over it.
    let mut kept = Wire::new(TcpStream::connect(program.address).await.expect("a connection"));
    kept.write("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    kept.until("ok").await;
    site.upstream.take();
    let gate = Arc::new(Notify::new());
    *site.upstream.gate.lock().expect("a gate") = Some(Arc::clone(&gate));
    let mut running = TcpStream::connect(program.address).await.expect("a connection");
    running.write_all(head("GET /a", &[]).as_bytes()).await.expect("a request");
    let idle = TcpStream::connect(program.address).await.expect("a connection");
    site.upstream.wait_for_head().await;

    program.signal("TERM");
    let drains = async {
        while probe(&program, "/readyz").await != 503 {}
        while TcpStream::connect(program.address).await.is_ok() {}
    };
    tokio::time::timeout(PATIENCE, drains).await.expect("no new connections");
    assert_eq!(probe(&program, "/healthz").await, 200);
    gate.notify_one();
    let answer = read_answer(&mut running).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    assert_eq!(program.end().await, Some(0));
    drop((idle, kept));
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_after_the_drain_timeout() {
    let site = Site::new(&[("/a", "get", "none", &[])]).await;
    let mut program = Program::serve_with(&site, &["--drain-timeout", "50ms"]).await;
    *site.upstream.gate.lock().expect("a gate") = Some(Arc::default());
    let mut running = TcpStream::connect(program.address).await.expect("a connection");
    running.write_all(head("GET /a", &[]).as_bytes()).await.expect("a request");
    site.upstream.wait_for_head().await;
    program.signal("INT");
    assert_eq!(program.end().await, Some(0));
    assert_eq!(read_answer(&mut running).await.status, 0);
}

#[tokio::test]
async fn probes_have_a_port_of_their_own() {
    let site = Site::new(&[("/a", "get", "none", &["clerk"])]).await;
    let program = Program::serve(&site).await;
    assert_ne!(program.address, program.admin);
    assert_eq!(probe(&program, "/healthz").await, 200);
    assert_eq!(probe(&program, "/a").await, 404);
    assert_eq!(program.send("GET /healthz", &[]).await.status, 404);
    assert_eq!(program.send("GET /readyz", &[]).await.status, 404);
    let post = send(program.admin, &head("POST /healthz", &[])).await;
    assert_eq!(post.status, 405);
}

#[tokio::test]
async fn readiness_waits_for_the_keys_and_liveness_does_not() {
    let site = Site::new(&[("/a", "get", "none", &["clerk"]), ("/b", "get", "none", &["other"])]).await;
    let other = TestIssuer::start().await.expect("an issuer");
    let options = json!({ "frontendApiUrl": other.url() });
    site.write_policies(&[clerk("clerk", &json!({})), clerk("other", &options)]);
    site.issuer.serve_status(503);
    let program = Program::serve(&site).await;
    program.stderr.wait_for("are missing, asking again").await;
    // The keys of one policy are there.
    let bearer = format!("Bearer {}", other.token("user_ada").sign());
    assert_eq!(program.send("GET /b", &[("authorization", &bearer)]).await.status, 200);
    assert_eq!((probe(&program, "/readyz").await, probe(&program, "/healthz").await), (503, 200));
    site.issuer.serve_keys();
    let ready = async { while probe(&program, "/readyz").await != 200 {} };
    tokio::time::timeout(PATIENCE, ready).await.expect("readiness");
}

#[tokio::test]
async fn a_policy_that_is_gone_asks_for_no_more_keys() {
    let site = Site::new(&[("/a", "get", "none", &["clerk"])]).await;
    site.issuer.serve_status(503);
    let program = Program::serve(&site).await;
    program.stderr.wait_for("are missing, asking again").await;
    site.write_routes(&[("/a", "get", "none", &[])]);
    program.signal("HUP");
    program.stderr.wait_for("read again").await;
    let (fetches, lines) = (site.issuer.fetches(), program.stderr.all().len());
    assert_eq!(probe(&program, "/readyz").await, 200);
    // Longer than the pause that was announced.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert_eq!((site.issuer.fetches(), program.stderr.all().len()), (fetches, lines));
}

#[tokio::test]
async fn sighup_reads_the_files_again() {
    let site = Site::new(&[("/a", "get", "none", &["clerk"])]).await;
    let program = Program::serve(&site).await;
    assert_eq!(program.send("GET /b", &[]).await.status, 404);
    let ready = async { while probe(&program, "/readyz").await != 200 {} };
    tokio::time::timeout(PATIENCE, ready).await.expect("readiness");
    let fetches = site.issuer.fetches();

    site.write_routes(&[("/a", "get", "none", &["clerk"]), ("/b", "get", "none", &[])]);
    program.signal("HUP");
    program.stderr.wait_for("read again").await;
    assert_eq!(program.send("GET /b", &[]).await.status, 200);
    let bearer = site.bearer();
    assert_eq!(program.send("GET /a", &[("authorization", &bearer)]).await.status, 200);
    assert_eq!(site.issuer.fetches(), fetches, "an unchanged policy keeps its keys");

    site.write_routes(&[("/b", "get", "none", &["unknown"])]);
    program.signal("HUP");
    program.stderr.wait_for("old files stay").await;
    assert!(program.stderr.all().iter().any(|line| line.contains("`unknown`")), "{:?}", program.stderr.all());
    assert_eq!(program.send("GET /b", &[]).await.status, 200);
    assert_eq!(program.send("GET /a", &[]).await.status, 401);
}

#[tokio::test]
async fn files_that_change_during_a_reload_are_read_as_well() {
    let site = Site::new(&[("/a", "get", "none", &[])]).await;
    let program = Program::serve(&site).await;
    // The first reload waits for keys that do not come.
    site.issuer.serve_nothing();
    site.write_routes(&[("/a", "get", "none", &["clerk"])]);
    program.signal("HUP");
    site.issuer_is_asked().await;
    site.write_routes(&[("/a", "get", "none", &[]), ("/b", "get", "none", &[])]);
    program.signal("HUP");
    program.stderr.wait_for("read again").await;
    assert_eq!(program.send("GET /b", &[]).await.status, 200);
}

#[tokio::test]
async fn a_policy_that_a_reload_changes_applies_at_once() {
    let site = Site::new(&[("/a", "get", "none", &["anyone"])]).await;
    let program = Program::serve(&site).await;
    assert_eq!(program.send("GET /a", &[]).await.status, 200);
    site.write_policies(&[clerk("anyone", &json!({}))]);
    program.signal("HUP");
    program.stderr.wait_for("read again").await;
    assert_eq!(program.send("GET /a", &[]).await.status, 401);
}

#[tokio::test]
async fn each_request_is_one_json_line_without_tokens_and_query_values() {
    let site = Site::new(&[("/a/{id}", "get", "none", &["clerk"])]).await;
    let program = Program::serve(&site).await;
    let bearer = site.bearer();
    assert_eq!(program.send("GET /a/1?token=secret&page=2", &[("authorization", &bearer)]).await.status, 200);
    program.stdout.wait_for("\"status\":200").await;
    assert_eq!(program.send("GET /a/2?secret", &[("authorization", "Bearer secret.secret.secret")]).await.status, 401);
    program.stdout.wait_for("\"status\":401").await;
    assert_eq!(program.send("GET /missing", &[]).await.status, 404);
    program.stdout.wait_for("\"status\":404").await;

    let lines = program.stdout.all().into_iter().filter(|line| line.starts_with('{')).collect::<Vec<_>>();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(!lines.concat().contains("secret") && !lines.concat().contains(&bearer[7..]), "{lines:#?}");
    let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect::<Vec<_>>();
    let fields = ["client", "method", "path", "query", "route", "reason", "bytes", "complete"];
    let of = |record: &Value| fields.map(|field| record[field].clone());
    assert_eq!(
        of(&records[0]),
        [
            json!("127.0.0.1"),
            json!("GET"),
            json!("/a/1"),
            json!("token&page"),
            json!("/a/{id}"),
            json!(null),
            json!(2),
            json!(true)
        ]
    );
    assert_eq!((&records[1]["query"], &records[1]["reason"]), (&json!(""), &json!("malformed")));
    assert_eq!((&records[2]["route"], &records[2]["query"]), (&json!(null), &json!(null)));
    for record in &records {
        assert!(record["duration_ms"].as_f64().is_some_and(|time| time > 0.0), "{record}");
        assert!(record["time"].as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 24), "{record}");
    }
}

#[tokio::test]
async fn query_values_are_logged_only_on_request_and_the_log_can_be_off() {
    let site = Site::new(&[("/a", "get", "none", &[])]).await;
    let program = Program::serve_with(&site, &["--log-query-values"]).await;
    assert_eq!(program.send("GET /a?page=2", &[]).await.status, 200);
    program.stdout.wait_for("\"query\":\"page=2\"").await;

    let mut silent = Program::serve_with(&site, &["--access-log", "off"]).await;
    assert_eq!(silent.send("GET /a?page=2", &[]).await.status, 200);
    silent.signal("TERM");
    assert_eq!(silent.end().await, Some(0));
    assert!(silent.stdout.all().iter().all(|line| !line.starts_with('{')));
}
