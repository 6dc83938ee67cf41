use std::net::IpAddr;

use proptest::{
    collection::vec,
    prelude::{prop_assert, prop_assert_eq, proptest},
};
use serde_json::{Value, json};
use tower_clerk::{ClerkConfig, ConfigError, config::FrontendApi, gateway::GatewayPolicy};

use super::mutation::text_near;
use super::{Outcome, cases};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn urls() -> Vec<String> {
    texts(&[
        "https://clerk.example.com",
        "clerk.example.com/",
        "HTTPS://Clerk.Example.com:8443/__clerk/",
        "http://127.0.0.1:8080",
        "http://[::1]:3000/",
        "http://localhost",
        "https://u:p@a.b/?x#y",
    ])
}

fn publishable_keys() -> Vec<String> {
    texts(&[
        "pk_test_Y2xlcmsuY2xlcmsuZGV2JA",
        "pk_test_Y2xlcmsuY2xlcmsuZGV2JA==",
        "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k",
        "sk_test_abc",
    ])
}

fn origins() -> Vec<String> {
    texts(&["https://app.example.com", "http://localhost:3000", "chrome-extension://abcdef", "https://[::1]:3000", "*"])
}

/// A path can be appended to an accepted URL, and parsing it again does not change it.
fn assert_base_url(api: &FrontendApi) -> Outcome {
    let url = api.as_str();
    prop_assert!(url.starts_with("https://") || url.starts_with("http://"));
    let authority = url.split('/').nth(2).expect("an authority");
    let has_no_port = authority.ends_with(']') || !authority.contains(':');
    let host = if has_no_port { authority } else { authority.rsplit_once(':').expect("a port").0 };
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    prop_assert!(url.starts_with("https://") || is_loopback, "{}", url);
    prop_assert!(!url.contains(['@', '?', '#', '%', '\\', ' ']) && !url.ends_with('/'), "{}", url);
    prop_assert_eq!(&FrontendApi::parse(url).expect("the same"), api);
    Ok(())
}

/// RFC 3986, section 2: a URL is ASCII. Other characters would be sent and compared in different forms.
#[test]
fn a_url_has_only_ascii_in_its_path() {
    assert!(FrontendApi::parse("https://a.example/__clerk").is_ok());
    for text in ["https://a.example/\u{e9}", "https://a.example/__clerk/\u{fffd}", "a.example/\u{1f980}"] {
        assert!(FrontendApi::parse(text).is_err(), "{text}");
    }
}

/// White space and invisible characters around a value are ignored.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|char: char| !char.is_ascii_graphic())
}

fn is_bare_origin(text: &str) -> bool {
    let text = trimmed(text);
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    !scheme.is_empty()
        && !authority.is_empty()
        && text.is_ascii()
        && !authority.contains(['/', '?', '#', '@', '*', '%', '\\', ','])
        && !text.contains(char::is_whitespace)
}

proptest! {
    #![proptest_config(cases(6_000))]

    #[test]
    fn a_url_is_a_base_url_or_an_error(text in text_near(&urls())) {
        let api = FrontendApi::parse(&text);
        prop_assert_eq!(ClerkConfig::from_frontend_api_url(&text).is_ok(), api.is_ok());
        if let Ok(api) = api {
            assert_base_url(&api)?;
        }
    }

    #[test]
    fn a_publishable_key_gives_a_host_or_an_error(text in text_near(&publishable_keys())) {
        if let Ok(config) = ClerkConfig::from_publishable_key(&text) {
            let text = trimmed(&text);
            prop_assert!(text.starts_with("pk_test_") || text.starts_with("pk_live_"));
            let issuers = config.issuers();
            prop_assert_eq!(issuers.len(), 1);
            prop_assert!(issuers[0].starts_with("https://"));
            prop_assert_eq!(issuers[0].matches('/').count(), 2);
            assert_base_url(&FrontendApi::parse(issuers[0]).expect("a Frontend API URL"))?;
        }
    }

    #[test]
    fn a_list_of_origins_has_bare_origins_or_is_an_error(list in vec(text_near(&origins()), 0..3)) {
        let config = ClerkConfig::from_frontend_api_url("https://a.b").expect("a URL");
        if config.authorized_parties(&list).is_ok() {
            prop_assert!(!list.is_empty());
            prop_assert!(list.iter().all(|origin| is_bare_origin(origin)), "{:?}", list);
        }
    }

    #[test]
    fn other_settings_accept_or_reject_a_string(text in text_near(&[urls(), publishable_keys()].concat())) {
        let config = || ClerkConfig::from_frontend_api_url("https://a.b").expect("a URL");
        if let Ok(config) = ClerkConfig::from_secret_key(&text) {
            let shown = format!("{config:?}");
            prop_assert!(shown.contains("secret_key: Some(SecretKey(..))"));
            let is_of_key = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            prop_assert!(trimmed(&text).bytes().all(is_of_key));
        }
        if let Ok(config) = config().add_issuer(&text) {
            let issuer = text.strip_suffix('/').unwrap_or(&text);
            prop_assert_eq!(config.issuers(), ["https://a.b", issuer]);
            prop_assert!(issuer.contains("://") && !issuer.ends_with('/'));
        }
        prop_assert_eq!(config().audience([text.as_str()]).is_ok(), !text.is_empty());
        prop_assert_eq!(config().instance_name(text.as_str()).is_ok(), !text.is_empty());
        prop_assert!(config().api_url(&text).is_ok() || FrontendApi::parse(&text).is_err());
        if let Ok(proxied) = config().proxy_url(&text) {
            let api = FrontendApi::parse(&text).expect("the same");
            prop_assert_eq!(proxied.issuers()[0], api.as_str());
        }
    }
}

fn policies() -> Vec<String> {
    let policy = |export: &str, options: Value| {
        json!({
            "name": "clerk",
            "policyType": "clerk-jwt-auth-inbound",
            "handler": { "export": export, "module": "$import(@zuplo/runtime)", "options": options },
        })
    };
    let clerk = |url: &str| {
        let options = json!({ "allowUnauthenticatedRequests": true, "frontendApiUrl": url, "oAuthResourceMetadataEnabled": false });
        policy("ClerkJwtInboundPolicy", options)
    };
    let open_id = |issuer: &str, url: &str, audience: Value| {
        let options = json!({ "issuer": issuer, "jwkUrl": url, "audience": audience, "authHeader": "x-token" });
        policy("OpenIdJwtInboundPolicy", options)
    };
    let minimal = json!({ "issuer": "https://a.b", "jwkUrl": "https://c.d/jwks" });
    vec![
        clerk("https://clerk.example.com").to_string(),
        clerk("$env(CLERK_FRONTEND_API_URL)").to_string(),
        json!({ "policies": [clerk("https://clerk.example.com")], "corsPolicies": [] }).to_string(),
        json!({ "policies": [clerk("https://a.b"), { "name": "other", "policyType": "x" }] }).to_string(),
        policy("OpenIdJwtInboundPolicy", minimal).to_string(),
        open_id("https://a.b/", "http://127.0.0.1:8080/jwks", json!("api")).to_string(),
        open_id("https://$env(HOST)", "https://$env(HOST)/$env(HOST)", json!(["a", "$env(HOST)"])).to_string(),
    ]
}

/// What the options of a policy say, read again by another parser.
fn assert_options(options: &Value, policy: &GatewayPolicy) -> Outcome {
    let read = policy.options();
    let flag = |name: &str| options.get(name).is_some_and(|value| value == true);
    prop_assert_eq!(flag("allowUnauthenticatedRequests"), read.allow_unauthenticated_requests());
    prop_assert_eq!(flag("oAuthResourceMetadataEnabled"), read.oauth_resource_metadata_enabled());
    let config = ClerkConfig::from(policy);
    prop_assert_eq!(config.issuers(), [read.issuer()]);
    match (read.frontend_api(), read.jwks_url()) {
        (Some(api), None) => {
            assert_base_url(api)?;
            prop_assert_eq!(read.issuer(), api.as_str());
            prop_assert!(read.audience().is_empty());
        }
        (None, Some(url)) => {
            // Both come back as they are, and no text of the document is left in them but what was replaced.
            let again = ClerkConfig::from_issuer_and_jwks_url(read.issuer(), url).expect("the same");
            prop_assert_eq!(again.issuers(), [read.issuer()]);
            for text in [read.issuer(), url] {
                prop_assert!(text.starts_with("https://") || text.starts_with("http://"), "{}", text);
                prop_assert!(!text.contains("$env("), "{}", text);
            }
            let issuer = options["issuer"].as_str().expect("a string");
            prop_assert!(issuer.contains("$env(") || issuer == read.issuer());
            prop_assert_eq!(options.get("audience").is_some(), !read.audience().is_empty());
            prop_assert!(read.audience().iter().all(|audience| !audience.is_empty()));
            prop_assert!(options.get("secret").is_none() && options.get("headers").is_none());
        }
        other => prop_assert!(false, "{:?}", other),
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn a_policy_document_gives_a_policy_or_an_error(text in text_near(&policies())) {
        let variable = |name: &str| match name {
            "CLERK_FRONTEND_API_URL" => Some("https://from.env.example".to_owned()),
            "HOST" => Some("from.env.example".to_owned()),
            _ => None,
        };
        let policy = GatewayPolicy::from_json_with(&text, None, variable);
        if let Ok(policy) = &policy {
            let document: Value = serde_json::from_str(&text).expect("JSON");
            let read = document["policies"].get(0).unwrap_or(&document);
            prop_assert_eq!(read["name"].as_str(), Some(policy.name()));
            let known = GatewayPolicy::known_options(read["handler"]["export"].as_str().expect("a string"));
            let known = known.expect("a supported export");
            let options = read["handler"]["options"].as_object().expect("an object");
            prop_assert!(options.keys().all(|name| known.contains(&name.as_str())));
            assert_options(&read["handler"]["options"], policy)?;
            // Alone, the policy is read in the same way.
            let alone = GatewayPolicy::from_policy_json(&read.to_string(), variable);
            prop_assert_eq!(&alone.expect("the same"), policy);
        }
        // The first of all errors is the one that the other constructors return.
        match (GatewayPolicy::from_policy_json(&text, variable), &policy) {
            (Ok(alone), policy) => prop_assert_eq!(Some(&alone), policy.as_ref().ok()),
            (Err(errors), Err(first)) => {
                let is_list = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.get("policies").is_some());
                let error = errors.iter().next().expect("an error");
                let is_object = !matches!(error, ConfigError::Invalid { setting, .. } if setting.name() == "policy");
                prop_assert!(is_list || !is_object || error.to_string() == first.to_string());
            }
            (Err(errors), Ok(_)) => prop_assert!(text.contains("policies"), "{:?}", errors),
        }
        let named = GatewayPolicy::from_json_named(&text, "clerk");
        prop_assert!(named.is_err() || named.is_ok_and(|policy| policy.name() == "clerk"));
    }

    #[test]
    fn an_issuer_and_a_url_of_keys_are_kept_or_rejected(
        issuer in text_near(&urls()),
        url in text_near(&texts(&["https://a.b/.well-known/jwks.json", "http://[::1]:80/jwks/", "c.d/jwks", "a.b/?x"])),
    ) {
        if let Ok(config) = ClerkConfig::from_issuer_and_jwks_url(&issuer, &url) {
            prop_assert_eq!(config.issuers(), [issuer.as_str()]);
            prop_assert!(issuer.starts_with("https://") || issuer.starts_with("http://"));
            prop_assert!(issuer.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
