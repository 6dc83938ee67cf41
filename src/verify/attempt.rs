//! A token on its way through the checks.

use std::{borrow::Cow, sync::Arc, time::Duration};

use super::{
    Verifier,
    cache::Verified,
    checks::Checks,
    directory::{Answer, ResolutionWait},
    error::{VerifyError, VerifyErrorKind},
    instance::{Screened, Trusted},
    instances::Pick,
    keys::{self, Tried, Vouched},
};
use crate::{
    claims::{Claims, Decoded, Wire, decoded_weight},
    json::{Object, Value},
    jwks::FetchErrorKind,
    jwt::{MalformedToken, Segments},
};

/// What keeps a token from being verified.
pub(crate) enum Halt {
    Refused(VerifyError),
    /// Its instance or its key has to be asked for first.
    Waiting(Pending),
}

/// What a token waits for.
pub(crate) enum Pending {
    Instance(ResolutionWait),
    Key(Arc<Trusted>, keys::Pending),
}

/// What was tried for one token so far.
#[derive(Default)]
pub(crate) struct Progress {
    /// The instance that a resolver answered with.
    instance: Option<Arc<Trusted>>,
    keys: Tried,
}

impl Verifier {
    /// Verifies as far as can be without waiting.
    pub(crate) fn attempt(&self, token: &str, progress: &mut Progress) -> Result<Claims, Halt> {
        let inner = &*self.inner;
        if token.len() > inner.max_token_length {
            return Err(VerifyErrorKind::TooLong.into());
        }
        if let Some(claims) = self.remembered(token) {
            return Ok(claims);
        }
        let (mut for_header, mut for_signature) = ([0; USUAL_HEADER], [0; USUAL_SIGNATURE]);
        let segments = Segments::parse(token, &mut for_header)?;
        let header = segments.header()?;
        // Forgeries come in floods: what the header alone settles is refused before the rest is decoded.
        let only = inner.instances.only();
        let screened = match only {
            Some(only) => Some(only.screen(&header)?),
            None => Checks::most_lenient().header(&header).map(|_| None)?,
        };
        let compact = segments.decode(&mut for_signature)?;
        let payload = compact.payload()?;
        let nested = |name| match payload.get(name) {
            Some(Value::Object(text)) => Object::parse(text).map(Some).map_err(|_| MalformedToken),
            _ => Ok(None),
        };
        nested("act")?;
        let organization = nested("o")?;
        let picked;
        let (instance, Screened { candidates, header }) = match only.zip(screened) {
            Some(known) => known,
            None => {
                picked = self.pick(&payload, progress)?;
                if token.len() > picked.config.max_token_length {
                    return Err(VerifyErrorKind::TooLong.into());
                }
                (&picked, picked.screen(&header)?)
            }
        };
        let vouched = match candidates.verify(&compact, &header, &mut progress.keys) {
            Ok(vouched) => vouched,
            Err(keys::Halt::Refused(error)) => return Err(Halt::Refused(error)),
            Err(keys::Halt::Waiting(pending)) => {
                return Err(Halt::Waiting(Pending::Key(Arc::clone(instance), pending)));
            }
        };
        let wire = Wire::read(&payload);
        instance.checks.claims(&wire, inner.clock.now())?;
        let weight = decoded_weight(&payload, organization.as_ref());
        let decoded = Decoded::new(wire, compact.payload_text(), &instance.config, header.is_template, weight);
        let decoded = decoded.ok_or(MalformedToken)?;
        let Vouched { generation, proof, voucher } = vouched;
        let claims = Claims::new(compact.into_payload(), decoded, proof);
        if let Some(verified) = &inner.verified {
            verified.insert(token, Verified::new(token, claims.clone(), Arc::clone(instance), voucher, generation));
        }
        Ok(claims)
    }

    /// The claims of a token that was verified before, if they may be believed without looking again.
    fn remembered(&self, token: &str) -> Option<Claims> {
        let found = self.inner.verified.as_ref()?.get(token)?;
        let is_good = self.inner.instances.trusts(found.instance(), found.claims().issuer())
            && found.holds_at(self.inner.clock.now())
            && found.is_vouched_for();
        is_good.then(|| found.claims().clone())
    }

    /// Goes on with a token that waits for its instance or its key.
    pub(crate) async fn resume(
        &self,
        token: &str,
        mut pending: Pending,
        mut progress: Progress,
    ) -> Result<Claims, VerifyError> {
        loop {
            match pending {
                Pending::Instance(wait) => match wait.ended().await {
                    Answer::Known(instance) => progress.instance = Some(instance),
                    Answer::Unknown => return Err(VerifyErrorKind::InvalidIssuer.into()),
                    Answer::Failed(cause) => return Err(unresolved(cause)),
                },
                Pending::Key(instance, pending) => {
                    instance.keys.wait(pending, &mut progress.keys).await?;
                    // What was tried was tried with its keys; another that has come in its place has been asked for none.
                    progress.instance = Some(instance);
                }
            }
            match self.attempt(token, &mut progress) {
                Ok(claims) => return Ok(claims),
                Err(Halt::Refused(error)) => return Err(error),
                Err(Halt::Waiting(next)) => pending = next,
            }
        }
    }

    /// The instance to hold a token against, by the issuer that it claims.
    fn pick(&self, payload: &Object<'_>, progress: &Progress) -> Result<Arc<Trusted>, Halt> {
        if let Some(instance) = &progress.instance {
            return Ok(Arc::clone(instance));
        }
        let issuer: Option<Cow<'_, str>> = payload.string("iss");
        match self.inner.instances.pick(issuer.as_deref()) {
            Pick::Instance(instance) => Ok(instance),
            Pick::Unknown => Err(VerifyErrorKind::InvalidIssuer.into()),
            Pick::Unresolved(cause) => Err(Halt::Refused(unresolved(cause))),
            Pick::Wait(wait) => Err(Halt::Waiting(Pending::Instance(wait))),
        }
    }
}

/// Nothing is known of the token while its instance cannot be told.
fn unresolved(cause: FetchErrorKind) -> VerifyError {
    VerifyError::keys_unavailable(cause, Duration::from_secs(1))
}

impl From<VerifyErrorKind> for Halt {
    fn from(kind: VerifyErrorKind) -> Self {
        Self::Refused(kind.into())
    }
}

impl From<MalformedToken> for Halt {
    fn from(_: MalformedToken) -> Self {
        VerifyErrorKind::Malformed.into()
    }
}

/// In bytes, decoded: twice that of Clerk's.
const USUAL_HEADER: usize = 256;
/// In bytes: of a key of 4096 bits.
const USUAL_SIGNATURE: usize = 512;
