use std::{
    cell::Cell,
    collections::VecDeque,
    convert::Infallible,
    future::ready,
    marker::PhantomData,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt, service_fn};
use tower_layer::Layer;

use super::arms;
use crate::support::{
    Answer, BAD, BodyError, PanickingBody, cold_layer, good, layer_without_keys, poll_once, whoami, with_body,
};

/// A custom `!Sync` body with the given frames.
#[derive(Debug)]
struct Scripted {
    frames: VecDeque<Result<Frame<Bytes>, BodyError>>,
    hint: (u64, Option<u64>),
    not_sync: PhantomData<Cell<()>>,
}

impl Scripted {
    fn new(frames: impl IntoIterator<Item = Result<Frame<Bytes>, BodyError>>) -> Self {
        Self { frames: frames.into_iter().collect(), hint: (3, Some(10)), not_sync: PhantomData }
    }

    fn with_trailers() -> Self {
        let trailers = HeaderMap::from_iter([("x-checksum".parse().expect("a name"), "7".parse().expect("a value"))]);
        Self::new([Ok(data("one")), Ok(data("")), Ok(data("two")), Ok(Frame::trailers(trailers))])
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.hint.0);
        if let Some(upper) = self.hint.1 {
            hint.set_upper(upper);
        }
        hint
    }
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

/// All observable states and frames of a body, in order.
async fn observe<B: Body<Data = Bytes>>(body: B) -> Vec<String>
where
    B::Error: std::fmt::Debug,
{
    let mut body = pin!(body);
    let mut observed = Vec::new();
    loop {
        let hint = body.size_hint();
        observed.push(format!("{:?} to {:?}, end: {}", hint.lower(), hint.upper(), body.is_end_stream()));
        match body.frame().await {
            None => return observed,
            Some(frame) => observed.push(format!("{frame:?}")),
        }
    }
}

#[tokio::test]
async fn a_response_body_passes_frame_by_frame_with_its_trailers() {
    let plain = observe(Scripted::with_trailers()).await;
    assert!(plain.iter().any(|line| line.contains("x-checksum")), "{plain:?}");
    for (arm, clerk) in arms() {
        let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(Scripted::with_trailers()))));
        let request = with_body("GET", "/", &[("authorization", &good())], ());
        let response = clerk.layer(inner).oneshot(request).await.expect("a response");
        assert_eq!(observe(response.into_body()).await, plain, "{arm}");
    }
}

#[tokio::test]
async fn size_hint_and_error_of_a_response_body_pass_unchanged() {
    for (hint, frames) in [
        ((0, None), vec![Err(BodyError)]),
        ((0, Some(0)), vec![]),
        ((u64::MAX, Some(u64::MAX)), vec![Ok(data("a")), Err(BodyError)]),
    ] {
        let body = || Scripted {
            hint,
            ..Scripted::new(frames.iter().map(|frame| match frame {
                Ok(_) => Ok(data("a")),
                Err(error) => Err(error.clone()),
            }))
        };
        let plain = observe(body()).await;
        for (arm, clerk) in arms() {
            let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(body()))));
            let request = with_body("GET", "/", &[("authorization", &good())], ());
            let response = clerk.layer(inner).oneshot(request).await.expect("a response");
            assert_eq!(observe(response.into_body()).await, plain, "{arm}");
        }
    }
}

#[tokio::test]
async fn a_request_body_arrives_untouched() {
    let plain = observe(Scripted::with_trailers()).await;
    for (arm, clerk) in arms() {
        let inner = service_fn(|request: Request<Scripted>| async {
            let observed = observe(request.into_body()).await;
            Ok::<_, Infallible>(Response::new(Full::from(observed.join("\n"))))
        });
        let request = with_body("POST", "/", &[("authorization", &good())], Scripted::with_trailers());
        let response = clerk.layer(inner).oneshot(request).await.expect("a response");
        assert_eq!(Answer::of(response).await.outcome(), (200, plain.join("\n").as_str()), "{arm}");
    }
}

#[tokio::test]
async fn the_body_of_a_rejected_request_is_never_polled() {
    for (clerk, authorization, status) in [
        (arms()[0].1.clone(), BAD.to_owned(), 401),
        (arms()[0].1.clone(), "Basic eDp5".to_owned(), 401),
        (arms()[0].1.clone(), "Bearer a b".to_owned(), 400),
        (layer_without_keys(), good(), 503),
    ] {
        let held = Arc::new(());
        let body = PanickingBody(Arc::clone(&held));
        let request = with_body("POST", "/", &[("authorization", &authorization)], body);
        let response = clerk.layer(service_fn(whoami)).oneshot(request).await.expect("a response");
        assert_eq!(response.status(), status);
        assert_eq!(Arc::strong_count(&held), 1, "the body of a rejected request is still held");
    }
}

#[tokio::test]
async fn the_body_of_a_waiting_request_is_not_polled() {
    let (clerk, gate) = cold_layer();
    let body = PanickingBody(Arc::new(()));
    let request = with_body("POST", "/", &[("authorization", &good())], body);
    let mut future = pin!(clerk.layer(service_fn(whoami)).oneshot(request));
    for _ in 0..3 {
        assert!(poll_once(future.as_mut()).is_pending());
    }
    gate.open();
    assert_eq!(Answer::of(future.await.expect("a response")).await.outcome(), (200, "user_ada"));
}

#[tokio::test]
async fn dropping_a_waiting_call_drops_its_request_only() {
    let (clerk, gate) = cold_layer();
    let held = Arc::new(());
    let mut service = clerk.layer(service_fn(whoami));
    let request = || {
        let body = PanickingBody(Arc::clone(&held));
        with_body("POST", "/", &[("authorization", &good())], body)
    };
    let mut waiting = Box::pin(service.ready().await.expect("ready").call(request()));
    assert!(poll_once(waiting.as_mut()).is_pending());
    assert_eq!(Arc::strong_count(&held), 2);
    drop(waiting);
    assert_eq!(Arc::strong_count(&held), 1);
    let again = service.ready().await.expect("ready").call(request());
    gate.open();
    assert_eq!(Answer::of(again.await.expect("a response")).await.outcome(), (200, "user_ada"));
    gate.reached().await;
    assert_eq!(gate.arrivals(), 0, "the end of a request stopped the fetch");
}

#[tokio::test]
async fn a_call_that_is_never_polled_can_be_dropped() {
    let (clerk, gate) = cold_layer();
    let held = Arc::new(());
    let mut service = clerk.layer(service_fn(whoami));
    let body = PanickingBody(Arc::clone(&held));
    let request = with_body("POST", "/", &[("authorization", &good())], body);
    drop(service.ready().await.expect("ready").call(request));
    assert_eq!(Arc::strong_count(&held), 1);
    gate.open();
    let request = with_body("POST", "/", &[("authorization", &good())], PanickingBody(held));
    assert_eq!(service.ready().await.expect("ready").call(request).await.expect("a response").status(), 200);
}

#[tokio::test]
async fn a_rejections_body_is_one_frame_of_known_length() {
    let request = with_body("GET", "/", &[], ());
    let response = arms()[0].1.layer(service_fn(whoami)).oneshot(request).await.expect("a response");
    let mut body = response.into_body();
    let length = body.size_hint().exact().expect("a known length");
    assert!(!body.is_end_stream());
    let frame = body.frame().await.expect("a frame").expect("infallible").into_data().expect("data");
    assert_eq!(frame.len(), usize::try_from(length).expect("a length"));
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
    assert!(body.frame().await.is_none());
}
