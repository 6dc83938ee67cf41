//! What the fuzz targets share: a public key and the tokens that it verifies.
//!
//! The private key no longer exists, so any other token that is accepted is a finding.

use std::sync::OnceLock;

use gateway::Fault;
use tower_clerk::{ClerkConfig, Verifier, claims::Claims, testing::ManualClock};

/// The key as a JWKS.
pub const JWKS: &str = include_str!("../seeds/jwks/issuer.json");

/// The valid tokens: they expire in 2100, and the clock stands still in 2027.
pub const TOKENS: [&str; 3] = [
    include_str!("../seeds/compact/good_v1"),
    include_str!("../seeds/compact/good_v2"),
    include_str!("../seeds/compact/good_impersonation"),
];

pub const ISSUER: &str = "https://clerk.test.example";
pub const PARTY: &str = "https://app.test.example";

/// Trusts the key and, in cookies, the one party of the tokens.
pub fn verifier() -> &'static Verifier {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    VERIFIER.get_or_init(|| {
        let config = ClerkConfig::from_jwks(JWKS)
            .and_then(|config| config.add_issuer(ISSUER))
            .and_then(|config| config.authorized_parties([PARTY]));
        Verifier::builder(config.expect("a configuration")).clock(ManualClock::new()).build().expect("a verifier")
    })
}

/// The environment of the gateway's documents.
pub fn variable(name: &str) -> Option<String> {
    (!name.starts_with("NOT_SET")).then(|| "https://from.env.example".to_owned())
}

/// Whether the text of a fault, or warning, of the gateway's documents is a single line for a terminal.
pub fn is_one_line(fault: &Fault) -> bool {
    !fault.reason.is_empty() && !fault.to_string().contains(char::is_control)
}

/// Calls every accessor, and returns a number that depends on all results.
pub fn read_all(claims: &Claims) -> usize {
    let organization = claims.organization();
    let actor = claims.actor();
    let texts = [
        Some(claims.user_id()),
        Some(claims.issuer()),
        claims.session_id(),
        claims.authorized_party(),
        claims.jwt_id(),
        claims.session_status(),
        actor.map(|actor| actor.user_id()),
        actor.and_then(|actor| actor.issuer()),
        actor.and_then(|actor| actor.session_id()),
        actor.and_then(|actor| actor.kind()),
        organization.map(|organization| organization.id()),
        organization.and_then(|organization| organization.slug()),
        organization.and_then(|organization| organization.role()),
    ];
    let times = [Some(claims.expires_at()), claims.issued_at(), claims.not_before()];
    let ages = [claims.first_factor_age(), claims.second_factor_age()];
    let entitlements = claims.features().chain(claims.plans()).map(|entitlement| entitlement.to_string().len());
    let permissions = organization.map_or(0, |organization| organization.permissions().count());
    texts.into_iter().flatten().map(str::len).sum::<usize>()
        + times.into_iter().flatten().count()
        + ages.into_iter().flatten().count()
        + entitlements.sum::<usize>()
        + permissions
        + usize::from(claims.version().unwrap_or_default())
        + format!("{claims:?} {organization:?} {actor:?}").len()
}
