//! Which requests pass the layer, and the responses to the others.

mod cookies;
mod credentials;
mod extractors;
mod gateway;
mod modes;
mod proxy;
mod rejections;
mod resource;
mod several_cookies;
mod sources;
mod waiting_cookies;
