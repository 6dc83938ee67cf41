use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tonic::{
    Code, Request, Status,
    service::{InterceptorLayer, LayerExt},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error, Identity, Server, ServerTlsConfig},
};
use tower_clerk::ClerkAuth;

use crate::{
    echo::{Text, echo_client::EchoClient},
    harness::{Probe, echo, good, layer, listen, text},
    support::{
        BAD,
        grpc::{call, codes},
    },
};

fn self_signed() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate")
}

fn identity(key: &CertifiedKey<KeyPair>) -> Identity {
    Identity::from_pem(key.cert.pem(), key.signing_key.serialize_pem())
}

fn trusting(key: &CertifiedKey<KeyPair>) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(key.cert.pem())).domain_name("localhost")
}

async fn connect(address: SocketAddr, tls: ClientTlsConfig) -> Result<EchoClient<Channel>, Error> {
    let endpoint = Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?;
    Ok(EchoClient::new(endpoint.connect().await?))
}

/// Serves over TLS, and records the user and the transport information of each call.
async fn serve(tls: ServerTlsConfig) -> (SocketAddr, Probe, Seen) {
    let (probe, seen) = (Probe::default(), Seen::default());
    let (incoming, address) = listen().await;
    let seeing = seen.clone();
    let look = InterceptorLayer::new(move |request: Request<()>| {
        let user = ClerkAuth::from_tonic(&request)?.user_id().to_owned();
        let certificates = request.peer_certs().map_or(0, |certificates| certificates.len());
        seeing.lock().expect("no panic").push((user, request.remote_addr().is_some(), certificates));
        Ok::<_, Status>(request)
    });
    let mut server = Server::builder().tls_config(tls).expect("a certificate").layer(layer());
    let router = server.add_service(look.named_layer(echo(&probe)));
    tokio::spawn(router.serve_with_incoming(incoming));
    (address, probe, seen)
}

type Seen = Arc<Mutex<Vec<(String, bool, usize)>>>;

#[tokio::test]
async fn calls_over_tls_are_served_and_rejected() {
    let key = self_signed();
    let (address, probe, _) = serve(ServerTlsConfig::new().identity(identity(&key))).await;
    let mut client = connect(address, trusting(&key)).await.expect("a connection");
    assert_eq!(client.unary(call(text("a"), &[&good()])).await.expect("a reply").into_inner(), text("user_ada: a"));
    let messages = stream::iter([text("a"), text("b")]);
    let replies = client.bidirectional(call(messages, &[&good()])).await.expect("a stream").into_inner();
    let replies: Vec<Text> = replies.try_collect().await.expect("replies");
    assert_eq!(replies, [text("user_ada: a"), text("user_ada: b")]);
    for (authorization, expected) in [
        (vec![], (Code::Unauthenticated, Some("missing_token"))),
        (vec![BAD], (Code::Unauthenticated, Some("invalid_token"))),
    ] {
        let status = client.unary(call(text("a"), &authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&status), expected);
        let endless = stream::iter([text("a")]).chain(stream::pending());
        let status = client.client_streaming(call(endless, &authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&status), expected);
    }
    assert_eq!(probe.calls(), 2);
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_server_sends_it_no_token() {
    let (address, probe, _) = serve(ServerTlsConfig::new().identity(identity(&self_signed()))).await;
    assert!(connect(address, trusting(&self_signed())).await.is_err());
    assert_eq!(probe.calls(), 0);
}

#[tokio::test]
async fn transport_extensions_are_kept_beside_the_user() {
    let (key, client_key) = (self_signed(), self_signed());
    let tls = ServerTlsConfig::new().identity(identity(&key));
    let mutual = tls.clone().client_ca_root(Certificate::from_pem(client_key.cert.pem()));
    for (tls, client_tls, certificates) in
        [(tls, trusting(&key), 0), (mutual, trusting(&key).identity(identity(&client_key)), 1)]
    {
        let (address, probe, seen) = serve(tls).await;
        let mut client = connect(address, client_tls).await.expect("a connection");
        assert!(client.unary(call(text("a"), &[&good()])).await.is_ok());
        assert!(client.unary(call(text("a"), &[BAD])).await.is_err());
        assert_eq!(*seen.lock().expect("no panic"), [("user_ada".to_owned(), true, certificates)]);
        assert_eq!(probe.calls(), 1);
    }
}
