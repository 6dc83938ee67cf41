//! Opaque tokens through the public API: the request, what each answer means, the settings, and what is logged.

mod answers;
mod asked;
mod bodies;
mod log;
mod members;
mod settings;
mod statuses;
mod subjects;
