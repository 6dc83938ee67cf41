//! The tonic example as a user starts it: a process with an environment, called over a socket.

use std::time::{Duration, SystemTime};

use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tower_clerk::testing::TestIssuer;

use self::whoami::{CreateInvoiceRequest, User, WatchRequest, WhoAmIRequest, who_am_i_client::WhoAmIClient};
use super::{
    metrics::exposition,
    process::{Example, assert_names_bad_settings},
};
use crate::support::{
    grpc::{self, codes},
    system_clock_issuer,
};


#[rustfmt::skip]
#[allow(clippy::as_conversions, dead_code, unreachable_pub, unused_qualifications)]
#[path = "../../examples/tonic/whoami.rs"]
mod whoami;

fn start(variables: &[(&str, &str)]) -> Example {
    Example::start("tonic", "try.py", variables)
}

impl Example {
    async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.url.clone()).expect("an address").connect().await.expect("a connection")
    }

    async fn who_am_i(&self, token: Option<&str>) -> Result<User, Status> {
        let reply = WhoAmIClient::new(self.channel().await).who_am_i(call(WhoAmIRequest {}, token)).await;
        reply.map(tonic::Response::into_inner)
    }

    async fn is_serving(&self) -> bool {
        let request = HealthCheckRequest { service: "whoami.v1.WhoAmI".to_owned() };
        let reply = HealthClient::new(self.channel().await).check(request).await.expect("a reply");
        reply.into_inner().status() == ServingStatus::Serving
    }
}

fn call<T>(message: T, token: Option<&str>) -> Request<T> {
    let authorization: Vec<String> = token.iter().map(|token| format!("Bearer {token}")).collect();
    grpc::call(message, &authorization.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test]
async fn without_an_environment_it_prints_tokens_that_work() {
    let example = start(&[]);
    let printed = example.lines.concat();
    for command in ["grpcurl -plaintext ", "python3 -c ", "python3 examples/tonic/try.py "] {
        assert!(printed.contains(command), "{printed}");
    }
    let last = example.lines.last().expect("a line").split_whitespace().collect::<Vec<_>>();
    let [_, _, address, ada, bob] = last[..] else { panic!("{last:?}") };
    assert_eq!(format!("http://{address}"), example.url);
    assert_eq!(printed.matches(ada).count(), 3);

    let user = example.who_am_i(Some(ada)).await.expect("a reply");
    let organization = user.organization.expect("an organization");
    assert_eq!((user.user_id.as_str(), organization.id.as_str()), ("user_ada", "org_acme"));
    assert_eq!(organization.permissions, ["org:invoices:create"]);
    let rejected = example.who_am_i(None).await.expect_err("a rejection");
    assert_eq!(codes(&rejected), (Code::Unauthenticated, Some("missing_token")));
    let rejected = example.who_am_i(Some("a.b.c")).await.expect_err("a rejection");
    assert_eq!(codes(&rejected), (Code::Unauthenticated, Some("invalid_token")));

    let mut client = WhoAmIClient::new(example.channel().await);
    let invoice = CreateInvoiceRequest { customer: "cus_1".to_owned() };
    let created = client.create_invoice(call(invoice.clone(), Some(ada))).await.expect("an invoice").into_inner();
    assert_eq!((created.customer.as_str(), created.created_by.as_str()), ("cus_1", "user_ada"));
    let denied = client.create_invoice(call(invoice, Some(bob))).await.expect_err("a rejection");
    assert_eq!(codes(&denied), (Code::PermissionDenied, Some("insufficient_scope")));
    let mut ticks = client.watch(call(WatchRequest {}, Some(bob))).await.expect("a stream").into_inner();
    let tick = ticks.message().await.expect("a reply").expect("a tick");
    assert_eq!(tick.number, 0);
    assert!((3000..=3600).contains(&tick.seconds_left), "{tick:?}");
    assert!(example.is_serving().await);
}

#[tokio::test]
async fn it_trusts_the_instance_that_the_environment_names() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let token = issuer.token("user_bob").sign();
    let pem = issuer.public_key_pem();
    for variables in [
        vec![("CLERK_FRONTEND_API_URL", issuer.url())],
        vec![("CLERK_JWT_KEY", pem.as_str())],
        vec![("CLERK_SECRET_KEY", "sk_test_abc"), ("CLERK_API_URL", issuer.url())],
        vec![("CLERK_FRONTEND_API_URL", issuer.url()), ("CLERK_AUTHORIZED_PARTIES", "https://app.test.example")],
    ] {
        let example = start(&variables);
        let user = example.who_am_i(Some(&token)).await.expect("a reply");
        assert_eq!((user.user_id.as_str(), user.organization), ("user_bob", None), "{variables:?}");
        let stranger = system_clock_issuer().token("user_eve").claim("iss", issuer.url()).sign();
        let rejected = example.who_am_i(Some(&stranger)).await.expect_err("a rejection");
        assert_eq!(codes(&rejected), (Code::Unauthenticated, Some("invalid_token")), "{variables:?}");
    }
    let parties = [("CLERK_FRONTEND_API_URL", issuer.url()), ("CLERK_AUTHORIZED_PARTIES", "https://a.example")];
    let rejected = start(&parties).who_am_i(Some(&token)).await.expect_err("a rejection");
    assert_eq!(codes(&rejected), (Code::Unauthenticated, Some("invalid_token")));
}

#[tokio::test]
async fn its_stream_ends_when_the_token_expires() {
    let issuer = system_clock_issuer();
    let pem = issuer.public_key_pem();
    let example = start(&[("CLERK_JWT_KEY", &pem)]);
    let mut client = WhoAmIClient::new(example.channel().await);
    // On a busy machine the shortest lifetime may end before the first message.
    for lifetime in [2, 4, 8, 16, 32] {
        let token = issuer.token("user_ada").lifetime(Duration::from_secs(lifetime));
        let payload: serde_json::Value = serde_json::from_str(&token.payload()).expect("JSON");
        let expires_at = SystemTime::UNIX_EPOCH + Duration::from_secs(payload["exp"].as_u64().expect("a time"));
        let mut numbers = Vec::new();
        let status = match client.watch(call(WatchRequest {}, Some(&token.sign()))).await {
            Ok(ticks) => {
                let mut ticks = ticks.into_inner();
                loop {
                    match ticks.message().await {
                        Ok(tick) => numbers.push(tick.expect("no end without a status").number),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        assert_eq!(codes(&status), (Code::Unauthenticated, Some("token_expired")));
        assert!(SystemTime::now() >= expires_at);
        if let Some(first) = numbers.first() {
            assert_eq!(*first, 0);
            return;
        }
    }
    panic!("no stream had a message");
}

#[tokio::test]
async fn it_listens_although_the_issuer_is_down() {
    // Nothing listens on port 9 (discard) of loopback.
    let example = start(&[("CLERK_FRONTEND_API_URL", "http://127.0.0.1:9")]);
    assert!(example.is_serving().await);
    let rejected = example.who_am_i(None).await.expect_err("a rejection");
    assert_eq!(codes(&rejected), (Code::Unauthenticated, Some("missing_token")));
    let token = system_clock_issuer().token("user_ada").sign();
    let rejected = example.who_am_i(Some(&token)).await.expect_err("a rejection");
    assert_eq!(codes(&rejected), (Code::Unavailable, Some("keys_unavailable")));
    assert!(rejected.metadata().contains_key("grpc-retry-pushback-ms"));
    assert!(example.is_serving().await);
}

#[test]
fn a_bad_setting_exits_with_one_line_that_names_it() {
    assert_names_bad_settings("tonic");
}

#[tokio::test]
async fn metrics_have_a_port_of_their_own() {
    let example = start(&[]);
    let printed = example.lines.concat();
    let (_, rest) = printed.split_once("metrics are at ").expect("an address");
    let url = rest.lines().next().expect("a line").trim().strip_suffix("/metrics").expect("a path");
    assert_ne!(url, example.url);
    let before = exposition(url).await;
    assert!(!before.contains("clerk_auth_requests_total{"), "{before}");
    example.who_am_i(None).await.expect_err("a rejection");
    let after = exposition(url).await;
    let line = r#"clerk_auth_requests_total{outcome="refused",reason="missing_token",token="none",source="other"} 1"#;
    assert!(after.lines().any(|other| other == line), "{after}");
}
