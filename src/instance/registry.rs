use std::{collections::HashMap, sync::Arc};

use super::{
    Instance, InstanceResources, TrustedInstance,
    resolver_cache::{InstanceCheck, ResolveFailure, ResolveWait, ResolverCache},
};
use crate::{
    backend_api::OpaqueInstance,
    config::{ClerkConfig, ConfigError, Setting},
    single_flight::Lookup,
    telemetry,
    token_kind::TokenKind,
};

/// The instances that a verifier trusts, by issuer.
///
/// With one configured instance and no resolver there is nothing to select: that instance verifies every token, and
/// needs no issuer. In all other cases the issuer that a token claims selects the instance.
pub(crate) struct InstanceRegistry {
    configured: Vec<Arc<TrustedInstance>>,
    /// The index in `configured` for each issuer; empty if there is nothing to select. An instance may have several.
    by_issuer: HashMap<String, usize>,
    resolved: Option<ResolverCache>,
}

impl InstanceRegistry {
    /// Makes the registry.
    ///
    /// Two instances with one issuer would make the selection depend on their order, so that is an error at start. An
    /// instance without an issuer could never be selected. Checks that the configuration leaves out are logged here,
    /// once for each configured instance; a resolver that returns many would repeat them.
    ///
    /// Also returns the instances whose opaque tokens the Backend API is asked about.
    pub(crate) fn new(
        instances: Vec<Instance>,
        resources: &InstanceResources,
        resolved: Option<ResolverCache>,
    ) -> Result<(Self, Vec<OpaqueInstance>), ConfigError> {
        if instances.is_empty() && resolved.is_none() {
            return Err(ConfigError::missing("instances", "no setting names the Clerk instance to trust"));
        }
        let needs_issuers = instances.len() > 1 || resolved.is_some();
        let mut by_issuer = HashMap::new();
        for (index, instance) in instances.iter().enumerate().filter(|_| needs_issuers) {
            let issuers = instance.config.issuers();
            if issuers.is_empty() {
                return Err(ConfigError::missing(issuer_of(index), "required with several instances or a resolver"));
            }
            for issuer in issuers {
                match by_issuer.insert(issuer.to_owned(), index) {
                    Some(other) if other != index => {
                        let reason = "two instances have the same issuer";
                        return Err(ConfigError::conflict(issuer_of(other), issuer_of(index), reason));
                    }
                    _ => {}
                }
            }
        }
        for instance in &instances {
            if let Some(setting) = instance.keys_in_place_of_url() {
                telemetry::url_not_asked(instance.config.name(), setting);
            }
            let config = &instance.config;
            if config.issuers().is_empty() {
                telemetry::issuer_not_checked(config.name());
            }
            let accepts = |kind| config.accepted.contains(kind);
            if accepts(TokenKind::Session) && config.authorized_parties.is_empty() {
                telemetry::authorized_party_not_checked(config.name());
            }
            if accepts(TokenKind::OAuth) && config.oauth_audience.is_empty() {
                telemetry::oauth_audience_not_checked(config.name());
            }
            if accepts(TokenKind::M2m) && config.machine_id.is_none() {
                telemetry::machine_not_checked(config.name());
            }
        }
        let is_named = instances.len() > 1;
        let mut opaque = Vec::new();
        for instance in &instances {
            opaque.extend(resources.opaque_instance(instance, is_named)?);
        }
        let trusted = |instance| TrustedInstance::new(instance, resources, is_named).map(Arc::new);
        let configured: Result<Vec<_>, _> = instances.into_iter().map(trusted).collect();
        Ok((Self { configured: configured?, by_issuer, resolved }, opaque))
    }

    /// The only instance, if there is nothing to select.
    pub(crate) fn only(&self) -> Option<&Arc<TrustedInstance>> {
        match self.configured.as_slice() {
            [only] if self.resolved.is_none() => Some(only),
            _ => None,
        }
    }

    /// Selects an instance by the issuer that a token claims.
    ///
    /// The issuer is not verified yet, and need not be: it selects the keys that have to verify the token, and is
    /// checked again as a claim. Configured instances come first, so a resolver cannot replace one.
    pub(crate) fn find(&self, issuer: Option<&str>) -> Lookup<Arc<TrustedInstance>, ResolveFailure, ResolveWait> {
        let Some(issuer) = issuer else { return Lookup::Failed(ResolveFailure::UnknownIssuer) };
        if let Some(instance) = self.by_issuer.get(issuer).and_then(|index| self.configured.get(*index)) {
            return Lookup::Found(Arc::clone(instance));
        }
        match &self.resolved {
            Some(resolved) => resolved.find(issuer),
            None => Lookup::Failed(ResolveFailure::UnknownIssuer),
        }
    }

    /// Whether the instance with this issuer may accept tokens of this kind, as far as that is known without a call of
    /// the resolver. An issuer that nobody can know is left to [`find`](Self::find).
    pub(crate) fn may_accept(&self, kind: TokenKind, issuer: Option<&str>) -> bool {
        let configured = issuer.and_then(|issuer| self.by_issuer.get(issuer));
        match (configured.and_then(|index| self.configured.get(*index)), &self.resolved) {
            (Some(instance), _) => instance.config.accepted.contains(kind),
            (None, Some(resolved)) => resolved.may_accept(kind),
            (None, None) => true,
        }
    }

    /// Whether [`find`](Self::find) would call the resolver for this issuer.
    pub(crate) fn needs_lookup(&self, issuer: &str) -> bool {
        !self.by_issuer.contains_key(issuer)
            && self.resolved.as_ref().is_some_and(|resolved| resolved.needs_lookup(issuer))
    }

    /// Whether the issuer may belong to an instance, as far as that is known without a call of the resolver.
    pub(crate) fn may_know(&self, issuer: &str) -> bool {
        self.configs().any(|config| config.accepts_issuer(issuer))
            || self.resolved.as_ref().is_some_and(|resolved| resolved.may_know(issuer))
    }

    /// Whether `instance` is still the one with this issuer, and no token has to wait until the resolver says so again.
    ///
    /// The token cache asks before it returns claims: a tenant that was removed must not stay signed in for as long as
    /// its tokens live. Configured instances never change. For the others, this also starts a refresh that is due.
    pub(crate) fn is_current(&self, instance: &Arc<TrustedInstance>, issuer: &str) -> bool {
        match &self.resolved {
            Some(resolved) if !self.by_issuer.contains_key(issuer) => resolved.is_current(issuer, instance),
            _ => true,
        }
    }

    /// Checks the instance of a token whose signature holds with its keys.
    pub(crate) fn check(&self, instance: &Arc<TrustedInstance>, issuer: &str) -> InstanceCheck {
        match &self.resolved {
            Some(resolved) if !self.by_issuer.contains_key(issuer) => resolved.check(issuer, instance),
            _ => InstanceCheck::Current,
        }
    }

    /// The resolver's part, if there is a resolver.
    pub(crate) fn resolved(&self) -> Option<&ResolverCache> {
        self.resolved.as_ref()
    }

    pub(crate) fn configs(&self) -> impl Iterator<Item = &ClerkConfig> {
        self.configured.iter().map(|instance| &instance.config)
    }

    /// All instances at present: the configured ones, then those that are resolved.
    pub(crate) fn all(&self) -> Vec<Arc<TrustedInstance>> {
        let resolved = self.resolved.as_ref().map(ResolverCache::all).unwrap_or_default();
        self.configured.iter().cloned().chain(resolved).collect()
    }

    pub(crate) fn has_resolver(&self) -> bool {
        self.resolved.is_some()
    }
}

/// The setting that an error names. The index says which instance of the builder is wrong.
fn issuer_of(index: usize) -> Setting {
    Setting::field(format!("instances[{index}].issuer"))
}
