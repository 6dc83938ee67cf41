//! A proxy with the sample configuration, the program beside it and applications behind it.

use tower_clerk::testing::{TestIssuer, TokenBuilder};

use super::{
    fastcgi::FastCgi,
    forward_auth::ForwardAuth,
    http::{Message, request},
    proxy::{Addresses, Proxy, RunningProxy},
    upstream::Upstream,
};

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) issuer: TestIssuer,
    pub(crate) forward_auth: ForwardAuth,
    pub(crate) proxy: RunningProxy,
    pub(crate) upstream: Upstream,
    pub(crate) fastcgi: FastCgi,
}

impl Site {
    /// With the sample configuration, and the flags that the program needs for the proxy.
    pub(crate) async fn start(proxy: Proxy, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let issuer = TestIssuer::start().await.unwrap();
        let arguments = with_flags(proxy, arguments);
        let forward_auth = ForwardAuth::start(&issuer, &arguments, variables).await;
        Self::of(proxy, issuer, forward_auth, proxy.sample()).await
    }

    pub(crate) async fn of(proxy: Proxy, issuer: TestIssuer, forward_auth: ForwardAuth, configuration: &str) -> Self {
        let (upstream, fastcgi) = (Upstream::start().await, FastCgi::start().await);
        let addresses = Addresses {
            forward_auth: forward_auth.address,
            application: upstream.server.address,
            fastcgi: fastcgi.server.address,
        };
        let proxy = RunningProxy::start(proxy, configuration, addresses).await;
        Self { issuer, forward_auth, proxy, upstream, fastcgi }
    }

    pub(crate) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Message {
        self.request("GET", target, headers, b"").await
    }

    pub(crate) async fn request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Message {
        request(self.proxy.address, method, target, headers, body).await
    }

    /// `Authorization` of an administrator.
    pub(crate) fn admin(&self) -> String {
        bearer(
            &self
                .issuer
                .token("user_ada")
                .session_id("sess_1")
                .organization("org_acme", "admin")
                .organization_slug("acme"),
        )
    }

    /// `Authorization` of a member.
    pub(crate) fn member(&self) -> String {
        bearer(&self.issuer.token("user_bob").organization("org_acme", "member"))
    }
}

pub(crate) fn bearer(token: &TokenBuilder) -> String {
    format!("Bearer {}", token.sign())
}

/// The arguments, and `--nginx` where it is due.
pub(crate) fn with_flags<'a>(proxy: Proxy, arguments: &[&'a str]) -> Vec<&'a str> {
    let nginx = (proxy == Proxy::Nginx).then_some("--nginx");
    arguments.iter().copied().chain(nginx).collect()
}
