use tower_clerk::jwks::FetchErrorKind;

use super::instance::{document, is_a_failure, is_accepted, response};
use crate::support::{issuer, other_issuer};

#[tokio::test]
async fn html_is_a_failure() {
    let page = "<!DOCTYPE html><html><body>Please sign in to this network</body></html>";
    is_a_failure(response("200 OK", &[("Content-Type", "text/html")], page), FetchErrorKind::InvalidDocument).await;
    is_a_failure(document(page), FetchErrorKind::InvalidDocument).await;
}

#[tokio::test]
async fn no_body_is_a_failure() {
    is_a_failure(document(""), FetchErrorKind::InvalidDocument).await;
}

#[tokio::test]
async fn truncated_json_is_a_failure() {
    let jwks = other_issuer().jwks();
    for length in [1, jwks.len() / 2, jwks.len() - 2, jwks.len() - 1] {
        is_a_failure(document(jwks.get(..length).expect("ASCII")), FetchErrorKind::InvalidDocument).await;
    }
}

#[tokio::test]
async fn an_object_without_keys_is_a_failure() {
    for other in ["{}", "{\"error\":\"not found\"}", "{\"keys\":null}", "{\"keys\":{}}", "null", "[]", "\"keys\""] {
        is_a_failure(document(other), FetchErrorKind::InvalidDocument).await;
    }
}

#[tokio::test]
async fn an_empty_set_is_a_failure() {
    is_a_failure(document("{\"keys\":[]}"), FetchErrorKind::NoUsableKey).await;
}

#[tokio::test]
async fn a_set_without_a_usable_key_is_a_failure() {
    let encrypting = other_issuer().jwks().replace("\"sig\"", "\"enc\"");
    for other in [r#"{"keys":[{}]}"#, r#"{"keys":[{"kty":"oct","kid":"ins_test_1","k":"AAAA"}]}"#, &encrypting] {
        is_a_failure(document(other), FetchErrorKind::NoUsableKey).await;
    }
}

#[tokio::test]
async fn keys_outside_of_an_object_are_a_failure() {
    let jwks = other_issuer().jwks();
    let keys = jwks.strip_prefix("{\"keys\":").and_then(|rest| rest.strip_suffix('}')).expect("an array");
    for other in [keys.to_owned(), format!("[{keys}]"), format!("[{jwks}]")] {
        is_a_failure(document(&other), FetchErrorKind::InvalidDocument).await;
    }
}

#[tokio::test]
async fn more_than_one_set_is_a_failure() {
    let (own, other) = (issuer().jwks(), other_issuer().jwks());
    let members = |jwks: &str| jwks.trim_start_matches('{').trim_end_matches('}').to_owned();
    let repeated = format!("{{{},{}}}", members(&own), members(&other));
    for text in [format!("{own}{other}"), format!("{own}\n{other}"), format!("{own} x"), repeated] {
        is_a_failure(document(&text), FetchErrorKind::InvalidDocument).await;
    }
}

#[tokio::test]
async fn garbage_is_a_failure() {
    let jwks = other_issuer().jwks();
    let utf_16: Vec<u8> = jwks.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let latin_1 = [b"{\"by\":\"Andr\xe9\",", jwks.trim_start_matches('{').as_bytes()].concat();
    let any: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for body in [utf_16, latin_1, any, vec![0; 100]] {
        is_a_failure(response("200 OK", &[], body), FetchErrorKind::InvalidDocument).await;
    }
}

#[tokio::test]
async fn the_content_type_is_ignored() {
    let jwks = issuer().jwks();
    for media_type in ["text/html", "application/jwk-set+json", "image/png", "nonsense", ""] {
        is_accepted(response("200 OK", &[("Content-Type", media_type)], &jwks)).await;
    }
    is_accepted(response("200 OK", &[], &jwks)).await;
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    is_accepted(document(&format!("\u{feff}{}", issuer().jwks()))).await;
}

#[tokio::test]
async fn caching_and_refresh_headers_are_ignored() {
    let headers = [
        ("Cache-Control", "no-store, max-age=0"),
        ("Expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Retry-After", "3600"),
        ("Set-Cookie", "a=b"),
        ("Refresh", "0; url=http://127.0.0.1:9/"),
        ("Alt-Svc", "h2=\"127.0.0.1:9\"; persist=1"),
    ];
    is_accepted(response("200 OK", &headers, issuer().jwks())).await;
}
