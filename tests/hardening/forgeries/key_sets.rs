//! Key sets with unusable members.

use serde_json::Value;
use tower_clerk::{
    ClerkConfig, Verifier,
    jwks::FetchErrorKind,
    testing::ManualClock,
    verify::{
        Instance,
        VerifyErrorKind::{InvalidSignature, KeysUnavailable, UnknownKey},
    },
};

use super::{
    forge::{ISSUER, KID, certificate, encode, good, header, payload, stranger, trusted, vectors, with, without},
    table::{Class, Row, rows as table, verifier_of},
    targets::Targets,
    unusable_keys::{of_stranger, unusable_members},
};
use crate::support::{GatedSource, Reply};

pub(crate) fn rows() -> Vec<Row> {
    let attacks = unusable_members().into_iter().map(|unusable| (unusable.case, unusable.forged, unusable.rejected));
    table(Class::BadKeys, &good(), attacks)
}

#[tokio::test]
async fn unusable_members_of_a_set_are_ignored() {
    let members = unusable_members().into_iter().map(|unusable| unusable.member);
    let set = set_of(members.chain([trusted().jwk(KID).to_string()]));
    Targets::start(&set).await.check(&rows()).await;
}

#[test]
fn an_unusable_member_with_the_trusted_kid_is_ignored() {
    let forged = stranger().sign(&header(), &payload());
    for unusable in unusable_members() {
        let member = unusable.member.replace("ins_odd", KID);
        for set in [[member.clone(), trusted_member()], [trusted_member(), member]] {
            let verifier = verifier_of(&set_of(set));
            assert!(verifier.try_verify(&good()).is_ok(), "{}", unusable.case);
            let error = verifier.try_verify(&forged).expect_err(&unusable.case);
            assert_eq!(error.kind(), InvalidSignature, "{}", unusable.case);
        }
    }
}

#[test]
fn valid_neighbours_of_unusable_members_are_keys() {
    let base = stranger().jwk("ins_odd");
    let legal = [
        base.clone(),
        without(base.clone(), "use"),
        without(base.clone(), "alg"),
        with(base.clone(), "key_ops", ["verify"]),
        with(base.clone(), "key_ops", ["sign", "verify"]),
        with(base.clone(), "n", encode([&[0, 0], stranger().modulus()].concat())),
        with(base.clone(), "e", "AAEAAQ"),
        with(with(base.clone(), "d", "AQAB"), "p", "AQAB"),
        with(base.clone(), "x5c", [certificate()]),
        with(base, "x5u", "http://127.0.0.1:1/"),
    ];
    for member in legal {
        let verifier = verifier_of(&set_of([member.to_string(), trusted_member()]));
        assert!(verifier.try_verify(&of_stranger("ins_odd")).is_ok(), "{member}");
        assert!(verifier.try_verify(&good()).is_ok(), "{member}");
    }
}

#[tokio::test]
async fn a_set_of_unusable_members_never_replaces_a_good_one() {
    let source = GatedSource::serving(set_of([trusted_member()]));
    let config = ClerkConfig::from_frontend_api_url(ISSUER).expect("a configuration");
    let builder = Verifier::builder(Instance::new(config).key_source(source.clone())).clock(ManualClock::new());
    let verifier = builder.build().expect("a verifier");
    assert!(verifier.verify(&good()).await.is_ok());

    let weak = vectors("weak_keys").as_object().expect("a group").values().map(|weak| weak["jwk"].to_string());
    let members: Vec<String> = unusable_members().into_iter().map(|unusable| unusable.member).chain(weak).collect();
    let all = set_of(members.iter().cloned());
    let each = members.into_iter().map(|member| (set_of([member]), FetchErrorKind::NoUsableKey));
    let crowd = std::iter::repeat_n(of_modulus("ins_many", 0).to_string(), 1025);
    let others = [
        (all, FetchErrorKind::NoUsableKey),
        (set_of([]), FetchErrorKind::NoUsableKey),
        (set_of(crowd), FetchErrorKind::TooLarge),
        (format!("[{}]", trusted_member()), FetchErrorKind::InvalidDocument),
        (format!("{{\"keys\":{}}}", trusted_member()), FetchErrorKind::InvalidDocument),
        (trusted_member(), FetchErrorKind::InvalidDocument),
        (String::new(), FetchErrorKind::InvalidDocument),
    ];
    for (set, cause) in each.chain(others) {
        source.always(Reply::document(set));
        let error = verifier.refresh().await.expect_err("a failure");
        assert_eq!((error.kind(), error.fetch_error_kind()), (KeysUnavailable, Some(cause)));
        assert!(verifier.try_verify(&good()).is_ok());
        assert_eq!(verifier.keys_status().keys, 1);
    }

    source.always(Reply::document(set_of([stranger().jwk("ins_stranger").to_string()])));
    assert!(verifier.refresh().await.is_ok());
    assert!(verifier.try_verify(&of_stranger("ins_stranger")).is_ok());
    assert_eq!(verifier.verify(&good()).await.expect_err("replaced").kind(), UnknownKey);
}

#[test]
fn at_most_four_keys_with_one_kid_are_tried() {
    let forged = stranger().sign(&header(), &payload());
    let with_others = |count: u8, stranger_is_there: bool| {
        let others = (0..count).map(|seed| of_modulus(KID, seed).to_string());
        let last = stranger_is_there.then(|| stranger().jwk(KID).to_string());
        verifier_of(&set_of([trusted_member(), trusted_member()].into_iter().chain(others).chain(last)))
    };
    for (others, stranger_is_there, is_accepted) in
        [(0, false, false), (0, true, true), (2, true, true), (3, true, false)]
    {
        let verifier = with_others(others, stranger_is_there);
        assert!(verifier.try_verify(&good()).is_ok(), "{others}");
        assert_eq!(verifier.try_verify(&forged).is_ok(), is_accepted, "{others}");
    }
}

#[test]
fn a_thousand_keys_are_distinguished() {
    let keys = (0..1000).map(|at| of_modulus(&format!("ins_{at}"), 0).to_string());
    let verifier = verifier_of(&set_of(keys.chain([trusted_member()])));
    assert!(verifier.try_verify(&good()).is_ok());
    for kid in ["ins_0", "ins_7", "ins_999"] {
        let token = trusted().sign(&with(header(), "kid", kid), &payload());
        assert_eq!(verifier.try_verify(&token).expect_err("rejected").kind(), InvalidSignature);
    }
    let token = trusted().sign(&with(header(), "kid", "ins_1000"), &payload());
    assert_eq!(verifier.try_verify(&token).expect_err("rejected").kind(), UnknownKey);
}

fn trusted_member() -> String {
    trusted().jwk(KID).to_string()
}

/// A public key without a known private key.
fn of_modulus(kid: &str, seed: u8) -> Value {
    let mut n = [0xa5; 256];
    n[1] = seed;
    with(trusted().jwk(kid), "n", encode(n))
}

fn set_of(members: impl IntoIterator<Item = String>) -> String {
    format!("{{\"keys\":[{}]}}", Vec::from_iter(members).join(","))
}
