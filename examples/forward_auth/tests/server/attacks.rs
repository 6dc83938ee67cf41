//! Identities that clients write, against the sample configurations.

use tower_clerk::testing::TestIssuer;

use crate::support::{forward_auth::ForwardAuth, proxy::Proxy, site::Site};

/// Every name in other spellings: signs, case, and what a server behind could fold into it.
const FORGED: [&str; 22] = [
    "X-Clerk-User-Id",
    "x-clerk-user-id",
    "X-CLERK-USER-ID",
    "X_Clerk_User_Id",
    "x_clerk_user_id",
    "X-Clerk_User_Id",
    "X_Clerk-User-Id",
    "X-Clerk-User_Id",
    "X.Clerk.User.Id",
    "X-Clerk.User-Id",
    "X~Clerk~User~Id",
    "X_Clerk.User-Id",
    "X-Clerk-Session-Id",
    "X_Clerk_Session_Id",
    "X-Clerk-Org-Id",
    "X-Clerk_Org-Id",
    "X-Clerk-Org-Slug",
    "X.Clerk-Org-Slug",
    "X-Clerk-Org-Role",
    "X_CLERK_ORG_ROLE",
    "X-Clerk-Org_Role",
    "X-Clerk-Something-New",
];

const ROOT: &str = "user_root";
/// The identity of the administrator.
const VERIFIED: [&str; 5] = ["user_ada", "sess_1", "org_acme", "acme", "org:admin"];

/// The lines that claim to be somebody, several at once included.
fn forgeries() -> Vec<Vec<(&'static str, &'static str)>> {
    let mut all: Vec<_> = FORGED.iter().map(|name| vec![(*name, ROOT)]).collect();
    all.push(FORGED.iter().map(|name| (*name, ROOT)).collect());
    all.push(vec![("X-Clerk-User-Id", ""), ("X-Clerk-User-Id", ROOT)]);
    all.push(vec![("X-Clerk-User-Id", ROOT), ("X-Clerk-User-Id", "")]);
    // A proxy removes what `Connection` names, which could be what the proxy itself has set.
    all.push(vec![("X-Clerk-User-Id", ROOT), ("Connection", "X-Clerk-User-Id")]);
    all.push(vec![("X_Clerk_User_Id", ROOT), ("Connection", "X-Clerk-User-Id, X-Clerk-Org-Id")]);
    all
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_forged_identity_never_reaches_the_application() {
    for proxy in Proxy::ALL {
        for arguments in [&[][..], &["--anonymous"]] {
            let site = Site::start(proxy, arguments, &[]).await;
            let (admin, member) = (site.admin(), site.member());
            let mut arrived = 0;
            for forged in forgeries() {
                for authorization in [None, Some(&admin), Some(&member)] {
                    let token = authorization.map(|value| ("Authorization", value.as_str()));
                    let headers: Vec<_> = token.into_iter().chain(forged.iter().copied()).collect();
                    let answer = site.get("/", &headers).await;
                    assert!([200, 400, 401].contains(&answer.status()), "{proxy:?} {forged:?}: {answer:?}");
                    assert!(!answer.text().contains(ROOT), "{proxy:?} {forged:?}");
                    for request in site.upstream.seen() {
                        arrived += 1;
                        let found = request.headers.iter().any(|(_, value)| value.contains(ROOT));
                        assert!(!found, "{proxy:?} {arguments:?} {forged:?}: {request:?}");
                    }
                }
            }
            // Otherwise the test would show nothing.
            assert!(arrived > 0, "{proxy:?} {arguments:?}");
            assert_eq!(site.get("/", &[("Authorization", &admin)]).await.status(), 200, "{proxy:?}");
        }
    }
}

/// Through `h2c` a client would talk to the application alone.
#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn no_upgrade_but_to_a_websocket_is_offered_to_the_application() {
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &[], &[]).await;
        let member = site.member();
        for offered in
            [&["h2c"][..], &["H2C"], &["h2c, websocket"], &["websocket, h2c"], &["websocket", "h2c"], &["x/1"]]
        {
            let settings = [("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQAoAAA")];
            let offers = offered.iter().map(|protocol| ("Upgrade", *protocol));
            let headers: Vec<_> = [("Authorization", &*member)].into_iter().chain(settings).chain(offers).collect();
            site.get("/a", &headers).await;
            let seen = site.upstream.seen();
            let upgrades: Vec<_> = seen.iter().flat_map(|request| request.all("upgrade")).collect();
            assert!(upgrades.iter().all(|protocol| *protocol == "websocket"), "{proxy:?} {offered:?}: {seen:?}");
        }
    }
}

/// `Connection` names headers that the next one must not get: a proxy that obeys for the ones it has set lets a client
/// choose which part of the verified identity the application sees.
#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_client_cannot_take_away_what_was_verified() {
    for proxy in Proxy::ALL {
        for arguments in [&[][..], &["--anonymous"]] {
            let site = Site::start(proxy, arguments, &[]).await;
            let admin = site.admin();
            for lines in [
                &["X-Clerk-Org-Id, X-Clerk-Org-Role"][..],
                &["x-clerk-user-id"],
                &["close, X-CLERK-User-Id"],
                &["close", "X-Clerk-Session-Id,X-Clerk-Org-Slug"],
                &["X_Clerk_User_Id"],
                &["Authorization"],
                &["keep-alive,authorization"],
            ] {
                let token = ("Authorization", admin.as_str());
                let named = lines.iter().map(|line| ("Connection", *line));
                let headers: Vec<_> = [token].into_iter().chain(named).collect();
                for target in ["/", "/fastcgi/a"] {
                    let status = site.get(target, &headers).await.status();
                    assert!([200, 400].contains(&status), "{proxy:?} {lines:?} {target}: {status}");
                    let headers = site.upstream.seen().into_iter().map(|request| request.headers);
                    let arrived: Vec<_> = headers.chain(site.fastcgi.seen()).collect();
                    assert_eq!(arrived.len(), usize::from(status == 200), "{proxy:?} {lines:?} {target}");
                    for value in VERIFIED {
                        let is_there = |seen: &Vec<(String, String)>| seen.iter().any(|(_, have)| have == value);
                        assert!(
                            arrived.iter().all(is_there),
                            "{proxy:?} {arguments:?} {lines:?} {target}: {arrived:?}"
                        );
                    }
                }
            }
        }
    }
}

/// Without the matcher, it works.
#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_naive_caddyfile_takes_away_what_was_verified() {
    for proxy in Proxy::CADDIES {
        let issuer = TestIssuer::start().await.unwrap();
        let forward_auth = ForwardAuth::start(&issuer, &[], &[]).await;
        let naive = proxy.sample().replace("respond @named 400", "");
        let site = Site::of(proxy, issuer, forward_auth, &naive).await;
        let headers = [("Authorization", site.admin()), ("Connection", "X-Clerk-Org-Id".to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(site.get("/", &headers).await.status(), 200, "{proxy:?}");
        assert!(site.upstream.seen()[0].all("x-clerk-org-id").is_empty(), "{proxy:?}");
    }
}

/// A header that somebody sends without malice is no reason to refuse: it does not arrive.
#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_header_that_the_sample_removes_does_not_refuse_its_client() {
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &[], &[]).await;
        let admin = site.admin();
        for name in ["X-Clerk-User-Id", "x-clerk-session-id", "X-Clerk-Org-Id", "X-Clerk-Org-Slug", "X-Clerk-Org-Role"]
        {
            let headers = [("Authorization", admin.as_str()), (name, ROOT)];
            assert_eq!(site.get("/", &headers).await.status(), 200, "{proxy:?} {name}");
            let seen = site.upstream.seen().remove(0);
            assert!(seen.headers.iter().all(|(_, value)| value != ROOT), "{proxy:?} {name}: {seen:?}");
            for value in VERIFIED {
                assert!(seen.headers.iter().any(|(_, have)| have == value), "{proxy:?} {name}: {seen:?}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_forged_identity_never_reaches_an_application_of_fastcgi() {
    for proxy in Proxy::ALL {
        for arguments in [&[][..], &["--anonymous"]] {
            let site = Site::start(proxy, arguments, &[]).await;
            let admin = site.admin();
            for forged in forgeries() {
                for authorization in [None, Some(&admin)] {
                    let token = authorization.map(|value| ("Authorization", value.as_str()));
                    let headers: Vec<_> = token.into_iter().chain(forged.iter().copied()).collect();
                    site.get("/fastcgi/a", &headers).await;
                    for variables in site.fastcgi.seen() {
                        let found = variables.iter().any(|(_, value)| value.contains(ROOT));
                        assert!(!found, "{proxy:?} {arguments:?} {forged:?}: {variables:?}");
                    }
                }
            }
            assert_eq!(site.get("/fastcgi/a", &[("Authorization", &admin)]).await.status(), 200, "{proxy:?}");
            let variables = site.fastcgi.seen().remove(0);
            let user: Vec<_> = variables.iter().filter(|(name, _)| name == "HTTP_X_CLERK_USER_ID").collect();
            assert!(user.len() == 1 && user[0].1 == "user_ada", "{proxy:?}: {variables:?}");
        }
    }
}
