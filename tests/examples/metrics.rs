//! `/metrics` of the examples, and the dashboard and the alerts that read them.

use std::{fs, net::TcpListener, path::Path};

use http::header::CONTENT_TYPE;
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tower_clerk::testing::{TestBackendApi, TestIssuer};

use super::{
    process::{Example, assert_rejects},
    queries::{Rule, Selector, faults, rules, series},
};
use crate::support::Answer;

async fn ask(method: &str, url: &str, token: Option<&str>) -> Answer {
    let mut request = http::Request::builder().method(method).uri(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = request.body(Empty::<bytes::Bytes>::new()).expect("a request");
    Answer::of(client.request(request).await.expect("a response")).await
}

/// The exposition, after the checks that hold for each program.
pub(crate) async fn exposition(url: &str) -> String {
    let answer = ask("GET", &format!("{url}/metrics"), None).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.parts.headers[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(ask("HEAD", &format!("{url}/metrics"), None).await.status(), 200);
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(ask(method, &format!("{url}/metrics"), None).await.status(), 405, "{method}");
    }
    for path in ["/metrics/", "/metric", "/metrics/a"] {
        assert_eq!(ask("GET", &format!("{url}{path}"), None).await.status(), 404, "{path}");
    }
    for line in answer.text.lines().filter(|line| line.starts_with("# TYPE ")) {
        assert_eq!(answer.text.lines().filter(|other| *other == line).count(), 1, "{line}");
    }
    answer.text
}

/// Requests of every kind to the axum example, until each of its metrics has a value.
async fn exposition_after_everything() -> String {
    let (issuer, api) =
        (TestIssuer::start().await.expect("a socket"), TestBackendApi::start().await.expect("a socket"));
    let variables =
        [("CLERK_FRONTEND_API_URL", issuer.url()), ("CLERK_API_URL", api.url()), ("CLERK_SECRET_KEY", "sk_test_abc")];
    let example = Example::start("axum", "", &variables);
    let status =
        async |path: &str, token: Option<&str>| ask("GET", &format!("{}{path}", example.url), token).await.status();
    let session = issuer.token("user_ada").sign();
    let stranger = TestIssuer::new().token("user_ada").sign();
    let expired = issuer.token("user_ada").expired().sign();
    let oauth = issuer.oauth_token("user_ada").scopes(["things:read"]).sign();
    let other_scope = issuer.oauth_token("user_ada").scopes(["things:write"]).sign();
    let key = api.api_key("user_ada").scopes(["things:read"]).issue();
    for (path, token, expected) in [
        ("/protected", Some(session.as_str()), 200),
        ("/protected", Some(&session), 200),
        ("/protected", None, 401),
        ("/protected", Some("a.b.c"), 401),
        ("/protected", Some(&stranger), 401),
        ("/protected", Some(&expired), 401),
        ("/optional", None, 200),
        ("/scoped", Some(&oauth), 200),
        ("/scoped", Some(&other_scope), 403),
        ("/any", Some(&key), 200),
        ("/any", Some(&key), 200),
        ("/any", Some("ak_of_nobody"), 401),
    ] {
        assert_eq!(status(path, token).await, expected, "{path} {token:?}");
    }
    // Of the decisions about cached tokens, one in 64 of each thread is measured.
    for _ in 0..64 * 64 {
        assert_eq!(status("/protected", Some(&session)).await, 200);
        if ask("GET", &format!("{}/metrics", example.url), None).await.text.contains("cached=\"true\",le=") {
            break;
        }
    }
    api.serve_status(500);
    assert_eq!(status("/any", Some("ak_of_somebody")).await, 503);
    let exposition = exposition(&example.url).await;
    for secret in [&session, &stranger, &oauth, &key, "ak_", "sk_test", "user_ada", "things:", "sess_test"] {
        assert!(!exposition.contains(secret), "{secret} is in the metrics");
    }
    exposition
}

/// The queries of the dashboard, those of its variables included.
fn queries_of_the_dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("examples/grafana.json")).expect("JSON");
    let variables = dashboard["templating"]["list"].as_array().expect("variables").iter();
    let queries = variables.filter(|variable| variable["type"] == "query").map(|variable| &variable["query"]["query"]);
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets =
        panels.filter(|panel| panel["type"] != "row").flat_map(|panel| panel["targets"].as_array().expect("targets"));
    queries
        .chain(targets.map(|target| &target["expr"]))
        .map(|query| query.as_str().expect("a query").to_owned())
        .collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("UTF-8")
}

/// The names that rules give to what they record.
fn recorded(rules: &[Rule]) -> Vec<&str> {
    rules.iter().filter(|rule| !rule.is_alert).map(|rule| rule.name.as_str()).collect()
}

fn all_faults(queries: &[String], live: &[Selector], recorded: &[&str]) -> Vec<String> {
    let found = queries.iter().map(|query| (query, faults(query, live, recorded)));
    found.filter(|(_, faults)| !faults.is_empty()).map(|(query, faults)| format!("{faults:?}: {query}")).collect()
}

#[tokio::test]
async fn queries_name_series_that_a_program_has_after_requests_of_every_kind() {
    let exposition = exposition_after_everything().await;
    let live = series(&exposition);
    let dashboard = queries_of_the_dashboard();
    let rules = rules(&read("examples/alerts.yaml"));
    let alerts: Vec<_> = rules.iter().map(|rule| rule.expression.clone()).collect();
    assert!(dashboard.len() > 25 && alerts.len() > 7, "{dashboard:?} {alerts:?}");
    assert_eq!(all_faults(&dashboard, &live, &[]), [""; 0], "{exposition}");
    assert_eq!(all_faults(&alerts, &live, &recorded(&rules)), [""; 0], "{exposition}");

    // The same with one letter less in each name of a metric, label or value.
    for query in dashboard.iter().chain(&alerts) {
        for spelt in ["_total", "_seconds", "outcome", "refused", "cached", "(reason", "requirement", "result"] {
            if query.contains(spelt) {
                let wrong = query.replace(spelt, &spelt[..spelt.len() - 1]);
                assert_ne!(faults(&wrong, &live, &recorded(&rules)), [""; 0], "{wrong}");
            }
        }
    }

    // Every metric is on the dashboard.
    let names: Vec<_> = exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(names.len(), 14, "{names:?}");
    for name in names {
        assert!(dashboard.iter().any(|query| query.contains(name)), "{name} is not on the dashboard");
    }
}

#[test]
fn alerts_compare_with_yesterday_only_what_rules_have_recorded() {
    // Counters may be older than the rules: they would say that there was a yesterday of which nothing is recorded.
    let rules = rules(&read("examples/alerts.yaml"));
    let recorded = recorded(&rules);
    let mut compared = 0;
    for rule in &rules {
        let parts: Vec<_> = rule.expression.split(" offset 1d").collect();
        for before in &parts[..parts.len() - 1] {
            let name = before.rsplit(|sign: char| !sign.is_ascii_alphanumeric() && !"_:".contains(sign)).next();
            assert!(name.is_some_and(|name| recorded.contains(&name)), "{}: {before}", rule.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 2);
}

#[test]
fn texts_of_the_dashboard_and_of_alerts_name_metrics_and_panels() {
    let (dashboard, alerts) = (read("examples/grafana.json"), read("examples/alerts.yaml"));
    let queries = queries_of_the_dashboard().concat();
    for text in [&dashboard, &alerts] {
        for word in text.split(|sign: char| !sign.is_ascii_alphanumeric() && !"_:".contains(sign)) {
            let word = word.trim_end_matches(':');
            assert!(!word.starts_with("clerk_") || queries.contains(word), "{word}");
        }
    }
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let titles: Vec<_> = panels.iter().map(|panel| panel["title"].as_str().expect("a title")).collect();
    let mut ids: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    ids.dedup();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let description = panel["description"].as_str().expect("a description");
        for quoted in description.split('"').skip(1).step_by(2) {
            assert!(titles.contains(&quoted), "no panel {quoted}");
        }
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{}", panel["title"]);
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
    }
    let defined = rules(&alerts);
    for name in alerts.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| word.starts_with("Clerk")) {
        assert!(name == "Clerk" || defined.iter().any(|rule| rule.is_alert && rule.name == name), "no alert {name}");
    }
}

#[test]
fn a_bad_port_for_metrics_ends_the_tonic_example() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").port().to_string();
    for variables in [
        &[("METRICS_PORT", "hunter2")][..],
        &[("METRICS_PORT", "65536")],
        &[("METRICS_PORT", "9464"), ("PORT", "9464")],
        &[("PORT", "65535")],
        &[("METRICS_PORT", &taken)],
    ] {
        assert_rejects("tonic", variables, "METRICS_PORT");
    }
}
