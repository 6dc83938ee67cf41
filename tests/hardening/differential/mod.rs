//! What this crate accepts, `jsonwebtoken` accepts: but for the differences that `exceptions` lists one by one.

mod cases;
mod exceptions;
mod generated;
mod oracle;
mod rejections;
