//! Rules for the source: which file may import which, which names are restricted to certain files, the texts of errors,
//! the names of tests, and what no line may have.

mod events;
mod lines;
mod names;
mod order;
mod sources;
mod texts;
