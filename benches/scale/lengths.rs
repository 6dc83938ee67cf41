//! Longer and longer tokens.

use std::slice::from_ref;

use tower_clerk::testing::TestIssuer;

use super::{
    Size,
    support::{Tokens, medians},
    verifier, verifies,
};

pub(crate) fn table(issuer: &TestIssuer, tokens: &Tokens, size: &Size) {
    println!("\nbytes of the token          hit ns   first sight ns");
    let tokens = [&tokens.small, &tokens.usual, &tokens.large];
    let [hits, first_sights] = [true, false].map(|remembers| {
        let verifier = verifier(issuer.config(), remembers);
        medians(&mut tokens.map(|token| verifies(&verifier, from_ref(token))), size.rounds)
    });
    for ((token, hit), first_sight) in tokens.iter().zip(hits).zip(first_sights) {
        println!("{:>18} {hit:>15.0} {first_sight:>16.0}", token.len());
    }
}
