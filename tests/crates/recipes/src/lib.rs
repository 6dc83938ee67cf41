//! Runs the examples of a chapter of the guide, and shows what the README says about rustls.

#[cfg(doctest)]
#[doc = include_str!("../../../../src/guide/openapi.md")]
mod openapi {}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use rustls::{ClientConfig, RootCertStore, crypto::ring};
    use tower_clerk::{ClerkAuthLayer, ClerkConfig, testing::TestIssuer};

    fn client() -> ClientConfig {
        ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    }

    /// The feature `reqwest` brings aws-lc, this package ring, and rustls chooses only if there is one.
    #[test]
    fn an_application_with_ring_must_install_its_provider() {
        catch_unwind(client).expect_err("rustls cannot choose between two providers");
        let key = TestIssuer::new().public_key_pem();
        assert!(ClerkAuthLayer::from_config(ClerkConfig::from_jwt_key(key).expect("a key")).is_ok());
        assert!(ClerkAuthLayer::new("https://clerk.example.com").is_ok(), "our client chooses by itself");

        ring::default_provider().install_default().expect("the first provider");
        client();
        assert!(ClerkAuthLayer::new("https://clerk.example.com").is_ok(), "our client takes the installed one");
    }
}
