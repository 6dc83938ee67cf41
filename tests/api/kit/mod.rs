//! The test kit, where a fault of its own would make tests of applications pass that should fail.

mod backend_api;
mod builders;
