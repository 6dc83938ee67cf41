//! What clients of MCP servers demand of the metadata. The checks are those of the Rust SDK (rmcp 3.11,
//! `AuthorizationManager`) and of the TypeScript SDK (1.x, `checkResourceAllowed`), written anew.

use tower_clerk::ProtectedResource;
use url::Url;

use super::{WELL_KNOWN, document, layer_for, resource};
use crate::support::{Answer, request, send_through};

/// The metadata URL in a challenge, as the SDKs find it.
fn metadata_url(answer: &Answer) -> Url {
    let challenge = answer.header("www-authenticate").expect("a challenge");
    let (scheme, parameters) = challenge.split_once(' ').expect("parameters");
    assert_eq!((answer.status(), scheme), (401, "Bearer"));
    let (_, value) = parameters.split_once("resource_metadata=\"").expect("the parameter");
    Url::parse(value.split('"').next().expect("a value")).expect("an absolute URL")
}

fn origin(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    (url.scheme(), url.host_str(), url.port_or_known_default())
}

/// The Rust SDK: the same path, or one that the server's continues at a slash.
fn rust_accepts(server: &Url, resource: &Url) -> bool {
    let rest = server.path().strip_prefix(resource.path());
    origin(server) == origin(resource)
        && resource.fragment().is_none()
        && rest.is_some_and(|rest| rest.is_empty() || resource.path().ends_with('/') || rest.starts_with('/'))
}

/// The TypeScript SDK: it adds a slash to both paths, but refuses a resource whose path is longer.
fn typescript_accepts(server: &Url, resource: &Url) -> bool {
    let with_slash = |url: &Url| format!("{}/", url.path().trim_end_matches('/'));
    server.origin() == resource.origin()
        && server.path().len() >= resource.path().len()
        && with_slash(server).starts_with(&with_slash(resource))
}

/// The path at which the SDKs look if no challenge names the metadata.
fn guessed_path(server: &Url) -> String {
    format!("{WELL_KNOWN}{}", server.path().trim_end_matches('/'))
}

/// Discovers the resource as a client that has been given this URL. The server sees other hosts than the client.
async fn discover(resource: ProtectedResource, server: &str, host: &str) -> (Url, Url) {
    let (layer, server) = (layer_for(resource), Url::parse(server).expect("a URL"));
    let headers = [("host", host)];
    let refused = send_through(&layer, request("POST", server.path(), &headers)).await;
    let metadata = metadata_url(&refused);
    assert_eq!(origin(&metadata), origin(&server));
    let read = async |path: &str| {
        let document = document(&send_through(&layer, request("GET", path, &headers)).await);
        Url::parse(document["resource"].as_str().expect("a text")).expect("an absolute URL")
    };
    let found = read(metadata.path()).await;
    if metadata.path().trim_end_matches('/') == guessed_path(&server) {
        assert_eq!(
            read(&guessed_path(&server)).await.as_str().trim_end_matches('/'),
            found.as_str().trim_end_matches('/')
        );
    }
    (server, found)
}

#[tokio::test]
async fn clients_accept_a_named_resource_at_its_own_url_and_below_it() {
    for (url, servers) in [
        (
            "https://api.example.com",
            &["https://api.example.com", "https://api.example.com/", "https://api.example.com/mcp"][..],
        ),
        ("https://api.example.com/", &["https://api.example.com", "https://api.example.com/"]),
        (
            "https://api.example.com/mcp",
            &["https://api.example.com/mcp", "https://api.example.com/mcp/", "https://API.example.com:443/mcp"],
        ),
        ("https://api.example.com/mcp/", &["https://api.example.com/mcp/"]),
        ("https://api.example.com/a/b", &["https://api.example.com/a/b", "https://api.example.com/a/b/c"]),
        ("https://api.example.com:8443/mcp", &["https://api.example.com:8443/mcp"]),
        ("http://127.0.0.1:3001/mcp", &["http://127.0.0.1:3001/mcp"]),
        ("http://localhost:3001/mcp", &["http://localhost:3001/mcp"]),
        ("http://[::1]:3001/mcp", &["http://[::1]:3001/mcp"]),
        ("https://api.example.com/@team/v1:run", &["https://api.example.com/@team/v1:run"]),
    ] {
        for server in servers {
            let (server, found) = discover(resource(url), server, "internal:8080").await;
            assert!(rust_accepts(&server, &found) && typescript_accepts(&server, &found), "{server} {found}");
        }
    }
}

#[tokio::test]
async fn clients_accept_a_derived_resource_where_host_and_path_arrive() {
    for (server, host) in [
        ("https://api.example.com/", "api.example.com"),
        ("https://api.example.com/mcp", "api.example.com"),
        ("https://api.example.com/mcp/", "api.example.com"),
        ("https://api.example.com:8443/a/b", "api.example.com:8443"),
        ("http://127.0.0.1:3001/mcp", "127.0.0.1:3001"),
        ("http://localhost:3001/mcp", "localhost:3001"),
    ] {
        let (server, found) = discover(ProtectedResource::from_request(), server, host).await;
        assert!(rust_accepts(&server, &found) && typescript_accepts(&server, &found), "{server} {found}");
    }
}

#[test]
fn the_checks_of_the_clients_refuse_what_is_another_resource() {
    for (server, resource) in [
        ("https://api.example.com/mcp", "http://api.example.com/mcp"),
        ("https://api.example.com/mcp", "https://other.example.com/mcp"),
        ("https://api.example.com/mcp", "https://api.example.com:8443/mcp"),
        ("https://api.example.com/mcp", "https://api.example.com/other"),
        ("https://api.example.com/mcp", "https://api.example.com/mc"),
        ("https://api.example.com/mcp", "https://api.example.com/mcp/"),
        ("https://api.example.com/", "https://api.example.com/mcp"),
    ] {
        let (server, resource) = (Url::parse(server).expect("a URL"), Url::parse(resource).expect("a URL"));
        assert!(!rust_accepts(&server, &resource), "{server} {resource}");
        assert!(!typescript_accepts(&server, &resource), "{server} {resource}");
    }
}
