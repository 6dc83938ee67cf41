//! The metrics. No name ends in `_total`: exporters add it.

/// A metric, as it is described to recorders.
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "nothing is described without recorders"))]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Unit,
    pub(super) text: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Clone, Copy)]
pub(super) enum Unit {
    Bytes,
    Count,
    Seconds,
}

pub(super) static METRICS: [&Metric; 14] = [
    &AUTH_REQUESTS,
    &AUTH_DURATION,
    &AUTHORIZATION_DECISIONS,
    &TOKEN_CACHE_ENTRIES,
    &TOKEN_CACHE_BYTES,
    &TOKEN_CACHE_HITS,
    &TOKEN_CACHE_MISSES,
    &TOKEN_CACHE_EVICTIONS,
    &JWKS_FETCHES,
    &JWKS_AGE,
    &JWKS_KEYS,
    &JWKS_FETCH_FAILED,
    &JWKS_FETCH_DURATION,
    &BACKEND_VERIFICATIONS,
];

pub(super) static AUTH_REQUESTS: Metric =
    counter("clerk_auth_requests", "requests about which a layer has decided, by outcome, reason, token and source");

pub(super) static AUTH_DURATION: Metric = Metric {
    name: "clerk_auth_duration_seconds",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    text: "time from a request with a token to the decision about it, waits included; for cached tokens one in 64",
};

pub(super) static AUTHORIZATION_DECISIONS: Metric =
    counter("clerk_authorization_decisions", "requirements that were checked, by result and kind of requirement");

pub(super) static TOKEN_CACHE_ENTRIES: Metric =
    gauge("clerk_token_cache_entries", Unit::Count, "verified tokens in the token cache");

pub(super) static TOKEN_CACHE_BYTES: Metric =
    gauge("clerk_token_cache_bytes", Unit::Bytes, "heap that the token cache takes, as an upper estimate");

pub(super) static TOKEN_CACHE_HITS: Metric =
    counter("clerk_token_cache_hits", "tokens that were found in the token cache and are still valid");

pub(super) static TOKEN_CACHE_MISSES: Metric =
    counter("clerk_token_cache_misses", "tokens that were not found in the token cache, or are not valid any more");

pub(super) static TOKEN_CACHE_EVICTIONS: Metric =
    counter("clerk_token_cache_evictions", "tokens that the token cache gave up because it is full");

pub(super) static JWKS_FETCHES: Metric =
    counter("clerk_jwks_fetches", "fetches of keys that have ended, by result and reason");

pub(super) static JWKS_AGE: Metric =
    gauge("clerk_jwks_age_seconds", Unit::Seconds, "time since the key set in use was fetched");

pub(super) static JWKS_KEYS: Metric = gauge("clerk_jwks_keys", Unit::Count, "keys in use");

pub(super) static JWKS_FETCH_FAILED: Metric =
    gauge("clerk_jwks_fetch_failed", Unit::Count, "1 if the last fetch of keys failed, else 0");

pub(super) static JWKS_FETCH_DURATION: Metric = Metric {
    name: "clerk_jwks_fetch_duration_seconds",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    text: "time that fetches of keys took, failed ones included",
};

pub(super) static BACKEND_VERIFICATIONS: Metric = counter(
    "clerk_backend_verifications",
    "answers about opaque tokens, by token and result; each that is not cached is a call of the Backend API",
);

const fn counter(name: &'static str, text: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, text }
}

const fn gauge(name: &'static str, unit: Unit, text: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, text }
}
