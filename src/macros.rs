//! Macros for what several types of the crate have in common.

/// Defines the accessors of a middleware for its inner service, with the names that tower-http uses.
macro_rules! inner_service_accessors {
    () => {
        /// Returns a reference to the inner service.
        pub fn get_ref(&self) -> &S {
            &self.inner
        }

        /// Returns a mutable reference to the inner service.
        pub fn get_mut(&mut self) -> &mut S {
            &mut self.inner
        }

        /// Consumes the middleware and returns the inner service.
        pub fn into_inner(self) -> S {
            self.inner
        }
    };
}
