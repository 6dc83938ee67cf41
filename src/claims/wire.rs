use std::{borrow::Cow, time::Duration};

use super::numeric_date::{Thousandths, parse_millis, parse_thousandths};
use crate::json::{Object, Value};

/// The claims of a payload as they stand there, unchecked.
#[derive(Default)]
pub(crate) struct Wire<'a> {
    pub(crate) act: Claim<WireActor<'a>>,
    pub(crate) aud: Option<Value<'a>>,
    pub(crate) azp: Claim<Cow<'a, str>>,
    pub(crate) exp: Claim<i64>,
    pub(crate) fea: Option<Cow<'a, str>>,
    pub(crate) fva: Option<FactorAges>,
    pub(crate) iat: Claim<i64>,
    pub(crate) iss: Claim<Cow<'a, str>>,
    pub(crate) jti: Option<Cow<'a, str>>,
    pub(crate) nbf: Claim<i64>,
    pub(crate) pla: Option<Cow<'a, str>>,
    pub(crate) sid: Claim<Cow<'a, str>>,
    pub(crate) sts: Claim<Cow<'a, str>>,
    pub(crate) sub: Claim<Cow<'a, str>>,
    pub(crate) version: Version,
}

/// A claim that must have the right type if it is there; `null` is there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Claim<T> {
    #[default]
    Absent,
    Invalid,
    Value(T),
}

/// The `act` claim (RFC 8693, section 4.1).
pub(crate) struct WireActor<'a> {
    pub(crate) iss: Option<Cow<'a, str>>,
    pub(crate) kind: Option<Cow<'a, str>>,
    pub(crate) sid: Option<Cow<'a, str>>,
    pub(crate) sub: Cow<'a, str>,
}

/// How long before the token was made the user's first and second factor were verified.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FactorAges {
    pub(crate) first: Option<Duration>,
    pub(crate) second: Option<Duration>,
}

/// Which of Clerk's layouts a token has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Version {
    Unknown,
    #[default]
    V1,
    V2,
}

impl<'a> Wire<'a> {
    pub(crate) fn read(payload: &Object<'a>) -> Self {
        let mut wire = Self::default();
        for (name, value) in payload.members() {
            match name {
                "act" => wire.act = actor(&value),
                "aud" => wire.aud = Some(value),
                "azp" => wire.azp = string(value),
                "exp" => wire.exp = numeric_date(&value),
                "fea" => wire.fea = string(value).value(),
                "fva" => wire.fva = factor_ages(&value),
                "iat" => wire.iat = numeric_date(&value),
                "iss" => wire.iss = string(value),
                "jti" => wire.jti = string(value).value(),
                "nbf" => wire.nbf = numeric_date(&value),
                "pla" => wire.pla = string(value).value(),
                "sid" => wire.sid = string(value),
                "sts" => wire.sts = string(value),
                "sub" => wire.sub = string(value),
                "v" => wire.version = version(&value),
                _ => {}
            }
        }
        if wire.version == Version::Unknown {
            (wire.fea, wire.pla) = (None, None);
        }
        wire
    }
}

impl<T> Claim<T> {
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Invalid => None,
        }
    }
}

fn version(value: &Value<'_>) -> Version {
    match value {
        Value::Number(text) if parse_thousandths(text) == Some(exactly(2)) => Version::V2,
        _ => Version::Unknown,
    }
}

fn string(value: Value<'_>) -> Claim<Cow<'_, str>> {
    match value {
        Value::String(text) => Claim::Value(text),
        _ => Claim::Invalid,
    }
}

fn numeric_date(value: &Value<'_>) -> Claim<i64> {
    match value {
        Value::Number(text) => parse_millis(text).map_or(Claim::Invalid, Claim::Value),
        _ => Claim::Invalid,
    }
}

fn actor<'a>(value: &Value<'a>) -> Claim<WireActor<'a>> {
    let Value::Object(text) = value else { return Claim::Invalid };
    let Ok(members) = Object::parse(text) else { return Claim::Invalid };
    match members.string("sub") {
        Some(sub) => Claim::Value(WireActor {
            iss: members.string("iss"),
            kind: members.string("type"),
            sid: members.string("sid"),
            sub,
        }),
        None => Claim::Invalid,
    }
}

fn exactly(number: i64) -> Thousandths {
    Thousandths { count: number * 1000, is_exact: true }
}

/// Two numbers of minutes; -1 stands for a factor that was never verified.
fn factor_ages(value: &Value<'_>) -> Option<FactorAges> {
    let age = |value: &Value<'_>| match value {
        Value::Number(text) => match parse_thousandths(text)? {
            never if never == exactly(-1) => Some(None),
            // What lies below zero by less than a thousandth is no age either.
            age if !text.starts_with('-') || age == exactly(0) => {
                let thousandths = u64::try_from(age.count).ok()?;
                Some(Some(Duration::from_millis(thousandths.checked_mul(60)?)))
            }
            _ => None,
        },
        _ => None,
    };
    let [first, second] = value.pair()?;
    Some(FactorAges { first: age(&first)?, second: age(&second)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(payload: &str) -> Wire<'_> {
        Wire::read(&Object::parse(payload).unwrap())
    }

    #[test]
    fn null_and_wrong_types_are_present_and_invalid() {
        assert_eq!(wire("{}").azp, Claim::Absent);
        for value in ["null", "7", "true", "[\"a\"]", "{}"] {
            assert_eq!(wire(&format!("{{\"azp\":{value}}}")).azp, Claim::Invalid, "{value}");
        }
        for value in ["null", "\"1\"", "true", "[1]", "1e400"] {
            assert_eq!(wire(&format!("{{\"exp\":{value}}}")).exp, Claim::Invalid, "{value}");
        }
        assert_eq!(wire(r#"{"exp":-0.5}"#).exp, Claim::Value(-500));
    }

    #[test]
    fn a_version_is_absent_or_the_number_2() {
        assert_eq!(wire("{}").version, Version::V1);
        for value in ["2", "2.0", "2.0000", "0.2e1"] {
            assert_eq!(wire(&format!("{{\"v\":{value}}}")).version, Version::V2, "{value}");
        }
        for value in ["1", "3", "\"2\"", "null", "2.5", "2.0001", "[2]", "1e400"] {
            let payload = format!(r#"{{"v":{value},"fea":"o:a","pla":"o:b"}}"#);
            let wire = wire(&payload);
            assert_eq!(wire.version, Version::Unknown, "{value}");
            assert!(wire.fea.is_none() && wire.pla.is_none());
        }
    }

    #[test]
    fn an_actor_is_an_object_with_a_subject() {
        let actor = wire(r#"{"act":{"sub":"user_a","type":"agent"}}"#).act.value().unwrap();
        assert_eq!((actor.sub.as_ref(), actor.kind.as_deref(), actor.sid), ("user_a", Some("agent"), None));
        for value in ["null", "{}", "[]", "\"user_a\"", r#"{"sub":7}"#, r#"{"sub":null}"#, r#"{"sub":"a","sub":"b"}"#] {
            assert!(matches!(wire(&format!("{{\"act\":{value}}}")).act, Claim::Invalid), "{value}");
        }
    }

    #[test]
    fn factor_ages_are_two_numbers_of_minutes() {
        let ages = |value: &str| wire(&format!("{{\"fva\":{value}}}")).fva.map(|ages| (ages.first, ages.second));
        let minutes = |count: u64| Some(Duration::from_secs(count * 60));
        assert_eq!(ages("[5,-1]"), Some((minutes(5), None)));
        assert_eq!(ages("[0,1.5]"), Some((minutes(0), Some(Duration::from_secs(90)))));
        for value in
            ["[-0.5,0]", "[-2,0]", "[0]", "[0,0,0]", "[\"0\",\"0\"]", "null", "7", "{}", "[0,null]", "[0,1e99]"]
        {
            assert_eq!(ages(value), None, "{value}");
        }
    }
}
