//! Several instances, each with kinds of its own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, Principal, TokenKind, Verifier,
    config::IssuerUrl,
    testing::{ManualClock, TestIssuer, TokenBuilder},
    verify::{ResolveError, VerifierBuilder, VerifyErrorKind},
};

use super::{JWTS, verify_by};
use crate::support::{at_once, numbered_issuer};

const NOT_ACCEPTED: Option<VerifyErrorKind> = Some(VerifyErrorKind::TokenKindNotAccepted);

/// An instance with its own key. The keys of all instances have the same `kid`.
struct Tenant {
    issuer: &'static TestIssuer,
    url: String,
}

impl Tenant {
    fn numbered(number: usize) -> Self {
        Self { issuer: numbered_issuer(number), url: format!("https://clerk.tenant{number}.example") }
    }

    fn config(&self, kinds: &[TokenKind]) -> ClerkConfig {
        ClerkConfig::from_jwks(self.issuer.jwks())
            .and_then(|config| config.add_issuer(&self.url))
            .and_then(|config| config.accept(kinds.iter().copied()))
            .expect("a configuration")
    }

    /// A token of each kind of JWT.
    fn tokens(&self) -> [TokenBuilder; 3] {
        let Self { issuer, url } = self;
        [issuer.token("user_ada"), issuer.oauth_token("user_ada"), issuer.m2m_token("mch_orders")]
            .map(|token| token.claim("iss", url))
    }
}

/// The kinds of this tenant's tokens that the verifier accepts. The others are rejected for their kind.
#[track_caller]
fn accepted(verifier: &Verifier, tenant: &Tenant) -> Vec<TokenKind> {
    let verified = tenant.tokens().map(|token| verify_by(verifier, &token.sign()).map(|principal| principal.kind()));
    for (kind, verified) in JWTS.iter().zip(&verified) {
        assert!(verified == &Ok(*kind) || verified.as_ref().err().copied() == NOT_ACCEPTED, "{verified:?}");
    }
    verified.into_iter().flatten().collect()
}

/// A resolver that knows these instances, and the number of its calls.
fn with_resolver(builder: VerifierBuilder, tenants: Vec<(String, ClerkConfig)>) -> (VerifierBuilder, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let resolver = move |issuer: IssuerUrl| {
        counted.fetch_add(1, Ordering::SeqCst);
        let config = tenants.iter().find(|(url, _)| url == issuer.as_str()).map(|(_, config)| config.clone());
        async move { Ok::<_, ResolveError>(config) }
    };
    (builder.clock(ManualClock::new()).resolver(resolver), calls)
}

#[test]
fn each_configured_instance_accepts_its_own_kinds() {
    let [a, b, c] = [0, 1, 2].map(Tenant::numbered);
    let verifier = VerifierBuilder::new()
        .instance(a.config(&[TokenKind::Session, TokenKind::OAuth]))
        .instance(b.config(&[TokenKind::M2m]))
        .instance(c.config(&JWTS))
        .clock(ManualClock::new())
        .build()
        .expect("a verifier");
    // The second time they may be cached.
    for _ in 0..2 {
        assert_eq!(accepted(&verifier, &a), [TokenKind::Session, TokenKind::OAuth]);
        assert_eq!(accepted(&verifier, &b), [TokenKind::M2m]);
        assert_eq!(accepted(&verifier, &c), JWTS);
    }
}

#[test]
fn a_key_of_one_instance_verifies_no_token_of_another() {
    let [a, b] = [0, 1].map(Tenant::numbered);
    let verifier = VerifierBuilder::new().instance(a.config(&JWTS)).instance(b.config(&JWTS));
    let verifier = verifier.clock(ManualClock::new()).build().expect("a verifier");
    for token in a.tokens() {
        let stolen = token.claim("iss", &b.url).sign();
        assert_eq!(verify_by(&verifier, &stolen).err(), Some(VerifyErrorKind::InvalidSignature));
    }
    let [_, oauth, _] = a.tokens();
    let unknown = oauth.claim("iss", "https://clerk.nobody.example").sign();
    assert_eq!(verify_by(&verifier, &unknown).err(), Some(VerifyErrorKind::InvalidIssuer));
}

#[test]
fn a_principal_names_the_instance_that_vouches_for_it() {
    let [a, b] = [0, 1].map(Tenant::numbered);
    let named = |tenant: &Tenant, name| tenant.config(&JWTS).instance_name(name).expect("a name");
    let verifier = Verifier::from_instances([named(&a, "a"), named(&b, "b")]).expect("a verifier");
    let system_clock = |token: &TokenBuilder| {
        token.clone().without_claim("iat").without_claim("nbf").claim("exp", 8_000_000_000_u64).sign()
    };
    let [_, oauth, m2m] = b.tokens();
    match verify_by(&verifier, &system_clock(&oauth)) {
        Ok(Principal::OAuth(token)) => assert_eq!(token.instance(), "b"),
        other => panic!("{other:?}"),
    }
    let m2m = verify_by(&verifier, &system_clock(&m2m)).expect("a principal");
    assert!(m2m.has(&tower_clerk::Requirement::instance("b")) && !m2m.has(&tower_clerk::Requirement::instance("a")));
}

#[tokio::test]
async fn tenants_accept_no_more_than_the_builder_allows() {
    let [a, b] = [0, 1].map(Tenant::numbered);
    let kinds: [&[TokenKind]; 3] = [&[], &[TokenKind::OAuth], &JWTS];
    for allowed in kinds {
        // The configured instance accepts everything, which must not concern the tenants.
        let tenants = vec![(b.url.clone(), b.config(&[TokenKind::Session, TokenKind::OAuth]))];
        let (builder, _) = with_resolver(VerifierBuilder::new().instance(a.config(&JWTS)), tenants);
        let builder = if allowed.is_empty() {
            builder
        } else {
            builder.accept_from_resolver(allowed.iter().copied()).expect("kinds")
        };
        let verifier = builder.build().expect("a verifier");
        verifier.resolve_ahead([IssuerUrl::parse(&b.url).expect("an issuer")]).await.expect("a tenant");
        let expected: Vec<_> = match allowed {
            [] => vec![TokenKind::Session],
            [_] => vec![TokenKind::OAuth],
            _ => vec![TokenKind::Session, TokenKind::OAuth],
        };
        for _ in 0..2 {
            assert_eq!(accepted(&verifier, &b), expected, "{allowed:?}");
            assert_eq!(accepted(&verifier, &a), JWTS, "{allowed:?}");
        }
    }
}

#[test]
fn a_kind_that_nobody_behind_a_layer_may_have_is_refused_by_it() {
    let a = Tenant::numbered(0);
    let builder = || with_resolver(VerifierBuilder::new().instance(a.config(&[TokenKind::Session])), Vec::new()).0;
    let error = |builder: VerifierBuilder| {
        let layer = ClerkAuthLayer::from(builder.build().expect("a verifier"));
        layer.accept([TokenKind::OAuth]).map(drop).map_err(|error| error.to_string())
    };
    let refused = error(builder()).expect_err("no tenant may have it");
    assert!(refused.starts_with("accept ") && refused.contains("accept_from_resolver"), "{refused}");
    assert_eq!(error(builder().accept_from_resolver([TokenKind::OAuth]).expect("kinds")), Ok(()));
    let alone = error(VerifierBuilder::new().instance(a.config(&[TokenKind::Session]))).expect_err("not accepted");
    assert!(!alone.contains("resolver"), "{alone}");
    let empty = builder().accept_from_resolver([]).map(drop).expect_err("no kinds").to_string();
    assert_eq!(empty, "accept_from_resolver must not be empty");
}

#[tokio::test]
async fn a_kind_that_no_tenant_may_have_is_not_looked_up() {
    let [a, b] = [0, 1].map(Tenant::numbered);
    let tenants = vec![(b.url.clone(), b.config(&JWTS))];
    let (builder, calls) = with_resolver(VerifierBuilder::new().instance(a.config(&JWTS)), tenants);
    let verifier =
        builder.accept_from_resolver([TokenKind::Session, TokenKind::M2m]).expect("kinds").build().expect("a verifier");
    let [session, oauth, m2m] = b.tokens().map(|token| token.sign());
    let verified = at_once(verifier.verify_principal(&oauth)).expect("no wait");
    assert_eq!(verified.err().map(|error| error.kind()), NOT_ACCEPTED);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert!(verifier.verify_principal(&m2m).await.is_ok());
    assert!(verifier.verify_principal(&session).await.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // A token of nobody's issuer is still one of an unknown issuer.
    let [_, _, m2m] = b.tokens();
    let unknown = verifier.verify_principal(&m2m.claim("iss", "https://clerk.nobody.example").sign()).await;
    assert_eq!(unknown.err().map(|error| error.kind()), Some(VerifyErrorKind::InvalidIssuer));
}

#[tokio::test]
async fn a_tenant_that_accepts_fewer_kinds_rejects_cached_tokens() {
    let b = Tenant::numbered(1);
    let records = Arc::new(std::sync::Mutex::new(b.config(&JWTS)));
    let read = Arc::clone(&records);
    let resolver = move |_: IssuerUrl| {
        let config = read.lock().expect("no panic").clone();
        async move { Ok::<_, ResolveError>(Some(config)) }
    };
    let builder =
        VerifierBuilder::new().resolver(resolver).clock(ManualClock::new()).accept_from_resolver(JWTS).expect("kinds");
    let verifier = builder.build().expect("a verifier");
    let [_, oauth, m2m] = b.tokens().map(|token| token.sign());
    assert!(verifier.verify_principal(&oauth).await.is_ok() && verifier.verify_principal(&m2m).await.is_ok());

    *records.lock().expect("no panic") = b.config(&[TokenKind::Session, TokenKind::M2m]);
    verifier.forget_instance(&IssuerUrl::parse(&b.url).expect("an issuer"));
    let refused = verifier.verify_principal(&oauth).await.err().map(|error| error.kind());
    assert_eq!(refused, NOT_ACCEPTED);
    assert!(verifier.verify_principal(&m2m).await.is_ok());
}
