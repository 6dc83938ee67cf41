//! How keys are held over time: fetched, refreshed, served on, asked for again and given up.

mod back_off;
mod bad_signature;
mod cancellation;
mod cold;
mod flood;
mod forgetting;
mod fresh;
mod layer;
mod no_runtime;
mod operators;
mod replacement;
mod runtimes;
mod sharing;
mod source;
mod source_faults;
mod stale;
mod stress;
mod support;
mod unknown_kid;
