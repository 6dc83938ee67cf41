//! The chapter shows the files of this package word by word, and its tables say what these programs answer.
//!
//! With `RECORD_TABLES=1` the tables are rewritten.

mod apps;
mod blocks;
mod keys;
mod requests;
mod responses;
mod roll_out;
mod table;
