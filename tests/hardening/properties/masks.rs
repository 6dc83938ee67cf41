use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
};
use serde_json::json;
use tower_clerk::claims::EntitlementScope;

use super::{cases, full_token, verify};

/// The bits of a decimal number, lowest first, by repeated halving of its digits.
fn bits(decimal: &str, count: usize) -> Vec<bool> {
    let mut digits: Vec<u8> = decimal.bytes().map(|digit| digit - b'0').collect();
    let mut bits = Vec::new();
    for _ in 0..count {
        bits.push(digits.last().is_some_and(|digit| digit % 2 == 1));
        let mut carried = 0;
        for digit in &mut digits {
            let value = carried * 10 + *digit;
            (*digit, carried) = (value / 2, value % 2);
        }
    }
    bits
}

fn is_number(mask: &str) -> bool {
    (1..=1024).contains(&mask.len()) && mask.chars().all(|digit| digit.is_ascii_digit())
}

fn mask() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<u64>().prop_map(|mask| mask.to_string()),
        2 => (0..128_u32, 0..3_u128).prop_map(|(bit, more)| ((1_u128 << bit) | more).to_string()),
        2 => (0..128_u32).prop_map(|bit| (u128::MAX >> bit).to_string()),
        2 => "[0-9]{1,80}",
        1 => "[0-9]{1000,1030}",
        1 => (0..1024_usize, 0..16_u8).prop_map(|(zeros, mask)| format!("{}{mask}", "0".repeat(zeros))),
        1 => "[-+]?[0-9]{0,3}[.eEx \u{0663}a]?[0-9]{0,3}",
        1 => Just(String::new()),
    ]
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn masks_grant_exactly_their_bits(masks in vec(mask(), 1..4), features in 1..4_usize, names in 1..160_usize) {
        let names: Vec<String> = (0..names).map(|index| format!("p{index}")).collect();
        let claim = |prefix: &str| (0..features).map(|index| format!("{prefix}{index}")).collect::<Vec<_>>();
        let organization = json!({ "id": "org_a", "rol": "admin", "per": names.join(","), "fpm": masks.join(",") });
        let token = full_token().claim("o", organization).claim("fea", claim("o:f").join(","));

        let mut expected = Vec::new();
        for (feature, mask) in claim("f").iter().zip(&masks) {
            let mask = mask.trim();
            let bits = if is_number(mask) { bits(mask, names.len()) } else { Vec::new() };
            let granted = names.iter().zip(bits).filter(|(_, is_set)| *is_set);
            expected.extend(granted.map(|(name, _)| format!("org:{feature}:{name}")));
        }
        let claims = verify(&token.sign()).expect("accepted");
        let permissions: Vec<&str> = claims.organization().expect("an organization").permissions().collect();
        prop_assert_eq!(permissions, expected);
    }

    #[test]
    fn arbitrary_entitlement_lists_grant_nothing_unlisted(
        fea in "([uox]{0,2}:?[a-c]?,? ?){0,6}", per in "([a-c]?,? ?){0,6}", fpm in "([0-9]{0,2},? ?){0,6}",
    ) {
        let organization = json!({ "id": "org_a", "per": per, "fpm": fpm });
        let claims = verify(&full_token().claim("o", organization).claim("fea", &fea).sign()).expect("accepted");
        for permission in claims.organization().expect("an organization").permissions() {
            let features = claims.features().filter(|feature| feature.scope() != EntitlementScope::User);
            let is_granted = features.flat_map(|feature| {
                let names = per.split(',').map(str::trim).filter(|name| !name.is_empty());
                names.map(move |name| format!("org:{}:{name}", feature.name()))
            });
            prop_assert!(is_granted.into_iter().any(|granted| granted == *permission), "{}", permission);
        }
    }
}
