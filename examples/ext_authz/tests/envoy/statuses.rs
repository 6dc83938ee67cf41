//! The statuses that clients see.

use self::list::{SPOOFABLE_HEADERS, spellings};
use crate::{
    client::{BOTH, Http, bearer, call, get},
    naive,
    proxy::{Config, Envoy},
    support::{Program, admin, issuer, user},
    upstream::Upstream,
};

#[path = "../../../support/spoofed_headers.rs"]
mod list;

#[tokio::test]
#[ignore = "needs Envoy"]
async fn a_valid_token_passes_and_the_upstream_learns_whose_it_is() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    let token = bearer(&admin(&issuer).organization_slug("acme").sign());
    for http in BOTH {
        let reply = get(envoy.address, http, "/hello", &[("authorization", &token)]).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, "reached\n"), "{http:?}");
        let seen = upstream.take_one();
        for (name, value) in [
            ("x-clerk-user-id", "user_ada"),
            ("x-clerk-session-id", "sess_1"),
            ("x-clerk-org-id", "org_acme"),
            ("x-clerk-org-slug", "acme"),
            ("x-clerk-org-role", "org:admin"),
            ("authorization", &token),
        ] {
            assert_eq!(seen.values(name), [value], "{http:?} {name}");
        }
    }
    assert_eq!((envoy.count("ok").await, envoy.count("denied").await, envoy.count("error").await), (2, 0, 0));
    for line in envoy.access_log(2).await {
        assert_eq!((&line["sub"], &line["org"]), (&"user_ada".into(), &"org_acme".into()), "{line}");
    }
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn a_rejection_arrives_with_its_challenge_and_its_problem() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    let (valid, expired) = (bearer(&user(&issuer).sign()), bearer(&user(&issuer).expired().sign()));
    let mut denied = 0;
    for http in BOTH {
        for (path, token, status, challenge, code) in [
            ("/hello", None, 401, "Bearer", "missing_token"),
            ("/hello", Some("Bearer x"), 401, "Bearer error=\"invalid_token\"", "invalid_token"),
            ("/hello", Some(&*expired), 401, "Bearer error=\"invalid_token\"", "token_expired"),
            ("/hello", Some("Bearer a,b"), 400, "Bearer error=\"invalid_request\"", "malformed_request"),
            ("/invoices", None, 401, "Bearer", "missing_token"),
            ("/invoices/7", Some(&*valid), 403, "Bearer error=\"insufficient_scope\"", "insufficient_scope"),
        ] {
            let headers: Vec<_> = token.map(|token| ("authorization", token)).into_iter().collect();
            let reply = get(envoy.address, http, path, &headers).await;
            assert_eq!((reply.status.as_u16(), reply.header("www-authenticate")), (status, challenge), "{reply:?}");
            assert_eq!(reply.header("content-type"), "application/problem+json", "{reply:?}");
            assert_eq!(reply.header("cache-control"), "no-store", "{reply:?}");
            assert!(reply.body.contains(&format!("\"code\":\"{code}\"")), "{reply:?}");
            denied += 1;
        }
    }
    assert!(upstream.take().is_empty());
    assert_eq!((envoy.count("denied").await, envoy.count("error").await), (denied, 0));
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn the_requirement_of_a_route_lets_those_pass_who_meet_it() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    for (token, status) in
        [(admin(&issuer), 200), (user(&issuer), 403), (admin(&issuer).organization("o", "admin"), 200)]
    {
        let reply = get(envoy.address, Http::One, "/invoices", &[("authorization", &bearer(&token.sign()))]).await;
        assert_eq!(reply.status, status);
    }
    assert_eq!(upstream.take().len(), 2);
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn a_requirement_that_cannot_be_read_refuses_everyone_on_its_route() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &["--anonymous"]).await;
    let token = bearer(&admin(&issuer).sign());
    for require in ["\"\"", "permision=org:invoices:create", "permission=org:invoices:create x=y"] {
        let config = Config::new(program.address, upstream.address)
            .with("require: permission=org:invoices:create", &format!("require: {require}"));
        let envoy = Envoy::start(&config).await;
        for headers in [&[("authorization", token.as_str())][..], &[]] {
            let reply = get(envoy.address, Http::One, "/invoices", headers).await;
            assert_eq!((reply.status.as_u16(), reply.body.as_str()), (403, ""), "{require}");
            assert!(upstream.take().is_empty());
            assert_eq!(get(envoy.address, Http::One, "/hello", headers).await.status, 200, "{require}");
            upstream.take_one();
        }
    }
    let log = program.log();
    assert_eq!(log.matches("ERROR").count(), 3, "each once: {log}");
    assert!(log.contains("permision=org:invoices:create") && !log.contains(&token), "{log}");
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn two_credentials_are_malformed_whether_envoy_keeps_them_apart_or_not() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let raw = Config::new(program.address, upstream.address);
    let merged = raw.with_merged_headers();
    let (good, forged) = (bearer(&user(&issuer).sign()), bearer("forged"));
    for config in [raw, merged] {
        let envoy = Envoy::start(&config).await;
        for http in BOTH {
            for both in [[&good, &forged], [&forged, &good], [&good, &good]] {
                let headers = both.map(|token| ("authorization", token.as_str()));
                let reply = get(envoy.address, http, "/hello", &headers).await;
                assert_eq!(reply.status, 400, "{http:?} {reply:?}");
            }
            let one = get(envoy.address, http, "/hello", &[("authorization", &good)]).await;
            assert_eq!(one.status, 200, "{http:?}");
            upstream.take_one();
        }
    }
    // The naive server verifies the first, and the upstream may well read the last.
    let naive = Config::new(naive::start(&issuer, false).await, upstream.address).with_merged_headers();
    let envoy = Envoy::start(&naive).await;
    let headers = [&good, &forged].map(|token| ("authorization", token.as_str()));
    assert_eq!(get(envoy.address, Http::One, "/hello", &headers).await.status, 200);
    assert!(upstream.take_one().values("authorization").concat().contains(&forged));
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn what_a_client_says_about_its_connection_does_not_arrive() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    let token = bearer(&user(&issuer).sign());
    let headers = [
        ("authorization", token.as_str()),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-envoy-external-address", "192.0.2.1"),
        ("x-envoy-original-path", "/admin"),
        ("x-envoy-decorator-operation", "admin"),
        ("x-request-id", "admin"),
    ];
    for http in BOTH {
        assert_eq!(get(envoy.address, http, "/hello", &headers).await.status, 200);
        let seen = upstream.take_one();
        assert_eq!(seen.values("x-forwarded-proto"), ["http"], "{http:?}");
        assert!(seen.values("x-forwarded-host").is_empty(), "{http:?}: {seen:?}");
        assert!(!format!("{:?}", seen.headers).contains("admin"), "{http:?}: {seen:?}");
        // Envoy's is the last: here that of this machine, as the connection is a loopback.
        let addresses = seen.values("x-forwarded-for").concat();
        assert!(addresses.starts_with("192.0.2.1,") && !addresses.ends_with(",192.0.2.1"), "{http:?}: {seen:?}");
        assert_ne!(seen.values("x-envoy-external-address"), ["192.0.2.1"], "{http:?}");
    }
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn what_a_client_says_about_its_request_does_not_arrive() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    let token = bearer(&user(&issuer).sign());
    for name in SPOOFABLE_HEADERS {
        for name in spellings(name) {
            // Envoy writes these two, which the test above looks at.
            if ["x-forwarded-for", "x-forwarded-proto"].contains(&&*name.to_lowercase()) {
                continue;
            }
            let headers = [("authorization", token.as_str()), (name.as_str(), "/spoofed")];
            for http in BOTH {
                assert_eq!(get(envoy.address, http, "/hello", &headers).await.status, 200, "{http:?} {name}");
                let seen = upstream.take_one();
                assert!(!format!("{:?}", seen.headers).contains("spoofed"), "{http:?} {name}: {seen:?}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn too_many_headers_beside_the_identity_are_refused_and_counted_apart() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    let token = bearer(&user(&issuer).sign());
    let headers = |count: usize| [vec![("authorization", token.as_str())], vec![("x-many", "1"); count]].concat();
    let mut invalid = 0;
    for count in 70..110 {
        let reply = get(envoy.address, Http::One, "/hello", &headers(count)).await;
        match reply.status.as_u16() {
            200 => assert_eq!(upstream.take_one().values("x-clerk-user-id"), ["user_bob"]),
            500 => invalid += 1,
            status => assert_eq!(status, 431, "{count}"),
        }
        assert!(upstream.take().is_empty(), "{count}");
    }
    assert_eq!(get(envoy.address, Http::One, "/hello", &headers(80)).await.status, 200);
    assert_eq!(get(envoy.address, Http::One, "/hello", &headers(92)).await.status, 500);
    let reply = call(envoy.address, Http::Two, "/hello", &headers(92)).await;
    assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (200, "2"));
    assert_eq!((envoy.count("invalid").await, envoy.count("error").await), (invalid + 2, 0));
}
