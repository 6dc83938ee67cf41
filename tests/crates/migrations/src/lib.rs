//! The programs of the guide's chapter on migration: one API with four ways to check its tokens. The chapter shows these
//! files word by word, and `tests/chapter` sends the same requests to all of them.

pub mod by_hand {
    pub mod after;
    #[expect(clippy::disallowed_methods, reason = "the library must not use it, and this is how people do")]
    pub mod before;
    pub mod during;
}

pub mod clerk_rs {
    pub mod after;
    pub mod before;
}

pub mod jwt_authorizer {
    pub mod after;
    pub mod before;
}
