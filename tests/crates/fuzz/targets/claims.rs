//! A payload, signed by a key that is generated at the start, and all accessors of its claims.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use tower_clerk::{
    Verifier,
    testing::{ManualClock, TestIssuer},
};
use tower_clerk_fuzz::{ISSUER, PARTY, read_all};

struct Signer {
    header: String,
    issuer: TestIssuer,
    verifier: Verifier,
}

fn signer() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(|| {
        let issuer = TestIssuer::new();
        let config = issuer.config().authorized_parties([PARTY]).expect("a party");
        let verifier = Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier");
        Signer { header: format!(r#"{{"alg":"RS256","kid":"{}"}}"#, issuer.kid()), issuer, verifier }
    })
}

fuzz_target!(|payload: &str| -> Corpus {
    let Signer { header, issuer, verifier } = signer();
    let Ok(claims) = verifier.try_verify(&issuer.sign(header, payload)) else { return Corpus::Keep };
    assert_eq!(claims.as_json(), payload);
    assert!(read_all(&claims) > 0);

    // Another parser may reject unread members, but must not read anything else.
    let Ok(read) = claims.custom::<Value>() else { return Corpus::Keep };
    assert_eq!(read["sub"].as_str(), Some(claims.user_id()));
    assert_eq!(read["sid"].as_str(), claims.session_id());
    assert_eq!(read["iss"].as_str(), Some(ISSUER));
    assert_eq!(read["azp"].as_str(), Some(PARTY));
    assert!(read["exp"].as_f64().is_some_and(|exp| exp > 1_799_999_994.9));
    for name in ["nbf", "iat"] {
        assert!(read.get(name).is_none_or(|time| time.as_f64().is_some_and(|time| time < 1_800_000_005.1)));
    }
    assert!(read.get("act").is_none_or(|act| act["sub"].as_str() == claims.actor().map(|actor| actor.user_id())));
    assert_ne!(read["sts"], "pending");
    if let Some(organization) = claims.organization() {
        let id = if claims.version() == Some(2) { &read["o"]["id"] } else { &read["org_id"] };
        assert_eq!(id.as_str(), Some(organization.id()));
        assert!(
            organization
                .permissions()
                .all(|permission| claims.version() == Some(1) || permission.starts_with("org:"))
        );
    }
    Corpus::Keep
});
