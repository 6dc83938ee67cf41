//! The keys over time: fetched, refreshed, served while stale, fetched again after a failure, and dropped.

mod back_off;
mod bad_signature;
mod cancellation;
mod cold;
mod flood;
mod forget_keys;
mod fresh;
mod late;
mod layer;
mod no_runtime;
mod operators;
mod replacement;
mod rolling_rotation;
mod runtimes;
mod sharing;
mod source_faults;
mod stale;
mod stress;
mod unknown_kid;
