//! A corpus of forgeries: for each class of attack on a JWT several tokens or requests, each beside its nearest legal
//! neighbour. All are tried on the verifier, on the layer in process and over sockets.
//!
//! The classes by number, as the modules have them:
//!
//! - 1 `alg` none, 2 of another type, 3 misspelt; 4 HMAC with the public key; 5 another algorithm than the key's;
//!   6 signatures that fit any key; 7 no signature or a changed one; 8 careless PKCS#1 padding; 9 weak and odd keys
//!   in the set
//! - 10 key material in the token; 11 addresses in it; 12 a `kid` that injects; 13 `crit`; 14 nested, compressed and
//!   encrypted tokens; 15 tokens of other kinds
//! - 16 duplicate members; 17 bad JSON; 18 bad UTF-8; 19 depth and size; 20 bad base64url; 21 times; 22 `iss`
//! - 23 header smuggling; 24 mutations

mod algorithms;
mod claims;
mod encoding;
mod forge;
mod hmac;
mod http2;
mod injection;
mod instances;
mod json;
mod key_sets;
mod kinds;
mod mutations;
mod odd_keys;
mod padding;
mod requests;
mod servers;
mod signatures;
mod smuggling;
mod support;
mod weak_keys;
mod world;

use std::collections::BTreeMap;

#[test]
fn every_class_has_several_cases() {
    let mut cases: BTreeMap<u8, usize> = BTreeMap::new();
    let rows = [
        algorithms::rows(),
        claims::rows(),
        encoding::rows(),
        hmac::rows(),
        injection::rows("127.0.0.1:1"),
        json::rows(),
        key_sets::rows(),
        kinds::rows(),
        mutations::rows(),
        padding::rows(),
        signatures::rows(),
        weak_keys::rows(),
    ];
    for row in rows.iter().flatten() {
        assert_ne!(row.attack, row.neighbour, "{}", row.case);
        *cases.entry(row.class).or_default() += 1;
    }
    *cases.entry(23).or_default() += smuggling::exchanges().len() + requests::exchanges().len();
    assert!((1..=24).all(|class| cases.get(&class).is_some_and(|count| *count >= 10)), "{cases:?}");
}
