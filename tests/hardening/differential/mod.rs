//! `jsonwebtoken` accepts every token that this crate accepts, except for the differences listed in `exceptions`.

mod cases;
mod exceptions;
mod generated;
mod oracle;
mod rejections;
