//! No label has a value outside of the guide's lists, whatever clients send.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::ready,
};

use bytes::Bytes;
use http::{HeaderName, Method, Request};
use http_body_util::Empty;
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, Requirement, TokenKind, TokenSource,
    authorize::RequireService,
    config::IssuerUrl,
    jwks::FetchError,
    testing::{ManualClock, TestBackendApi, TestIssuer},
    verify::{Instance, ResolveError, VerifierBuilder},
};
use tower_layer::Layer;

use super::{Metrics, Sample};
use crate::support::{numbered_issuer, secs, settle, whoami, within};

/// A metric as the guide lists it.
pub(super) struct Listed {
    pub(super) kind: String,
    pub(super) unit: String,
    labels: BTreeSet<String>,
}

const GUIDE: &str = include_str!("../../../src/guide/dashboards.md");

/// The cells of the rows of the table whose head begins like this.
fn rows(head: &str) -> Vec<Vec<&'static str>> {
    let (_, table) = GUIDE.split_once(head).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The texts in backticks.
fn words(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

pub(super) fn metrics_of_the_guide() -> BTreeMap<String, Listed> {
    let listed = rows("| metric | kind |").into_iter().map(|cells| {
        let [name, kind, unit, labels, _] = cells.as_slice() else { panic!("{cells:?}") };
        let listed = Listed { kind: (*kind).to_owned(), unit: (*unit).to_owned(), labels: words(labels) };
        (name.trim_matches('`').to_owned(), listed)
    });
    listed.collect()
}

/// The values by metric and label.
fn values_of_the_guide() -> BTreeMap<(String, String), BTreeSet<String>> {
    let listed = rows("| label | of |").into_iter().map(|cells| {
        let [label, metric, values] = cells.as_slice() else { panic!("{cells:?}") };
        ((metric.trim_matches('`').to_owned(), label.trim_matches('`').to_owned()), words(values))
    });
    listed.collect()
}

/// The name in code.
fn metric_of(sample: &Sample) -> String {
    let suffixes = ["_total", "_bucket", "_sum", "_count"];
    let name = suffixes.iter().find_map(|suffix| sample.name.strip_suffix(suffix)).unwrap_or(&sample.name);
    name.to_owned()
}

/// What is not in the guide, of these samples.
fn unlisted(samples: &[Sample], instances: &[&str]) -> Vec<String> {
    let (metrics, values) = (metrics_of_the_guide(), values_of_the_guide());
    let mut unlisted = Vec::new();
    for sample in samples {
        let name = metric_of(sample);
        let Some(metric) = metrics.get(&name) else {
            unlisted.push(name);
            continue;
        };
        for (label, value) in sample.labels.iter().filter(|(label, _)| *label != "le") {
            let is_listed = match label.as_str() {
                "instance" => instances.contains(&value.as_str()),
                label => values.get(&(name.clone(), label.to_owned())).is_some_and(|values| values.contains(value)),
            };
            if !is_listed || !metric.labels.contains(label) {
                unlisted.push(format!("{name} {label}={value}"));
            }
        }
    }
    unlisted
}

/// Random choices that a seed determines.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end).expect("few")).expect("few")
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn text(&mut self) -> String {
        let signs = b"abcXYZ019._-=~+/\"\\ {},;:";
        (0..self.below(40)).map(|_| char::from(signs[self.below(signs.len())])).collect()
    }
}

const PARTY: &str = "https://app.example.com";

/// Two configured instances, tenants, failing fetches, a Backend API that fails at times, and all sources.
struct Service {
    clock: ManualClock,
    api: TestBackendApi,
    layers: Vec<ClerkAuthLayer>,
    opaque: Vec<String>,
    /// Valid tokens, more than the token cache holds.
    good: Vec<String>,
}

impl Service {
    fn new() -> Self {
        let clock = ManualClock::new();
        let api = TestBackendApi::new().clock(clock.clone());
        let opaque = vec![
            api.api_key("user_ada").issue(),
            api.oauth_token("user_ada").issue(),
            api.m2m_token("mch_a").issue(),
            "ak_made_up".to_owned(),
        ];
        let good = |number: usize| {
            let (host, issuer) = [("live", 0), ("staging", 1), ("tenant-a", 2)][number % 3];
            let token = numbered_issuer(issuer).token("user_ada").authorized_party(PARTY).claim("n", number);
            let token = token.claim("iss", format!("https://clerk.{host}.example")).claim("exp", 8_000_000_000_u64);
            token.sign()
        };
        let good = (0..30).map(good).collect();
        let configured = |name: &str, number: usize| {
            let config = ClerkConfig::from_frontend_api_url(format!("https://clerk.{name}.example"))
                .and_then(|config| config.instance_name(name))
                .and_then(|config| config.authorized_parties([PARTY]))
                .and_then(|config| config.accept(TokenKind::all()))
                .expect("a configuration");
            let fetches = std::sync::atomic::AtomicUsize::new(0);
            let jwks = Bytes::from(numbered_issuer(number).jwks());
            let source = move || {
                let turn = fetches.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                ready(match turn % 4 {
                    0 => Err(FetchError::new("out of order")),
                    1 => Ok(Bytes::from_static(b"{}")),
                    _ => Ok(jwks.clone()),
                })
            };
            Instance::new(config).key_source(source).backend_api(api.clone())
        };
        let resolver = |issuer: IssuerUrl| {
            let known = issuer.as_str().contains("tenant");
            ready(if issuer.as_str().contains("broken") {
                Err::<Option<Instance>, _>(ResolveError::new("the database is down"))
            } else {
                Ok(known.then(|| {
                    let config = ClerkConfig::from_jwks(numbered_issuer(2).jwks());
                    config.and_then(|config| config.add_issuer(issuer.as_str())).expect("a configuration").into()
                }))
            })
        };
        let builder = VerifierBuilder::new().instance(configured("live", 0)).instance(configured("staging", 1));
        let verifier = builder.resolver(resolver).clock(clock.clone()).token_cache_entries(20).build();
        let layer = ClerkAuthLayer::from(verifier.expect("a verifier"))
            .token_sources([
                TokenSource::authorization(),
                TokenSource::header(HeaderName::from_static("x-token")),
                TokenSource::session_cookie(),
                TokenSource::custom(|headers| headers.get("x-other")?.to_str().ok().map(Into::into)),
            ])
            .expect("sources");
        let layers = vec![
            layer.clone(),
            layer.clone().allow_missing_token(),
            layer.allow_unauthenticated_requests().with_custom_claims::<BTreeMap<String, serde_json::Value>>(),
        ];
        Self { clock, api, layers, opaque, good }
    }

    fn token(&self, random: &mut Random) -> String {
        if random.below(4) == 0 {
            return random.one(&self.good);
        }
        let hosts = ["live", "staging", "tenant-a", "tenant-b", "broken", "unknown"];
        let host = random.one(&hosts);
        let issuer: &TestIssuer = numbered_issuer(random.below(4));
        let mut token = match random.below(4) {
            0 => issuer.oauth_token("user_ada"),
            1 => issuer.m2m_token("mch_a"),
            _ => issuer.token("user_ada").authorized_party(PARTY),
        };
        token = token.claim("iss", format!("https://clerk.{host}.example"));
        for _ in 0..random.below(3) {
            let text = random.text();
            token = match random.below(9) {
                0 => token.header("kid", text),
                1 => token.header("typ", text),
                2 => token.header("alg", random.one(&["none", "RS512", "HS256"])),
                3 => token.claim(random.one(&["sub", "sid", "azp", "act", "nbf", "iat", "sts"]), text),
                4 => token.without_claim(random.one(&["sub", "sid", "exp", "iss", "azp", "iat"])),
                5 => token.expired(),
                6 => token.claim("cnf", 1).claim("aud", text),
                7 => token.header("cat", text).header("crit", 1),
                _ => token.claim("nbf", 9_000_000_000_u64),
            };
        }
        let token = token.sign();
        match random.below(8) {
            0 => token[..random.below(token.len())].to_owned(),
            1 => format!("{token}{}", random.text()),
            2 => random.text(),
            3 => random.one(&self.opaque),
            4 => format!("{}{}", random.one(&["ak_", "mt_", "oat_"]), random.text()),
            _ => token,
        }
    }

    async fn send(&self, random: &mut Random) {
        let token = self.token(random);
        let method =
            random.one(&[Method::GET, Method::POST, Method::HEAD, Method::from_bytes(b"MADE-UP").expect("one")]);
        let mut request = Request::builder().method(method).uri("/me");
        for _ in 0..random.below(3) {
            let (name, value) = match random.below(7) {
                0 => ("x-token", token.clone()),
                1 => ("cookie", format!("__session={token}; __session={}", self.token(random))),
                2 => ("x-other", token.clone()),
                3 => ("authorization", random.text()),
                4 => ("origin", random.one(&[PARTY, "https://evil.example", "null"]).to_owned()),
                _ => ("authorization", format!("Bearer {token}")),
            };
            request = request.header(name, value);
        }
        let requirement = match random.below(7) {
            0 => Requirement::role(random.text()),
            1 => Requirement::permission(random.text()),
            2 => Requirement::feature(random.text()),
            3 => Requirement::plan(random.text()),
            4 => Requirement::scope(random.text()),
            5 => Requirement::instance("live"),
            _ => Requirement::role("a").or(Requirement::scope(random.text())),
        };
        let inner = RequireService::new(tower::service_fn(whoami::<Empty<Bytes>>), requirement);
        let request = request.body(Empty::new()).expect("a request");
        let layer = random.one(&self.layers);
        drop(within(tower::ServiceExt::oneshot(layer.layer(inner), request)).await.expect("a response"));
        match random.below(20) {
            0 => self.clock.advance(secs(u64::try_from(random.below(1000)).expect("few"))),
            1 => self.api.serve_status(500),
            2 => self.api.serve_document(random.text()),
            3 | 4 => self.api.serve_answers(),
            5 => layer.verifier().forget_keys(),
            6 => drop(layer.verifier().refresh().await),
            7 => layer.verifier().record_metrics(),
            _ => settle().await,
        }
    }
}

#[tokio::test]
async fn no_label_has_a_value_outside_of_the_guides_lists_under_random_load() {
    let metrics = Metrics::start();
    let service = Service::new();
    let mut random = Random(SEED);
    for _ in 0..REQUESTS {
        service.send(&mut random).await;
    }
    service.layers[0].verifier().record_metrics();
    let samples = metrics.samples();
    assert_eq!(unlisted(&samples, &["live", "staging"]), [""; 0]);

    // The load reaches every metric, and many reasons.
    let seen: BTreeSet<String> = samples.iter().map(metric_of).collect();
    assert!(metrics_of_the_guide().keys().all(|name| seen.contains(name)), "{seen:?}");
    let label = |name: &str| -> BTreeSet<_> { samples.iter().filter_map(|sample| sample.labels.get(name)).collect() };
    assert!(label("reason").len() > 20, "{:?}", label("reason"));
    assert!(label("outcome").len() == 4 && label("token").len() == 5 && label("source").len() == 3);
    assert!(label("requirement").len() > 5 && label("instance").len() == 2);
    let requests: f64 =
        samples.iter().filter(|sample| sample.name == "clerk_auth_requests_total").map(|sample| sample.value).sum();
    assert_eq!(requests, f64::from(REQUESTS));
}

#[test]
fn a_value_a_label_and_a_metric_that_are_not_listed_are_found() {
    let found = |line: &str| unlisted(&super::parse(line), &["live"]);
    for line in [
        "clerk_jwks_keys{instance=\"live\"} 1",
        "clerk_jwks_fetches_total{result=\"ok\",reason=\"first\"} 1",
        "clerk_auth_duration_seconds_bucket{cached=\"true\",le=\"0.1\"} 1",
    ] {
        assert_eq!(found(line), [""; 0], "{line}");
    }
    for (line, value) in [
        ("clerk_jwks_keys{instance=\"tenant\"} 1", "clerk_jwks_keys instance=tenant"),
        ("clerk_auth_requests_total{instance=\"live\"} 1", "clerk_auth_requests instance=live"),
        ("clerk_jwks_fetches_total{reason=\"none\"} 1", "clerk_jwks_fetches reason=none"),
        ("clerk_auth_requests_total{user=\"user_ada\"} 1", "clerk_auth_requests user=user_ada"),
        ("clerk_users 1", "clerk_users"),
    ] {
        assert_eq!(found(line), [value]);
    }
}

#[test]
fn every_label_of_a_metric_has_a_list_and_every_list_a_label() {
    let of_metrics: BTreeSet<_> = metrics_of_the_guide()
        .into_iter()
        .flat_map(|(name, metric)| metric.labels.into_iter().map(move |label| (name.clone(), label)))
        .filter(|(_, label)| label != "instance")
        .collect();
    assert_eq!(of_metrics, values_of_the_guide().into_keys().collect());
}

const REQUESTS: u32 = 3000;
const SEED: u64 = 20_261_130;
