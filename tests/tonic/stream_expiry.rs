use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::Semaphore;
use tonic::{
    Code, Response, Status, Streaming,
    service::{LayerExt, Routes},
};
use tower_clerk::ClerkAuth;

use crate::{
    echo::echo_client::EchoClient,
    expiry::until_expiry,
    harness::{Probe, connect, echo, issuer, layer, serve, text},
    service::WhoAmIService,
    support::{
        bearer,
        grpc::{call, codes},
    },
    whoami::{WatchRequest, who_am_i_client::WhoAmIClient, who_am_i_server::WhoAmIServer},
};

const EXPIRED: (Code, Option<&str>) = (Code::Unauthenticated, Some("token_expired"));

/// A user whose token expires in this many seconds, within a second.
fn user(seconds: i64) -> ClerkAuth {
    // Built first, because the first builder of a process generates a key.
    let builder = ClerkAuth::builder();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
    let now = i64::try_from(since.as_secs()).expect("a time in range");
    builder.claim("exp", now + seconds).build()
}

#[tokio::test(start_paused = true)]
async fn messages_pass_until_the_token_expires_and_none_after() {
    let mut messages = Box::pin(until_expiry(&user(3600), stream::repeat(()).map(Ok)));
    for _ in 0..1000 {
        assert!(matches!(messages.next().await, Some(Ok(()))));
    }
    tokio::time::advance(Duration::from_secs(3540)).await;
    assert!(matches!(messages.next().await, Some(Ok(()))));
    tokio::time::advance(Duration::from_secs(60)).await;
    let status = messages.next().await.expect("a status").expect_err("the end");
    assert_eq!((codes(&status), status.message()), (EXPIRED, "token expired"));
    assert!(messages.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_messages_ends_and_is_dropped() {
    let held = Arc::new(Semaphore::new(0));
    let holding = Arc::clone(&held);
    let silent = stream::pending::<Result<(), Status>>().inspect(move |_| drop(holding.try_acquire()));
    let mut messages = Box::pin(until_expiry(&user(3600), silent));
    assert!(messages.next().now_or_never().is_none());
    assert_eq!(Arc::strong_count(&held), 2);
    // All tasks are idle, so the paused clock advances to the expiry of the token.
    let status = messages.next().await.expect("a status").expect_err("the end");
    assert_eq!(codes(&status), EXPIRED);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_earlier_is_unchanged() {
    let messages = until_expiry(&user(3600), stream::iter([Ok(1), Err(Status::data_loss("lost")), Ok(2)]));
    let seen: Vec<Result<i32, Code>> = messages.map(|message| message.map_err(|status| status.code())).collect().await;
    assert_eq!(seen, [Ok(1), Err(Code::DataLoss), Ok(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_token_within_the_clock_skew_gets_no_message() {
    let expired = user(-1);
    assert!(expired.expires_at() < SystemTime::now());
    let mut messages = Box::pin(until_expiry(&expired, stream::repeat(()).map(Ok)));
    let status = messages.next().await.expect("a status").expect_err("the end");
    assert_eq!(codes(&status), EXPIRED);
    assert!(messages.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_token_with_the_latest_possible_exp_works() {
    let user = ClerkAuth::builder().claim("exp", 8_640_000_000_000_i64).build();
    let mut messages = Box::pin(until_expiry(&user, stream::repeat(()).map(Ok)));
    tokio::time::advance(Duration::from_secs(365 * 24 * 60 * 60)).await;
    assert!(matches!(messages.next().await, Some(Ok(()))));
}

/// A token with this lifetime, rounded down to a whole second, and its expiry.
fn token(seconds: u64) -> (String, SystemTime) {
    let token = issuer().token("user_ada").lifetime(Duration::from_secs(seconds));
    let bearer = bearer(&token);
    let payload: serde_json::Value = serde_json::from_str(&token.payload()).expect("JSON");
    let exp = payload["exp"].as_u64().expect("a time");
    (bearer, SystemTime::UNIX_EPOCH + Duration::from_secs(exp))
}

/// Lifetimes to try in turn. On a busy machine the shortest may end before the first message.
const LIFETIMES: [u64; 5] = [2, 4, 8, 16, 32];

/// All messages of a stream, and its status.
async fn to_the_end<T>(stream: Result<Response<Streaming<T>>, Status>) -> (Vec<T>, Status) {
    let mut messages = Vec::new();
    let mut stream = match stream {
        Ok(stream) => stream.into_inner(),
        Err(status) => return (messages, status),
    };
    loop {
        match stream.message().await {
            Ok(message) => messages.push(message.expect("no end without a status")),
            Err(status) => return (messages, status),
        }
    }
}

#[tokio::test]
async fn the_examples_stream_ends_when_its_token_expires() {
    let address = serve(Routes::new(layer().named_layer(WhoAmIServer::new(WhoAmIService)))).await;
    let mut client = WhoAmIClient::new(connect(address).await);
    for lifetime in LIFETIMES {
        let (bearer, expires_at) = token(lifetime);
        let (ticks, status) = to_the_end(client.watch(call(WatchRequest {}, &[&bearer])).await).await;
        assert_eq!((codes(&status), status.message()), (EXPIRED, "token expired"));
        assert!(SystemTime::now() >= expires_at);
        // The layer accepts the token for five more seconds, but the stream does not continue.
        let (late, status) = to_the_end(client.watch(call(WatchRequest {}, &[&bearer])).await).await;
        assert_eq!((late, codes(&status)), (vec![], EXPIRED));
        if let Some(first) = ticks.first() {
            assert_eq!(first.number, 0);
            return;
        }
    }
    panic!("no stream had a message");
}

#[tokio::test]
async fn client_streams_end_when_the_token_expires() {
    let address = serve(Routes::new(layer().named_layer(echo(&Probe::default())))).await;
    let mut client = EchoClient::new(connect(address).await);
    let endless = || stream::iter([text("a")]).chain(stream::pending());
    for lifetime in LIFETIMES {
        let (bearer, expires_at) = token(lifetime);
        let (replies, status) = to_the_end(client.bidirectional(call(endless(), &[&bearer])).await).await;
        assert_eq!(codes(&status), EXPIRED);
        assert!(SystemTime::now() >= expires_at);
        let (bearer, expires_at) = token(2);
        let status = client.client_streaming(call(endless(), &[&bearer])).await.expect_err("the end");
        assert_eq!(codes(&status), EXPIRED);
        assert!(SystemTime::now() >= expires_at);
        if replies == [text("user_ada: a")] {
            return;
        }
    }
    panic!("no conversation had a reply");
}
