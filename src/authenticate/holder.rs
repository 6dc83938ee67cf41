//! Who a request is from, as far as rules differ: the user of a session, or the holder of another token.

use super::{extension::ClerkAuth, machine::Machine};
use crate::rejection::Responder;

/// A principal whose kinds but that of sessions are one.
#[derive(Clone, Copy)]
pub(crate) enum Holder<'a> {
    Machine(&'a Machine),
    Session(&'a ClerkAuth),
}

impl<'a> Holder<'a> {
    pub(crate) fn instance(self) -> &'a str {
        match self {
            Self::Machine(machine) => machine.claims.instance(),
            Self::Session(user) => user.claims().instance(),
        }
    }

    /// How to respond to what it may not do.
    pub(crate) fn responder(self) -> &'a Responder {
        match self {
            Self::Machine(machine) => &machine.responder,
            Self::Session(user) => user.responder(),
        }
    }
}
