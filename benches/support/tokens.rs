use std::{thread, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::json;
use tower_clerk::{
    Verifier,
    jwks::FetchError,
    testing::{ManualClock, TestIssuer, TokenBuilder},
    verify::{Instance, VerifierBuilder, VerifyErrorKind},
};

/// Session tokens in the layout of version 2, valid for a day.
pub(crate) struct Tokens {
    /// Only the claims that every session token has.
    pub(crate) small: String,
    /// With an organization and a few custom claims: about 1 KB.
    pub(crate) usual: String,
    /// With much metadata: about 8 KB.
    pub(crate) large: String,
    /// Like the usual one, each invalid for another reason.
    pub(crate) bad: Bad,
}

pub(crate) struct Bad {
    pub(crate) algorithm: String,
    /// The payload has a duplicate member, which is the last check that makes a token malformed.
    pub(crate) duplicate: String,
    pub(crate) kid: String,
    /// The first character of its payload is not base64url. It ends like the usual one, in case a cache compares ends.
    pub(crate) malformed_payload: String,
    /// The first character of its signature is not base64url. It ends like the usual one too.
    pub(crate) malformed_signature: String,
    pub(crate) signature: String,
}

impl Tokens {
    pub(crate) fn new(issuer: &TestIssuer) -> Self {
        let notes: Vec<String> =
            (0..60).map(|at| format!("{at:03} {}", "lorem ipsum dolor sit amet ".repeat(3))).collect();
        let small = small(issuer, 0).sign();
        let usual = usual(issuer, 0).sign();
        let large = self::usual(issuer, 0).claim("metadata", json!({ "notes": notes })).sign();
        for (token, lengths) in [(&small, 600..900), (&usual, 1000..1200), (&large, 7900..8500)] {
            assert!(lengths.contains(&token.len()), "{} is not within {lengths:?}", token.len());
        }
        Self { bad: Bad::new(issuer, &usual), large, small, usual }
    }
}

impl Bad {
    fn new(issuer: &TestIssuer, usual: &str) -> Self {
        let (message, signature) = usual.rsplit_once('.').expect("a token");
        let (header, payload) =
            message.split_once('.').map(|(header, payload)| (text(header), text(payload))).expect("a token");
        let kid = issuer.sign(&header.replace(&issuer.kid(), "ins_other"), &payload);
        let (_, other) = kid.rsplit_once('.').expect("a token");
        Self {
            algorithm: issuer.sign(&header.replace("RS256", "none"), &payload),
            duplicate: issuer
                .sign(&header, &format!(r#"{},"sub":""}}"#, payload.strip_suffix('}').expect("an object"))),
            malformed_payload: usual.replacen(".e", ".~", 1),
            malformed_signature: format!("{message}.~{}", signature.get(1..).expect("a signature")),
            signature: format!("{message}.{other}"),
            kid,
        }
    }
}

/// `count` tokens like the usual one, each of another session, signed on all cores.
pub(crate) fn many(issuer: &TestIssuer, count: u32) -> Vec<String> {
    on_all_cores(count, |number| usual(issuer, number).sign())
}

/// The tokens of the numbers from 1 to `count`, made on all cores.
pub(crate) fn on_all_cores(count: u32, token: impl Fn(u32) -> String + Sync) -> Vec<String> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let numbers: Vec<u32> = (1..=count).collect();
    let token = &token;
    thread::scope(|scope| {
        let shares = numbers.chunks(numbers.len().div_ceil(threads).max(1));
        let making: Vec<_> = shares
            .map(|share| scope.spawn(move || share.iter().map(|number| token(*number)).collect::<Vec<_>>()))
            .collect();
        making.into_iter().flat_map(|share| share.join().expect("tokens")).collect()
    })
}

fn small(issuer: &TestIssuer, number: u32) -> TokenBuilder {
    issuer
        .token("user_2mXv4Q1zB7cN9dK3fG6hJ8lP0rT")
        .session_id(&format!("sess_2mXv5R8yA4eM6bL1gH3k{number:07}"))
        .claim("jti", "5b1f7c2e9a3d4806b7e1")
        .lifetime(Duration::from_secs(24 * 60 * 60))
}

/// A token like [`Tokens::usual`], of the session with this number.
pub(crate) fn usual(issuer: &TestIssuer, number: u32) -> TokenBuilder {
    small(issuer, number)
        .organization("org_2mXv6T3xC8fP5aJ2iE4kB9oU7vY", "admin")
        .organization_slug("acme")
        .permission("invoices", "read")
        .permission("invoices", "write")
        .permission("reports", "read")
        .feature("u:export")
        .plan("o:business")
        .claim("sts", "active")
        .claim("fva", [12, -1])
        .claim("email", "ada@acme.example")
        .claim("metadata", json!({ "onboarded": true, "locale": "en-GB" }))
}

fn text(segment: &str) -> String {
    let text = BASE64_URL_SAFE_NO_PAD.decode(segment).expect("base64url");
    String::from_utf8_lossy(&text).into_owned()
}

/// A verifier that is configured with the issuer's keys.
pub(crate) fn at_hand(issuer: &TestIssuer) -> VerifierBuilder {
    Verifier::builder(issuer.config())
}

/// A verifier that fetches the issuer's keys, from a source without a socket.
pub(crate) fn fetched(issuer: &TestIssuer) -> VerifierBuilder {
    let document = Bytes::from(issuer.jwks());
    Verifier::builder(Instance::new(issuer.config()).key_source(move || {
        let document = document.clone();
        async move { Ok::<_, FetchError>(document) }
    }))
}

/// The verifier with its keys in memory.
pub(crate) fn ready(builder: VerifierBuilder) -> Verifier {
    let verifier = builder.build().expect("a verifier");
    runtime().block_on(verifier.warm_up()).expect("keys");
    verifier
}

/// The verifier after tokens like this one have spent its budget of fetches for unknown keys. Its clock does not
/// advance, so the budget stays empty.
pub(crate) fn without_budget(builder: VerifierBuilder, token: &str) -> Verifier {
    let verifier = ready(builder.clock(ManualClock::new()));
    let kinds = (0..3).map(|_| runtime().block_on(verifier.verify(token)).map_err(|error| error.kind()));
    assert!(kinds.into_iter().all(|kind| kind.is_err_and(|kind| kind == VerifyErrorKind::UnknownKey)));
    verifier
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}
