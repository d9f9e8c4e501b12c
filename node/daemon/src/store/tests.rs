//! The store by what it keeps.
