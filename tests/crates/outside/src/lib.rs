//! Uses tower-clerk as its only dependency.

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use tower_clerk::{Verifier, testing::TestIssuer, verify::VerifyErrorKind};

    #[test]
    fn tokens_are_verified_without_any_backend_of_jsonwebtoken() {
        let issuer = TestIssuer::new();
        let verifier = Verifier::new(issuer.config()).expect("a verifier");
        let token = issuer.token("user_ada").sign();
        assert_eq!(verifier.try_verify(&token).expect("a good token").user_id(), "user_ada");

        let verified = pin!(verifier.verify(&token)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(verified, Poll::Ready(Ok(_))), "a token of a loaded key does not wait");

        let forged = TestIssuer::new().token("user_eve").claim("iss", issuer.url()).sign();
        let error = verifier.try_verify(&forged).expect_err("a forged token");
        assert_eq!(error.kind(), VerifyErrorKind::InvalidSignature);
    }
}
