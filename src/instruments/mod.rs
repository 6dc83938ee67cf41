//! Counters, gauges and histograms for the recorder of the facade `metrics`; the guide has the table.
//!
//! `handles.rs` alone names the crate `metrics`. Without the feature `metrics` its functions do nothing, and callers
//! need no `cfg`.
//!
//! A recorder is user code that may panic or block, as a subscriber of events: callers must not hold a lock, and must
//! do all that others wait for before they count. No label holds an identifier, or anything else that a client can
//! choose: labels are `&'static str` but for the name of a configured instance.

mod cache;
mod decisions;
mod fetches;
mod handles;
mod requests;
mod table;
mod verifications;

pub(crate) use self::{
    cache::{CacheInstruments, UncountedEvictions},
    decisions::{DecisionInstruments, RequirementLabel},
    fetches::{FetchLabel, KeyInstruments},
    requests::{Outcome, RejectedRequest, RequestInstruments, SourceLabel, Timer},
    verifications::{CallResult, CallVerdicts, VerificationInstruments, backend_called},
};
#[cfg(feature = "metrics")]
pub(crate) use self::{fetches::KeyGauges, verifications::begin_backend_calls};

/// Where the metrics of one verifier are counted, and of the layers around it.
///
/// Each series is bound to the recorder that is installed when it is first counted. Until one is installed, nothing is
/// bound and nothing is counted, so it may be installed before or after the verifier is made.
#[derive(Default)]
pub(crate) struct Instruments {
    pub(crate) cache: CacheInstruments,
    pub(crate) requests: RequestInstruments,
    pub(crate) verifications: VerificationInstruments,
}

impl Instruments {
    /// Describes every metric to the recorder that is installed, if there is one. A series that is bound later to
    /// another recorder describes its metric there.
    pub(crate) fn new() -> Self {
        handles::describe(&table::METRICS);
        Self::default()
    }
}
