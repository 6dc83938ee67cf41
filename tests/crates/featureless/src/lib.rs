//! Without the feature `axum` a user is not an extractor:
//!
//! ```compile_fail,E0277
//! fn is_extractor<T: axum_core::extract::FromRequestParts<()>>() {}
//! is_extractor::<tower_clerk::ClerkAuth>();
//! ```
//!
//! but it is in the extensions:
//!
//! ```
//! fn is_extension<T: Clone + Send + Sync + 'static>() {}
//! is_extension::<tower_clerk::ClerkAuth>();
//! ```
//!
//! Without the feature `reqwest` keys are not fetched:
//!
//! ```
//! let error = tower_clerk::ClerkAuthLayer::new("https://clerk.example.com").unwrap_err();
//! assert!(error.to_string().contains("needs the feature `reqwest`"));
//! ```
