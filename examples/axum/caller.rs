//! Who a request is from, as one JSON object for every kind of token.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Value, value::RawValue};
use tower_clerk::{ClerkAuth, Principal, claims};

/// What a token says. A member that its kind does not have, or that it does not name, is null.
#[derive(Serialize)]
pub(crate) struct Caller {
    kind: &'static str,
    /// Of the token: a session's is that of the session.
    id: Option<String>,
    subject: String,
    scopes: Vec<String>,
    user_id: Option<String>,
    organization_id: Option<String>,
    machine_id: Option<String>,
    client_id: Option<String>,
    name: Option<String>,
    audience: Option<Vec<String>>,
    actor: Option<Actor>,
    /// In seconds since 1970.
    expires_at: Option<u64>,
    /// The payload of a session token, and the custom claims of the other kinds.
    claims: Option<Box<RawValue>>,
}

/// As the claim `act` (RFC 8693, section 4.1), which has no members that are null.
#[derive(Serialize)]
struct Actor {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Self>>,
}

impl From<&Principal> for Caller {
    fn from(principal: &Principal) -> Self {
        let mut caller = Self {
            kind: principal.kind().as_str(),
            id: principal.id().map(str::to_owned),
            subject: principal.subject().to_owned(),
            scopes: owned(principal.scopes()),
            user_id: None,
            organization_id: None,
            machine_id: None,
            client_id: None,
            name: None,
            audience: None,
            actor: None,
            expires_at: principal.expires_at().map(seconds),
            claims: None,
        };
        match principal {
            Principal::Session(user) => {
                caller.user_id = Some(user.user_id().to_owned());
                caller.organization_id = user.organization().map(|organization| organization.id().to_owned());
                caller.audience = audience(user);
                caller.actor = user.actor().map(Actor::from);
                caller.claims = json(Some(user.as_json()));
            }
            Principal::OAuth(token) => {
                caller.user_id = Some(token.user_id().to_owned());
                caller.organization_id = token.organization_id().map(str::to_owned);
                caller.client_id = token.client_id().map(str::to_owned);
                caller.audience = Some(owned(token.audience())).filter(|audience| !audience.is_empty());
                caller.actor = token.actor().map(Actor::from);
            }
            Principal::M2m(token) => {
                caller.machine_id = Some(token.machine_id().to_owned());
                caller.claims = json(token.custom_json());
            }
            Principal::ApiKey(key) => {
                caller.user_id = key.user_id().map(str::to_owned);
                caller.organization_id = key.organization_id().map(str::to_owned);
                caller.machine_id = key.machine_id().map(str::to_owned);
                caller.name = key.name().map(str::to_owned);
                caller.claims = json(key.custom_json());
            }
            // A kind of a later version, about which this example knows what all kinds have.
            _ => {}
        }
        caller
    }
}

impl From<claims::Actor<'_>> for Actor {
    fn from(actor: claims::Actor<'_>) -> Self {
        Self {
            iss: actor.issuer().map(str::to_owned),
            sub: actor.subject().to_owned(),
            act: actor.actor().map(|actor| Box::new(Self::from(actor))),
        }
    }
}

/// The claim `aud` of a session token, which is a string or an array of them (RFC 7519, section 4.1.3).
fn audience(user: &ClerkAuth) -> Option<Vec<String>> {
    match serde_json::from_str::<Value>(user.as_json()).ok()?.get_mut("aud")?.take() {
        Value::String(audience) => Some(vec![audience]),
        Value::Array(audience) => audience.into_iter().map(|value| value.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// A JSON object as it is.
fn json(object: Option<&str>) -> Option<Box<RawValue>> {
    RawValue::from_string(object?.to_owned()).ok()
}

fn owned<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.map(str::to_owned).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
