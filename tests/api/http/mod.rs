//! Which requests pass the layer, and how the others are answered.

mod cookies;
mod credentials;
mod extractors;
mod gateway;
mod modes;
mod rejections;
mod sources;
