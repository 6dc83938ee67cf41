//! `record_user`: who is signed in, in the span of the request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures_util::FutureExt;
use tower_clerk::{ClerkAuthLayer, TokenKind, testing::TestIssuer};
use tracing::{
    Instrument, Subscriber,
    field::{Empty, Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, registry::LookupSpan};

use crate::support::{bearer, cold_layer, get, good, layer, layer_of, send_through, token};

/// What was recorded in spans after they were made.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<BTreeMap<String, String>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorded {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {}

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut Fields(&mut self.0.lock().expect("a table")));
    }
}

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Recorded {
    fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.0.lock().expect("a table")).into_iter().collect()
    }
}

/// What a request to `layer` records in a span with both fields.
async fn recorded(layer: &ClerkAuthLayer, authorization: &str) -> Vec<(String, String)> {
    let recorded = Recorded::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(recorded.clone()));
    let span = tracing::info_span!("request", "user.id" = Empty, "session.id" = Empty);
    send_through(layer, get(&[("authorization", authorization)])).instrument(span).await;
    recorded.take()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn user_and_session_are_recorded_only_on_request() {
    let authorization = bearer(&token().session_id("sess_1"));
    assert_eq!(recorded(&layer(), &authorization).await, []);
    let layer = layer().record_user();
    assert_eq!(recorded(&layer, &authorization).await, pairs(&[("session.id", "sess_1"), ("user.id", "user_ada")]));
    // Rejected, so the claims are worth nothing.
    assert_eq!(recorded(&layer, &bearer(&token().expired())).await, []);
    assert_eq!(recorded(&layer.allow_unauthenticated_requests(), "Bearer not.a.token").await, []);
}

#[tokio::test]
async fn a_span_without_the_fields_and_no_span_are_left_alone() {
    let recorded = Recorded::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(recorded.clone()));
    let layer = layer().record_user();
    let (authorization, span) = (good(), tracing::info_span!("request"));
    assert_eq!(send_through(&layer, get(&[("authorization", &authorization)])).instrument(span).await.status(), 200);
    assert_eq!(send_through(&layer, get(&[("authorization", &authorization)])).await.status(), 200);
    assert_eq!(recorded.take(), []);
}

#[tokio::test]
async fn tokens_of_other_kinds_record_their_user_if_they_have_one() {
    let issuer = TestIssuer::start().await.expect("an issuer");
    let config = issuer.config().secret_key("sk_test_abc").and_then(|config| config.accept(TokenKind::all()));
    let config = config.and_then(|config| config.api_url(issuer.backend_api().url()));
    let layer = ClerkAuthLayer::from_config(config.expect("kinds")).expect("a layer").record_user();
    let api = issuer.backend_api();
    for (token, expected) in [
        (issuer.oauth_token("user_ada").sign(), &[("user.id", "user_ada")][..]),
        (issuer.m2m_token("mch_a").sign(), &[]),
        (api.api_key("user_bob").issue(), &[("user.id", "user_bob")]),
        (api.api_key("org_acme").issue(), &[]),
    ] {
        assert_eq!(recorded(&layer, &format!("Bearer {token}")).await, pairs(expected), "{token}");
    }
}

#[tokio::test]
async fn a_request_that_has_waited_records_its_user_too() {
    let (layer, gate) = cold_layer();
    let layer = layer.record_user();
    let authorization = good();
    let mut sent = Box::pin(recorded(&layer, &authorization));
    assert!(sent.as_mut().now_or_never().is_none());
    gate.open();
    let fields = sent.await;
    assert!(fields.contains(&("user.id".to_owned(), "user_ada".to_owned())), "{fields:?}");
}

#[tokio::test]
async fn a_layer_that_accepts_several_kinds_records_sessions() {
    let config = crate::support::issuer().config().accept([TokenKind::Session, TokenKind::OAuth]).expect("kinds");
    let fields = recorded(&layer_of(config).record_user(), &good()).await;
    assert_eq!(fields.len(), 2, "{fields:?}");
}
