//! Rules for the source: which file may import which, which names are restricted to certain files, the texts of errors,
//! the names of tests, what no line may have, and what the guide shows.

mod comparison;
mod events;
mod guide;
mod lines;
mod metrics;
mod names;
mod order;
mod planes;
mod sources;
mod texts;
