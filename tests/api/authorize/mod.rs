//! What a verified user may do, and what one who may not is answered.

mod bodies;
mod decoding;
mod extractors;
mod factors;
mod has;
mod layer;
mod organizations;
mod readiness;
mod reverification;
mod schemes;
mod stored;
mod support;
mod tables;
mod templates;
mod traits;
