use futures_util::future::join_all;
use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::api::{Api, good};
use crate::{
    faults::instance::{held, response},
    support::server::Step,
};

/// The first request of a connection gets its response. It is dead at the next one, which ends it like this.
fn dies_idle(api: &Api, end: Step) {
    api.server.respond_by_turn(move |_, turn| if turn == 0 { good() } else { vec![end.clone()] });
}

#[tokio::test]
async fn connections_are_kept() {
    let api = Api::start(good()).await;
    for number in 0..20 {
        api.verify(&format!("ak_{number}")).await.expect("a good key");
    }
    api.server.respond(response("404 Not Found", &[], r#"{"errors":[]}"#));
    for number in 20..40 {
        let error = api.verify(&format!("ak_{number}")).await.expect_err("not found");
        assert_eq!(error.kind(), VerifyErrorKind::Inactive);
    }
    assert_eq!((api.server.requests(), api.server.connections().await), (40, 1));
}

#[tokio::test]
async fn a_connection_that_has_died_idle_is_no_failure() {
    for end in [Step::Close, Step::Reset] {
        let api = Api::start(good()).await;
        dies_idle(&api, end);
        api.verify("ak_0").await.expect("a good key");
        for number in 1..10 {
            let requests = api.server.requests();
            api.verify(&format!("ak_{number}")).await.expect("a good key");
            assert!(api.server.requests() <= requests + 2);
        }
        assert_eq!(api.verifier.opaque_tokens_status().last_error, None);
    }
}

#[tokio::test]
async fn many_connections_that_have_died_idle_are_no_failure() {
    let api = Api::start(held(good())).await;
    let all = join_all((0..16).map(|number| {
        let api = &api;
        async move { api.verify(&format!("ak_{number}")).await.expect("a good key") }
    }));
    let release = async {
        api.server.until(|seen| seen.heads.len() == 16).await;
        (0..16).for_each(|_| api.server.release());
    };
    tokio::join!(all, release);
    assert_eq!(api.server.connections().await, 16);
    dies_idle(&api, Step::Reset);
    // One after the other, so that a second attempt could meet another dead connection.
    for number in 16..32 {
        api.verify(&format!("ak_{number}")).await.expect("a good key");
    }
    assert_eq!(api.server.requests(), 48);
}

#[tokio::test]
async fn a_connection_that_the_server_closes_after_each_response_is_no_failure() {
    let close = || [good(), vec![Step::Close]].concat();
    let api = Api::start(close()).await;
    for number in 0..50 {
        api.verify(&format!("ak_{number}")).await.expect("a good key");
    }
    assert!(api.server.requests() <= 100);
}

#[tokio::test]
async fn a_second_attempt_that_fails_too_is_the_last() {
    for end in [Step::Close, Step::Reset] {
        let api = Api::warm(vec![end]).await;
        assert_eq!(api.failure().await.fetch_error_kind(), Some(FetchErrorKind::Transport));
        assert_eq!(api.server.requests(), 3);
    }
}

#[tokio::test]
async fn a_new_connection_that_breaks_is_not_tried_again() {
    for end in [Step::Close, Step::Reset] {
        Api::start(vec![end.clone()]).await.fails(FetchErrorKind::Transport).await;
        // After a response that keeps no connection, too.
        let api = Api::start(response("500 Any", &[("Connection", "close")], "")).await;
        assert!(api.verify("ak_first").await.is_err());
        api.server.until(|seen| seen.closed == 1).await;
        api.server.respond(vec![end]);
        api.fails(FetchErrorKind::Transport).await;
    }
}

#[tokio::test]
async fn a_time_out_on_a_kept_connection_is_not_tried_again() {
    Api::warm(vec![Step::Hang]).await.fails(FetchErrorKind::Timeout).await;
}

#[tokio::test]
async fn a_response_that_breaks_off_on_a_kept_connection_is_not_tried_again() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{";
    Api::warm(vec![Step::Write(half.into()), Step::Reset]).await.fails(FetchErrorKind::Transport).await;
    Api::warm(response("503 Any", &[], "")).await.fails(FetchErrorKind::UnexpectedStatus).await;
}

#[tokio::test]
async fn a_server_that_went_down_is_not_asked_twice() {
    let mut api = Api::start(good()).await;
    api.verify("ak_first").await.expect("a good key");
    api.server.go_down().await;
    assert_eq!(api.failure().await.fetch_error_kind(), Some(FetchErrorKind::Transport));
    api.server.come_up();
    api.verify("ak_second").await.expect("a good key");
    assert_eq!(api.server.requests(), 2);
}
