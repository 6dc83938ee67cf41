//! Identity headers that clients send. Without the filter that removes them too, where ext_authz is tested.

use crate::{
    client::{BOTH, Http, bearer, get, post_with_trailers},
    naive,
    proxy::{Config, Envoy},
    support::{Program, issuer, user},
    upstream::Upstream,
};

/// What a client may send. Over HTTP/1.1 it is written in title case.
const SPELLINGS: [&str; 9] = [
    "x-clerk-user-id",
    // Once more.
    "x-clerk-user-id",
    "x_clerk_user_id",
    "X_CLERK-user_ID",
    "x-clerk_user-id",
    "x.clerk.user.id",
    "x-clerk-org-role",
    "x_clerk_org_role",
    "x-clerk-of-tomorrow",
];

fn forged(token: Option<&str>) -> Vec<(&str, &str)> {
    let forged = SPELLINGS.iter().map(|name| (*name, "user_root"));
    token.map(|token| ("authorization", token)).into_iter().chain(forged).collect()
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn forged_headers_never_arrive_in_any_spelling() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let token = bearer(&user(&issuer).sign());
    for anonymous in [&[][..], &["--anonymous"]] {
        let program = Program::start_ready(&issuer, anonymous).await;
        let sample = Config::new(program.address, upstream.address);
        let alone = sample.without_header_mutation();
        for config in [alone.with_merged_headers(), alone, sample] {
            let envoy = Envoy::start(&config).await;
            for http in BOTH {
                let reply = get(envoy.address, http, "/hello", &forged(Some(&token))).await;
                assert_eq!(reply.status, 200);
                let seen = upstream.take_one();
                assert_eq!(seen.values("x-clerk-user-id"), ["user_bob"]);
                assert!(!format!("{:?}", seen.headers).contains("user_root"), "{http:?} {seen:?}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn anonymous_requests_arrive_with_every_identity_header_empty() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &["--anonymous"]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address).without_header_mutation()).await;
    for http in BOTH {
        assert_eq!(get(envoy.address, http, "/hello", &forged(None)).await.status, 200);
        let seen = upstream.take_one();
        assert!(!format!("{:?}", seen.headers).contains("user_root"), "{http:?} {seen:?}");
        for name in ["user-id", "session-id", "org-id", "org-slug", "org-role"] {
            assert_eq!(seen.values(&format!("x-clerk-{name}")), [""], "{http:?} {name}");
        }
        // A bad token is not anonymous.
        assert_eq!(get(envoy.address, http, "/hello", &forged(Some("Bearer x"))).await.status, 401);
    }
    assert!(upstream.take().is_empty());
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn forged_headers_arrive_behind_a_naive_server() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let naive = Config::new(naive::start(&issuer, true).await, upstream.address);
    let envoy = Envoy::start(&naive.with_merged_headers().without_header_mutation()).await;
    // The header that the server does not set for nobody is the client's.
    assert_eq!(get(envoy.address, Http::One, "/hello", &[("x-clerk-user-id", "user_root")]).await.status, 200);
    assert_eq!(upstream.take_one().values("x-clerk-user-id"), ["user_root"]);
    // Another spelling stays beside the one that the server sets. Backends of FastCGI take it for the same.
    let token = bearer(&user(&issuer).sign());
    let headers = [("authorization", token.as_str()), ("x_clerk_user_id", "user_root")];
    assert_eq!(get(envoy.address, Http::One, "/hello", &headers).await.status, 200);
    let seen = upstream.take_one();
    assert_eq!((seen.values("x-clerk-user-id"), seen.values("x_clerk_user_id")), (vec!["user_bob"], vec!["user_root"]));
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn the_names_of_other_programs_are_protected_as_well() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let token = bearer(&user(&issuer).claim("email", "bob@example.com").sign());
    for (preset, name, email) in
        [("authelia", "remote-user", "remote-email"), ("oauth2-proxy", "x-auth-request-user", "x-auth-request-email")]
    {
        let program = Program::start_ready(&issuer, &["--headers", preset]).await;
        let envoy = Envoy::start(&Config::new(program.address, upstream.address).without_header_mutation()).await;
        let other = name.replace('-', "_");
        let headers =
            [("authorization", &*token), (name, "user_root"), (&other, "user_root"), ("x-clerk-user-id", "user_root")];
        assert_eq!(get(envoy.address, Http::One, "/hello", &headers).await.status, 200);
        let seen = upstream.take_one();
        assert_eq!((seen.values(name), seen.values(email)), (vec!["user_bob"], vec!["bob@example.com"]));
        assert!(!format!("{:?}", seen.headers).contains("user_root"), "{seen:?}");
    }
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn open_routes_and_trailers_are_cleaned_by_the_sample() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let sample = Config::new(program.address, upstream.address);
    let envoy = Envoy::start(&sample).await;
    assert_eq!(get(envoy.address, Http::One, "/public", &forged(None)).await.status, 200);
    assert!(!format!("{:?}", upstream.take_one()).contains("user_root"));
    let token = bearer(&user(&issuer).sign());
    let trailers = [("x-clerk-user-id", "user_root"), ("x_clerk_user_id", "user_root"), ("x-sum", "1")];
    let reply = post_with_trailers(envoy.address, "/hello", &[("authorization", &token)], &trailers).await;
    assert_eq!(reply.status, 200);
    let seen = upstream.take_one();
    assert_eq!(seen.trailers.keys().collect::<Vec<_>>(), ["x-sum"], "{seen:?}");

    let naive = Envoy::start(&sample.without_header_mutation()).await;
    assert_eq!(get(naive.address, Http::One, "/public", &forged(None)).await.status, 200);
    assert_eq!(upstream.take_one().values("x-clerk-user-id"), ["user_root", "user_root"]);
    post_with_trailers(naive.address, "/hello", &[("authorization", &token)], &trailers).await;
    assert!(upstream.take_one().trailers.contains_key("x-clerk-user-id"));
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn a_client_cannot_have_the_identity_dropped_as_hop_by_hop() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    let token = bearer(&user(&issuer).sign());
    let headers = [("authorization", &*token), ("connection", "close, x-clerk-user-id")];
    assert_eq!(get(envoy.address, Http::One, "/hello", &headers).await.status, 200);
    assert_eq!(upstream.take_one().values("x-clerk-user-id"), ["user_bob"]);
}
