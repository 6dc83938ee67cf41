use futures_util::{StreamExt, stream};
use tokio::runtime;

use crate::{
    echo::echo_client::EchoClient,
    harness::{cold_layer, connect, echo_behind, good, layer, serve_echo, text, watched_echo_behind},
    support::grpc::call,
};

#[tokio::test]
async fn the_response_stream_is_dropped_when_the_client_drops_it() {
    let (mut client, probe) = echo_behind(layer()).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = client.server_streaming(call(text("a …"), &[&good()])).await.expect("a stream").into_inner();
        assert_eq!(stream.message().await.expect("a reply"), Some(text("user_ada: a")));
        streams.push(stream);
    }
    assert_eq!(probe.calls(), 20);
    drop(streams);
    probe.dropped(20).await;
}

#[tokio::test]
async fn a_bidirectional_stream_is_dropped_when_the_client_drops_it() {
    let (mut client, probe) = echo_behind(layer()).await;
    let messages = stream::iter([text("a"), text("…")]);
    let mut replies = client.bidirectional(call(messages, &[&good()])).await.expect("a stream").into_inner();
    assert_eq!(replies.message().await.expect("a reply"), Some(text("user_ada: a")));
    drop(replies);
    probe.dropped(1).await;
}

#[tokio::test]
async fn a_handler_is_dropped_when_the_client_cancels_its_call() {
    let (client, probe) = echo_behind(layer()).await;
    let mut waiting = client.clone();
    let unary = tokio::spawn(async move { waiting.unary(call(text("…"), &[&good()])).await });
    let mut streaming = client.clone();
    let endless = stream::iter([text("a")]).chain(stream::pending());
    let gathering = tokio::spawn(async move { streaming.client_streaming(call(endless, &[&good()])).await });
    probe.begun(2).await;
    unary.abort();
    gathering.abort();
    probe.dropped(2).await;
}

#[tokio::test]
async fn all_calls_are_dropped_with_the_connection() {
    let (address, probe, _) = serve_echo(layer()).await;
    let client = async move {
        let mut client = EchoClient::new(connect(address).await);
        let stream = client.server_streaming(call(text("a …"), &[&good()])).await;
        let endless = stream::iter([text("a")]).chain(stream::pending());
        let conversation = client.bidirectional(call(endless, &[&good()])).await;
        std::future::pending::<()>().await;
        drop((stream, conversation));
    };
    // A client that disappears with its connection.
    let elsewhere = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    elsewhere.spawn(client);
    probe.begun(2).await;
    elsewhere.shutdown_background();
    probe.dropped(2).await;
}

#[tokio::test]
async fn a_call_cancelled_while_it_waits_never_reaches_its_handler() {
    let (clerk, gate) = cold_layer();
    let verifier = clerk.verifier().clone();
    let (channel, handled, arrived) = watched_echo_behind(clerk).await;
    let mut client = EchoClient::new(channel.clone());
    let given_up = tokio::spawn(async move { client.unary(call(text("given up"), &[&good()])).await });
    gate.reached().await;
    given_up.abort();
    arrived.dropped(1).await;
    gate.open();
    verifier.warm_up().await.expect("keys");
    let reply = EchoClient::new(channel).unary(call(text("kept"), &[&good()])).await.expect("a reply");
    assert_eq!((reply.into_inner(), handled.calls()), (text("user_ada: kept"), 1));
}
