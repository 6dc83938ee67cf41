//! The claims of a verified payload, typed but not yet checked.
//!
//! Only the signature is known to be valid here. `verify/checks.rs` turns [`RawClaims`] into
//! [`CheckedClaims`](super::CheckedClaims).

use std::{borrow::Cow, time::Duration};

use super::{
    numeric_date::{NumericDate, parse_number},
    organization::RawOrganization,
};
use crate::{
    json::{Object, Value},
    jwt::{Payload, VerifiedPayload},
};

/// The claims of a payload, unchecked.
///
/// Claims on which validity depends are [`RawClaim`]s: a wrong type must reject the token. The others are `Option`s: a
/// wrong type counts as absent.
#[derive(Default)]
pub(crate) struct RawClaims<'p> {
    pub(crate) sub: RawClaim<Cow<'p, str>>,
    pub(crate) sid: RawClaim<Cow<'p, str>>,
    pub(crate) iss: RawClaim<Cow<'p, str>>,
    pub(crate) azp: RawClaim<Cow<'p, str>>,
    pub(crate) aud: Option<Value<'p>>,
    pub(crate) act: RawClaim<RawActor<'p>>,
    pub(crate) exp: RawClaim<NumericDate>,
    pub(crate) nbf: RawClaim<NumericDate>,
    pub(crate) iat: RawClaim<NumericDate>,
    pub(crate) sts: RawClaim<Cow<'p, str>>,
    pub(super) jti: Option<Cow<'p, str>>,
    pub(super) version: Version,
    pub(super) organization: Option<RawOrganization<'p>>,
    pub(super) fea: Option<Cow<'p, str>>,
    pub(super) pla: Option<Cow<'p, str>>,
    pub(super) fva: Option<FactorAges>,
}

/// A claim that must have the right type if it is present.
///
/// `null` is [`Invalid`](Self::Invalid), not absent: a check that is skipped for an absent claim, such as `nbf`, must
/// not be skipped because of a claim that another parser may read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum RawClaim<T> {
    #[default]
    Absent,
    Invalid,
    Value(T),
}

/// The `act` claim (RFC 8693, section 4.1), of which `sub` is required.
pub(crate) struct RawActor<'p> {
    pub(super) sub: Cow<'p, str>,
    pub(super) sid: Option<Cow<'p, str>>,
    pub(super) iss: Option<Cow<'p, str>>,
    pub(super) kind: Option<Cow<'p, str>>,
}

/// How long before the token was issued the user verified their first and second factor (`fva`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FactorAges {
    pub(super) first: Option<Duration>,
    pub(super) second: Option<Duration>,
}

/// The version of Clerk's claim layout (`v`), which decides where the organization is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Version {
    /// Any other value of `v`, including the number 1.
    Unknown,
    /// No `v`.
    #[default]
    V1,
    V2,
}

impl<'p> RawClaims<'p> {
    /// Reads the claims. It takes a [`VerifiedPayload`], so that no claim is read before the signature is verified.
    pub(crate) fn read(verified: &VerifiedPayload<'p>) -> Self {
        Self::of(verified.payload())
    }

    fn of(payload: &Payload<'p>) -> Self {
        let mut claims = Self::default();
        for (name, value) in payload.members.members() {
            match name {
                "act" => claims.act = payload.actor.as_ref().map_or(RawClaim::Invalid, actor),
                "aud" => claims.aud = Some(value),
                "azp" => claims.azp = string(value),
                "exp" => claims.exp = numeric_date(&value),
                "fea" => claims.fea = string(value).value(),
                "fva" => claims.fva = factor_ages(&value),
                "iat" => claims.iat = numeric_date(&value),
                "iss" => claims.iss = string(value),
                "jti" => claims.jti = string(value).value(),
                "nbf" => claims.nbf = numeric_date(&value),
                "pla" => claims.pla = string(value).value(),
                "sid" => claims.sid = string(value),
                "sts" => claims.sts = string(value),
                "sub" => claims.sub = string(value),
                "v" => claims.version = version(&value),
                _ => {}
            }
        }
        match claims.version {
            Version::Unknown => (claims.fea, claims.pla) = (None, None),
            Version::V1 => claims.organization = RawOrganization::v1(&payload.members),
            Version::V2 => claims.organization = payload.organization.as_ref().and_then(RawOrganization::v2),
        }
        claims
    }
}

impl<T> RawClaim<T> {
    pub(super) fn as_ref(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Invalid => None,
        }
    }

    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Invalid => None,
        }
    }
}

/// Only the number 2, in any spelling: version 1 tokens have no `v`.
fn version(value: &Value<'_>) -> Version {
    match value {
        Value::Number(text) if parse_number(text) == Some(2.0) => Version::V2,
        _ => Version::Unknown,
    }
}

/// Reads a string; an escaped one is owned, any other one borrows from the payload.
fn string(value: Value<'_>) -> RawClaim<Cow<'_, str>> {
    match value {
        Value::String(text) => RawClaim::Value(text),
        _ => RawClaim::Invalid,
    }
}

fn numeric_date(value: &Value<'_>) -> RawClaim<NumericDate> {
    match value {
        Value::Number(text) => NumericDate::parse(text).map_or(RawClaim::Invalid, RawClaim::Value),
        _ => RawClaim::Invalid,
    }
}

/// Only `sub` is required (RFC 8693, section 4.1). Without it nobody knows who acts, so the token is rejected.
fn actor<'p>(members: &Object<'p>) -> RawClaim<RawActor<'p>> {
    match members.string("sub") {
        Some(sub) => RawClaim::Value(RawActor {
            sub,
            sid: members.string("sid"),
            iss: members.string("iss"),
            kind: members.string("type"),
        }),
        None => RawClaim::Invalid,
    }
}

/// An array of two numbers, in minutes; -1 stands for a factor that was never verified. `None` if it is anything else,
/// since half of a malformed claim must not count as a verified factor.
fn factor_ages(value: &Value<'_>) -> Option<FactorAges> {
    let age = |value: &Value<'_>| {
        let Value::Number(text) = value else { return None };
        let minutes = parse_number(text)?;
        if minutes == -1.0 {
            return Some(None);
        }
        (minutes >= 0.0).then(|| Duration::try_from_secs_f64(minutes * 60.0).ok().map(Some))?
    };
    let [first, second] = value.pair()?;
    Some(FactorAges { first: age(&first)?, second: age(&second)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(payload: &str) -> RawClaims<'_> {
        RawClaims::of(&Payload::parse(payload).unwrap())
    }

    #[test]
    fn null_and_wrong_types_are_present_and_invalid() {
        assert_eq!(claims("{}").azp, RawClaim::Absent);
        for value in ["null", "7", "true", "[\"a\"]", "{}"] {
            assert_eq!(claims(&format!("{{\"azp\":{value}}}")).azp, RawClaim::Invalid, "{value}");
        }
        for value in ["null", "\"1\"", "true", "[1]", "1e400"] {
            assert_eq!(claims(&format!("{{\"exp\":{value}}}")).exp, RawClaim::Invalid, "{value}");
        }
        assert_eq!(claims(r#"{"exp":-0.5}"#).exp, RawClaim::Value(NumericDate::parse("-0.5").unwrap()));
    }

    #[test]
    fn a_version_is_absent_or_the_number_2() {
        assert_eq!(claims("{}").version, Version::V1);
        for value in ["2", "2.0", "2.0000", "0.2e1"] {
            assert_eq!(claims(&format!("{{\"v\":{value}}}")).version, Version::V2, "{value}");
        }
        for value in ["1", "3", "\"2\"", "null", "2.5", "2.0001", "[2]", "1e400"] {
            let payload = format!(r#"{{"v":{value},"fea":"o:a","pla":"o:b"}}"#);
            let claims = claims(&payload);
            assert_eq!(claims.version, Version::Unknown, "{value}");
            assert!(claims.fea.is_none() && claims.pla.is_none());
        }
    }

    #[test]
    fn an_actor_is_an_object_with_a_subject() {
        let actor = claims(r#"{"act":{"sub":"user_a","type":"agent"}}"#).act.value().unwrap();
        assert_eq!((actor.sub.as_ref(), actor.kind.as_deref(), actor.sid), ("user_a", Some("agent"), None));
        assert!(Payload::parse(r#"{"act":{"sub":"a","sub":"b"}}"#).is_err());
        for value in ["null", "{}", "[]", "\"user_a\"", r#"{"sub":7}"#, r#"{"sub":null}"#] {
            assert!(matches!(claims(&format!("{{\"act\":{value}}}")).act, RawClaim::Invalid), "{value}");
        }
    }

    #[test]
    fn factor_ages_are_two_numbers_of_minutes() {
        let ages = |value: &str| claims(&format!("{{\"fva\":{value}}}")).fva.map(|ages| (ages.first, ages.second));
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
