//! Remembering verified tokens changes no answer.

mod bounds;
mod keys;
mod meaning;
mod support;
