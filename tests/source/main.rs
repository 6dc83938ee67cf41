//! Rules for the source: which file may import which, which names are restricted to certain files, the texts of errors,
//! and the names of tests.

mod events;
mod names;
mod order;
mod sources;
mod texts;
