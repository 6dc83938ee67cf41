use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuth,
    authorize::{RequireLayer, RequireService},
};
use tower_layer::Layer;

use super::{call, may_read, member, of, reader, user};
use crate::support::{BodyError, PanickingBody, Recorder, bearer, layer, send, with_body};

fn guard() -> RequireLayer {
    RequireLayer::new(may_read())
}

/// A custom `!Sync` body: data, trailers, then an error.
#[derive(Default)]
struct CustomBody {
    frames: Cell<u8>,
}

impl Body for CustomBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let at = self.frames.get();
        self.frames.set(at.saturating_add(1));
        Poll::Ready(match at {
            0 => Some(Ok(Frame::data(Bytes::from_static(b"one")))),
            1 => Some(Ok(Frame::trailers(HeaderMap::new()))),
            2 => Some(Err(BodyError)),
            _ => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.frames.get() > 2
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(7)
    }
}

#[tokio::test]
async fn a_custom_response_body_passes_frame_by_frame() {
    let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(CustomBody::default()))));
    let response = guard().layer(inner).oneshot(of(&reader(), ())).await.expect("infallible");
    let mut body = response.into_body();
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(7), false));
    assert_eq!(body.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok()), Some("one".into()));
    assert!(body.frame().await.is_some_and(|frame| frame.is_ok_and(|frame| frame.is_trailers())));
    assert_eq!(body.frame().await.and_then(Result::err), Some(BodyError));
    assert!(body.is_end_stream() && body.frame().await.is_none());
    let rejected = guard().layer(inner).oneshot(of(&member(), ())).await.expect("infallible");
    let mut body = rejected.into_body();
    let length = body.size_hint().exact().expect("a known length");
    assert!(!body.is_end_stream());
    let data = body.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok()).expect("data");
    assert_eq!(u64::try_from(data.len()), Ok(length));
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test]
async fn a_request_body_is_not_polled_and_is_dropped_on_rejection() {
    let held = Arc::new(());
    for (token, status) in [(reader(), 200), (member(), 403)] {
        let response = guard().layer(Recorder::default()).oneshot(of(&token, PanickingBody(Arc::clone(&held)))).await;
        assert_eq!(response.expect("infallible").status(), status);
        assert_eq!(Arc::strong_count(&held), 1);
        let request = with_body("POST", "/", &[("authorization", &bearer(&token))], PanickingBody(Arc::clone(&held)));
        let response = layer().layer(guard().layer(Recorder::default())).oneshot(request).await;
        assert_eq!(response.expect("infallible").status(), status);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[tokio::test]
async fn an_admitted_request_is_unchanged() {
    let seen = service_fn(|request: Request<Vec<u8>>| {
        let number = request.extensions().get::<u8>().copied();
        let user = request.extensions().get::<ClerkAuth>().map(|user| user.user_id().to_owned());
        let (parts, body) = request.into_parts();
        let text = format!(
            "{} {} {:?} {:?} {number:?} {user:?} {body:?}",
            parts.method, parts.uri, parts.version, parts.headers
        );
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text))))
    });
    let mut request = with_body("PUT", "/a?b=c", &[("x-a", "1"), ("x-a", "2")], vec![1, 2]);
    *request.version_mut() = http::Version::HTTP_2;
    request.extensions_mut().insert(7_u8);
    request.extensions_mut().insert(user(&reader()));
    let answer = send(&guard().layer(seen), request).await;
    let expected = r#"PUT /a?b=c HTTP/2.0 {"x-a": "1", "x-a": "2"} Some(7) Some("user_ada") [1, 2]"#;
    assert_eq!(answer.outcome(), (200, expected));
}

/// Neither `Send` nor `Clone`. Its request body implements no `Body`.
struct Local(Rc<Cell<usize>>);

impl Service<Request<Rc<str>>> for Local {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Rc<str>>) -> Self::Future {
        let calls = Rc::clone(&self.0);
        Box::pin(async move {
            calls.set(calls.get() + 1);
            Ok(Response::default())
        })
    }
}

#[tokio::test]
async fn a_service_needs_neither_send_nor_clone() {
    let calls = Rc::new(Cell::new(0));
    let mut service: RequireService<Local> = guard().layer(Local(Rc::clone(&calls)));
    for (token, status) in [(reader(), 200), (member(), 403)] {
        let response = call(&mut service, of(&token, Rc::from("text"))).await.await;
        assert_eq!(response.expect("infallible").status(), status);
    }
    assert_eq!(calls.get(), 1);
    service.get_mut().0.set(5);
    assert_eq!((service.get_ref().0.get(), service.into_inner().0.get()), (5, 5));
}
