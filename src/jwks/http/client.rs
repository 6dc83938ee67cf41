//! The HTTP clients that fetch keys.

use std::sync::{Mutex, PoisonError};

use reqwest::{Client, ClientBuilder, Url, redirect, retry};

use super::{dns::NameLookups, proxy};
use crate::config::{ConfigError, Host};

/// The clients of all sources of a verifier. They are made when they are first needed, because making one may read the
/// proxy and the certificates of the system.
///
/// There are three, because reqwest decides by client and not by URL about proxies and certificates.
pub(crate) struct HttpClients {
    lookups: NameLookups,
    /// For `http`, which only loopback addresses may have.
    plain: Mutex<Option<Client>>,
    /// For `https` on loopback addresses. A proxy could not reach them: for it the address is another machine.
    local: Mutex<Option<Client>>,
    /// For `https` on all other addresses, through the proxy that the environment names, if any.
    remote: Mutex<Option<Client>>,
}

impl HttpClients {
    /// Uses `own` for all URLs if there is one: how it resolves names and which proxies it uses is the application's
    /// choice.
    pub(crate) fn new(own: Option<Client>) -> Self {
        Self::with_lookups(own, NameLookups::of_the_system())
    }

    pub(super) fn with_lookups(own: Option<Client>, lookups: NameLookups) -> Self {
        let [plain, local, remote] = [own.clone(), own.clone(), own].map(Mutex::new);
        Self { lookups, plain, local, remote }
    }

    /// Checks the proxy that the environment names, before a URL is known.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if the proxy cannot be used.
    pub(crate) fn check_proxy(&self) -> Result<(), ConfigError> {
        let has_own = self.remote.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if has_own { Ok(()) } else { proxy::from_environment().map(drop) }
    }

    /// The client for this URL. Clones of one client share its connections and certificates.
    pub(super) fn client(&self, url: &Url) -> Result<Client, ConfigError> {
        let (slot, make): (_, fn(&Self) -> _) = match (url.scheme(), is_loopback(url)) {
            ("http", _) => (&self.plain, Self::make_plain),
            (_, true) => (&self.local, Self::make_local),
            (_, false) => (&self.remote, Self::make_remote),
        };
        let mut client = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match client.as_ref() {
            Some(client) => Ok(client.clone()),
            None => Ok(client.insert(make(self)?).clone()),
        }
    }

    /// It trusts no certificates and reads none: a container for which plain `http` is enough may have none.
    fn make_plain(&self) -> Result<Client, ConfigError> {
        let builder = self.builder().no_proxy().tls_certs_only([]);
        builder.build().map_err(|error| ConfigError::HttpClient { source: error.without_url().into() })
    }

    fn make_local(&self) -> Result<Client, ConfigError> {
        self.build_with_certificates(self.builder().no_proxy())
    }

    fn make_remote(&self) -> Result<Client, ConfigError> {
        let builder = self.builder();
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
            match self.make_plain() {
                Ok(_) => ConfigError::NoCertificateAuthorities { source },
                Err(_) => ConfigError::HttpClient { source },
            }
        })
    }

    /// A client that sends one request and takes the response as it is.
    ///
    /// A redirect could point it at the keys of another server. A compressed response could outgrow the size limit
    /// while it is decoded. A retry would not obey the back-off. An idle connection would be minutes old at the next
    /// fetch, and may be broken.
    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .dns_resolver(self.lookups.clone())
            .no_brotli()
            .no_deflate()
            .no_gzip()
            .no_zstd()
            .pool_max_idle_per_host(0)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .user_agent(concat!("tower-clerk/", env!("CARGO_PKG_VERSION")))
    }
}

fn is_loopback(url: &Url) -> bool {
    Host::of_authority(url.host_str().unwrap_or_default()).is_some_and(Host::is_loopback)
}
