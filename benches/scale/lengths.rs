//! Longer and longer tokens.

use std::slice::from_ref;

use tower_clerk::{Verifier, testing::TestIssuer};

use super::{
    Size,
    support::{Tokens, medians, ready},
    verifies,
};

pub(crate) fn table(issuer: &TestIssuer, tokens: &Tokens, size: &Size) {
    println!("\nbytes of the token          hit ns   first sight ns");
    let tokens = [&tokens.small, &tokens.usual, &tokens.large];
    let [hits, first_sights] = [true, false].map(|remembers| {
        // A cache that no thread has tokens beside: there a long token would take another path.
        let builder = Verifier::builder(issuer.config()).token_cache_entries(if remembers { 100 } else { 0 });
        let verifier = ready(builder);
        medians(&mut tokens.map(|token| verifies(&verifier, from_ref(token))), size.rounds)
    });
    for ((token, hit), first_sight) in tokens.iter().zip(hits).zip(first_sights) {
        println!("{:>18} {hit:>15.0} {first_sight:>16.0}", token.len());
    }
}
