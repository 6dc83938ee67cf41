//! A corpus of forgeries. Each class of attack on a JWT has several tokens or requests, each beside its nearest valid
//! neighbour. All are tried on the verifier, on the layer in process, and over sockets. [`table::Class`] lists the
//! classes.

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
mod mutations;
mod padding;
mod requests;
mod servers;
mod signatures;
mod smuggling;
mod table;
mod targets;
mod token_kinds;
mod unusable_keys;
mod weak_keys;

use std::collections::HashMap;

use self::table::Class;

#[test]
fn every_class_has_several_cases() {
    let mut cases: HashMap<Class, usize> = HashMap::new();
    let rows = [
        algorithms::rows(),
        claims::rows(),
        encoding::rows(),
        hmac::rows(),
        injection::rows("127.0.0.1:1"),
        json::rows(),
        key_sets::rows(),
        token_kinds::rows(),
        mutations::rows(),
        padding::rows(),
        signatures::rows(),
        weak_keys::rows(),
    ];
    for row in rows.iter().flatten() {
        assert_ne!(row.attack, row.neighbour, "{}", row.case);
        *cases.entry(row.class).or_default() += 1;
    }
    *cases.entry(Class::RequestSmuggling).or_default() += smuggling::exchanges().len() + requests::exchanges().len();
    assert!(Class::ALL.iter().all(|class| cases.get(class).is_some_and(|count| *count >= 10)), "{cases:?}");
}
