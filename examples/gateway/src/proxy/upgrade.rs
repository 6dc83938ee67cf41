use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Version,
    header::{CONNECTION, UPGRADE},
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// In the extensions of a request that asks for a WebSocket.
#[derive(Clone, Copy, Debug)]
pub(super) struct WebSocket;

/// Whether a client asks for a WebSocket. No other protocol is passed on: through an upgrade to `h2c` further requests
/// would reach the upstream that the gateway never sees.
pub(super) fn is_web_socket<B>(request: &Request<B>) -> bool {
    *request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && names_web_socket(request.headers())
        && has_upgrade_option(request.headers())
}

/// Returns the connection to the client if it asked for a WebSocket.
pub(super) fn wanted(mut extensions: Extensions) -> Option<OnUpgrade> {
    extensions.remove::<WebSocket>()?;
    extensions.remove()
}

/// Whether the upstream agrees to just what it was asked for.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    names_web_socket(headers)
}

/// Writes the headers of the hop that belong to an upgrade.
pub(super) fn set(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// The connections that have become tunnels, which a server does not count any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Tunnels {
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Tunnels {
    /// Copies in both directions until both ends have closed, or the gateway ends.
    pub(super) fn join(&self, client: OnUpgrade, upstream: OnUpgrade) {
        let closing = self.closing.clone();
        self.tasks.spawn(closing.run_until_cancelled_owned(async move {
            let (client, upstream) = tokio::try_join!(client, upstream)?;
            // How it ends is a matter of the two ends.
            let _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await;
            Ok::<(), hyper::Error>(())
        }));
    }

    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn names_web_socket(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(UPGRADE).iter();
    let is_named = values.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    is_named && values.next().is_none()
}

fn has_upgrade_option(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        let mut options = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        options.any(|option| option.eq_ignore_ascii_case(b"upgrade"))
    })
}
