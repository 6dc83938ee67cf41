//! What a handler takes from the extensions of a request.

use http::Extensions;

use super::{
    api_key::ApiKey, extension::ClerkAuth, holder::Holder, m2m_token::M2mToken, oauth_token::OAuthToken,
    principal::Principal,
};
use crate::rejection::{Rejection, Responder};

/// What a handler may take from a request: the principal of one kind, or any.
pub(crate) trait RequestPrincipal: Clone + Send + Sync + 'static {
    fn of(extensions: &Extensions) -> Option<Self>;
}

/// What a request has for a handler that takes `T`.
pub(crate) enum Taken<T> {
    Found(T),
    /// No layer has seen it.
    LayerMissing,
    /// A principal of another kind.
    OtherKind(Responder),
    /// The layer let it pass without one.
    Rejected(Rejection),
}

/// Looks for what a handler takes.
pub(crate) fn take<T: RequestPrincipal>(extensions: &Extensions) -> Taken<T> {
    if let Some(found) = T::of(extensions) {
        return Taken::Found(found);
    }
    match (Principal::holder_in(extensions), extensions.get::<Rejection>()) {
        (Some(other), _) => Taken::OtherKind(other.responder().clone()),
        (None, Some(rejection)) => Taken::Rejected(rejection.clone()),
        (None, None) => Taken::LayerMissing,
    }
}

macro_rules! of_extensions {
    ($($name:ident)*) => {
        $(impl RequestPrincipal for $name {
            fn of(extensions: &Extensions) -> Option<Self> {
                extensions.get().cloned()
            }
        })*
    };
}

of_extensions!(ClerkAuth OAuthToken M2mToken ApiKey);

impl RequestPrincipal for Principal {
    fn of(extensions: &Extensions) -> Option<Self> {
        Self::holder_in(extensions).map(|holder| match holder {
            Holder::Machine(machine) => Self::of_machine(machine.clone()),
            Holder::Session(user) => Self::Session(user.clone()),
        })
    }
}
