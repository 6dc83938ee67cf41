//! What the tests have in common.

pub(crate) mod fastcgi;
pub(crate) mod forward_auth;
pub(crate) mod http;
pub(crate) mod proxy;
pub(crate) mod site;
pub(crate) mod upstream;
