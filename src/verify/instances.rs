use std::{collections::HashMap, sync::Arc};

use super::{
    directory::{Directory, Resolution, ResolutionWait},
    instance::{Instance, Shared, Trusted},
};
use crate::config::{ClerkConfig, ConfigError, Setting};

/// Those that a verifier trusts, told apart by issuer.
pub(super) struct Instances {
    by_issuer: HashMap<String, usize>,
    directory: Option<Directory>,
    fixed: Vec<Arc<Trusted>>,
}

/// The instance that a token is to be held against.
pub(super) enum Pick {
    Instance(Arc<Trusted>),
    Unknown,
    Unresolved(crate::jwks::FetchErrorKind),
    Wait(ResolutionWait),
}

impl Instances {
    pub(super) fn new(
        instances: Vec<Instance>,
        shared: &Shared,
        directory: Option<Directory>,
    ) -> Result<Self, ConfigError> {
        if instances.is_empty() && directory.is_none() {
            return Err(ConfigError::missing("instances", "nothing names the instance to trust"));
        }
        let are_told_apart = instances.len() > 1 || directory.is_some();
        let mut by_issuer = HashMap::new();
        for (index, instance) in instances.iter().enumerate().filter(|_| are_told_apart) {
            let issuers = instance.config.issuers();
            if issuers.is_empty() {
                let reason = "without it the instance cannot be told from the others";
                return Err(ConfigError::missing(issuer_of(index), reason));
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
        let fixed: Result<Vec<_>, _> =
            instances.into_iter().map(|instance| Trusted::new(instance, shared).map(Arc::new)).collect();
        Ok(Self { by_issuer, directory, fixed: fixed? })
    }

    /// The only instance, where there is no choice.
    pub(super) fn only(&self) -> Option<&Arc<Trusted>> {
        match self.fixed.as_slice() {
            [only] if self.directory.is_none() => Some(only),
            _ => None,
        }
    }

    /// Picks by an issuer that nothing is believed of yet.
    pub(super) fn pick(&self, issuer: Option<&str>) -> Pick {
        let Some(issuer) = issuer else { return Pick::Unknown };
        if let Some(instance) = self.by_issuer.get(issuer).and_then(|index| self.fixed.get(*index)) {
            return Pick::Instance(Arc::clone(instance));
        }
        match self.directory.as_ref().map(|directory| directory.look_up(issuer)) {
            None | Some(Resolution::Unknown) => Pick::Unknown,
            Some(Resolution::Known(instance)) => Pick::Instance(instance),
            Some(Resolution::Failed(cause)) => Pick::Unresolved(cause),
            Some(Resolution::Wait(wait)) => Pick::Wait(wait),
        }
    }

    /// Whether `instance` is still the one with this issuer. Counts as use of what a resolver answered.
    pub(super) fn trusts(&self, instance: &Arc<Trusted>, issuer: &str) -> bool {
        self.directory.is_none()
            || matches!(self.pick(Some(issuer)), Pick::Instance(current) if Arc::ptr_eq(&current, instance))
    }

    pub(super) fn configs(&self) -> impl Iterator<Item = &ClerkConfig> {
        self.fixed.iter().map(|instance| instance.config.as_ref())
    }

    /// The instances at hand: those that are configured and those that were resolved.
    pub(super) fn all(&self) -> Vec<Arc<Trusted>> {
        let resolved = self.directory.as_ref().map(Directory::resolved).unwrap_or_default();
        self.fixed.iter().cloned().chain(resolved).collect()
    }

    pub(super) fn can_resolve(&self) -> bool {
        self.directory.is_some()
    }
}

fn issuer_of(index: usize) -> Setting {
    Setting::field(format!("instances[{index}].issuer"))
}
