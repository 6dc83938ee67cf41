//! What a [`Verifier`] costs compared with the raw verification of the signature, `ParsedPublicKey::verify_sig`: the
//! same signing input, the same key, the signature already decoded.
//!
//! ```text
//! cargo bench --bench verify
//! ```

#[allow(dead_code, unused_imports, reason = "a bench takes what it needs")]
mod support;

use std::slice::from_ref;

use tower_clerk::{Verifier, testing::TestIssuer, verify::VerifyErrorKind};

use self::support::{
    Case, Mark, Operation, Raw, Tokens, at_hand, fetched, in_turn, many, operation, ready, run, without_budget,
};

fn main() {
    let issuer = TestIssuer::new();
    let tokens = Tokens::new(&issuer);
    let live = many(&issuer, LIVE);
    let raw = Raw::new(&issuer);
    let (hot, bad) = (&tokens.usual, &tokens.bad);

    let remembering = ready(at_hand(&issuer));
    let remembering_fetched = ready(fetched(&issuer));
    let forgetful = ready(at_hand(&issuer).without_token_cache());
    let forgetful_fetched = ready(fetched(&issuer).without_token_cache());
    // So much smaller than the list that nearly every token has been evicted when its turn comes again.
    let full = ready(at_hand(&issuer).token_cache_entries(FULL).token_cache_bytes(1 << 20));
    let full_fetched = ready(fetched(&issuer).token_cache_entries(FULL).token_cache_bytes(1 << 20));
    let spent = without_budget(fetched(&issuer), &bad.kid);

    let hit = |name, verifier, tokens| Case {
        base: raw.verifies(hot, true),
        base_name: "raw, 1 KB",
        mark: Mark::Own(HIT),
        name,
        ours: verifies(verifier, tokens, Ok(())),
    };
    let turn = |name, verifier| Case {
        base: raw.verifies_in_turn(&live),
        base_name: "raw, in turn",
        ..hit(name, verifier, &live)
    };
    let first_sight = |name, verifier, tokens| Case { mark: Mark::Ratio(FIRST_SIGHT), ..hit(name, verifier, tokens) };
    let first_sights = |name, verifier| Case { mark: Mark::Ratio(FIRST_SIGHT_CACHED), ..turn(name, verifier) };
    let of_size = |name, base_name, tokens| Case {
        base: raw.verifies_first(tokens),
        base_name,
        ..first_sight(name, &forgetful, tokens)
    };
    let rejection = |name, verifier, token, kind| Case {
        mark: Mark::Own(REJECTION),
        ours: verifies(verifier, token, Err(kind)),
        ..hit(name, &forgetful, from_ref(hot))
    };
    let forged = |name, verifier| Case {
        base: raw.verifies(&bad.signature, false),
        base_name: "raw, bad signature",
        mark: Mark::Ratio(FIRST_SIGHT),
        ..rejection(name, verifier, from_ref(&bad.signature), VerifyErrorKind::InvalidSignature)
    };
    let malformed = |name, token| rejection(name, &remembering, from_ref(token), VerifyErrorKind::Malformed);
    let hot = from_ref(hot);
    let not_a_token = "not.a.token".to_owned();
    run(
        "verify",
        vec![
            hit("hit, one token", &remembering, hot),
            hit("hit, one token, keys fetched", &remembering_fetched, hot),
            turn("hit, 2 000 tokens in turn", &remembering),
            turn("hit, 2 000 tokens in turn, keys fetched", &remembering_fetched),
            first_sights("first sight, cache full", &full),
            first_sights("first sight, cache full, keys fetched", &full_fetched),
            first_sight("first sight, no cache", &forgetful, hot),
            first_sight("first sight, no cache, keys fetched", &forgetful_fetched, hot),
            of_size("small token, no cache", "raw, small", from_ref(&tokens.small)),
            of_size("8 KB token, no cache", "raw, 8 KB", from_ref(&tokens.large)),
            forged("bad signature", &remembering),
            forged("bad signature, keys fetched", &remembering_fetched),
            malformed("not a token", &not_a_token),
            malformed("malformed payload, 1 KB", &bad.malformed_payload),
            malformed("malformed signature, 1 KB", &bad.malformed_signature),
            malformed("duplicate member, 1 KB", &bad.duplicate),
            rejection("alg: none", &remembering, from_ref(&bad.algorithm), VerifyErrorKind::UnsupportedAlgorithm),
            rejection("unknown kid", &remembering, from_ref(&bad.kid), VerifyErrorKind::UnknownKey),
            rejection("unknown kid, budget spent", &spent, from_ref(&bad.kid), VerifyErrorKind::UnknownKey),
        ],
    );
}

/// Verifies the tokens in turn. Each must give `expected`.
fn verifies<'a>(
    verifier: &'a Verifier,
    tokens: &'a [String],
    expected: Result<(), VerifyErrorKind>,
) -> Box<dyn Operation + 'a> {
    for token in tokens {
        assert_eq!(verifier.try_verify(token).map(|_| ()).map_err(|error| error.kind()), expected);
    }
    operation(in_turn(tokens, String::as_bytes), |token| verifier.try_verify(token))
}

// Marks, set for a processor on which the raw verification takes 13 to 16 µs.
/// In nanoseconds: a digest of the signature takes 200 of them.
const HIT: f64 = 320.0;
/// Times the raw verification: what decoding and checking may add.
const FIRST_SIGHT: f64 = 1.12;
/// As [`FIRST_SIGHT`], with the insertion into a full cache.
const FIRST_SIGHT_CACHED: f64 = 1.15;
/// In nanoseconds: a forgery that needs no signature must cost far less than one that does.
const REJECTION: f64 = 1000.0;

const FULL: usize = 32;
const LIVE: u32 = 2000;
