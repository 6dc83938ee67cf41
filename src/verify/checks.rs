use std::{borrow::Cow, time::SystemTime};

use super::error::VerifyErrorKind;
use crate::{
    claims::{Claim, Wire, millis, unix_millis},
    config::ClerkConfig,
    json::{Object, Value},
    jwt::Algorithm,
};

/// Everything that is asked of a token besides its signature. Times are in milliseconds.
#[derive(Debug)]
pub(super) struct Checks {
    audiences: Vec<String>,
    issuers: Vec<String>,
    max_lifetime: Option<i64>,
    missing_azp_is_allowed: bool,
    parties: Vec<String>,
    pending_sessions_are_allowed: bool,
    skew: i64,
    template_tokens_are_allowed: bool,
}

/// What the header of an acceptable token says.
pub(super) struct CheckedHeader<'a> {
    pub(super) algorithm: Algorithm,
    /// Whether the token says that it was made from a JWT template.
    pub(super) is_template: bool,
    pub(super) kid: Option<Cow<'a, str>>,
}

impl Checks {
    pub(super) fn new(config: &ClerkConfig) -> Self {
        Self {
            audiences: config.audience.clone(),
            issuers: config.issuers().into_iter().map(str::to_owned).collect(),
            max_lifetime: config.max_token_lifetime.map(millis),
            missing_azp_is_allowed: config.missing_azp_allowed,
            parties: config.authorized_parties.clone(),
            pending_sessions_are_allowed: config.pending_sessions_allowed,
            skew: millis(config.clock_skew),
            template_tokens_are_allowed: config.template_tokens_allowed,
        }
    }

    /// Whatever some instance may accept.
    pub(super) fn most_lenient() -> Self {
        Self {
            audiences: Vec::new(),
            issuers: Vec::new(),
            max_lifetime: None,
            missing_azp_is_allowed: true,
            parties: Vec::new(),
            pending_sessions_are_allowed: true,
            skew: 0,
            template_tokens_are_allowed: true,
        }
    }

    /// What can be refused before a key is looked for.
    pub(super) fn header<'a>(&self, header: &Object<'a>) -> Result<CheckedHeader<'a>, VerifyErrorKind> {
        if header.get("crit").is_some() {
            return Err(VerifyErrorKind::CriticalHeader);
        }
        match header.get("typ") {
            None => {}
            Some(Value::String(typ)) if typ == "JWT" => {}
            Some(_) => return Err(VerifyErrorKind::UnsupportedType),
        }
        let is_template = match header.get("cat") {
            None => false,
            Some(Value::String(cat)) if cat == SESSION || cat == IGNORE => false,
            Some(Value::String(cat)) if cat == TEMPLATE && self.template_tokens_are_allowed => true,
            Some(_) => return Err(VerifyErrorKind::UnsupportedCategory),
        };
        let algorithm = header
            .string("alg")
            .and_then(|alg| Algorithm::from_name(&alg))
            .ok_or(VerifyErrorKind::UnsupportedAlgorithm)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid),
            Some(_) => return Err(VerifyErrorKind::InvalidKeyId),
        };
        Ok(CheckedHeader { algorithm, is_template, kid })
    }

    /// What is asked of the claims once the signature holds.
    pub(super) fn claims(&self, wire: &Wire<'_>, now: SystemTime) -> Result<(), VerifyErrorKind> {
        self.subject(wire)?;
        self.issuer(wire)?;
        self.authorized_party(wire)?;
        self.audience(wire)?;
        if matches!(wire.act, Claim::Invalid) {
            return Err(VerifyErrorKind::InvalidActor);
        }
        self.times(wire, unix_millis(now))?;
        match &wire.sts {
            Claim::Invalid => Err(VerifyErrorKind::InvalidSessionStatus),
            Claim::Value(status) if status == "pending" && !self.pending_sessions_are_allowed => {
                Err(VerifyErrorKind::PendingSession)
            }
            Claim::Absent | Claim::Value(_) => Ok(()),
        }
    }

    pub(super) fn compares_issuers(&self) -> bool {
        !self.issuers.is_empty()
    }

    fn subject(&self, wire: &Wire<'_>) -> Result<(), VerifyErrorKind> {
        match &wire.sub {
            Claim::Value(sub) if !sub.is_empty() && !sub.starts_with("mch_") => {}
            _ => return Err(VerifyErrorKind::InvalidSubject),
        }
        match &wire.sid {
            Claim::Value(sid) if !sid.is_empty() => Ok(()),
            Claim::Absent if self.template_tokens_are_allowed => Ok(()),
            _ => Err(VerifyErrorKind::InvalidSessionId),
        }
    }

    fn issuer(&self, wire: &Wire<'_>) -> Result<(), VerifyErrorKind> {
        match &wire.iss {
            Claim::Value(iss) if self.issuers.iter().any(|issuer| issuer == iss) => Ok(()),
            Claim::Value(iss) if self.issuers.is_empty() && !iss.is_empty() => Ok(()),
            _ => Err(VerifyErrorKind::InvalidIssuer),
        }
    }

    fn authorized_party(&self, wire: &Wire<'_>) -> Result<(), VerifyErrorKind> {
        match &wire.azp {
            Claim::Absent if self.parties.is_empty() || self.missing_azp_is_allowed => Ok(()),
            Claim::Value(_) if self.parties.is_empty() => Ok(()),
            Claim::Value(azp) if self.parties.iter().any(|party| party == azp) => Ok(()),
            _ => Err(VerifyErrorKind::InvalidAuthorizedParty),
        }
    }

    fn audience(&self, wire: &Wire<'_>) -> Result<(), VerifyErrorKind> {
        let is_ours = |audience: &Value<'_>| match audience {
            Value::String(audience) => Some(self.audiences.iter().any(|ours| ours == audience)),
            _ => None,
        };
        let is_accepted = match &wire.aud {
            _ if self.audiences.is_empty() => Some(true),
            Some(list @ Value::Array(_)) => list.elements().and_then(|elements| {
                elements.iter().map(is_ours).try_fold(false, |found, is_ours| Some(found | is_ours?))
            }),
            Some(audience) => is_ours(audience),
            None => None,
        };
        if is_accepted == Some(true) { Ok(()) } else { Err(VerifyErrorKind::InvalidAudience) }
    }

    fn times(&self, wire: &Wire<'_>, now: i64) -> Result<(), VerifyErrorKind> {
        let Claim::Value(exp) = wire.exp else { return Err(VerifyErrorKind::InvalidExpiry) };
        if exp <= now.saturating_sub(self.skew) {
            return Err(VerifyErrorKind::Expired);
        }
        let latest = now.saturating_add(self.skew);
        match wire.nbf {
            Claim::Invalid => return Err(VerifyErrorKind::InvalidNotBefore),
            Claim::Value(nbf) if nbf > latest => return Err(VerifyErrorKind::NotYetValid),
            Claim::Absent | Claim::Value(_) => {}
        }
        match wire.iat {
            Claim::Invalid => return Err(VerifyErrorKind::InvalidIssuedAt),
            Claim::Value(iat) if iat > latest => return Err(VerifyErrorKind::IssuedInFuture),
            Claim::Absent | Claim::Value(_) => {}
        }
        let lifetime = wire.iat.value().and_then(|iat| exp.checked_sub(iat));
        match self.max_lifetime {
            Some(longest) if lifetime.is_none_or(|lifetime| lifetime > longest) => {
                Err(VerifyErrorKind::LifetimeTooLong)
            }
            _ => Ok(()),
        }
    }
}

// Categories as Clerk's SDKs spell them.
const IGNORE: &str = "cl_I7d4PD111III";
const SESSION: &str = "cl_B7d4PD111AAA";
const TEMPLATE: &str = "cl_B7d4PD222AAA";
