use axum::{
    Router,
    response::{Sse, sse::Event},
    routing::get,
};
use futures_util::{Stream, stream};
use std::convert::Infallible;
use tower_clerk::{ClerkAuth, ClerkAuthLayer, ConfigError, TokenSource};

async fn events(user: ClerkAuth) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let hello = Event::default().data(format!("hello {}", user.user_id()));
    Sse::new(stream::iter([Ok(hello)]))
}

fn app(clerk: ClerkAuthLayer) -> Result<Router, ConfigError> {
    let clerk = clerk.token_sources([TokenSource::authorization(), TokenSource::session_cookie()])?;
    Ok(Router::new().route("/events", get(events)).route_layer(clerk))
}
