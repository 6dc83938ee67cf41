//! The checks of the claims of OAuth and M2M tokens. As those of sessions they follow the signature, and the first that
//! fails gives the error its kind.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::SystemTime};

use serde_json::value::RawValue;

use super::{
    VerifyErrorKind,
    checks::{FailedCheck, issuer, times},
};
use crate::{
    claims::{
        ActorValues, MachineClaims, MachineValues, NumericDate, RawClaim, RawClaims, SubjectKind, audience, strings,
    },
    config::{ClerkConfig, InstanceInfo},
    json::{Object, Value},
    jwt::{Payload, VerifiedPayload},
    token_kind::TokenKind,
};

/// Checks the claims of a verified OAuth or M2M token against the configuration of the instance whose key verified it.
///
/// Members that are not named here are never looked at, whatever their type.
pub(super) fn check_machine_claims(
    payload: &VerifiedPayload<'_>,
    kind: TokenKind,
    config: &ClerkConfig,
    instance: &Arc<InstanceInfo>,
    now: SystemTime,
) -> Result<MachineClaims, FailedCheck> {
    let mut raw = RawClaims::read(payload);
    let payload = payload.payload();
    let members = &payload.members;
    let subject = match std::mem::take(&mut raw.sub) {
        RawClaim::Value(sub) if !sub.is_empty() => sub,
        _ => return Err(VerifyErrorKind::InvalidSubject.into()),
    };
    let issuer = issuer(std::mem::take(&mut raw.iss), config)?;
    let audience = audience(raw.aud.as_ref()).unwrap_or_default();
    if !config.accepts_audience(kind, &audience) {
        return Err(VerifyErrorKind::InvalidAudience.into());
    }
    let scopes = if kind == TokenKind::M2m { machines(members, &audience) } else { granted(members) };
    if !config.may_be_shown(kind, &scopes) {
        return Err(VerifyErrorKind::MachineNotInScope.into());
    }
    // A token of another form of proof than that of a bearer (RFC 7800, section 3.1).
    if members.get("cnf").is_some() {
        return Err(VerifyErrorKind::KeyBound.into());
    }
    let is_oauth = kind == TokenKind::OAuth;
    let actor = if is_oauth { actor(payload)? } else { None };
    let exp = times(&raw, config, kind, now)?;
    let of_oauth = |name| if is_oauth { members.string(name) } else { None };
    let values = MachineValues {
        kind,
        subject_kind: if is_oauth { SubjectKind::User } else { SubjectKind::Machine },
        issuer: Some(issuer),
        id: members.string("jti"),
        subject,
        client_id: of_oauth("client_id"),
        organization_id: of_oauth("org_id"),
        name: None,
        scopes,
        audience,
        actor,
        custom: if is_oauth { None } else { custom(payload.text).map(Cow::Owned) },
        expires_at: Some(exp.to_system_time()),
        not_before: raw.nbf.value().map(NumericDate::to_system_time),
        issued_at: raw.iat.value().map(NumericDate::to_system_time),
    };
    Ok(MachineClaims::assertion(&values, instance))
}

/// The machines that an M2M token may be shown to.
fn machines<'p>(members: &Object<'p>, audience: &[Cow<'p, str>]) -> Vec<Cow<'p, str>> {
    match members.get("scopes") {
        None => audience.to_vec(),
        Some(Value::String(scopes)) => words(&scopes),
        // It says something that nobody understands, and `aud` must not replace it.
        Some(_) => Vec::new(),
    }
}

/// The scopes of an OAuth token. `scp` wins where it is present, also with a value that grants nothing.
fn granted<'p>(members: &Object<'p>) -> Vec<Cow<'p, str>> {
    match members.get("scp") {
        None => members.string("scope").map_or_else(Vec::new, |scope| words(&scope)),
        Some(scp) => strings(&scp).unwrap_or_default(),
    }
}

/// The words of a scope (RFC 6749, section 3.3).
fn words<'p>(scope: &Cow<'p, str>) -> Vec<Cow<'p, str>> {
    let is_word = |word: &&str| !word.is_empty();
    match scope {
        Cow::Borrowed(scope) => scope.split(' ').filter(is_word).map(Cow::Borrowed).collect(),
        Cow::Owned(scope) => scope.split(' ').filter(is_word).map(|word| Cow::Owned(word.to_owned())).collect(),
    }
}

/// The actor, if there is one. Without its subject, or that of the actor before it, nobody knows who acts.
fn actor<'p>(payload: &Payload<'p>) -> Result<Option<ActorValues<'p>>, VerifyErrorKind> {
    if payload.members.get("act").is_none() {
        return Ok(None);
    }
    payload.actor.as_ref().and_then(ActorValues::read).map(Some).ok_or(VerifyErrorKind::InvalidActor)
}

/// The members of a payload that an application has added, if there are any.
fn custom(payload: &str) -> Option<String> {
    let mut members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(payload).ok()?;
    members.retain(|name, _| !REGISTERED.contains(&name.as_ref()));
    if members.is_empty() { None } else { serde_json::to_string(&members).ok() }
}

/// The claims of an M2M token that are Clerk's own.
const REGISTERED: [&str; 6] = ["exp", "iat", "iss", "jti", "nbf", "sub"];
