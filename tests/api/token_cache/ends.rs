//! Tokens with one place in the cache, because their signatures end alike or are alike. The keys are made for them.

use std::slice;

use serde_json::json;
use tower_clerk::{
    ClerkConfig, Verifier,
    claims::Claims,
    testing::ManualClock,
    verify::VerifyErrorKind::{Expired, InvalidSignature},
};

use super::{
    cached::{END, is_hit},
    entries,
    made::Made,
};
use crate::support::{self, issuer, kind_of, secs, token};

fn config(tokens: &[Made], issuer: &str) -> ClerkConfig {
    let keys: Vec<_> = tokens.iter().map(|made| &made.jwk).collect();
    let config = ClerkConfig::from_jwks(json!({ "keys": keys }).to_string());
    config.and_then(|config| config.add_issuer(issuer)).expect("a configuration")
}

fn verifier(tokens: &[Made]) -> Verifier {
    support::verifier(config(tokens, issuer().url()))
}

/// Verifies a token twice. The second time is a hit.
#[track_caller]
fn cache(verifier: &Verifier, made: &Made) -> Claims {
    let [first, second] = [(); 2].map(|()| verifier.try_verify(&made.token).expect("a valid token"));
    assert!(is_hit(&first, &second));
    first
}

/// Tokens of two users, whose signatures end alike, or are alike.
fn pair(are_alike: bool) -> [Made; 2] {
    let [ada, bob] = [token(), token().claim("sub", "user_bob")];
    let pair = [Made::new(&ada, "ins_a", 0), Made::new(&bob, "ins_b", u8::from(!are_alike))];
    let [a, b] = pair.each_ref().map(Made::signature);
    assert_eq!((a == b, &a[a.len() - END..]), (are_alike, &b[b.len() - END..]));
    pair
}

#[test]
fn tokens_whose_signatures_end_alike_keep_their_own_claims() {
    for are_alike in [false, true] {
        let pair = pair(are_alike);
        let verifier = verifier(&pair);
        for _ in 0..3 {
            for (made, user) in pair.iter().zip(["user_ada", "user_bob"]) {
                assert_eq!(cache(&verifier, made).user_id(), user);
                // They have one place, which the later one takes.
                assert_eq!(entries(&verifier), 1);
            }
        }
    }
}

#[test]
fn a_signature_that_ends_like_that_of_a_cached_token_is_verified() {
    let pair = pair(false);
    let [[a, b], [signature_a, signature_b]] = [
        pair.each_ref().map(|made| made.token.rsplit_once('.').expect("a token").0),
        pair.each_ref().map(Made::signature),
    ];
    for made in &pair {
        let verifier = verifier(&pair);
        let first = cache(&verifier, made);
        for text in [format!("{a}.{signature_b}"), format!("{b}.{signature_a}")] {
            assert_eq!(kind_of(verifier.try_verify(&text)), Err(InvalidSignature));
            let later = verifier.try_verify(&made.token).expect("a valid token");
            assert!(is_hit(&first, &later) && entries(&verifier) == 1);
        }
    }
}

/// Header and payload are those of the cached token, and the end of the signature is too.
#[test]
fn the_signature_by_a_key_that_is_not_in_the_set_is_rejected() {
    let [known, unknown] = [0, 1].map(|root| Made::new(&token(), "ins_a", root));
    let [(input, _), (same, _)] = [&known, &unknown].map(|made| made.token.rsplit_once('.').expect("a token"));
    assert_eq!(input, same);
    let one = verifier(slice::from_ref(&known));
    let first = cache(&one, &known);
    assert_eq!(kind_of(one.try_verify(&unknown.token)), Err(InvalidSignature));
    assert!(is_hit(&first, &one.try_verify(&known.token).expect("a valid token")));
    // With both keys in the set, under one `kid`, both tokens are valid.
    let pair = [known, unknown];
    let both = verifier(&pair);
    pair.iter().for_each(|made| drop(cache(&both, made)));
}

#[test]
fn tokens_of_two_instances_with_one_signature_keep_their_own_issuer() {
    let issuers = ["https://clerk.a.example", "https://clerk.b.example"];
    let made = issuers.map(|issuer| Made::new(&token().claim("iss", issuer), "ins_a", 0));
    assert_eq!(made[0].signature(), made[1].signature());
    let [a, b] = [0, 1].map(|index| config(&made[index..=index], issuers[index]));
    let verifier = Verifier::builder(a).instance(b).clock(ManualClock::new()).build().expect("a verifier");
    for _ in 0..3 {
        for (made, issuer) in made.iter().zip(issuers) {
            assert_eq!(cache(&verifier, made).issuer(), issuer);
        }
    }
}

#[test]
fn an_expired_token_does_not_drop_the_entry_in_its_place() {
    let long = token().claim("sub", "user_bob").lifetime(secs(3600));
    for root in [0, 1] {
        let pair = [Made::new(&token(), "ins_a", 0), Made::new(&long, "ins_b", root)];
        let clock = ManualClock::new();
        let builder = Verifier::builder(config(&pair, issuer().url())).clock(clock.clone());
        let verifier = builder.build().expect("a verifier");
        cache(&verifier, &pair[0]);
        let first = cache(&verifier, &pair[1]);
        clock.advance(secs(66));
        assert_eq!(kind_of(verifier.try_verify(&pair[0].token)), Err(Expired));
        let later = verifier.try_verify(&pair[1].token).expect("a valid token");
        assert!(is_hit(&first, &later) && entries(&verifier) == 1);
    }
}
