use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};

/// A service with a bearer token to send to it, or without.
pub struct Subject {
    /// The same service without anything that looks at the token.
    pub base: Box<dyn Target>,
    pub cached: bool,
    pub crypto: &'static str,
    pub label: &'static str,
    pub target: Box<dyn Target>,
    pub version: &'static str,
}

/// What requests are sent to.
pub trait Target {
    /// Makes the requests first, then sends them; how long the sending took.
    fn time(&mut self, times: usize) -> std::time::Duration;
    /// Allocations and bytes of one request, the mean of many.
    fn allocations(&mut self) -> (f64, f64);
    fn answer_to(&self, token: &str) -> (u16, String);
    fn answer(&self) -> (u16, String);
}

impl Subject {
    pub fn name(&self) -> String {
        format!("{} {}", self.label, self.version)
    }

    pub fn answer(&self) -> (u16, String) {
        assert_eq!(self.base.answer().0, 200, "{}", self.name());
        self.target.answer()
    }

    pub fn answer_to(&self, token: &str) -> (u16, String) {
        self.target.answer_to(token)
    }
}

/// A service, the tokens to send to it in turn, and where it is in them.
struct Sender<S> {
    at: usize,
    service: S,
    tokens: Vec<String>,
}

pub fn target<S, B, ResBody>(service: S, tokens: &[String]) -> Box<dyn Target>
where
    S: Service<Request<B>, Response = Response<ResBody>, Error = Infallible> + Clone + 'static,
    B: From<Bytes> + 'static,
    ResBody: http_body::Body<Data = Bytes> + 'static,
    ResBody::Error: std::fmt::Debug,
{
    Box::new(Sending { sender: Sender { at: 0, service, tokens: tokens.to_vec() }, body: std::marker::PhantomData })
}
