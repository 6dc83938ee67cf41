//! Two advisories of 2026 on Caddy, GHSA-7r4p-vjf4-gxv4 and GHSA-f59h-q822-g45g: each attack works against a naive
//! server and a naive configuration, and does not against this one.

use tower_clerk::testing::TestIssuer;

use crate::support::{
    fastcgi::FastCgi,
    forward_auth::ForwardAuth,
    http::{Server, request, serve_one},
    proxy::{Addresses, Proxy, RunningProxy},
    site::{Site, with_flags},
    upstream::Upstream,
};

/// As it stands in many guides: nothing is removed from what the client sent.
const NAIVE_CADDY: &str = "
{
	admin off
	auto_https off
}

http://:8080 {
	bind 127.0.0.1
	route {
		forward_auth 127.0.0.1:9100 {
			uri /verify
			copy_headers X-Clerk-User-Id Remote-User
		}
		reverse_proxy /fastcgi/* 127.0.0.1:9000 {
			transport fastcgi
		}
		reverse_proxy 127.0.0.1:3000
	}
}
";

/// The identity is set from the answer, but only where there is one.
const NAIVE_NGINX: &str = "
error_log stderr;
events {}
http {
    access_log off;
    server {
        listen 127.0.0.1:8080;
        location = /_forward_auth {
            internal;
            proxy_pass http://127.0.0.1:9100/verify;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }
        location / {
            auth_request /_forward_auth;
            proxy_pass http://127.0.0.1:3000;
        }
    }
}
";

/// Lets everyone in, and names the users of tokens only.
async fn naive_server() -> Server {
    Server::start(|stream| {
        serve_one(stream, |message| {
            let user = (!message.all("authorization").is_empty()).then(|| "X-Clerk-User-Id: user_ada".to_owned());
            (user.into_iter().collect(), String::new())
        })
    })
    .await
}

#[derive(Debug)]
struct NaiveSite {
    _server: Server,
    proxy: RunningProxy,
    upstream: Upstream,
    fastcgi: FastCgi,
}

impl NaiveSite {
    async fn start(proxy: Proxy, configuration: &str) -> Self {
        let (server, upstream, fastcgi) = (naive_server().await, Upstream::start().await, FastCgi::start().await);
        let addresses = Addresses {
            forward_auth: server.address,
            application: upstream.server.address,
            fastcgi: fastcgi.server.address,
        };
        let proxy = RunningProxy::start(proxy, configuration, addresses).await;
        Self { _server: server, proxy, upstream, fastcgi }
    }
}

async fn site_with(proxy: Proxy, configuration: &str, arguments: &[&str]) -> Site {
    let issuer = TestIssuer::start().await.unwrap();
    let forward_auth = ForwardAuth::start(&issuer, &with_flags(proxy, arguments), &[]).await;
    Site::of(proxy, issuer, forward_auth, configuration).await
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_header_that_a_naive_server_leaves_out_is_the_clients() {
    for (proxy, configuration) in [(Proxy::Caddy2_10, NAIVE_CADDY), (Proxy::Nginx, NAIVE_NGINX)] {
        let site = NaiveSite::start(proxy, configuration).await;
        let answer = request(site.proxy.address, "GET", "/", &[("X-Clerk-User-Id", "user_root")], b"").await;
        assert_eq!(answer.status(), 200, "{proxy:?}");
        assert_eq!(site.upstream.seen()[0].all("x-clerk-user-id"), ["user_root"], "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_naive_configuration_is_held_by_this_server() {
    let naive = Proxy::CADDIES.map(|proxy| (proxy, NAIVE_CADDY)).into_iter().chain([(Proxy::Nginx, NAIVE_NGINX)]);
    for (proxy, configuration) in naive {
        for arguments in [&[][..], &["--anonymous"]] {
            let site = site_with(proxy, configuration, arguments).await;
            let admin = site.admin();
            for authorization in [None, Some(&admin)] {
                let token = authorization.map(|value| ("Authorization", value.as_str()));
                let headers: Vec<_> = token.into_iter().chain([("X-Clerk-User-Id", "user_root")]).collect();
                let status = site.get("/", &headers).await.status();
                let expected: &[u16] = if proxy == Proxy::Nginx { &[401] } else { &[400] };
                assert!(expected.contains(&status), "{proxy:?} {arguments:?} {status}");
                assert!(site.upstream.seen().is_empty(), "{proxy:?} {arguments:?}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn the_sample_holds_even_with_a_naive_server() {
    for proxy in Proxy::ALL {
        let site = NaiveSite::start(proxy, proxy.sample()).await;
        for name in [
            "X-Clerk-User-Id",
            "X-Clerk-Session-Id",
            "X-Clerk-Org-Id",
            "X-Clerk-Org-Slug",
            "X-Clerk-Org-Role",
            "X_Clerk_User_Id",
        ] {
            for target in ["/", "/fastcgi/a"] {
                let answer = request(site.proxy.address, "GET", target, &[(name, "user_root")], b"").await;
                assert_eq!(answer.status(), 200, "{proxy:?} {name}");
                let headers = site.upstream.seen().into_iter().flat_map(|request| request.headers);
                let variables = site.fastcgi.seen().into_iter().flatten();
                let lines: Vec<_> = headers.chain(variables).collect();
                assert!(!lines.is_empty(), "{proxy:?} {name} {target}");
                assert!(lines.iter().all(|(_, value)| value != "user_root"), "{proxy:?} {name} {target}: {lines:?}");
            }
        }
    }
}

/// Why the sample has `route`: `handle` sorts the directives in it.
#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn outside_of_route_caddy_removes_the_verified_identity() {
    for proxy in Proxy::CADDIES {
        let configuration = proxy.sample().replace("route {", "handle {");
        let site = site_with(proxy, &configuration, &[]).await;
        assert_eq!(site.get("/", &[("Authorization", &site.admin())]).await.status(), 200, "{proxy:?}");
        assert!(site.upstream.seen()[0].all("x-clerk-user-id").is_empty(), "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_name_with_underscores_reaches_fastcgi_behind_a_naive_server() {
    // That of the distribution may be a later one.
    for proxy in [Proxy::Caddy2_10] {
        let site = NaiveSite::start(proxy, NAIVE_CADDY).await;
        let headers = [("Authorization", "Bearer x"), ("Remote_User", "root")];
        let mut has_arrived = false;
        // Of two names that become one variable, Caddy takes one at random.
        for _ in 0..200 {
            let answer = request(site.proxy.address, "GET", "/fastcgi/a", &headers, b"").await;
            assert_eq!(answer.status(), 200, "{proxy:?}");
            let variables = site.fastcgi.seen().remove(0);
            has_arrived |= variables.contains(&("HTTP_REMOTE_USER".to_owned(), "root".to_owned()));
            if has_arrived {
                break;
            }
        }
        assert!(has_arrived, "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_name_with_underscores_is_refused_by_this_server() {
    for proxy in Proxy::CADDIES {
        for arguments in [&["--headers", "authelia"][..], &["--headers", "authelia", "--anonymous"]] {
            let site = site_with(proxy, NAIVE_CADDY, arguments).await;
            let admin = site.admin();
            for name in ["Remote_User", "remote_user", "Remote-User", "REMOTE.USER", "X_Clerk_User_Id"] {
                let headers = [("Authorization", admin.as_str()), (name, "root")];
                let answer = site.get("/fastcgi/a", &headers).await;
                // Caddy 2.11 drops some spellings by itself, as that of the distribution may.
                assert!([200, 400].contains(&answer.status()), "{proxy:?} {name}: {answer:?}");
                assert!(answer.status() == 400 || proxy != Proxy::Caddy2_10, "{proxy:?} {name}");
                for variables in site.fastcgi.seen() {
                    assert!(variables.iter().all(|(_, value)| value != "root"), "{proxy:?} {name}: {variables:?}");
                }
            }
            assert_eq!(site.get("/fastcgi/a", &[("Authorization", &admin)]).await.status(), 200, "{proxy:?}");
            let variables = site.fastcgi.seen().remove(0);
            let users: Vec<_> = variables.iter().filter(|(name, _)| name == "HTTP_REMOTE_USER").collect();
            assert!(users.len() == 1 && users[0].1 == "user_ada", "{proxy:?}: {variables:?}");
        }
    }
}
