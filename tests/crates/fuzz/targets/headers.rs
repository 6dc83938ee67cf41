//! A request: the method on the first line, then one header field per line.

#![no_main]

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    sync::OnceLock,
    task::{Context, Poll, Waker},
};

use http::{HeaderName, HeaderValue, Method, Request, Response};
use libfuzzer_sys::{Corpus, fuzz_target};
use tower_clerk::{ClerkAuth, ClerkAuthLayer, Rejection, TokenSource};
use tower_clerk_fuzz::{TOKENS, verifier};
use tower_layer::Layer;
use tower_service::Service;

/// Puts the user of the request into the response. Panics without a user.
#[derive(Clone)]
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut response = Response::new(());
        response.extensions_mut().insert(request.extensions().get::<ClerkAuth>().cloned().expect("a user"));
        ready(Ok(response))
    }
}

fn layer() -> &'static ClerkAuthLayer {
    static LAYER: OnceLock<ClerkAuthLayer> = OnceLock::new();
    LAYER.get_or_init(|| {
        let token = TokenSource::header(HeaderName::from_static("x-clerk-token"));
        ClerkAuthLayer::from(verifier().clone())
            .token_sources([TokenSource::authorization(), TokenSource::session_cookie(), token])
            .expect("sources")
    })
}

fn request(input: &[u8]) -> Option<Request<()>> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(lines.next()?).ok()?;
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(at);
        let value = HeaderValue::from_bytes(value.strip_prefix(b":")?.trim_ascii_start()).ok()?;
        request.headers_mut().try_append(HeaderName::from_bytes(name).ok()?, value).ok()?;
    }
    Some(request)
}

/// Whether one of the fields contains a valid token, as it is or percent-encoded.
fn has_good_token(request: &Request<()>) -> bool {
    request.headers().values().any(|value| {
        let text = percent_decoded(value.as_bytes());
        TOKENS.iter().any(|token| text.contains(token))
    })
}

fn percent_decoded(bytes: &[u8]) -> String {
    let mut decoded = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(request) = request(input) else { return Corpus::Reject };
    let has_good_token = has_good_token(&request);
    let mut service = layer().layer(Inner);
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
        panic!("waits although the keys are loaded");
    };
    if response.extensions().get::<ClerkAuth>().is_some() {
        assert!(has_good_token);
        return Corpus::Keep;
    }
    let rejection = response.extensions().get::<Rejection>().expect("a reason");
    assert!([400, 401, 403].contains(&rejection.status().as_u16()), "{rejection:?}");
    let grpc_status = response.headers().get("grpc-status");
    assert_eq!(grpc_status.is_some(), rejection.is_grpc());
    match grpc_status {
        Some(status) => {
            assert_eq!(response.status(), 200);
            assert!([3, 7, 16].iter().any(|code| *status == code.to_string()), "{status:?}");
        }
        None => assert_eq!(response.status(), rejection.status()),
    }
    Corpus::Keep
});
