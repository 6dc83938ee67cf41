//! What a resource may be.

use serde_json::json;
use tower_clerk::{ConfigError, ProtectedResource};

use super::{MCP, WELL_KNOWN, document, layer_for, resource};
use crate::support::{get_path, send_through};

/// The name of the setting, and the text of the error.
fn mistake<T>(result: Result<T, ConfigError>) -> (String, String) {
    match result.err().expect("a mistake") {
        ref error @ ConfigError::Invalid { ref setting, .. } => (setting.name().to_owned(), error.to_string()),
        other => panic!("{other}"),
    }
}

#[test]
fn a_url_keeps_its_path_and_gets_the_form_that_url_parsers_make() {
    for (text, url, path) in [
        (MCP, MCP, "/mcp"),
        ("https://api.example.com", "https://api.example.com", ""),
        ("https://api.example.com/", "https://api.example.com", ""),
        ("HTTPS://API.Example.com/Mcp", "https://api.example.com/Mcp", "/Mcp"),
        ("https://api.example.com:443/mcp", MCP, "/mcp"),
        ("https://api.example.com:8443/a/b", "https://api.example.com:8443/a/b", "/a/b"),
        ("https://api.example.com/mcp/", "https://api.example.com/mcp/", "/mcp/"),
        (
            "https://api.example.com/@team/v1:run;x=1,2",
            "https://api.example.com/@team/v1:run;x=1,2",
            "/@team/v1:run;x=1,2",
        ),
        (" https://api.example.com/mcp\n", MCP, "/mcp"),
        ("http://127.0.0.1:3001/mcp", "http://127.0.0.1:3001/mcp", "/mcp"),
        ("http://localhost:80/mcp", "http://localhost/mcp", "/mcp"),
        ("http://[::1]:3001", "http://[::1]:3001", ""),
        ("http://localhost:443", "http://localhost:443", ""),
    ] {
        let resource = resource(text);
        assert_eq!(resource.url(), Some(url), "{text}");
        assert_eq!(resource.metadata_path(), format!("{WELL_KNOWN}{path}"), "{text}");
        // A URL parser adds the slash of an empty path, and nothing else.
        let parsed = url::Url::parse(url).expect("a URL");
        assert_eq!(parsed.as_str().strip_suffix(if path.is_empty() { "/" } else { "" }), Some(url));
    }
    assert_eq!(ProtectedResource::from_request().url(), None);
    assert_eq!(ProtectedResource::from_request().metadata_path(), WELL_KNOWN);
}

#[test]
fn a_url_that_clients_would_read_differently_is_refused() {
    for (text, reason) in [
        ("", "must not be empty"),
        ("api.example.com/mcp", "must be a whole URL"),
        ("/mcp", "must be a whole URL"),
        ("https:/api.example.com", "must be a whole URL"),
        ("//api.example.com/mcp", "must be a whole URL"),
        ("sk_live_secret", "must be a whole URL"),
        ("http://api.example.com/mcp", "must use https (plain http is for loopback addresses only)"),
        ("http://127.0.0.1.example.com", "must use https (plain http is for loopback addresses only)"),
        ("http://0.0.0.0:3001/mcp", "must use https (plain http is for loopback addresses only)"),
        ("ftp://api.example.com", "must use https"),
        ("https://", "does not name a valid host and port"),
        ("https:///mcp", "does not name a valid host and port"),
        ("https://api.example.com:0/mcp", "does not name a valid host and port"),
        ("https://api.example.com:65536/mcp", "does not name a valid host and port"),
        ("https://127.1/mcp", "does not name a valid host and port"),
        ("https://user@api.example.com/mcp", "must have no user name or password"),
        ("https://user:secret@api.example.com/mcp", "must have no user name or password"),
        ("https://api.example.com/mcp?x=1", "must have no query and no fragment"),
        ("https://api.example.com/mcp?", "must have no query and no fragment"),
        ("https://api.example.com/mcp#", "must have no query and no fragment"),
        ("https://api.example.com#mcp", "must have no query and no fragment"),
        ("https://api.example.com/a//b", "must have a path without"),
        ("https://api.example.com//", "must have a path without"),
        ("https://api.example.com/a/../b", "must have a path without"),
        ("https://api.example.com/.", "must have a path without"),
        ("https://api.example.com/a%20b", "must have a path without"),
        ("https://api.example.com/a\"b", "must have a path without"),
        ("https://api.example.com/a\\b", "must have a path without"),
        ("https://api.example.com/{id}", "must have a path without"),
        ("https://api.example.com/:id", "do not start with : or *"),
        ("https://api.example.com/a/*rest", "do not start with : or *"),
        ("https://api.example.com/a b", "must have no spaces"),
        ("https://api.example.com/a\u{7f}b", "must have no spaces"),
        ("https://b\u{fc}cher.example/mcp", "starts with xn--"),
        ("https://a.example,https://b.example", "has two schemes"),
        ("\"https://api.example.com\"", "without quotes"),
        ("$PUBLIC_URL", "is a placeholder"),
        ("https://api.example.com/.well-known/oauth-protected-resource/mcp", "must be the URL of the service"),
    ] {
        let (setting, error) = mistake(ProtectedResource::new(text));
        assert_eq!(setting, "protected_resource");
        assert!(error.starts_with("protected_resource ") && error.contains(reason), "{text}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn each_scope_is_one_token_without_quotation_marks() {
    for scope in ["read", "things:read", "https://api.example.com/read", "!", "~", "a\u{27}b", "["] {
        assert!(resource(MCP).scopes([scope]).is_ok(), "{scope}");
    }
    for (scope, reason) in [
        ("", "an empty scope"),
        ("a b", "one scope in each entry"),
        (" a", "one scope in each entry"),
        ("a\"b", "visible ASCII"),
        ("a\\b", "visible ASCII"),
        ("a\tb", "visible ASCII"),
        ("\u{7f}", "visible ASCII"),
        ("\u{e9}", "visible ASCII"),
    ] {
        let (setting, error) = mistake(resource(MCP).scopes(["read", scope]));
        assert_eq!(setting, "protected_resource");
        assert!(error.contains(reason), "{scope:?}: {error}");
    }
}

#[tokio::test]
async fn scopes_are_listed_once_and_the_last_call_wins() {
    let repeated = resource(MCP).scopes(["x"]).and_then(|resource| resource.scopes(["b", "a", "b"])).expect("scopes");
    let path = repeated.metadata_path();
    let layer = layer_for(repeated.clone());
    assert_eq!(document(&send_through(&layer, get_path(&path, None)).await)["scopes_supported"], json!(["b", "a"]));
    let challenge = send_through(&layer, get_path("/mcp", None)).await;
    assert!(challenge.header("www-authenticate").is_some_and(|value| value.ends_with(r#"scope="b a""#)));

    let none = layer_for(repeated.scopes([""; 0]).expect("no scopes"));
    assert!(document(&send_through(&none, get_path(&path, None)).await).get("scopes_supported").is_none());
    let challenge = send_through(&none, get_path("/mcp", None)).await;
    assert!(challenge.header("www-authenticate").is_some_and(|value| !value.contains("scope")));
}

#[tokio::test]
async fn a_name_has_no_control_characters() {
    for (name, shown) in [
        ("Things", json!("Things")),
        (" Th\u{7}in\ngs\r ", json!("Things")),
        ("\"D\u{fc}nge\" <b>", json!("\"D\u{fc}nge\" <b>")),
        ("", json!(null)),
        ("\n \u{0}", json!(null)),
    ] {
        let layer = layer_for(resource(MCP).name(name));
        let answer = send_through(&layer, get_path(&format!("{WELL_KNOWN}/mcp"), None)).await;
        assert_eq!(document(&answer).get("resource_name").cloned().unwrap_or_default(), shown, "{name:?}");
    }
}

#[tokio::test]
async fn the_documentation_is_a_page_on_the_web() {
    for url in
        ["https://docs.example.com/a?b=https://c.example#d", "http://docs.example.com", "https://docs.example.com:1/"]
    {
        let layer = layer_for(resource(MCP).documentation(url).expect("a page"));
        let answer = send_through(&layer, get_path(&format!("{WELL_KNOWN}/mcp"), None)).await;
        assert_eq!(document(&answer)["resource_documentation"], json!(url));
    }
    for (url, reason) in [
        ("", "must not be empty"),
        ("docs.example.com", "must be a whole URL"),
        ("javascript:alert(1)", "must be a whole URL"),
        ("javascript://x/%0aalert(1)", "must be an https or http URL"),
        ("https://", "does not name a valid host"),
        ("https://u@docs.example.com", "no user name"),
        ("https://docs.example.com/a b", "no spaces"),
    ] {
        let (setting, error) = mistake(resource(MCP).documentation(url));
        assert_eq!(setting, "protected_resource.documentation");
        assert!(error.contains(reason), "{url}: {error}");
    }
}
