use std::time::Duration;

use tonic::{
    Code,
    transport::{Channel, Server},
};

use crate::{
    echo::echo_client::EchoClient,
    harness::{Probe, cold_layer, connect, echo, echo_behind, good, layer, listen, text, watched_echo_behind},
    support::{
        BAD,
        grpc::{call, codes},
    },
};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(60);

/// tonic uses different codes for its own deadline and for that of the peer.
fn is_late(code: Code) -> bool {
    [Code::Cancelled, Code::DeadlineExceeded].contains(&code)
}

/// Calls with growing deadlines until a call has reached the probe before its deadline, and is dropped there. On a busy
/// machine the first deadlines may end earlier.
async fn call_till_late(client: &mut EchoClient<Channel>, word: &str, is_streaming: bool, probe: &Probe) {
    let (calls, mut deadline) = (probe.calls(), SHORT);
    while probe.calls() == calls {
        let mut request = call(text(word), &[&good()]);
        request.set_timeout(deadline);
        let status = match is_streaming {
            true => client.server_streaming(request).await.expect_err("the deadline"),
            false => client.unary(request).await.expect_err("the deadline"),
        };
        assert!(is_late(status.code()), "{status:?}");
        assert_eq!(codes(&status).1, None);
        deadline *= 2;
    }
    probe.dropped(1).await;
}

#[tokio::test]
async fn a_handler_is_dropped_at_the_deadline_of_its_call() {
    let (mut client, probe) = echo_behind(layer()).await;
    call_till_late(&mut client, "…", false, &probe).await;
}

#[tokio::test]
async fn a_handler_is_dropped_at_the_deadline_of_the_server() {
    let probe = Probe::default();
    let (incoming, address) = listen().await;
    let router = Server::builder().timeout(SHORT).layer(layer()).add_service(echo(&probe));
    tokio::spawn(router.serve_with_incoming(incoming));
    let mut client = EchoClient::new(connect(address).await);
    let status = client.unary(call(text("…"), &[&good()])).await.expect_err("the deadline");
    assert!(is_late(status.code()), "{status:?}");
    probe.dropped(1).await;
}

#[tokio::test]
async fn a_call_past_its_deadline_never_reaches_its_handler() {
    let (clerk, gate) = cold_layer();
    let (channel, handled, arrived) = watched_echo_behind(clerk.clone()).await;
    let mut client = EchoClient::new(channel);
    for is_streaming in [false, true] {
        call_till_late(&mut client, "a", is_streaming, &arrived).await;
    }
    gate.open();
    clerk.verifier().warm_up().await.expect("keys");
    let reply = client.unary(call(text("b"), &[&good()])).await.expect("a reply").into_inner();
    assert_eq!((reply, handled.calls()), (text("user_ada: b"), 1));
}

#[tokio::test]
async fn a_distant_deadline_changes_no_response() {
    let (mut client, _probe) = echo_behind(layer()).await;
    let mut request = call(text("a"), &[&good()]);
    request.set_timeout(LONG);
    assert_eq!(client.unary(request).await.expect("a reply").into_inner(), text("user_ada: a"));
    let mut request = call(text("a"), &[BAD]);
    request.set_timeout(LONG);
    let status = client.unary(request).await.expect_err("a rejection");
    assert_eq!(codes(&status), (Code::Unauthenticated, Some("invalid_token")));
}
