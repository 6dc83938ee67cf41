//! What holds for every input: nothing panics, nothing forged gets in, the same thing spelled otherwise is the
//! same thing.
//!
//! The cases are the same in every run. `PROPTEST_RNG_SEED` and `PROPTEST_CASES` choose others and more.

mod changes;
mod dates;
mod headers;
mod key_documents;
mod masks;
mod mutation;
mod settings;
mod spelling;
mod support;
mod times;
mod tokens;
