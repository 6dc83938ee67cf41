//! More and more instances in one layer.

use std::{convert::Infallible, future, slice::from_ref};

use futures_util::FutureExt;
use http::{Request, Response, header::AUTHORIZATION};
use tower::{ServiceExt, service_fn};
use tower_clerk::{ClerkAuthLayer, ClerkConfig, testing::TestIssuer, verify::VerifierBuilder};
use tower_layer::Layer;

use super::{
    Size,
    support::{Operation, in_turn, medians, on_all_cores, operation, ready, usual},
};

/// Whole requests through the layer, to a service that does nothing.
///
/// The instances have one key, each under its own issuer and `kid`: generating thousands of keys would take minutes.
pub(crate) fn table(issuer: &TestIssuer, size: &Size) {
    println!("\n                        hit ns, token of the instance        first sight ns, of the instance");
    println!("instances          first    middle      last   in turn            first    middle      last");
    let counts: Vec<u32> = [1, 10, 100, 1000, 2000].into_iter().filter(|count| *count <= size.instances).collect();
    let layers: Vec<_> = counts.iter().map(|count| Instances::new(issuer, *count, size.instances)).collect();
    let [hits, first_sights] = [true, false].map(|remembers| {
        let layers: Vec<_> = layers.iter().map(|instances| (instances, instances.layer(remembers))).collect();
        let mut operations = Vec::new();
        for (instances, layer) in &layers {
            operations.extend(instances.some().map(|request| requests(layer, from_ref(request))));
            if remembers {
                operations.push(requests(layer, &instances.requests));
            }
        }
        medians(&mut operations, size.rounds)
    });
    for ((count, hits), first_sights) in counts.iter().zip(hits.chunks(4)).zip(first_sights.chunks(3)) {
        let [hits, first_sights] =
            [hits, first_sights].map(|cells| cells.iter().map(|cell| format!("{cell:>10.0}")).collect::<String>());
        println!("{count:>9}     {hits}       {first_sights}");
    }
}

/// So many instances, and requests with their tokens in turn.
struct Instances {
    configs: Vec<ClerkConfig>,
    requests: Vec<Request<()>>,
}

impl Instances {
    /// There are always `tokens` requests, so that more instances do not mean more memory of tokens.
    fn new(issuer: &TestIssuer, count: u32, tokens: u32) -> Self {
        let url = |number: u32| format!("https://clerk.tenant-{number}.example");
        let kid = |number: u32| format!("ins_tenant_{number}");
        let config = |number: u32| {
            let config = ClerkConfig::from_jwks(issuer.jwks().replace(&issuer.kid(), &kid(number)));
            config.and_then(|config| config.add_issuer(url(number))).expect("a configuration")
        };
        let tokens = on_all_cores(tokens, |number| {
            let instance = (number - 1) % count;
            usual(issuer, number).claim("iss", url(instance)).header("kid", kid(instance)).sign()
        });
        let request = |token: &String| {
            Request::get("/me").header(AUTHORIZATION, format!("Bearer {token}")).body(()).expect("a request")
        };
        Self { configs: (0..count).map(config).collect(), requests: tokens.iter().map(request).collect() }
    }

    fn layer(&self, remembers: bool) -> ClerkAuthLayer {
        let builder = self.configs.iter().cloned().fold(VerifierBuilder::new(), VerifierBuilder::instance);
        let builder = if remembers { builder } else { builder.without_token_cache() };
        ready(builder).into()
    }

    /// A request of the first instance, one of the instance in the middle and one of the last.
    fn some(&self) -> [&Request<()>; 3] {
        [0, self.configs.len() / 2, self.configs.len() - 1].map(|index| &self.requests[index])
    }
}

/// The requests in turn. The layer need not wait for anything, so one poll returns the response.
fn requests<'a>(layer: &ClerkAuthLayer, requests: &'a [Request<()>]) -> Box<dyn Operation + 'a> {
    let service = layer.layer(service_fn(|request: Request<()>| {
        drop(request);
        future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    }));
    let respond = move |request: Request<()>| {
        let response = service.clone().oneshot(request).now_or_never().expect("a response at once");
        response.expect("a response")
    };
    assert!(requests.iter().all(|request| respond(request.clone()).status() == 200));
    let mut turn = in_turn(requests, |request| request.headers()[AUTHORIZATION].as_bytes());
    operation(move || turn().clone(), respond)
}
