//! Keys, and the fetches of them.

use std::{borrow::Cow, sync::Arc, time::Duration};

#[cfg(feature = "metrics")]
use super::{
    cache::approximate,
    handles::set,
    table::{JWKS_AGE, JWKS_FETCH_FAILED, JWKS_KEYS},
};
use super::{
    handles::{Labels, count, record},
    table::{JWKS_FETCH_DURATION, JWKS_FETCHES},
};

/// The fetches of one instance, or of several that share a series.
#[derive(Clone, Default)]
pub(crate) struct KeyInstruments {
    /// `None` for the only configured instance, and for those of a resolver.
    instance: Option<Arc<str>>,
}

/// Why keys are fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FetchLabel {
    BadSignature,
    /// There are no keys in use.
    First,
    Refresh,
    UnknownKid,
}

impl KeyInstruments {
    /// Those of an instance, with its name if there are others.
    pub(crate) fn of(instance: Option<&str>) -> Self {
        Self { instance: instance.map(Arc::from) }
    }

    /// Counts a fetch that has ended: `result` is `ok` or the kind of error.
    pub(crate) fn fetched(&self, result: &'static str, why: FetchLabel, took: Duration) {
        let reason = match why {
            FetchLabel::BadSignature => "bad_signature",
            FetchLabel::First => "first",
            FetchLabel::Refresh => "refresh",
            FetchLabel::UnknownKid => "unknown_kid",
        };
        count(&JWKS_FETCHES, 1, || {
            let mut labels = self.labels();
            labels.extend([("result", result.into()), ("reason", reason.into())]);
            labels
        });
        record(&JWKS_FETCH_DURATION, took.as_secs_f64(), || self.labels());
    }

    fn labels(&self) -> Labels {
        instance_label(self.instance.as_deref())
    }
}

/// The gauges about keys of an instance, or of several that share a series.
#[cfg(feature = "metrics")]
#[derive(Default)]
pub(crate) struct KeyGauges {
    pub(crate) keys: usize,
    /// `None` for keys that are not fetched.
    pub(crate) age: Option<Duration>,
    /// Whether the last fetch failed.
    pub(crate) has_failed: bool,
}

#[cfg(feature = "metrics")]
impl KeyGauges {
    /// Adds a tenant of a resolver.
    ///
    /// A tenant that nobody uses is not refreshed: its age says nothing, unless a fetch failed. One that has no keys
    /// may be one that was deleted at Clerk, and whose old tokens anybody can send: it is no failure of this service.
    pub(crate) fn add(&mut self, tenant: &Self, refresh_interval: Duration) {
        let has_failed = tenant.has_failed && tenant.keys > 0;
        let is_in_use = |age: &Duration| *age <= refresh_interval.saturating_mul(2);
        self.keys = self.keys.saturating_add(tenant.keys);
        self.age = self.age.max(tenant.age.filter(|age| has_failed || is_in_use(age)));
        self.has_failed |= has_failed;
    }

    pub(crate) fn set(&self, instance: Option<&str>) {
        set(&JWKS_KEYS, approximate(u64::try_from(self.keys).unwrap_or(u64::MAX)), || instance_label(instance));
        set(&JWKS_FETCH_FAILED, f64::from(u8::from(self.has_failed)), || instance_label(instance));
        if let Some(age) = self.age {
            set(&JWKS_AGE, age.as_secs_f64(), || instance_label(instance));
        }
    }
}

pub(super) fn instance_label(instance: Option<&str>) -> Labels {
    instance.map(|name| ("instance", Cow::Owned(name.to_owned()))).into_iter().collect()
}
