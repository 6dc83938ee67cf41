//! Which route a request takes.
//!
//! What was matched is what is sent: paths are compared as they arrive, and never rewritten on the way. A path that an
//! upstream could read in another way, past a guard, is refused: [`path::check`] refuses what no route may get, and
//! [`RouteTable::find`] what would take a guarded route in another spelling.

mod parts;
pub(crate) mod path;
mod pattern;
#[cfg(test)]
mod properties;
mod segments;
#[path = "../../../support/spelling.rs"]
mod spelling;
mod table;
mod tree;

pub(crate) use self::{
    pattern::{Params, PathMode, PathPattern},
    spelling::decode_fully,
    table::{Entry, NoRoute, RouteTable},
};
