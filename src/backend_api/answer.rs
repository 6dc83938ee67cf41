//! What an answer of the Backend API means.
//!
//! A response either says something about the token, or only that the API could not be asked. The difference is that
//! between 401 and 503:
//!
//! - The statuses 400, 404 and 422 say that the token is not valid, whatever their body, which nobody reads.
//! - With the status 200, the body decides. One that is no JSON comes from something else than the API, so it says
//!   nothing; JSON that lacks something, or is no object, says that the token is not known as valid.
//! - All others say nothing about the token.

use std::{borrow::Cow, time::SystemTime};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::de::IgnoredAny;

use super::OpaqueInstance;
use crate::{
    claims::{ActorValues, MachineClaims, MachineValues, NumericDate, SubjectKind, audience, strings},
    clock::millis,
    config::ClerkConfig,
    json::{Object, Value},
    jwks::{FetchError, FetchErrorKind, is_unencoded, retry_after},
    token_kind::TokenKind,
};

/// What the Backend API says about a token.
pub(super) enum Answer {
    /// It says nothing about the token. The error has what `Retry-After` asks for.
    Failed(FetchError),
    Rejected(OpaqueRejection),
    Valid(MachineClaims),
}

/// Why an opaque token is rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OpaqueRejection {
    Actor,
    Audience,
    Confirmation,
    Inactive,
    /// No instance accepts opaque tokens of its kind.
    KindNotAsked,
    MachineNotInScope,
}

/// Reads the response to a request about a token of this kind.
pub(super) fn read(kind: TokenKind, response: &Response<Bytes>, instance: &OpaqueInstance, now: SystemTime) -> Answer {
    let status = response.status();
    let failed = |kind| {
        let error = FetchError::with_source(kind, status.to_string());
        Answer::Failed(match retry_after(response.headers(), Some(now)) {
            Some(delay) => error.retry_after(delay),
            None => error,
        })
    };
    match status {
        // The key of this service is wrong, or may not see this token. Neither is the fault of the client.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => failed(FetchErrorKind::Unauthorized),
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => {
            Answer::Rejected(OpaqueRejection::Inactive)
        }
        _ if !has_verdict_in_body(status) => failed(FetchErrorKind::UnexpectedStatus),
        _ if response.body().len() > MAX_ANSWER => failed(FetchErrorKind::TooLarge),
        _ if !is_unencoded(response.headers()) => failed(FetchErrorKind::UnexpectedEncoding),
        _ => match document(response.body()) {
            Document::Broken => failed(FetchErrorKind::InvalidDocument),
            Document::Unsound => Answer::Rejected(OpaqueRejection::Inactive),
            Document::Object(members) => match claims(kind, &members, instance, now) {
                Ok(claims) => Answer::Valid(claims),
                Err(rejection) => Answer::Rejected(rejection),
            },
        },
    }
}

/// Whether the body of a response with this status is read.
pub(super) fn has_verdict_in_body(status: StatusCode) -> bool {
    status == StatusCode::OK
}

/// The body of a response with the status 200.
enum Document<'a> {
    /// Not JSON: no answer of the API.
    Broken,
    Object(Object<'a>),
    /// JSON of another type than an object, or an object with members of the same name or with values that [`Object`]
    /// does not accept.
    Unsound,
}

/// A byte order mark is skipped, as in key sets (RFC 8259, section 8.1, allows it).
fn document(body: &[u8]) -> Document<'_> {
    let Ok(text) = std::str::from_utf8(body) else { return Document::Broken };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match Object::parse(text) {
        Ok(members) => Document::Object(members),
        Err(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() => Document::Unsound,
        Err(_) => Document::Broken,
    }
}

/// Checks the members of an answer, in the order in which the claims of a JWT are checked.
///
/// A member on which validity depends must be there in its type. Others count as absent if they have another type, and
/// members that are not named here are never looked at. The API writes `null` for what is absent, where a JWT has no
/// member.
fn claims(
    kind: TokenKind,
    members: &Object<'_>,
    instance: &OpaqueInstance,
    now: SystemTime,
) -> Result<MachineClaims, OpaqueRejection> {
    let config = &instance.config;
    let is_false = |name| matches!(members.get(name), Some(Value::Bool(false)));
    let text = |name| members.string(name).filter(|text| !text.is_empty()).ok_or(OpaqueRejection::Inactive);
    if text("object")? != object_name(kind) || !is_false("revoked") || !is_false("expired") {
        return Err(OpaqueRejection::Inactive);
    }
    let (id, subject) = (text("id")?, text("subject")?);
    let subject_kind =
        SubjectKind::of(&subject).filter(|owner| is_owner(kind, *owner)).ok_or(OpaqueRejection::Inactive)?;
    let scopes = match members.get("scopes") {
        Some(scopes) => strings(&scopes).ok_or(OpaqueRejection::Inactive)?,
        None if kind == TokenKind::M2m => Vec::new(),
        None => return Err(OpaqueRejection::Inactive),
    };
    let expires_at = expiration(kind, members, config, now)?;
    let is_oauth = kind == TokenKind::OAuth;
    let of_oauth = |name| if is_oauth { members.string(name) } else { None };
    // No answer about an M2M token has an audience.
    let aud = if is_oauth { members.get("aud") } else { None };
    let audience = audience(aud.as_ref()).unwrap_or_default();
    if !config.accepts_audience(kind, &audience) {
        return Err(OpaqueRejection::Audience);
    }
    if !config.may_be_shown(kind, &scopes) {
        return Err(OpaqueRejection::MachineNotInScope);
    }
    // A token of another form of proof than that of a bearer (RFC 7800, section 3.1).
    if members.get("cnf").is_some_and(|cnf| !matches!(cnf, Value::Null)) {
        return Err(OpaqueRejection::Confirmation);
    }
    let custom = match members.get("claims") {
        Some(Value::Object(custom)) if !is_oauth => Some(Cow::Borrowed(custom)),
        _ => None,
    };
    let values = MachineValues {
        kind,
        subject_kind,
        issuer: None,
        id: Some(id),
        subject,
        client_id: of_oauth("client_id"),
        organization_id: of_oauth("org_id"),
        name: if kind == TokenKind::ApiKey { members.string("name") } else { None },
        scopes,
        audience,
        actor: if is_oauth { actor(members)? } else { None },
        custom,
        expires_at: expires_at.map(NumericDate::to_system_time),
        not_before: None,
        issued_at: None,
    };
    Ok(MachineClaims::assertion(&values, &instance.info))
}

/// What `object` is in an answer about a token of this kind. Nobody asks about sessions.
fn object_name(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::ApiKey => "api_key",
        TokenKind::M2m => "machine_to_machine_token",
        TokenKind::OAuth => "clerk_idp_oauth_access_token",
        TokenKind::Session => "",
    }
}

/// Whether a token of this kind may have a subject of that one. A user grants an OAuth token, so its subject is one.
fn is_owner(kind: TokenKind, subject: SubjectKind) -> bool {
    match kind {
        TokenKind::ApiKey => true,
        TokenKind::M2m => subject == SubjectKind::Machine,
        TokenKind::OAuth => subject == SubjectKind::User,
        TokenKind::Session => false,
    }
}

/// The time at which the token expires; `None` for a token that does not, which an OAuth token always does. As in JWTs,
/// at this time plus the clock skew it has expired.
fn expiration(
    kind: TokenKind,
    members: &Object<'_>,
    config: &ClerkConfig,
    now: SystemTime,
) -> Result<Option<NumericDate>, OpaqueRejection> {
    let date = match members.get("expiration") {
        Some(Value::Number(number)) => NumericDate::parse_seconds_or_millis(number),
        Some(Value::Null) if kind != TokenKind::OAuth => return Ok(None),
        _ => None,
    };
    let earliest = NumericDate::from(now).millis() - millis(config.clock_skew);
    date.filter(|date| date.millis() > earliest).map(Some).ok_or(OpaqueRejection::Inactive)
}

/// The actor, if there is one.
fn actor<'p>(members: &Object<'p>) -> Result<Option<ActorValues<'p>>, OpaqueRejection> {
    match members.get("act") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(text)) => {
            let act = Object::parse(text).ok();
            act.and_then(|act| ActorValues::read(&act)).map(Some).ok_or(OpaqueRejection::Actor)
        }
        Some(_) => Err(OpaqueRejection::Actor),
    }
}

/// In bytes: custom claims of an API key are a few kilobytes at most, and everything else is less.
pub(super) const MAX_ANSWER: usize = 64 * 1024;
