//! The seed file.
