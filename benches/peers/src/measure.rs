use std::{
    convert::Infallible,
    fmt::Debug,
    hint::black_box,
    marker::PhantomData,
    time::{Duration, Instant},
};

use allocation_counter::{measure, opt_out};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};

/// A way to verify a bearer token, and the same service without it.
pub struct Subject {
    pub base: Box<dyn Target>,
    pub crypto: &'static str,
    pub is_hit: bool,
    pub name: &'static str,
    pub target: Box<dyn Target>,
    pub version: &'static str,
}

/// What can be done many times.
pub trait Operation {
    /// Its inputs are made before the measurement.
    fn time(&mut self, times: u32) -> Duration;
}

/// A service that requests are sent to.
pub trait Target: Operation {
    /// The status and the body of the response to a request with this token.
    fn response_to(&self, token: &str) -> (u16, String);

    /// The first of its tokens.
    fn token(&self) -> &str;

    /// Allocations and bytes of one request, the mean of many.
    fn allocations(&mut self) -> [f64; 2];
}

/// `service`, to be sent `tokens` in turn.
pub fn target<S, B, ResBody>(service: S, body: fn() -> B, tokens: &[String]) -> Box<dyn Target>
where
    S: Service<Request<B>, Response = Response<ResBody>, Error = Infallible> + Clone + 'static,
    B: 'static,
    ResBody: http_body::Body<Data = Bytes> + 'static,
    ResBody::Error: Debug,
{
    Box::new(Sender { at: 0, body, service, tokens: tokens.to_vec(), answer: PhantomData })
}

struct Sender<S, B, ResBody> {
    answer: PhantomData<ResBody>,
    at: usize,
    body: fn() -> B,
    service: S,
    tokens: Vec<String>,
}

impl<S, B, ResBody> Sender<S, B, ResBody>
where
    S: Service<Request<B>, Response = Response<ResBody>, Error = Infallible> + Clone,
{
    fn request(&self, token: &str) -> Request<B> {
        Request::get("/me?tab=profile")
            .header("host", "api.test.example")
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
            .header("accept", "application/json")
            .header("accept-encoding", "gzip, deflate, br, zstd")
            .header("origin", "https://app.test.example")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body((self.body)())
            .expect("a request")
    }

    fn next(&mut self) -> Request<B> {
        self.at = (self.at + 1) % self.tokens.len();
        self.request(&self.tokens[self.at])
    }

    /// With keys in memory nothing waits, so that one poll returns the response and no runtime is measured.
    fn send(&self, request: Request<B>) -> Response<ResBody> {
        let Ok(response) = self.service.clone().oneshot(request).now_or_never().expect("a response at once");
        response
    }
}

impl<S, B, ResBody> Operation for Sender<S, B, ResBody>
where
    S: Service<Request<B>, Response = Response<ResBody>, Error = Infallible> + Clone,
{
    fn time(&mut self, times: u32) -> Duration {
        // The counting allocator passes calls on without counting them.
        let mut time = Duration::ZERO;
        opt_out(|| {
            let requests: Vec<_> = (0..times).map(|_| self.next()).collect();
            let start = Instant::now();
            for request in requests {
                drop(black_box(self.send(black_box(request))));
            }
            time = start.elapsed();
        });
        time
    }
}

impl<S, B, ResBody> Target for Sender<S, B, ResBody>
where
    S: Service<Request<B>, Response = Response<ResBody>, Error = Infallible> + Clone,
    ResBody: http_body::Body<Data = Bytes>,
    ResBody::Error: Debug,
{
    fn response_to(&self, token: &str) -> (u16, String) {
        let response = self.send(self.request(token));
        let status = response.status().as_u16();
        let body = response.into_body().collect().now_or_never().expect("a body at once").expect("a body");
        (status, String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }

    fn token(&self) -> &str {
        &self.tokens[0]
    }

    fn allocations(&mut self) -> [f64; 2] {
        let mut sums = [0, 0];
        for _ in 0..COUNTED {
            let request = self.next();
            let info = measure(|| drop(black_box(self.send(black_box(request)))));
            sums = [sums[0] + info.count_total, sums[1] + info.bytes_total];
        }
        sums.map(|sum| sum as f64 / f64::from(COUNTED))
    }
}

/// A plain function.
pub struct Plain<F>(pub F);

impl<F: FnMut()> Operation for Plain<F> {
    fn time(&mut self, times: u32) -> Duration {
        let start = Instant::now();
        (0..times).for_each(|_| (self.0)());
        start.elapsed()
    }
}

/// Microseconds of each operation, round by round. Each round runs all of them, so that other load on the machine
/// affects all in the same way. A run is long enough to fill the processor caches as on a busy server, and shorter than
/// a time slice of the scheduler, so that most runs are not interrupted.
pub fn rounds(operations: &mut [&mut dyn Operation]) -> Vec<Vec<f64>> {
    let times: Vec<u32> = operations
        .iter_mut()
        .map(|operation| {
            let once = (0..20).map(|_| operation.time(1)).min().unwrap_or_default();
            u32::try_from(TURN.as_nanos() / once.as_nanos().max(1)).unwrap_or(MAX_TURN).clamp(1, MAX_TURN)
        })
        .collect();
    let mut rounds = vec![Vec::new(); operations.len()];
    for _ in 0..ROUNDS {
        for ((operation, times), turns) in operations.iter_mut().zip(&times).zip(&mut rounds) {
            turns.push(operation.time(*times).as_secs_f64() * 1e6 / f64::from(*times));
        }
    }
    rounds
}

/// The first quartile, the median and the third quartile.
pub fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_unstable_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

pub const ROUNDS: usize = 401;
const COUNTED: u32 = 1000;
const MAX_TURN: u32 = 1000;
const TURN: Duration = Duration::from_micros(1500);
