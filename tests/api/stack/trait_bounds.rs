use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, Ready, ready},
    marker::PhantomData,
    rc::Rc,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::task::LocalSet;
use tower::{Service, ServiceExt, service_fn};
use tower_clerk::{
    ApiKey, ClerkAuth, ClerkAuthLayer, ClerkAuthService, M2mToken, OAuthToken, Principal, ProtectedResource,
    authenticate::{ResourceMetadataService, ResponseBody, ResponseFuture},
    backend_api::OpaqueTokenLimits,
    testing::TestBackendApi,
};
use tower_layer::Layer;

use super::arms;
use crate::support::{Answer, BAD, cold_layer, get_path, good, layer, whoami, with_body};

type Plain = fn(Request<Body>) -> Ready<Result<Response<Full<Bytes>>, Infallible>>;
/// `Send` but not `Sync`.
type NotSync = PhantomData<Cell<()>>;

fn is_shared<T: Clone + Send + Sync + 'static>() {}
fn is_sent<T: Send + 'static>() {}
fn is_unpin<T: Unpin>() {}

#[test]
fn layer_and_service_are_cloned_and_shared_across_threads() {
    is_shared::<ClerkAuthLayer>();
    is_shared::<ClerkAuth>();
    is_shared::<ClerkAuthService<Plain>>();
    is_sent::<ClerkAuthService<NotSync>>();
}

#[test]
fn callers_resources_and_limits_are_cloned_and_shared_across_threads() {
    is_shared::<OAuthToken>();
    is_shared::<M2mToken>();
    is_shared::<ApiKey>();
    is_shared::<Principal>();
    is_shared::<ProtectedResource>();
    is_shared::<ResourceMetadataService>();
    is_shared::<OpaqueTokenLimits>();
    is_shared::<TestBackendApi>();
}

#[test]
fn futures_and_bodies_are_send_if_user_bodies_are_not_sync() {
    type Service<ReqBody> =
        tower::util::ServiceFn<fn(Request<ReqBody>) -> Ready<Result<Response<NotSync>, Infallible>>>;
    is_sent::<ResponseFuture<Service<NotSync>, NotSync>>();
    is_sent::<ResponseBody<NotSync>>();
    is_unpin::<ResponseBody<Full<Bytes>>>();
}

#[tokio::test]
async fn tasks_on_several_threads_share_a_service() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    for (arm, clerk) in arms() {
        let service = clerk.layer(service_fn(whoami::<Body>));
        let tasks: Vec<_> =
            (0..8).map(|_| runtime.spawn(service.clone().oneshot(get_path("/", Some(&good()))))).collect();
        for task in tasks {
            let response = task.await.expect("no panic").expect("infallible");
            assert_eq!(Answer::of(response).await.outcome(), (200, "user_ada"), "{arm}");
        }
    }
    runtime.shutdown_background();
}

/// Neither `Send`, `Sync`, `Clone`, `Debug`, a body, nor an error.
struct Anything(Rc<str>);

#[tokio::test]
async fn bodies_and_errors_can_be_anything() {
    let inner = service_fn(|request: Request<Anything>| {
        let id = request.extensions().get::<ClerkAuth>().map_or("nobody", |user| user.user_id()).to_owned();
        let body = request.into_body().0;
        ready(if &*body == "fail" { Err(Anything("failed".into())) } else { Ok(Response::new(Anything(id.into()))) })
    });
    for (arm, clerk) in arms() {
        let ask = async |body: &str, authorization: &str| {
            let request = with_body("POST", "/", &[("authorization", authorization)], Anything(body.into()));
            clerk.layer(inner).oneshot(request).await.map(|response| response.status().as_u16())
        };
        assert_eq!(ask("pass", &good()).await.ok(), Some(200), "{arm}");
        assert_eq!(ask("pass", BAD).await.ok(), Some(401), "{arm}");
        assert_eq!(ask("fail", &good()).await.err().as_ref().map(|error| &*error.0), Some("failed"), "{arm}");
    }
}

#[test]
fn a_service_that_is_not_send_works_on_its_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    let inner = service_fn(move |request: Request<Body>| {
        let calls = Rc::clone(&counted);
        async move {
            tokio::task::yield_now().await;
            calls.set(calls.get() + 1);
            whoami(request).await
        }
    });
    LocalSet::new().block_on(&runtime, async {
        let (clerk, gate) = cold_layer();
        let service = clerk.layer(inner.clone());
        let waiting: Vec<_> =
            (0..2).map(|_| tokio::task::spawn_local(service.clone().oneshot(get_path("/", Some(&good()))))).collect();
        gate.reached().await;
        assert_eq!(calls.get(), 0);
        gate.open();
        for task in waiting {
            let response = task.await.expect("no panic").expect("infallible");
            assert_eq!(Answer::of(response).await.outcome(), (200, "user_ada"));
        }
        let hot = layer().layer(inner).oneshot(get_path("/", Some(&good()))).await.expect("infallible");
        assert_eq!(Answer::of(hot).await.outcome(), (200, "user_ada"));
    });
    assert_eq!(calls.get(), 3);
}

#[tokio::test]
async fn a_borrowing_service_needs_no_static_lifetime() {
    let name = String::from("borrowed");
    let name = name.as_str();
    let inner = service_fn(move |_: Request<&str>| ready(Ok::<_, Infallible>(Response::new(name))));
    for (arm, clerk) in arms() {
        let body = String::from("body");
        let request = with_body("GET", "/", &[("authorization", &good())], body.as_str());
        let response = clerk.layer(inner).oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), 200, "{arm}");
    }
}

#[tokio::test]
async fn the_inner_service_can_be_accessed_and_unwrapped() {
    let mut service = ClerkAuthService::new(service_fn(whoami::<Body>), layer());
    let _: &tower::util::ServiceFn<_> = service.get_ref();
    let response = service.get_mut().ready().await.expect("ready").call(get_path("/", None)).await.expect("infallible");
    assert_eq!(Answer::of(response).await.outcome(), (200, "nobody"));
    let response = service.into_inner().oneshot(get_path("/", None)).await.expect("infallible");
    assert_eq!(response.status(), 200);
}

#[test]
fn a_known_key_needs_no_runtime() {
    let mut service = layer().layer(service_fn(whoami::<Body>));
    let mut future = std::pin::pin!(service.call(get_path("/", Some(&good()))));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(response) = future.as_mut().poll(&mut context) else { panic!("it waits") };
    assert_eq!(response.expect("infallible").status(), 200);
}

#[test]
fn without_a_runtime_an_unknown_key_is_a_503_and_not_a_panic() {
    let (clerk, _gate) = cold_layer();
    let mut service = clerk.layer(service_fn(whoami::<Body>));
    let mut future = std::pin::pin!(service.call(get_path("/", Some(&good()))));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(response) = future.as_mut().poll(&mut context) else { panic!("it waits") };
    assert_eq!(response.expect("infallible").status(), 503);
}
