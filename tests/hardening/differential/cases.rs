use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use proptest::{
    prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof},
    sample::{Index, select, subsequence},
};

use super::oracle::{HOUR, issuer};

/// The members of one JSON object in order, with names and values as JSON text.
type Members = Vec<(String, String)>;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) algorithm: Algorithm,
    damage: Damage,
    header: Members,
    payload: Members,
    white_space: &'static str,
}

/// A change of a token after it was signed.
#[derive(Clone, Debug)]
enum Damage {
    None,
    /// The signature of a token with another payload.
    ForeignSignature,
    Changed(Index, char),
    Cut(Index),
    Padded,
    /// Header and payload encoded again with an additional space.
    Respelled,
    TwiceSigned,
    Unsigned,
}

impl Case {
    fn text(&self, members: &Members) -> String {
        let space = self.white_space;
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{space}{name}{space}:{space}{value}{space}")).collect();
        format!("{space}{{{space}{}}}{space}", members.join(","))
    }

    pub(crate) fn token(&self) -> String {
        let (header, payload) = (self.text(&self.header), self.text(&self.payload));
        let token = issuer().sign(&header, &payload);
        let (message, signature) = token.rsplit_once('.').expect("a signature");
        match &self.damage {
            Damage::None => token,
            Damage::ForeignSignature => {
                let other = issuer().sign(&header, &format!("{payload} "));
                format!("{message}.{}", other.rsplit_once('.').expect("a signature").1)
            }
            Damage::Changed(at, changed) => {
                let mut characters: Vec<char> = token.chars().collect();
                let at = at.index(characters.len());
                characters[at] = *changed;
                characters.into_iter().collect()
            }
            Damage::Cut(at) => token.split_at(at.index(token.len())).0.to_owned(),
            Damage::Padded => format!("{token}="),
            Damage::Respelled => {
                let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(format!("{text} "));
                format!("{}.{}.{signature}", encode(&header), encode(&payload))
            }
            Damage::TwiceSigned => format!("{token}.{signature}"),
            Damage::Unsigned => format!("{message}."),
        }
    }
}

/// A member that usually has a valid value, and sometimes an invalid one or none.
fn member<G: AsRef<str>, B: AsRef<str>>(
    name: &'static str,
    good: &[G],
    bad: &[B],
    may_be_absent: bool,
) -> BoxedStrategy<Option<(String, String)>> {
    let good: Vec<String> = good.iter().map(|value| value.as_ref().to_owned()).collect();
    let bad: Vec<String> = bad.iter().map(|value| value.as_ref().to_owned()).collect();
    let value = prop_oneof![30 => select(good), 1 => select(bad)];
    let absent = if may_be_absent { 15 } else { 1 };
    let escaped = format!("\"\\u{:04x}{}\"", u32::from(name.as_bytes()[0]), &name[1..]);
    let name = prop_oneof![9 => Just(format!("\"{name}\"")), 1 => Just(escaped)];
    prop_oneof![30 => (name, value).prop_map(Some), absent => Just(None)].boxed()
}

/// The present members in any order. One in forty objects has a duplicate.
fn object(members: Vec<BoxedStrategy<Option<(String, String)>>>) -> impl Strategy<Value = Members> {
    let members = members.prop_map(|members| members.into_iter().flatten().collect::<Members>()).prop_shuffle();
    (members, 0..40_u8, any::<Index>()).prop_map(|(mut members, repeats, which)| {
        if repeats == 0 && !members.is_empty() {
            members.push(members[which.index(members.len())].clone());
        }
        members
    })
}

fn header(algorithm: Algorithm) -> impl Strategy<Value = Members> {
    let [own, escaped] = [format!("\"{algorithm:?}\""), format!("\"{algorithm:?}\"").replace('S', "\\u0053")];
    let kid = format!("\"{}\"", issuer().kid());
    let any_value = ["7", "null", "\"x\"", "[[{\"y\":1}],\"\\ud83e\\udd80\"]", "{\"a\":1,\"b\":{}}", "false", "1.5e3"];
    let further = subsequence(
        vec![
            ("oiat", "1"),
            ("b64", "true"),
            ("cty", "\"JWT\""),
            ("jku", "\"https://evil.example\""),
            ("jwk", r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#),
            ("x5c", "[\"AAAA\"]"),
            ("x5u", "null"),
            ("enc", "\"A128GCM\""),
        ],
        0..3,
    );
    let alg = [
        "\"RS256\"",
        "\"RS384\"",
        "\"RS512\"",
        "\"none\"",
        "\"HS256\"",
        "\"PS256\"",
        "\"ES256\"",
        "\"rs256\"",
        "\"RS256 \"",
        "null",
        "7",
        "[\"RS256\"]",
    ];
    let crit = [("\"crit\"", "[\"exp\"]"), ("\"crit\"", "null"), ("\"crit\"", "[]")];
    let crit = crit.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let members = object(vec![
        member("alg", &[&own, &own, &own, &escaped], &alg, false),
        member("typ", &["\"JWT\"", "\"\\u004aWT\""], &["\"jwt\"", "\"at+jwt\"", "null", "7"], true),
        member("kid", &[&kid], &["\"\"", "\"ins_other\"", "7", "null"], false),
        member("cat", &["\"cl_B7d4PD111AAA\""], &["\"cl_B7d4PD333AAA\"", "null"], true),
        member("x", &any_value, &["\"\\ud800\"", "01", "{\"a\":}"], true),
        prop_oneof![60 => Just(None), 1 => select(crit).prop_map(Some)].boxed(),
    ]);
    (members, further).prop_map(|(mut members, further)| {
        members.extend(further.iter().map(|(name, value)| (format!("\"{name}\""), (*value).to_owned())));
        members
    })
}

/// A time in several spellings, and other values.
fn spelled(time: u64, others: &[&str]) -> Vec<String> {
    let spellings = [format!("{time}"), format!("{time}.0"), format!("{time}.25"), format!("{time}000e-3")];
    spellings.into_iter().chain(others.iter().map(ToString::to_string)).collect()
}

fn payload(now: u64) -> impl Strategy<Value = Members> {
    let (iss, slash) = (format!("\"{}\"", issuer().url()), format!("\"{}/\"", issuer().url()));
    let begun = spelled(now - HOUR, &["0", "-0", "1e-3", "0.1e1"]);
    let issued = spelled(now - HOUR, &["0", "-0", "-1", "-8.64e12"]);
    let not_begun = spelled(now + HOUR, &["null", "\"0\"", "true", "1e400", "8640000000001"]);
    let exp = spelled(now + HOUR, &["8.64e12", "4102444800E0"]);
    let no_exp = spelled(now - HOUR, &["0", "-1", "null", "\"4102444800\"", "1e400", "8640000000001", "[]"]);
    let custom = [
        "null",
        "-0.0",
        "12345678901234567890123",
        "\"\\ud83e\\udd80 \\\"\\\\ \u{1f980}\"",
        "{\"a\":{\"a\":[1,{\"b\":null}]}}",
        "[1e300,1e-300]",
        "\"\"",
        "{\"a\":1,\"a\":2}",
    ];
    object(vec![
        member("iss", &[&iss], &["\"https://evil.example\"", &slash, "null", "7", "\"\""], false),
        member("sub", &["\"user_ada\"", "\"us\\u0065r_ad\\u00e9\""], &["\"\"", "\"mch_a\"", "null", "7"], false),
        member("sid", &["\"sess_a\""], &["\"\"", "null", "7"], false),
        member("exp", &exp, &no_exp, false),
        member("nbf", &begun, &not_begun, true),
        member("iat", &issued, &not_begun, true),
        member("azp", &["\"https://app.example.com\""], &["null", "7"], true),
        // `null` is the only value that both treat alike whether it is required or not; others are exceptions.
        member("aud", &["null"], &["null"], true),
        member("sts", &["\"active\"", "\"\""], &["\"pending\"", "null", "7"], true),
        member(
            "act",
            &["{\"sub\":\"user_root\"}"],
            &["null", "{}", "{\"sub\":7}", "{\"sub\":\"a\",\"sub\":\"b\"}"],
            true,
        ),
        member("o", &["{\"id\":\"org_a\",\"rol\":\"admin\"}", "7"], &["{\"id\":1,\"id\":2}"], true),
        member("v", &["2", "1", "\"2\""], &["null"], true),
        member("fva", &["[5,-1]", "[]", "7"], &["[1e99,0]"], true),
        member("custom", &custom, &["\"\\ud800\"", "[1,]", "1e400x"], true),
    ])
}

fn damage() -> impl Strategy<Value = Damage> {
    let characters: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain("-_.=+/ ".chars()).collect();
    prop_oneof![
        50 => Just(Damage::None),
        3 => (any::<Index>(), select(characters)).prop_map(|(at, changed)| Damage::Changed(at, changed)),
        1 => Just(Damage::ForeignSignature),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => Just(Damage::Padded),
        1 => Just(Damage::Respelled),
        1 => Just(Damage::TwiceSigned),
        1 => Just(Damage::Unsigned),
    ]
}

/// All times are an hour or more from `now`, so that the progress of the clock does not matter.
pub(crate) fn case(now: u64) -> impl Strategy<Value = Case> {
    let of = |algorithm| {
        let white_space = select(&["", "", " ", "\n\t"][..]);
        (damage(), header(algorithm), payload(now), white_space).prop_map(
            move |(damage, header, payload, white_space)| Case { algorithm, damage, header, payload, white_space },
        )
    };
    prop_oneof![4 => of(Algorithm::RS256), 1 => of(Algorithm::RS384), 1 => of(Algorithm::RS512)]
}
