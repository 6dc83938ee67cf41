//! More and more keys in the set.

use std::slice::from_ref;

use serde_json::{Value, json};
use tower_clerk::{ClerkConfig, testing::TestIssuer};

use super::{
    Size,
    support::{Tokens, medians},
    verifier, verifies,
};

/// The keys differ only in their `kid`, by which a key is looked up. Generating a thousand keys would take minutes.
pub(crate) fn table(issuer: &TestIssuer, tokens: &Tokens, size: &Size) {
    println!("\nkeys in the set             hit ns   first sight ns");
    let counts = [1, 10, 100, 1000];
    let configs = counts.map(|count| {
        let document: Value = serde_json::from_str(&issuer.jwks()).expect("a JWKS");
        let others = (1..count).map(|number| {
            let mut key = document["keys"][0].clone();
            key["kid"] = json!(format!("ins_other_{number}"));
            key
        });
        let keys: Vec<Value> = others.chain([document["keys"][0].clone()]).collect();
        let config = ClerkConfig::from_jwks(json!({ "keys": keys }).to_string());
        config.and_then(|config| config.add_issuer(issuer.url())).expect("a configuration")
    });
    let hot = from_ref(&tokens.usual);
    let [hits, first_sights] = [true, false].map(|remembers| {
        let verifiers = configs.clone().map(|config| verifier(config, remembers));
        medians(&mut verifiers.each_ref().map(|verifier| verifies(verifier, hot)), size.rounds)
    });
    for ((count, hit), first_sight) in counts.iter().zip(hits).zip(first_sights) {
        println!("{count:>15} {hit:>18.0} {first_sight:>16.0}");
    }
}
