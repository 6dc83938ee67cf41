//! The HTTP clients that fetch keys and ask the Backend API.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Client, ClientBuilder, Url, redirect, retry};

use super::{connecting::NoteConnecting, dns::NameLookups, proxy};
use crate::config::{ConfigError, Host};

/// The clients of a verifier. They are made when they are first needed, because making one may read the proxy and the
/// certificates of the system.
pub(crate) struct HttpClients {
    lookups: NameLookups,
    /// That of the application, for all URLs: how it resolves names and which proxies it uses is its choice.
    own: Option<Client>,
    closing: ClientsByUrl,
    keeping: ClientsByUrl,
}

/// What becomes of a connection after its response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Connections {
    /// For keys: an idle connection would be minutes old at the next fetch, and may be broken.
    Closed,
    /// For the Backend API, which is asked many times a second.
    Kept,
}

/// There are three, because reqwest decides by client and not by URL about proxies and certificates.
#[derive(Default)]
struct ClientsByUrl {
    /// For `http`, which only loopback addresses may have.
    plain: Mutex<Option<Client>>,
    /// For `https` on loopback addresses. A proxy could not reach them: for it the address is another machine.
    local: Mutex<Option<Client>>,
    /// For `https` on all other addresses, through the proxy that the environment names, if any.
    remote: Mutex<Option<Client>>,
}

impl HttpClients {
    /// Uses `own` for all URLs if there is one.
    pub(crate) fn new(own: Option<Client>) -> Self {
        Self::with_lookups(own, NameLookups::of_the_system())
    }

    pub(super) fn with_lookups(own: Option<Client>, lookups: NameLookups) -> Self {
        Self { lookups, own, closing: ClientsByUrl::default(), keeping: ClientsByUrl::default() }
    }

    /// Checks the proxy that the environment names, before a URL is known.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if the proxy cannot be used.
    pub(crate) fn check_proxy(&self) -> Result<(), ConfigError> {
        if self.own.is_some() { Ok(()) } else { proxy::from_environment().map(drop) }
    }

    /// The client for this URL. Clones of one client share its connections and certificates.
    pub(crate) fn client(&self, url: &Url, connections: Connections) -> Result<Client, ConfigError> {
        if let Some(own) = &self.own {
            return Ok(own.clone());
        }
        let clients = match connections {
            Connections::Closed => &self.closing,
            Connections::Kept => &self.keeping,
        };
        let (slot, make): (_, fn(&Self, Connections) -> _) = match (url.scheme(), is_loopback(url)) {
            ("http", _) => (&clients.plain, Self::make_plain),
            (_, true) => (&clients.local, Self::make_local),
            (_, false) => (&clients.remote, Self::make_remote),
        };
        let mut client = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match client.as_ref() {
            Some(client) => Ok(client.clone()),
            None => Ok(client.insert(make(self, connections)?).clone()),
        }
    }

    /// It trusts no certificates and reads none: a container for which plain `http` is enough may have none.
    fn make_plain(&self, connections: Connections) -> Result<Client, ConfigError> {
        let builder = self.builder(connections).no_proxy().tls_certs_only([]);
        builder.build().map_err(|error| ConfigError::HttpClient { source: error.without_url().into() })
    }

    fn make_local(&self, connections: Connections) -> Result<Client, ConfigError> {
        self.build_with_certificates(self.builder(connections).no_proxy())
    }

    fn make_remote(&self, connections: Connections) -> Result<Client, ConfigError> {
        let builder = self.builder(connections);
        self.build_with_certificates(match proxy::from_environment()? {
            Some(proxy) => builder.proxy(proxy),
            None => builder,
        })
    }

    /// Builds a client that trusts the certificate authorities of the system.
    ///
    /// The error of reqwest has no kind that tells a system without any from other causes. If a client that needs none
    /// can be built, they are the cause.
    fn build_with_certificates(&self, builder: ClientBuilder) -> Result<Client, ConfigError> {
        builder.build().map_err(|error| {
            let source = error.without_url().into();
            match self.make_plain(Connections::Closed) {
                Ok(_) => ConfigError::NoCertificateAuthorities { source },
                Err(_) => ConfigError::HttpClient { source },
            }
        })
    }

    /// A client that sends a request and takes the response as it is.
    ///
    /// A redirect could point it at the keys of another server, or send a token there. A compressed response could
    /// outgrow the size limit while it is decoded. A retry would not obey the back-off.
    fn builder(&self, connections: Connections) -> ClientBuilder {
        let builder = Client::builder()
            .dns_resolver(self.lookups.clone())
            .no_brotli()
            .no_deflate()
            .no_gzip()
            .no_zstd()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .user_agent(concat!("tower-clerk/", env!("CARGO_PKG_VERSION")));
        match connections {
            Connections::Closed => builder.pool_max_idle_per_host(0),
            Connections::Kept => builder.pool_idle_timeout(IDLE).connector_layer(NoteConnecting),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    Host::of_authority(url.host_str().unwrap_or_default()).is_some_and(Host::is_loopback)
}

/// Servers and the networks before them usually close a connection that was idle for a minute.
const IDLE: Duration = Duration::from_secs(45);
