//! The rules that keep the source in one piece: who may import whom, who alone names what, and the texts of errors.

mod names;
mod order;
mod sources;
mod texts;
