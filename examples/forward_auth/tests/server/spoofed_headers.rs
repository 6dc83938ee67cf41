//! What clients say about their request beside the request itself, against the sample configurations: an application
//! that believes it could be asked for one path and serve another.

use std::fs;

use self::list::{SPOOFABLE_HEADERS, spellings};
use crate::support::{RULES, proxy::Proxy, rules, site::Site};

#[path = "../../../support/spoofed_headers.rs"]
mod list;

const SPOOFED: &str = "/spoofed";

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn what_a_client_says_about_its_request_does_not_arrive() {
    let (_folder, file) = rules(RULES);
    for proxy in Proxy::ALL {
        for arguments in [&[][..], &["--rules", &file]] {
            let site = Site::start(proxy, arguments, &[]).await;
            let member = site.member();
            let alone = SPOOFABLE_HEADERS.iter().flat_map(|name| spellings(name)).map(|name| vec![name]);
            for names in alone.chain([SPOOFABLE_HEADERS.map(str::to_owned).to_vec()]) {
                let spoofed = names.iter().map(|name| (name.as_str(), SPOOFED));
                let headers: Vec<_> = [("Authorization", member.as_str())].into_iter().chain(spoofed).collect();
                for target in ["/a", "/fastcgi/a"] {
                    let answer = site.get(target, &headers).await;
                    assert_eq!(answer.status(), 200, "{proxy:?} {arguments:?} {names:?} {target}: {answer:?}");
                    let lines = site.upstream.seen().into_iter().map(|request| request.headers);
                    let arrived: Vec<_> = lines.chain(site.fastcgi.seen()).collect();
                    assert_eq!(arrived.len(), 1, "{proxy:?} {arguments:?} {names:?} {target}");
                    let is_spoofed = arrived.iter().flatten().any(|(_, value)| value.contains(SPOOFED));
                    assert!(!is_spoofed, "{proxy:?} {arguments:?} {names:?} {target}: {arrived:?}");
                }
            }
        }
    }
}

#[test]
fn samples_that_no_test_runs_remove_the_same_headers() {
    // What the proxy removes by itself, or writes anew.
    let traefik = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Forwarded-Server",
        "X-Real-IP",
    ];
    let ingress_nginx = [
        "Proxy",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Forwarded-Scheme",
        "X-Real-IP",
    ];
    for (file, indent, own) in [("traefik.yaml", "          ", &traefik[..]), ("kubernetes.yaml", "  ", &ingress_nginx)]
    {
        let text = fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap().to_lowercase();
        let lines: Vec<_> = text.lines().collect();
        for name in SPOOFABLE_HEADERS {
            let line = format!("{indent}{}: \"\"", name.to_lowercase());
            assert_eq!(lines.contains(&line.as_str()), !own.contains(&name), "{file} {name}");
        }
    }
}
