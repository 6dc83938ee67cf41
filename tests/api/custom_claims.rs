//! Custom claims that do not fit their type: the error names the path and the expected type, and nothing of the token.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fmt,
    net::IpAddr,
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, Unexpected, Visitor},
};
use serde_json::{Value, json, value::RawValue};
use tower_clerk::{ClerkAuth, claims::CustomClaimsError};

use crate::support::{header, issuer, token, verifier, with_member};

#[derive(Debug, Deserialize)]
struct Custom<T> {
    #[serde(rename = "custom")]
    _value: T,
}

#[derive(Debug, Deserialize)]
struct Profile {
    #[serde(rename = "age")]
    _age: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

#[derive(Debug, Deserialize)]
struct Newtype(#[allow(dead_code, reason = "only deserialized")] u32);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Admin,
    Member(#[allow(dead_code, reason = "only deserialized")] u32),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Theme {
    Name(#[allow(dead_code, reason = "only deserialized")] String),
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Short;

impl TryFrom<String> for Short {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Err(format!("{text} is too long"))
    }
}

#[derive(Debug, Deserialize)]
struct With {
    #[serde(rename = "date", deserialize_with = "never")]
    _date: (),
}

fn never<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    let text = String::deserialize(deserializer)?;
    Err(D::Error::custom(format!("{text} is no date")))
}

/// Quotes the value in what it expects, once it has seen it.
#[derive(Debug)]
struct Quoting;

impl<'de> Deserialize<'de> for Quoting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quotes;

        impl Visitor<'_> for Quotes {
            type Value = Quoting;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a short text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quoting, E> {
                Err(E::invalid_value(Unexpected::Str(text), &format!("less than {text}").as_str()))
            }
        }
        deserializer.deserialize_str(Quotes)
    }
}

/// Fails to say what it expects.
#[derive(Debug)]
struct Speechless;

impl<'de> Deserialize<'de> for Speechless {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Silent;

        impl Visitor<'_> for Silent {
            type Value = Speechless;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("half a ")?;
                Err(fmt::Error)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Speechless, E> {
                Err(E::custom(text))
            }
        }
        deserializer.deserialize_str(Silent)
    }
}

#[derive(Debug, Deserialize)]
struct Flat<T> {
    #[serde(flatten)]
    _inner: T,
}

#[derive(Debug, Deserialize)]
struct Beside {
    #[serde(rename = "age")]
    _age: u32,
    #[serde(flatten)]
    _rest: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Person {
    #[serde(rename = "profile")]
    _profile: Profile,
}

fn error<T: DeserializeOwned + fmt::Debug>(custom: &Value) -> CustomClaimsError {
    let user = ClerkAuth::builder().claim("custom", custom).build();
    user.custom::<Custom<T>>().expect_err("it does not fit")
}

fn source<T: DeserializeOwned + fmt::Debug>(custom: &Value) -> String {
    error::<T>(custom).source().expect("a source").to_string()
}

fn fits<T: DeserializeOwned + fmt::Debug>(custom: &Value) -> bool {
    ClerkAuth::builder().claim("custom", custom).build().custom::<Custom<T>>().is_ok()
}

#[test]
fn the_source_names_the_path_and_the_expected_type() {
    assert_eq!(source::<u32>(&json!("hunter2")), "custom: expected u32");
    assert_eq!(source::<u32>(&json!({})), "custom: expected u32");
    assert_eq!(source::<u32>(&Value::Null), "custom: expected u32");
    assert_eq!(source::<bool>(&json!(1)), "custom: expected a boolean");
    assert_eq!(source::<f64>(&json!(true)), "custom: expected f64");
    assert_eq!(source::<String>(&json!(["hunter2"])), "custom: expected a string");
    assert_eq!(source::<Option<u8>>(&json!(300)), "custom: expected u8");
    assert_eq!(source::<Newtype>(&json!(-1)), "custom: expected u32");
    assert_eq!(source::<Vec<u32>>(&json!([1, 2, "hunter2"])), "custom[2]: expected u32");
    assert_eq!(source::<Vec<Profile>>(&json!([{ "age": 1 }, { "age": [] }])), "custom[1].age: expected u32");
    assert_eq!(source::<(u8, String)>(&json!([1, 2])), "custom[1]: expected a string");
    assert_eq!(source::<(u8, u8)>(&json!([1])), "custom: expected a tuple of size 2");
    assert_eq!(source::<Profile>(&json!({ "age": "hunter2" })), "custom.age: expected u32");
    assert_eq!(source::<Profile>(&json!(7)), "custom: expected struct Profile");
    assert_eq!(source::<Person>(&json!({ "profile": { "age": 1.5 } })), "custom.profile.age: expected u32");
    assert_eq!(source::<IpAddr>(&json!("hunter2")), "custom: expected IP address");
}

#[test]
fn missing_unknown_and_duplicate_fields_are_named_by_the_type_alone() {
    assert_eq!(source::<Profile>(&json!({ "Age": 1 })), "custom.age: missing field");
    assert_eq!(source::<Empty>(&json!({ "hunter2": 1 })), "custom: unknown field");
    let user = ClerkAuth::builder().build();
    let error = user.custom::<Custom<u8>>().expect_err("no custom claims");
    assert_eq!(error.source().expect("a source").to_string(), "custom: missing field");

    let token = issuer().sign(&header(), &with_member(&token().payload(), "custom", r#"{"age":1,"age":2}"#));
    let claims = verifier(issuer().config()).try_verify(&token).expect("a valid token");
    let error = claims.custom::<Custom<Profile>>().expect_err("a duplicate");
    assert_eq!(error.source().expect("a source").to_string(), "custom.age: duplicate field");
}

#[test]
fn a_key_of_a_map_is_shown_as_a_star() {
    assert_eq!(source::<HashMap<String, u32>>(&json!({ "hunter2": "x" })), "custom.*: expected u32");
    assert_eq!(
        source::<HashMap<String, Vec<u8>>>(&json!({ "a": [], "hunter2": [0, 256] })),
        "custom.*[1]: expected u8"
    );
    assert_eq!(source::<HashMap<u32, u32>>(&json!({ "hunter2": 1 })), "custom: expected a map");
    assert!(fits::<HashMap<u32, u32>>(&json!({ "7": 1 })));
}

#[test]
fn the_path_ends_at_an_enum_and_at_a_check_of_the_type_itself() {
    let module = module_path!();
    assert_eq!(source::<Role>(&json!("hunter2")), "custom: expected enum Role");
    assert_eq!(source::<Role>(&json!({ "member": "hunter2" })), "custom: expected enum Role");
    assert!(fits::<Vec<Role>>(&json!(["admin", { "member": 1 }])));
    assert_eq!(source::<Theme>(&json!(7)), format!("custom: expected {module}::Theme"));
    assert_eq!(source::<Short>(&json!("hunter2")), format!("custom: expected {module}::Short"));
    assert_eq!(source::<With>(&json!({ "date": "hunter2" })), "custom.date: invalid value");
    assert_eq!(source::<Quoting>(&json!("hunter2")), "custom: expected a short text");
    assert_eq!(source::<Speechless>(&json!("hunter2")), "custom: expected half a ");
}

#[test]
fn the_path_ends_at_a_type_with_a_flattened_part() {
    assert_eq!(source::<Flat<Profile>>(&json!({ "age": "hunter2" })), "custom: expected u32");
    assert_eq!(source::<Flat<Profile>>(&json!({ "hunter2": 1 })), "custom.age: missing field");
    assert_eq!(source::<Flat<Person>>(&json!({ "profile": { "age": "hunter2" } })), "custom: expected u32");
    assert_eq!(source::<Flat<HashMap<String, u8>>>(&json!({ "hunter2": "x" })), "custom: expected u8");
    assert_eq!(source::<Beside>(&json!({ "age": "hunter2", "other": 1 })), "custom.*: expected u32");
    // What a buffered value is compared with may quote it, so the name of the flattened type stands for it.
    assert_eq!(source::<Flat<HashMap<String, Quoting>>>(&json!({ "a": "hunter2" })), "custom: expected struct Flat");
    assert!(fits::<Beside>(&json!({ "age": 1, "other": 1.5 })));
}

#[test]
fn claims_before_the_mistake_are_read_as_before() {
    #[derive(Debug, Deserialize)]
    struct Many {
        #[serde(rename = "raw")]
        _raw: Box<RawValue>,
        #[serde(rename = "large")]
        _large: u128,
        #[serde(rename = "any")]
        _any: Value,
        #[serde(rename = "absent")]
        _absent: Option<u8>,
        #[serde(rename = "number")]
        _number: serde_json::Number,
        #[serde(rename = "unit")]
        _unit: (),
        #[serde(rename = "last")]
        _last: u8,
    }
    let claims = |last: Value| {
        json!({
            "raw": { "a": [1.5] }, "large": u64::MAX, "any": { "b": [null, "c"] }, "absent": null, "number": -1,
            "unit": null, "ignored": { "d": 1 }, "last": last,
        })
    };
    assert!(fits::<Many>(&claims(json!(1))));
    assert_eq!(source::<Many>(&claims(json!(256))), "custom.last: expected u8");
}

#[test]
fn the_deepest_nesting_that_a_token_may_have_is_walked() {
    #[derive(Debug, Deserialize)]
    struct Nested(#[allow(dead_code, reason = "only deserialized")] Vec<Self>);

    // The claims are one level themselves, and 127 levels are accepted.
    let nested = |inner: Value| (0..125).fold(json!([inner]), |value, _| json!([value]));
    let token = token().claim("custom", nested(json!("hunter2"))).sign();
    let claims = verifier(issuer().config()).try_verify(&token).expect("a valid token");
    let error = claims.custom::<Custom<Nested>>().expect_err("it does not fit");
    let path = "[0]".repeat(126);
    assert_eq!(error.source().expect("a source").to_string(), format!("custom{path}: expected a sequence"));
}

#[test]
fn no_text_of_the_token_is_in_the_error() {
    let deep = json!({
        "hunter2": ["hunter2", { "hunter2": "hunter2" }], "age": "hunter2", "date": "hunter2", "profile": "hunter2",
    });
    let errors = [
        error::<u32>(&json!("hunter2")),
        error::<Empty>(&deep),
        error::<HashMap<String, u32>>(&deep),
        error::<HashMap<u32, u32>>(&deep),
        error::<Flat<HashMap<String, Quoting>>>(&deep),
        error::<Flat<Person>>(&deep),
        error::<Beside>(&deep),
        error::<Person>(&deep),
        error::<Profile>(&deep),
        error::<Quoting>(&json!("hunter2")),
        error::<Role>(&json!("hunter2")),
        error::<Role>(&json!({ "hunter2": "hunter2" })),
        error::<Short>(&json!("hunter2")),
        error::<Speechless>(&json!("hunter2")),
        error::<Theme>(&deep),
        error::<With>(&deep),
    ];
    for error in errors {
        let source = error.source().expect("a source");
        assert!(source.source().is_none());
        let text = format!("{error} {error:?} {source} {source:?}");
        assert!(text.contains("does not match the type") && !text.contains("hunter2"), "{text}");
    }
}
