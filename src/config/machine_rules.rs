use std::{borrow::Cow, time::Duration};

use super::{
    ClerkConfig, ConfigError, MachineSecretKey, SecretKey,
    pasted::cleaned,
    token_rules::{checked_lifetime, texts},
};
use crate::token_kind::{MACHINE_ID_PREFIX, TokenKind, TokenKinds};

/// # Tokens of OAuth clients, machines and API keys
impl ClerkConfig {
    /// Accepts tokens of these kinds, and of no other; sessions alone by default.
    ///
    /// A token of another kind is rejected as
    /// [`TokenKindNotAccepted`](crate::verify::VerifyErrorKind::TokenKindNotAccepted), before any key is fetched and
    /// without a request. Each handler still says by its signature which kinds it takes: one that takes
    /// [`ClerkAuth`](crate::ClerkAuth) never sees a machine.
    ///
    /// Opaque tokens are asked of the Backend API, with the [secret key](Self::secret_key) or, for M2M tokens, the
    /// [machine secret key](Self::machine_secret_key). Without one, the opaque form of an OAuth or M2M token is
    /// rejected. API keys have no other form, so they need a secret key.
    ///
    /// It replaces the kinds of an earlier call.
    ///
    /// ```
    /// use tower_clerk::{ClerkConfig, TokenKind};
    ///
    /// let config = ClerkConfig::from_frontend_api_url("https://clerk.example.com")?
    ///     .accept([TokenKind::Session, TokenKind::OAuth])?
    ///     .oauth_audience(["https://api.example.com/mcp"])?;
    /// assert_eq!(config.accepted_kinds(), [TokenKind::Session, TokenKind::OAuth]);
    /// # Ok::<(), tower_clerk::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `kinds` is empty.
    pub fn accept(self, kinds: impl IntoIterator<Item = TokenKind>) -> Result<Self, ConfigError> {
        let accepted: TokenKinds = kinds.into_iter().collect();
        if accepted.is_empty() {
            return Err(ConfigError::invalid("accept", "must not be empty"));
        }
        Ok(Self { accepted, ..self })
    }

    /// Returns the kinds of tokens that are accepted.
    #[must_use]
    pub fn accepted_kinds(&self) -> Vec<TokenKind> {
        self.accepted.iter().collect()
    }

    /// Accepts only OAuth tokens whose `aud` is or contains one of these audiences, in both forms. The comparison is
    /// exact, byte by byte.
    ///
    /// Without it `aud` is not looked at, so a token that was issued for another service of the instance is accepted
    /// too. With it, a token without `aud` is rejected.
    ///
    /// It replaces the audiences of an earlier call.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `audiences` is empty, or one of them is.
    pub fn oauth_audience<I>(self, audiences: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        Ok(Self { oauth_audience: texts(audiences, "oauth_audience")?, ..self })
    }

    /// Accepts only M2M tokens whose `aud` is or contains one of these audiences, as
    /// [`oauth_audience`](Self::oauth_audience) does for OAuth tokens. Opaque M2M tokens have no `aud`, and are
    /// rejected.
    ///
    /// # Errors
    ///
    /// As [`oauth_audience`](Self::oauth_audience).
    pub fn m2m_audience<I>(self, audiences: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        Ok(Self { m2m_audience: texts(audiences, "m2m_audience")?, ..self })
    }

    /// Accepts only M2M tokens that may be shown to this machine, by its id (`mch_…`).
    ///
    /// The scopes of an M2M token are the ids of the machines that it is for. Without this setting, every M2M token of
    /// the instance is accepted, also one that a machine got for another service.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `id` does not start with `mch_`, or holds anything but letters, digits, `_` and `-`.
    pub fn machine_id(self, id: impl AsRef<str>) -> Result<Self, ConfigError> {
        let invalid = |reason| ConfigError::invalid("machine_id", reason);
        let id = cleaned(id.as_ref()).map_err(invalid)?;
        let Some(body) = id.strip_prefix(MACHINE_ID_PREFIX) else {
            return Err(invalid("must be the id of a machine, which starts with mch_"));
        };
        if body.is_empty() || !body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            return Err(invalid("must be mch_ and letters, digits, _ and -; copy the whole id"));
        }
        Ok(Self { machine_id: Some(id.to_owned()), ..self })
    }

    /// Adds the secret key of this machine, with which M2M tokens are verified in place of the
    /// [secret key](Self::secret_key) of the instance.
    ///
    /// Clerk then also checks that the token may be shown to this machine.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `key` is not `ak_`, followed by letters, digits, `_` and `-`.
    pub fn machine_secret_key(self, key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Ok(Self { machine_secret_key: Some(MachineSecretKey::parse(key.as_ref())?), ..self })
    }

    /// Sets how long a good answer of the Backend API about an opaque token is used: 0 to 1 hour, 60 seconds by
    /// default.
    ///
    /// It is the longest time for which a revoked token is still accepted. Each token that is in use costs one paid
    /// call in this time. With zero each request is a call.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is more than an hour.
    pub fn opaque_token_ttl(self, ttl: Duration) -> Result<Self, ConfigError> {
        if ttl > MAX_OPAQUE_TTL {
            return Err(ConfigError::invalid("opaque_token_ttl", "must be at most 1 hour (3600 seconds)"));
        }
        Ok(Self { opaque_token_ttl: ttl, ..self })
    }

    /// Sets for how long after [`opaque_token_ttl`](Self::opaque_token_ttl) a good answer is used while the Backend API
    /// fails: 0 to 24 hours, 5 minutes by default.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is more than 24 hours.
    pub fn opaque_token_stale(self, limit: Duration) -> Result<Self, ConfigError> {
        if limit > MAX_OPAQUE_STALE {
            return Err(ConfigError::invalid("opaque_token_stale", "must be at most 24 hours (86400 seconds)"));
        }
        Ok(Self { opaque_token_stale: limit, ..self })
    }

    /// Accepts only OAuth JWTs that live at most this long, from `iat` to `exp`; more than 0, at most 10 years.
    ///
    /// Such a token cannot be revoked before its `exp`, and Clerk issues it for a day by default.
    /// [`max_token_lifetime`](Self::max_token_lifetime) concerns session tokens alone.
    ///
    /// # Errors
    ///
    /// As [`max_token_lifetime`](Self::max_token_lifetime).
    pub fn max_oauth_token_lifetime(self, lifetime: Duration) -> Result<Self, ConfigError> {
        let lifetime = checked_lifetime(lifetime, "max_oauth_token_lifetime")?;
        Ok(Self { max_oauth_token_lifetime: Some(lifetime), ..self })
    }

    /// Accepts only M2M JWTs that live at most this long; see
    /// [`max_oauth_token_lifetime`](Self::max_oauth_token_lifetime).
    ///
    /// # Errors
    ///
    /// As [`max_token_lifetime`](Self::max_token_lifetime).
    pub fn max_m2m_token_lifetime(self, lifetime: Duration) -> Result<Self, ConfigError> {
        let lifetime = checked_lifetime(lifetime, "max_m2m_token_lifetime")?;
        Ok(Self { max_m2m_token_lifetime: Some(lifetime), ..self })
    }

    /// The key with which the Backend API is asked about opaque tokens of this kind.
    pub(crate) fn opaque_token_key(&self, kind: TokenKind) -> Option<&str> {
        let secret_key = || self.secret_key.as_ref().map(SecretKey::expose);
        match kind {
            TokenKind::Session => None,
            TokenKind::OAuth | TokenKind::ApiKey => secret_key(),
            TokenKind::M2m => self.machine_secret_key.as_ref().map(MachineSecretKey::expose).or_else(secret_key),
        }
    }

    /// The setting of that key, or the one that is missing.
    pub(crate) fn opaque_token_key_setting(&self, kind: TokenKind) -> &'static str {
        match kind {
            TokenKind::M2m if self.machine_secret_key.is_some() => "machine_secret_key",
            _ => "secret_key",
        }
    }

    /// Whether a token of this kind may name these audiences. They are compared byte by byte.
    pub(crate) fn accepts_audience(&self, kind: TokenKind, audience: &[Cow<'_, str>]) -> bool {
        let accepted = match kind {
            TokenKind::OAuth => &self.oauth_audience[..],
            TokenKind::M2m => &self.m2m_audience,
            TokenKind::ApiKey | TokenKind::Session => &[],
        };
        accepted.is_empty() || audience.iter().any(|named| accepted.iter().any(|other| other == named))
    }

    /// Whether a token of this kind with these scopes may be shown to this machine. Those of an M2M token are the ids
    /// of machines.
    pub(crate) fn may_be_shown(&self, kind: TokenKind, scopes: &[Cow<'_, str>]) -> bool {
        let machine = self.machine_id.as_ref().filter(|_| kind == TokenKind::M2m);
        machine.is_none_or(|machine| scopes.iter().any(|scope| scope == machine))
    }

    /// The longest lifetime of a JWT of this kind, if there is a limit.
    pub(crate) fn max_lifetime(&self, kind: TokenKind) -> Option<Duration> {
        match kind {
            TokenKind::Session => self.max_token_lifetime,
            TokenKind::OAuth => self.max_oauth_token_lifetime,
            TokenKind::M2m => self.max_m2m_token_lifetime,
            TokenKind::ApiKey => None,
        }
    }
}

/// A revoked key must not live for longer, whatever a call costs.
const MAX_OPAQUE_TTL: Duration = Duration::from_secs(60 * 60);
/// An outage of a day is found by somebody. Longer, a revoked key would never die.
const MAX_OPAQUE_STALE: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn reason<T>(result: Result<T, ConfigError>) -> String {
        result.map(|_| ()).expect_err("an error").to_string()
    }

    #[test]
    fn sessions_alone_are_accepted_until_kinds_are_set() {
        assert_eq!(ClerkConfig::empty().accepted_kinds(), [TokenKind::Session]);
        let config = ClerkConfig::empty().accept([TokenKind::ApiKey, TokenKind::OAuth, TokenKind::ApiKey]).unwrap();
        assert_eq!(config.accepted_kinds(), [TokenKind::OAuth, TokenKind::ApiKey]);
        let config = config.accept([TokenKind::M2m]).unwrap();
        assert_eq!(config.accepted_kinds(), [TokenKind::M2m]);
        assert_eq!(reason(config.accept([])), "accept must not be empty");
    }

    #[test]
    fn audiences_are_lists_of_texts_that_replace_earlier_ones() {
        let config =
            ClerkConfig::empty().oauth_audience(["a", "b"]).and_then(|config| config.m2m_audience(["c"])).unwrap();
        assert_eq!(
            (config.oauth_audience.as_slice(), config.m2m_audience.as_slice()),
            (&["a".into(), "b".into()][..], &["c".into()][..])
        );
        let config = config.oauth_audience(["d"]).unwrap();
        assert_eq!(config.oauth_audience, ["d"]);
        assert!(config.audience.is_empty(), "that of sessions is another one");
        let none: [&str; 0] = [];
        for list in [&none[..], &[""], &["a", ""]] {
            assert!(reason(config.clone().oauth_audience(list.iter().copied())).starts_with("oauth_audience must not"));
            assert!(reason(config.clone().m2m_audience(list.iter().copied())).starts_with("m2m_audience must not"));
        }
    }

    #[test]
    fn a_machine_id_has_its_prefix_and_no_odd_characters() {
        for id in ["mch_a", "mch_a-B_1", " mch_abc\n"] {
            let config = ClerkConfig::empty().machine_id(id).unwrap();
            assert_eq!(config.machine_id.as_deref(), Some(id.trim()));
        }
        for (id, reason) in [
            ("", "must not be empty"),
            ("mch_", "copy the whole id"),
            ("mch_a b", "copy the whole id"),
            ("mch_a,mch_b", "copy the whole id"),
            ("mch_\u{e9}", "copy the whole id"),
            ("MCH_abc", "starts with mch_"),
            ("abc", "starts with mch_"),
            ("ak_abc", "starts with mch_"),
            ("'mch_abc'", "quotation mark"),
        ] {
            let error = self::reason(ClerkConfig::empty().machine_id(id));
            assert!(error.starts_with("machine_id ") && error.contains(reason), "{error} for {id:?}");
        }
    }

    #[test]
    fn durations_are_accepted_up_to_their_bounds_and_not_beyond() {
        type Set = fn(ClerkConfig, Duration) -> Result<ClerkConfig, ConfigError>;
        const NANO: Duration = Duration::from_nanos(1);
        let hours = |hours: u64| Duration::from_secs(hours * 60 * 60);
        let durations: [(Set, Duration, Duration); 4] = [
            (ClerkConfig::opaque_token_ttl, Duration::ZERO, hours(1)),
            (ClerkConfig::opaque_token_stale, Duration::ZERO, hours(24)),
            (ClerkConfig::max_oauth_token_lifetime, NANO, hours(24 * 3660)),
            (ClerkConfig::max_m2m_token_lifetime, NANO, hours(24 * 3660)),
        ];
        for (set, shortest, longest) in durations {
            let is_accepted = |value| set(ClerkConfig::empty(), value).is_ok();
            assert!(is_accepted(shortest) && is_accepted(longest) && !is_accepted(longest + NANO), "{longest:?}");
            assert!(shortest.is_zero() || !is_accepted(shortest - NANO), "{shortest:?}");
        }
        let config = ClerkConfig::empty();
        assert_eq!(
            (config.opaque_token_ttl, config.opaque_token_stale),
            (Duration::from_secs(60), Duration::from_secs(300))
        );
    }

    #[test]
    fn a_lifetime_is_limited_for_its_own_kind_alone() {
        let seconds = Duration::from_secs;
        let config = ClerkConfig::empty()
            .max_token_lifetime(seconds(1))
            .and_then(|config| config.max_oauth_token_lifetime(seconds(2))?.max_m2m_token_lifetime(seconds(3)))
            .unwrap();
        let lifetimes: Vec<_> = TokenKind::all().map(|kind| config.max_lifetime(kind)).collect();
        assert_eq!(lifetimes, [Some(seconds(1)), Some(seconds(2)), Some(seconds(3)), None]);
    }

    #[test]
    fn the_key_of_a_kind_is_the_secret_key_or_that_of_the_machine() {
        let keys = |config: &ClerkConfig| -> Vec<_> {
            TokenKind::all().map(|kind| config.opaque_token_key(kind).map(str::to_owned)).collect()
        };
        let (secret, machine) = (Some("sk_test_a".to_owned()), Some("ak_a".to_owned()));
        assert_eq!(keys(&ClerkConfig::empty()), [None, None, None, None]);
        let config = ClerkConfig::empty().machine_secret_key("ak_a").unwrap();
        assert_eq!(keys(&config), [None, None, machine.clone(), None]);
        assert_eq!(keys(&config.secret_key("sk_test_a").unwrap()), [None, secret.clone(), machine, secret.clone()]);
        let config = ClerkConfig::empty().secret_key("sk_test_a").unwrap();
        assert_eq!(keys(&config), [None, secret.clone(), secret.clone(), secret]);
    }

    #[test]
    fn debug_omits_the_secret_key_of_a_machine() {
        let config = ClerkConfig::empty().machine_secret_key("ak_hunter2").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
