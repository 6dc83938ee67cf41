use std::sync::OnceLock;

use proptest::{
    prelude::ProptestConfig,
    test_runner::{RngSeed, TestCaseError},
};
use tower_clerk::{
    Verifier,
    claims::Claims,
    testing::{ManualClock, TestIssuer, TokenBuilder},
    verify::VerifyErrorKind,
};

/// One issuer for all tests, whose clock never moves.
pub(crate) fn issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(|| TestIssuer::new().clock(ManualClock::new()))
}

/// One verifier of the issuer's tokens for all tests.
pub(crate) fn verifier() -> &'static Verifier {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    VERIFIER.get_or_init(|| {
        Verifier::builder(issuer().config()).clock(ManualClock::new()).build().expect("a configuration that is good")
    })
}

pub(crate) fn verify(token: &str) -> Result<Claims, VerifyErrorKind> {
    verifier().try_verify(token).map_err(|error| error.kind())
}

/// A token with something in every claim that has an accessor.
pub(crate) fn token() -> TokenBuilder {
    issuer()
        .token("user_ada")
        .organization("org_acme", "admin")
        .organization_slug("acme-\u{e9}-\u{1f980}")
        .permission("invoices", "create")
        .permission("invoices", "read")
        .permission("teams", "read")
        .feature("u:beta")
        .plan("o:business")
        .claim("fva", [5, -1])
        .claim("sts", "active")
        .claim("act", serde_json::json!({ "iss": "https://x.example", "sid": "sess_root", "sub": "user_root" }))
        .claim("note", "a \"quoted\" \\ line\nand /\u{1f600}\u{7f}\u{10ffff}")
}

/// One good token for all tests.
pub(crate) fn good_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| token().sign())
}

/// The header of a good token.
pub(crate) fn header() -> String {
    format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{}"}}"#, issuer().kid())
}

/// The payload with one member more, its value as it is written here.
pub(crate) fn with_member(payload: &str, name: &str, value: &str) -> String {
    format!("{},\"{name}\":{value}}}", payload.strip_suffix('}').expect("an object"))
}

/// What every accessor says.
pub(crate) fn summary(claims: &Claims) -> String {
    let organization = claims
        .organization()
        .map(|organization| (organization.id(), organization.slug(), organization.role(), organization.permissions()));
    let actor =
        claims.actor().map(|actor| (actor.user_id(), actor.session_id(), actor.issuer(), actor.kind().unwrap_or("-")));
    let features: Vec<String> = claims.features().map(|feature| feature.to_string()).collect();
    let plans: Vec<String> = claims.plans().map(|plan| plan.to_string()).collect();
    let times = (claims.expires_at(), claims.issued_at(), claims.not_before());
    let ages = (claims.first_factor_age(), claims.second_factor_age());
    let ids = (claims.user_id(), claims.session_id(), claims.issuer(), claims.authorized_party(), claims.jwt_id());
    let status = (claims.version(), claims.session_status());
    let custom = claims.custom::<serde_json::Value>();
    format!("{ids:?} {organization:?} {actor:?} {features:?} {plans:?} {times:?} {ages:?} {status:?} {custom:?}")
}

/// The same cases in every run, unless the environment says otherwise.
pub(crate) fn cases(count: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(7519),
        chosen @ RngSeed::Fixed(_) => chosen,
    };
    ProptestConfig { cases: config.cases.max(count), failure_persistence: None, rng_seed, ..config }
}

pub(crate) type Outcome = Result<(), TestCaseError>;
