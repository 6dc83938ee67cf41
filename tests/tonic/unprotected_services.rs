use futures_util::{StreamExt, stream};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::{
    v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    },
    v1alpha,
};
use tower_clerk::ClerkAuthLayer;

use crate::{
    echo::echo_client::EchoClient,
    harness::{connect, good, issuer, layer, layer_without_keys, serve, text, token},
    routes::routes,
    support::{
        BAD, bearer,
        grpc::{call, codes},
    },
    whoami::{
        CreateInvoiceRequest, Invoice, WatchRequest, WhoAmIRequest, who_am_i_client::WhoAmIClient,
        who_am_i_server::SERVICE_NAME,
    },
};

/// The example's own routes.
async fn example(clerk: &ClerkAuthLayer) -> Channel {
    connect(serve(routes(clerk).await.expect("a descriptor")).await).await
}

async fn health(channel: Channel, service: &str, authorization: &[&str]) -> Result<i32, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let reply = HealthClient::new(channel).check(call(request, authorization)).await;
    reply.map(|reply| reply.into_inner().status).map_err(|status| status.code())
}

#[tokio::test]
async fn health_checks_need_no_token_and_no_keys() {
    let serving: i32 = ServingStatus::Serving.into();
    for clerk in [layer(), layer_without_keys()] {
        let channel = example(&clerk).await;
        for authorization in [&[][..], &[BAD], &[BAD, BAD]] {
            for service in ["", SERVICE_NAME] {
                assert_eq!(health(channel.clone(), service, authorization).await, Ok(serving), "{service}");
            }
            assert_eq!(health(channel.clone(), "no.such.Service", authorization).await, Err(Code::NotFound));
        }
        let request = HealthCheckRequest { service: SERVICE_NAME.to_owned() };
        let mut watch = HealthClient::new(channel).watch(request).await.expect("a stream").into_inner();
        assert_eq!(watch.message().await.expect("a reply").map(|reply| reply.status), Some(serving));
    }
}

#[tokio::test]
async fn reflection_needs_no_token_in_either_version() {
    let channel = example(&layer()).await;
    let expected = ["grpc.health.v1.Health", SERVICE_NAME];
    let ask = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let mut client = ServerReflectionClient::new(channel.clone());
    let replies = client.server_reflection_info(stream::iter([request])).await.expect("a stream");
    let reply = replies.into_inner().next().await.expect("a reply").expect("a reply");
    let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else { panic!("{reply:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(expected.iter().all(|name| names.contains(name)), "{names:?}");

    let ask = v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(SERVICE_NAME.to_owned());
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let replies = client.server_reflection_info(stream::iter([request])).await.expect("a stream");
    let reply = replies.into_inner().next().await.expect("a reply").expect("a reply");
    let found = v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse;
    let Some(response) = reply.message_response else { panic!("no reply") };
    assert_eq!(std::mem::discriminant(&response), std::mem::discriminant(&found(Default::default())), "{response:?}");
}

#[tokio::test]
async fn every_other_method_is_guarded() {
    let channel = example(&layer()).await;
    let mut client = WhoAmIClient::new(channel.clone());
    for (authorization, expected) in [
        (&[][..], (Code::Unauthenticated, Some("missing_token"))),
        (&[BAD], (Code::Unauthenticated, Some("invalid_token"))),
        (&["Bearer a b"], (Code::InvalidArgument, Some("malformed_request"))),
    ] {
        let status = client.who_am_i(call(WhoAmIRequest {}, authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&status), expected);
        let status = client.watch(call(WatchRequest {}, authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&status), expected);
        let request = CreateInvoiceRequest::default();
        let status = client.create_invoice(call(request, authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&status), expected);
    }
    // tonic itself responds to calls of unknown services.
    let status = EchoClient::new(channel).unary(call(text("a"), &[])).await.expect_err("no such service");
    assert_eq!(codes(&status), (Code::Unimplemented, None));
}

#[tokio::test]
async fn the_example_returns_the_caller() {
    let clerk = layer();
    let mut client = WhoAmIClient::new(example(&clerk).await);
    let user = client.who_am_i(call(WhoAmIRequest {}, &[&good()])).await.expect("a reply").into_inner();
    assert_eq!((user.user_id.as_str(), user.session_id.as_deref()), ("user_ada", Some("sess_test")));
    assert_eq!((user.organization, user.instance.as_str()), (None, issuer().url()));

    let admin = token().organization("org_acme", "admin").organization_slug("acme");
    let admin = bearer(&admin.permission("invoices", "create").permission("invoices", "read"));
    let user = client.who_am_i(call(WhoAmIRequest {}, &[&admin])).await.expect("a reply").into_inner();
    let organization = user.organization.expect("an organization");
    assert_eq!((organization.id.as_str(), organization.slug.as_deref()), ("org_acme", Some("acme")));
    assert_eq!(organization.role.as_deref(), Some("org:admin"));
    assert_eq!(organization.permissions, ["org:invoices:create", "org:invoices:read"]);
}

#[tokio::test]
async fn the_examples_permission_is_enforced() {
    let mut client = WhoAmIClient::new(example(&layer()).await);
    let admin = || token().organization("org_acme", "admin");
    let invoice = || CreateInvoiceRequest { customer: "cus_1".to_owned() };
    let may = bearer(&admin().permission("invoices", "create"));
    let created = client.create_invoice(call(invoice(), &[&may])).await.expect("an invoice").into_inner();
    assert_eq!(created, Invoice { customer: "cus_1".to_owned(), created_by: "user_ada".to_owned() });
    for may_not in [admin(), admin().permission("invoices", "read"), admin().permission("orders", "create")] {
        let bearer = bearer(&may_not);
        let status = client.create_invoice(call(invoice(), &[&bearer])).await.expect_err("a rejection");
        assert_eq!(codes(&status), (Code::PermissionDenied, Some("insufficient_scope")));
        assert_eq!(status.message(), "insufficient scope");
    }
}
