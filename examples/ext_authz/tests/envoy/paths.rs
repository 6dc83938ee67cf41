//! Paths that an upstream may read otherwise than Envoy.

use crate::{
    client::{BOTH, bearer, get},
    proxy::{Config, Envoy},
    support::{Program, issuer, user},
    upstream::Upstream,
};

/// A user without the permission for `/invoices` asks for it, the open route and the route for all users in front.
const DETOURS: [&str; 8] = [
    "/public/../invoices",
    "/public/%2e%2e/invoices",
    "/public/%2E./invoices",
    "/public/..;a=b/invoices",
    "//invoices",
    "/hello/..//invoices",
    "/public/..%2finvoices",
    "/public%5c..%5cinvoices",
];

/// What Envoy leaves as it is, or drops, and some servers read otherwise: those that cut `;…` off, decode twice, decode
/// what is broken or overlong, or trim segments.
const AMBIGUOUS: [&str; 32] = [
    "/public/%2e%2e;/invoices",
    "/public/.%2e;/invoices",
    "/public/%252e%252e/invoices",
    "/public/..%3b/invoices",
    "/public/..%3B/invoices",
    "/public/..%252finvoices",
    "/public/..%20/invoices",
    "/public/%20../invoices",
    "/public/..%09/invoices",
    "/public/..%00/invoices",
    "/public/..%7f/invoices",
    "/public/%2%65%2e/invoices",
    "/public/.../invoices",
    "/public/..x/invoices",
    "/public/%c0%ae%c0%ae/invoices",
    "/public/%u002e%u002e/invoices",
    "/public/%/invoices",
    "/public;/../invoices;",
    "/invoices;",
    "/invoices;a",
    "/;/invoices",
    "/;a=b/invoices",
    "/invoices%3b",
    "/invoices.",
    "/invoices%2e",
    "/invoices%20",
    "/invoices%20/7",
    "/invoices%3f",
    "/invoices%23",
    "/%2569nvoices",
    "/%69nvoices%25",
    "/hello/%0a",
];

/// What all servers read alike.
const PLAIN: [&str; 10] = [
    "/",
    "/a/",
    "/a.b/c%20d",
    "/compare/a..b",
    "/.well-known/x",
    "/a,b:c@d/~e/(f)/'g'/!h*/$i&j=k+l",
    "/[id]/%7Bx%7D/%22/%40/%3A",
    "/%C3%A9/%E2%82%AC",
    "/hello?a=;b=%25&c=../..%00",
    "/grpc.health.v1.Health/Check",
];

/// What only the width of the match guards.
const OTHER_NAMES: [&str; 6] =
    ["/INVOICES", "/Invoices/7", "/invoices.json", "/invoices%20x", "/invoices,a=b", "/%69nvoices"];

#[tokio::test]
#[ignore = "needs Envoy"]
async fn a_path_that_servers_read_in_different_ways_is_a_400_for_everyone() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let sample = Config::new(program.address, upstream.address);
    let envoy = Envoy::start(&sample).await;
    let token = bearer(&user(&issuer).sign());
    for path in AMBIGUOUS {
        for headers in [&[("authorization", token.as_str())][..], &[]] {
            for http in BOTH {
                let reply = get(envoy.address, http, path, headers).await;
                assert_eq!((reply.status.as_u16(), upstream.take().len()), (400, 0), "{http:?} {path} {reply:?}");
            }
        }
    }
    // Ordinary paths, and what is in the query, are none of it.
    for path in PLAIN {
        for http in BOTH {
            let reply = get(envoy.address, http, path, &[("authorization", &token)]).await;
            assert_eq!((reply.status.as_u16(), upstream.take().len()), (200, 1), "{http:?} {path} {reply:?}");
        }
    }

    // Without the first route, those that begin with the open path arrive without a token, and the others with any.
    let naive = Envoy::start(&sample.without_refused_paths()).await;
    let mut arrived = [0, 0];
    for path in AMBIGUOUS {
        get(naive.address, BOTH[0], path, &[]).await;
        arrived[0] += upstream.take().len();
        get(naive.address, BOTH[0], path, &[("authorization", &token)]).await;
        arrived[1] += upstream.take().len();
    }
    assert!(arrived[0] > 10 && arrived[1] > 15, "{arrived:?}");
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn the_filters_for_istio_refuse_such_paths_and_forged_headers_too() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address).with_filters_of_istio()).await;
    let token = bearer(&user(&issuer).sign());
    for path in AMBIGUOUS {
        let reply = get(envoy.address, BOTH[0], path, &[("authorization", &token)]).await;
        // An encoded NUL is refused by Envoy itself.
        let status = if path.contains("%00") { 400 } else { 403 };
        assert_eq!((reply.status.as_u16(), upstream.take().len()), (status, 0), "{path} {reply:?}");
    }
    for path in PLAIN {
        let reply = get(envoy.address, BOTH[0], path, &[("authorization", &token)]).await;
        assert_eq!((reply.status.as_u16(), upstream.take().len()), (200, 1), "{path} {reply:?}");
    }
    assert_eq!(get(envoy.address, BOTH[0], "/public", &[("x_clerk_user_id", "user_root")]).await.status, 200);
    assert!(!format!("{:?}", upstream.take_one()).contains("user_root"));
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn a_guarded_path_is_guarded_under_its_other_names() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let sample = Config::new(program.address, upstream.address);
    let envoy = Envoy::start(&sample).await;
    let token = bearer(&user(&issuer).sign());
    for path in OTHER_NAMES {
        let reply = get(envoy.address, BOTH[0], path, &[("authorization", &token)]).await;
        assert_eq!((reply.status.as_u16(), upstream.take().len()), (403, 0), "{path} {reply:?}");
    }
    // What is open is open under one name.
    for path in ["/PUBLIC", "/public.json", "/publicity", "/public%20x"] {
        let reply = get(envoy.address, BOTH[0], path, &[]).await;
        assert_eq!((reply.status.as_u16(), upstream.take().len()), (401, 0), "{path} {reply:?}");
    }

    let naive = sample.with("prefix: /invoices, case_sensitive: false", "path_separated_prefix: /invoices");
    let naive = Envoy::start(&naive).await;
    for path in &OTHER_NAMES[..5] {
        assert_eq!(get(naive.address, BOTH[0], path, &[("authorization", &token)]).await.status, 200, "{path}");
        upstream.take_one();
    }
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn no_spelling_of_a_path_is_a_detour_around_its_requirement() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let sample = Config::new(program.address, upstream.address);
    let envoy = Envoy::start(&sample).await;
    let token = bearer(&user(&issuer).sign());
    for path in DETOURS {
        for http in BOTH {
            let reply = get(envoy.address, http, path, &[("authorization", &token)]).await;
            let arrived = upstream.take();
            assert!(arrived.is_empty() && [400, 403].contains(&reply.status.as_u16()), "{path} {reply:?} {arrived:?}");
        }
    }

    let naive = sample.without_refused_paths().with("normalize_path: true", "normalize_path: false");
    let naive = naive.with("merge_slashes: true", "merge_slashes: false");
    let naive = Envoy::start(&naive.with("REJECT_REQUEST", "KEEP_UNCHANGED")).await;
    for path in DETOURS {
        assert_eq!(get(naive.address, BOTH[0], path, &[("authorization", &token)]).await.status, 200, "{path}");
        assert_eq!(upstream.take_one().path, path);
    }
}
