use futures_util::{Stream, StreamExt, TryStreamExt, future::join_all, stream};
use tokio::sync::mpsc;
use tonic::Code;

use crate::{
    echo::Text,
    harness::{cold_layer, echo_behind, good, issuer, layer, text},
    support::{
        BAD, bearer,
        grpc::{call, codes},
    },
};

fn texts(words: &[&str]) -> stream::Iter<std::vec::IntoIter<Text>> {
    stream::iter(words.iter().map(|word| text(word)).collect::<Vec<_>>())
}

/// A stream of messages, and its sender.
fn channel() -> (mpsc::UnboundedSender<Text>, impl Stream<Item = Text>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let messages = stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<_>| async move {
        receiver.recv().await.map(|message| (message, receiver))
    });
    (sender, messages)
}

#[tokio::test]
async fn all_four_kinds_of_calls_are_served_with_their_user() {
    let (cold, gate) = cold_layer();
    gate.open();
    for (arm, clerk) in [("hot", layer()), ("cold", cold)] {
        let (mut client, probe) = echo_behind(clerk).await;
        let unary = client.unary(call(text("a"), &[&good()])).await.expect(arm).into_inner();
        assert_eq!(unary, text("user_ada: a"), "{arm}");
        let gathered = client.client_streaming(call(texts(&["a", "b", "c"]), &[&good()])).await.expect(arm);
        assert_eq!(gathered.into_inner(), text("user_ada: a b c"), "{arm}");
        let scattered = client.server_streaming(call(text("a b"), &[&good()])).await.expect(arm).into_inner();
        let scattered: Vec<Text> = scattered.try_collect().await.expect(arm);
        assert_eq!(scattered, [text("user_ada: a"), text("user_ada: b")], "{arm}");
        let echoed = client.bidirectional(call(texts(&["a", "b"]), &[&good()])).await.expect(arm).into_inner();
        let echoed: Vec<Text> = echoed.try_collect().await.expect(arm);
        assert_eq!(echoed, [text("user_ada: a"), text("user_ada: b")], "{arm}");
        assert_eq!(probe.calls(), 4, "{arm}");
    }
}

#[tokio::test]
async fn a_bidirectional_stream_alternates() {
    let (mut client, _probe) = echo_behind(layer()).await;
    let (sender, messages) = channel();
    let mut replies = client.bidirectional(call(messages, &[&good()])).await.expect("a stream").into_inner();
    for word in ["a", "b", "c"] {
        sender.send(text(word)).expect("a server that listens");
        let reply = replies.message().await.expect("a reply");
        assert_eq!(reply, Some(text(&format!("user_ada: {word}"))));
    }
    drop(sender);
    assert_eq!(replies.message().await.expect("the end"), None);
}

#[tokio::test]
async fn all_four_kinds_of_calls_are_rejected_before_their_handlers() {
    let (mut client, probe) = echo_behind(layer()).await;
    for (authorization, expected) in [
        (vec![], (Code::Unauthenticated, Some("missing_token"))),
        (vec![BAD], (Code::Unauthenticated, Some("invalid_token"))),
        (vec!["Bearer a b"], (Code::InvalidArgument, Some("malformed_request"))),
    ] {
        let unary = client.unary(call(text("a"), &authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&unary), expected);
        let gathered = client.client_streaming(call(texts(&["a"]), &authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&gathered), expected);
        let scattered = client.server_streaming(call(text("a"), &authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&scattered), expected);
        let echoed = client.bidirectional(call(texts(&["a"]), &authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&echoed), expected);
    }
    assert_eq!(probe.calls(), 0);
}

#[tokio::test]
async fn a_rejection_does_not_wait_for_the_end_of_the_request_stream() {
    let (mut client, probe) = echo_behind(layer()).await;
    let endless = || stream::iter([text("a")]).chain(stream::pending());
    let gathered = client.client_streaming(call(endless(), &[BAD])).await.expect_err("a rejection");
    assert_eq!(codes(&gathered), (Code::Unauthenticated, Some("invalid_token")));
    let echoed = client.bidirectional(call(endless(), &[BAD])).await.expect_err("a rejection");
    assert_eq!(codes(&echoed), (Code::Unauthenticated, Some("invalid_token")));
    assert_eq!(probe.calls(), 0);
    // The connection stays usable.
    assert!(client.unary(call(text("a"), &[&good()])).await.is_ok());
}

#[tokio::test]
async fn messages_sent_while_a_call_waits_for_a_key_are_not_lost() {
    let (clerk, gate) = cold_layer();
    let (mut client, probe) = echo_behind(clerk).await;
    let (sender, messages) = channel();
    for word in ["a", "b", "c"] {
        sender.send(text(word)).expect("a client that sends");
    }
    drop(sender);
    let call = tokio::spawn(async move { client.client_streaming(call(messages, &[&good()])).await });
    gate.reached().await;
    assert_eq!(probe.calls(), 0);
    gate.open();
    assert_eq!(call.await.expect("no panic").expect("a reply").into_inner(), text("user_ada: a b c"));
}

#[tokio::test]
async fn calls_of_different_users_on_one_connection_are_kept_apart() {
    let (client, _probe) = echo_behind(layer()).await;
    let calls = (0..50).map(|number| {
        let (mut client, id) = (client.clone(), format!("user_{number}"));
        async move {
            let bearer = bearer(&issuer().token(&id));
            let reply = client.unary(call(text("a"), &[&bearer])).await.expect("a reply").into_inner();
            assert_eq!(reply, text(&format!("{id}: a")));
        }
    });
    join_all(calls).await;
}
